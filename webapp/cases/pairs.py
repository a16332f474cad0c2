"""Keeps cases in step with the pairs of records that wait: each pair has one case while it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.cases import history, sagas, words
from webapp.cases.history import Deed
from webapp.cases.models import case_item
from webapp.rulebook.side_names import SideNames, side_names
from webapp.runs import hooks, pair_cases
from webapp.runs.hooks import PairDeed, PairsMoved
from webapp.runs.models import run
from webapp.runs.pair_cases import AT_ONCE, PairCase

KIND = "sync"
_SETTLED = (PairDeed.USED, PairDeed.RESOLVED)


def register() -> None:
    """Hang this room in where pairs begin and end to wait; done once in every process that may do either."""
    if pairs_moved not in hooks.pairs:
        hooks.pairs.append(pairs_moved)
    sagas.register()


def pairs_moved(tx: sa.Connection, moved: PairsMoved) -> None:
    """Open, refresh or close the cases of pairs, and keep what became of them."""
    pairs = pair_cases.find(tx, moved.cases)
    document = tx.scalar(sa.select(run.c.document).where(run.c.id == moved.run_id)) or {}
    names = side_names(tx, document)
    known = _cases_of(tx, moved.cases)
    opened = _open(tx, [pair for number, pair in pairs.items() if number not in known], names, moved)
    known = {**known, **opened}
    if moved.deed in _SETTLED:
        for number, pair in pairs.items():
            _close(tx, known[number], _resolution(pair, names, moved), moved)
    elif moved.deed in (PairDeed.REFRESHED, PairDeed.DROPPED):
        for number, pair in pairs.items():
            values = {**_words(pair, names), "state": "open"}
            tx.execute(sa.update(case_item).where(case_item.c.id == known[number]).values(values))
    _note(tx, pairs, known, moved)


def _note(tx: sa.Connection, pairs: Mapping[int, PairCase], known: Mapping[int, int], moved: PairsMoved) -> None:
    deed = moved.deed.value
    if moved.deed == PairDeed.ANSWERED:
        for number, pair in pairs.items():
            history.note(tx, [known[number]], Deed(deed, moved.at, moved.by, told=pair.answer))
        return
    noted = [known[number] for number in pairs]
    if moved.deed == PairDeed.REFRESHED:  # a run that meets a pair from both sides sees what it has written itself
        met = history.met_by(tx, noted, moved.run_id)
        noted = [case for case in noted if case not in met]
    history.note(tx, noted, Deed(deed, moved.at, moved.by, moved.run_id))


def _cases_of(tx: sa.Connection, pairs: Sequence[int]) -> dict[int, int]:
    """Return pair -> case."""
    found: dict[int, int] = {}
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        query = sa.select(case_item.c.pair_id, case_item.c.id).where(case_item.c.pair_id.in_(some))
        found.update({row.pair_id: row.id for row in tx.execute(query)})
    return found


def _open(tx: sa.Connection, pairs: Sequence[PairCase], names: SideNames, moved: PairsMoved) -> dict[int, int]:
    head = {"kind": KIND, "state": "open", "opened_at": moved.at, "opened_by": moved.by[:128]}
    rows = [
        {**head, **_words(pair, names), "rule_name": pair.rule_name, "origin": f"pair:{pair.id}", "pair_id": pair.id}
        for pair in pairs
    ]
    if not rows:
        return {}
    tx.execute(sa.insert(case_item), rows)
    return _cases_of(tx, [pair.id for pair in pairs])


def _words(pair: PairCase, names: SideNames) -> dict[str, Any]:
    told = words.title(pair, names)
    return {
        "title": str(told)[:500],
        "subject": words.subject(pair, names)[:500],
        "details": {"title": told.to_json()},
        "situation": pair.situation,
    }


def _close(tx: sa.Connection, case_id: int, told: Sequence[Message], moved: PairsMoved) -> None:
    values = {
        "state": "closed",
        "closed_at": moved.at,
        "closed_by": moved.by[:128],
        "resolution": "; ".join(map(str, told)),
    }
    tx.execute(sa.update(case_item).where(case_item.c.id == case_id).values(values))


def _resolution(pair: PairCase, names: SideNames, moved: PairsMoved) -> list[Message]:
    if moved.deed == PairDeed.USED:
        return words.answer_told(pair.answer, pair, names)
    return [msg("Nothing was left to decide.")]


def titled(details: Mapping[str, Any], title: str) -> Message | str:
    """Return the title of a case, to be translated where it is known in words."""
    told = details.get("title")
    return Message.from_json(told) if isinstance(told, Mapping) and "template" in told else title
