"""Pairs of records that wait for a person, or do not agree, as who asks may see them; and what they may choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.policies.errors import NotPermitted
from webapp.policies.masks import DOTS
from webapp.runs import pair_cases
from webapp.runs.pair_cases import AnswerRefused, PairCase
from webapp.runs.pair_choices import FIELDS, LEFT, RECORD, RIGHT, VALUE, numbered
from webapp.runs.sight import Sight, Sights, other

Details = Mapping[str, Any]
_SIDES = (LEFT, RIGHT)
_MADE = {"create": "create", "recreate": "create", "delete": "delete"}


def present(details: Details) -> str:
    """Return the side whose record is there, the left one where both are."""
    return RIGHT if details.get(RIGHT) and not details.get(LEFT) else LEFT


def seen_details(sight: Sight, details: Details) -> dict[str, Any] | None:
    """Return the details of a pair as they may be seen; None where one of its records may not be."""
    records = {side: details[side] for side in _SIDES if details.get(side)}
    if not sight.all_rows and not (records and sight.sees(records)):
        return None
    there = other(present(details))
    seen = dict(details)
    seen |= {side: sight.sides[side].values(record) for side, record in records.items()}
    if "keys" in details:
        seen["keys"] = {side: sight.sides[side].key_text(key) for side, key in details["keys"].items()}
    if details.get(FIELDS):
        seen[FIELDS] = [_field(sight, one) for one in details[FIELDS]]
    if details.get("candidates"):
        seen["candidates"] = list(_candidates(sight, there, details["candidates"]))
    return seen


def _field(sight: Sight, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field in question; dots stand for values that may not be seen."""
    seen, base = dict(entry), dict[str, Any]()
    for side in _SIDES:
        name = (entry.get(side) or {}).get("name")
        mine = sight.sides[side]
        if name:
            seen[side] = {**entry[side], VALUE: mine.value(name, entry[side].get(VALUE))}
            if entry.get("base"):
                base[side] = mine.value(name, entry["base"].get(side))
    return {**seen, "base": base} if "base" in entry else seen


def _candidates(sight: Sight, side: str, found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    mine = sight.sides[side]
    for one in found:
        record = one.get("record") or {}
        if mine.sees(record):
            yield {**one, "key": mine.key_text(one.get("key")), "record": mine.values(record)}


def shown_pair(sights: Sights, pair: PairCase) -> PairCase | None:
    """Return a pair as who asks may see it, None where they may not."""
    sight = sights.of_run(pair.run_id, pair.rule_name)
    if sight.everything:
        sight.looked({"left": pair.left_key, "right": pair.right_key})
        return pair
    details = seen_details(sight, pair.details)
    if details is None:
        return None
    keys = {"left": pair.left_key, "right": pair.right_key}
    told = {side: sight.sides[side].key_text(key) for side, key in keys.items()}
    answer = seen_answer(sight, pair.details, pair.answer)
    return replace(pair, details=details, pair="", answer=answer, left_key=told["left"], right_key=told["right"])


def seen_answer(sight: Sight, details: Details, answer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what was chosen for a pair as it may be seen."""
    if answer is None or sight.everything:
        return None if answer is None else dict(answer)
    if RECORD in answer:
        there = sight.sides[other(present(details))]
        return {**answer, **({"key": there.key_text(answer["key"])} if answer.get("key") else {})}
    asked = {str(entry.get("index", place)): entry for place, entry in enumerate(details.get(FIELDS) or [])}
    return {FIELDS: {number: _take(sight, asked.get(number, {}), take) for number, take in answer[FIELDS].items()}}


def _take(sight: Sight, entry: Mapping[str, Any], take: Mapping[str, Any]) -> dict[str, Any]:
    if VALUE not in take:
        return dict(take)
    names = {side: (entry.get(side) or {}).get("name") for side in _SIDES}
    plain = names[LEFT] is not None and all(name is None or sight.sides[s].plain(name) for s, name in names.items())
    return dict(take) if plain else {**take, VALUE: DOTS}


def get(tx: sa.Connection, case: int) -> PairCase:
    """Return a pair as who asks may see it; raises `AnswerRefused` where there is none for them."""
    found = shown_pair(Sights(tx), pair_cases.get(tx, case))
    if found is None:
        raise AnswerRefused(msg("There is no case {case}.", case=case))
    return found


def require_choice(tx: sa.Connection, pair: PairCase, choice: Mapping[str, Any]) -> None:
    """Raise `NotPermitted` where who asks may not write what a choice for a pair writes, or has not seen all of it.

    Args:
        tx: a transaction.
        pair: with all that it holds.
        choice: as it would be stored.
    """
    sight = Sights(tx, doing=True).of_run(pair.run_id, pair.rule_name)
    if sight.unbound:
        return
    seen = shown_pair(Sights(tx), pair)
    if seen is None:
        raise NotPermitted(msg("There is no case {case}.", case=pair.id))
    if RECORD in choice:
        _require_deed(sight, seen, choice, len(pair.details.get("candidates") or []))
        return
    asked = numbered(pair.details, pair_cases.document_of(tx, pair))
    for number, take in choice.get(FIELDS, {}).items():
        for side in _written(take.get("take")):
            name = (asked.get(number, {}).get(side) or {}).get("name")
            if name:
                sight.sides[side].rights.require("update")
                sight.sides[side].require_write([name])


def _written(take: str | None) -> tuple[str, ...]:
    """Return the sides that a choice for a field writes."""
    return (RIGHT,) if take == LEFT else (LEFT,) if take == RIGHT else _SIDES


def _require_deed(sight: Sight, seen: PairCase, choice: Mapping[str, Any], possible: int) -> None:
    deed, side = choice[RECORD], present(seen.details)
    if deed in _MADE:
        place = other(side) if deed != "delete" or seen.situation == "out_of_scope" else side
        sight.sides[place].rights.require(_MADE[deed])
    elif deed == "link":
        sight.sides[other(side)].rights.require("update")
        keys = [one.get("key") for one in seen.details.get("candidates") or []]
        if choice.get("key") not in keys or len(keys) < possible:
            raise NotPermitted(msg("You may not see all records that it could be linked to."))
