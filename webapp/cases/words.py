"""Pairs that wait, in plain words: which record, which systems, which fields, and what a choice means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.text import N_, Message, msg
from webapp.rulebook.side_names import SideNames
from webapp.runs.pair_cases import PairCase

FEW = 3
"""So many fields are named; of more it is said how many there are."""

TITLES: Mapping[str, str] = {
    "linked_changed": N_("A change waits: {fields}"),
    "linked_conflict": N_("{left} and {right} disagree about {fields}"),
    "deleted_left": N_("Deleted in {left}, still in {right}"),
    "deleted_right": N_("Deleted in {right}, still in {left}"),
    "disputed": N_("Several possible partners in {other}"),
    "review": N_("Perhaps the same record in {left} and {right}"),
    "unlinked": N_("Perhaps the same record in {left} and {right}"),
    "unmatched_left": N_("Only in {left}, not in {right}"),
    "unmatched_right": N_("Only in {right}, not in {left}"),
    "edit_vs_delete": N_("Changed in {there}, deleted in {gone}"),
    "out_of_scope": N_("No longer meets the condition of the rule"),
}
SITUATIONS: Mapping[str, str] = {
    "linked_changed": N_("A change waits"),
    "linked_conflict": N_("Systems disagree"),
    "deleted_left": N_("Deleted on the left"),
    "deleted_right": N_("Deleted on the right"),
    "disputed": N_("Several partners"),
    "review": N_("Doubtful match"),
    "unlinked": N_("Doubtful match"),
    "unmatched_left": N_("Only on the left"),
    "unmatched_right": N_("Only on the right"),
    "edit_vs_delete": N_("Changed and deleted"),
    "out_of_scope": N_("Out of scope"),
}
_NAMES = ("name", "title", "label", "subject", "company", "名称", "姓名", "标题")


def other(side: str) -> str:
    """Return the other side."""
    return "right" if side == "left" else "left"


def present(pair: PairCase) -> str:
    """Return the side whose record is there, where only one of them is."""
    known = [side for side in ("left", "right") if pair.details.get(side)]
    if len(known) == 1:
        return known[0]
    return "right" if pair.situation in ("deleted_left", "unmatched_right") else "left"


def title(pair: PairCase, names: SideNames) -> Message:
    """Return what the case is about."""
    side = present(pair)
    values = {
        "left": names.left,
        "right": names.right,
        "there": names.of(side),
        "gone": names.of(other(side)),
        "other": names.of(other(side)),
        "fields": fields_named(pair.details.get("fields") or []),
    }
    template = TITLES.get(pair.situation, N_("A record waits for a decision"))
    return Message(template, {name: value for name, value in values.items() if f"{{{name}}}" in template})


def fields_named(entries: Sequence[Mapping[str, Any]]) -> Message | str:
    """Return the names of a few fields."""
    names = [str((entry.get("left") or entry.get("right") or {}).get("name") or "?") for entry in entries]
    if len(names) <= FEW:
        return ", ".join(names) or "?"
    return msg("{fields} and {count} more", fields=", ".join(names[:FEW]), count=len(names) - FEW)


def subject(pair: PairCase, names: SideNames) -> str:
    """Return which record it is: what it is called, and its keys."""
    called = next((found for side in ("left", "right") if (found := called_by(pair.details.get(side)))), "")
    keys = [f"{names.objects[side]} {key}".strip() for side, key in pair.keys.items()]
    return " · ".join(part for part in (called, *keys) if part)


def called_by(record: Mapping[str, Any] | None) -> str:
    """Return what a record is called, as far as one of its fields looks like a name."""
    for wanted in _NAMES:
        for name, value in (record or {}).items():
            if name.lower().endswith(wanted) and isinstance(value, str) and value.strip():
                return value.strip()[:120]
    return ""


def deed_label(deed: str, pair: PairCase, names: SideNames) -> Message:
    """Return what a choice for the record is called."""
    side = present(pair)
    there, gone = names.of(side), names.of(other(side))
    if pair.situation == "out_of_scope":
        return msg("Delete it in {gone}", gone=gone) if deed == "delete" else msg("Keep both and unlink them")
    return {
        "delete": msg("Delete it in {there} too", there=there),
        "recreate": msg("Create it again in {gone}", gone=gone),
        "unlink": msg("Keep it in {there} and unlink", there=there),
        "keep": msg("Leave it alone"),
        "create": msg("Create a new record in {gone}", gone=gone),
        "link": msg("Link it to an existing record in {gone}", gone=gone),
    }[deed]


def deed_told(deed: str, pair: PairCase, names: SideNames) -> Message:
    """Return what happens when a choice for the record is carried out."""
    side = present(pair)
    there, gone = names.of(side), names.of(other(side))
    if pair.situation == "out_of_scope":
        text = N_("Nothing is written. Both keep their records, and the rule no longer compares them.")
        return msg("The record is deleted in {gone}.", gone=gone) if deed == "delete" else msg(text)
    return {
        "delete": msg("The record is deleted in {there} as well. Nothing of it is left in either system.", there=there),
        "recreate": msg(
            "{gone} gets a new record with the values of {there}. They stay linked.", gone=gone, there=there
        ),
        "unlink": msg("Nothing is written. {there} keeps its record, and the rule no longer compares it.", there=there),
        "keep": msg("Nothing is written. The record stays in {there} only, and the rule no longer asks.", there=there),
        "create": msg(
            "{gone} gets a new record with the values of {there}, and they are linked.", gone=gone, there=there
        ),
        "link": msg("Both are taken for the same record from now on, and the rule keeps them in agreement."),
    }[deed]


def take_all(side: str) -> Message:
    """Return what it is called to take every field from one side."""
    return msg("Take all from {side}", side=side)


def link_best(side: str) -> Message:
    """Return what it is called to link each record to its likeliest partner."""
    return msg("Link each to its likeliest partner in {side}", side=side)


def answer_told(answer: Mapping[str, Any] | None, pair: PairCase, names: SideNames) -> list[Message]:
    """Return what was chosen, a sentence each."""
    if not answer:
        return []
    if "record" in answer:
        if answer["record"] == "link":
            return [msg("Link it to {key} in {side}", key=str(answer.get("key")), side=names.of(other(present(pair))))]
        return [deed_label(answer["record"], pair, names)]
    by_number = {str(entry.get("index", place)): entry for place, entry in enumerate(pair.details.get("fields") or [])}
    return [
        _take_told(choice, fields_named([by_number.get(number, {})]), names)
        for number, choice in (answer.get("fields") or {}).items()
    ]


def _take_told(choice: Mapping[str, Any], field: Message | str, names: SideNames) -> Message:
    if choice.get("take") == "value":
        value = choice.get("value")
        shown: Any = msg("empty") if value in (None, "") else str(value)
        return msg("{field}: {value}", field=field, value=shown)
    return msg("{field}: from {side}", field=field, side=names.of(str(choice.get("take"))))
