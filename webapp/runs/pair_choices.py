"""What a person may decide about a pair of records that waits, and whether a choice fits what was asked.

A choice is what `pair_case.answer` holds, one of:

    {"fields": {"<number of the field pair in the rule>": {"take": "left" | "right" | "value", "value": ...}}}
    {"record": "delete" | "recreate" | "unlink" | "keep" | "create" | "link", "key": "..."}

A `value` is one of the left field, in its JSON form (decimals, dates and times as texts); the right field gets what the
rule makes of it. `key` names the partner on the other side for "link".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import InvalidOperation
from typing import Any

from rules.decoding import decode
from rules.schema import Field
from rules.text import N_, Message, msg

LEFT, RIGHT, VALUE = "left", "right", "value"
FIELDS, RECORD = "fields", "record"
REVIEW = "review"
"""The situation of a doubtful match; a rule's `unlinked: case` asks the same."""

_GONE = ("delete", "recreate", "unlink")
_MATCH = ("link", "create")
_ALONE = ("create", "keep")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "linked_changed": (),
    "linked_conflict": (),
    "deleted_left": _GONE,
    "deleted_right": _GONE,
    "edit_vs_delete": _GONE,
    "disputed": _MATCH,
    REVIEW: _MATCH,
    "unlinked": _MATCH,
    "unmatched_left": _ALONE,
    "unmatched_right": _ALONE,
    "out_of_scope": ("delete", "unlink"),
}
"""Situation -> what may be done with the record; where there is nothing, each field is chosen."""


class ChoiceRefused(Exception):
    """The choice does not fit what was asked; `message` says why, `field` for which field."""

    def __init__(self, message: Message, field: str | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        self.field = field


def field_number(entry: Mapping[str, Any], maps: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the number of a field in question among the field pairs of the rule, as text.

    It is stated in `index`, else found by the names of the two fields.
    """
    if "index" in entry:
        return str(entry["index"])
    names = tuple((entry.get(side) or {}).get("name") for side in (LEFT, RIGHT))
    found = (number for number, one in enumerate(maps) if (one.get(LEFT), one.get(RIGHT)) == names)
    return next(map(str, found), None)


def numbered(details: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the fields in question by their number in the rule."""
    maps = document.get(FIELDS) or []
    found = {field_number(entry, maps): entry for entry in details.get(FIELDS) or []}
    return {number: entry for number, entry in found.items() if number is not None}


def checked(
    choice: Mapping[str, Any],
    situation: str,
    details: Mapping[str, Any],
    asked: Mapping[str, Mapping[str, Any]],
    types: Mapping[str, Field],
) -> dict[str, Any]:
    """Return a choice as it is stored; raises `ChoiceRefused`.

    Args:
        choice: what the person has chosen.
        situation: what was found for the pair.
        details: of the pair; the possible partners are read.
        asked: the fields in question by number.
        types: of left fields, for the values that a person writes; a field that is not there takes any value.
    """
    options = OPTIONS.get(situation, ())
    if set(choice) - {FIELDS, RECORD, "key"} or (FIELDS in choice) == (RECORD in choice):
        raise ChoiceRefused(msg("Choose either a value for each field, or what happens to the record."))
    if RECORD in choice:
        return _record(choice, options, details)
    if options:
        raise ChoiceRefused(msg("Choose what happens to the record: {options}.", options=", ".join(options)))
    return {FIELDS: dict(_fields(choice[FIELDS], asked, types))}


def _record(choice: Mapping[str, Any], options: Sequence[str], details: Mapping[str, Any]) -> dict[str, Any]:
    deed = choice[RECORD]
    if not options:
        raise ChoiceRefused(msg("Choose a value for each field."))
    if deed not in options:
        raise ChoiceRefused(msg("Choose what happens to the record: {options}.", options=", ".join(options)))
    if deed != "link":
        return {RECORD: deed}
    key = choice.get("key")
    if not any(candidate.get("key") == key for candidate in details.get("candidates") or []):
        raise ChoiceRefused(msg("Choose one of the possible partners."))
    return {RECORD: deed, "key": key}


def _fields(
    chosen: Any, asked: Mapping[str, Mapping[str, Any]], types: Mapping[str, Field]
) -> Iterator[tuple[str, dict[str, Any]]]:
    given = {str(number): take for number, take in chosen.items()} if isinstance(chosen, Mapping) else {}
    for number, entry in asked.items():
        label = str(entry.get("field") or number)
        if number not in given:
            raise ChoiceRefused(msg("Choose a value for '{field}'.", field=label), number)
        yield number, _taken(given[number], number, label, types.get((entry.get(LEFT) or {}).get("name") or ""))
    if unknown := sorted(set(given) - set(asked)):
        raise ChoiceRefused(msg("Field {number} of the rule is not in question here.", number=unknown[0]))


def _taken(given: Any, number: str, label: str, field: Field | None) -> dict[str, Any]:
    take = given.get("take") if isinstance(given, Mapping) else None
    if take in (LEFT, RIGHT):
        return {"take": take}
    if take != VALUE or VALUE not in given:
        raise ChoiceRefused(msg("Choose a value for '{field}'.", field=label), number)
    value = given[VALUE]
    if field is not None:
        _fits(value, field, number, label)
    return {"take": VALUE, VALUE: value}


def _fits(value: Any, field: Field, number: str, label: str) -> None:
    """Raise `ChoiceRefused` where a value is none of the field."""
    if value is None:
        if field.nullable:
            return
        raise ChoiceRefused(msg("'{field}' cannot be empty.", field=label), number)
    try:
        decode(field, value)
    except (ValueError, TypeError, InvalidOperation):
        text = N_("'{value}' is not a value of type {type}.")
        raise ChoiceRefused(msg(text, value=str(value), type=field.type.value), number) from None
    if isinstance(value, str) and field.length is not None and len(value) > field.length:
        text = N_("'{field}' takes at most {limit} characters.")
        raise ChoiceRefused(msg(text, field=label, limit=field.length), number)
