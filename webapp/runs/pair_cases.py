"""Pairs of records that wait for a person's decision: opened and settled by runs, answered by people.

A pair is named by its two keys (`pair_name`). While it waits there is one row of it in `pair_case`; `seen` is the
digest of the values that a person is shown, and an answer holds only for these. Runs call `wait`, `settle` and
`answers` in the transaction in which they check a chunk in. `webapp.runs.pair_choices` tells what an answer may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.schema import Field, Schema
from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor
from webapp.runs import hooks
from webapp.runs.hooks import PairDeed, PairsMoved
from webapp.runs.models import pair_case, run
from webapp.runs.pair_choices import checked, numbered
from webapp.runs.pipeline.codec import column_text

NAME_LENGTH = 600
AT_ONCE = 500
"""So many pairs are looked up with one statement."""

ANSWERS = {
    "pair": pl.String(),
    "left_key": pl.String(),
    "right_key": pl.String(),
    "situation": pl.String(),
    "seen": pl.String(),
    "state": pl.String(),
    "answer": pl.String(),  # JSON, null while nobody has answered
}
_WAITS = pair_case.c.state != "settled"


class AnswerRefused(Exception):
    """The pair cannot be answered now; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class PairCase:
    """A pair of records that waits, or has waited, for a person."""

    id: int
    rule_id: int
    rule_name: str
    run_id: int
    pair: str
    left_key: str | None
    right_key: str | None
    situation: str
    details: dict[str, Any]
    seen: str
    state: str
    answer: dict[str, Any] | None
    answered_by: str | None
    answered_at: datetime | None
    first_at: datetime
    last_at: datetime

    @property
    def answered(self) -> str:
        """Return what tells the answer that was given last from others; empty where there is none."""
        return "" if self.answer is None or self.answered_at is None else self.answered_at.isoformat()

    @property
    def keys(self) -> dict[str, str]:
        """Return the keys of the records by side, in full."""
        full = {"left": self.left_key, "right": self.right_key, **self.details.get("keys", {})}
        return {side: key for side, key in full.items() if key is not None}


_COLUMNS = tuple(pair_case.c[name] for name in PairCase.__dataclass_fields__)


def pair_name(left_key: str | None, right_key: str | None) -> str:
    """Return what names a pair of records: at most 600 characters, unique to its two keys."""
    return str(column_text(json.dumps([left_key, right_key], ensure_ascii=False), NAME_LENGTH))


def wait(tx: sa.Connection, rule_id: int, rule_name: str, run_id: int, waiting: pl.DataFrame, at: datetime) -> None:
    """Let pairs wait for a person; `waiting` has left_key, right_key, situation, details (JSON text) and seen.

    A pair that waits already is refreshed; where its `seen` has changed, an answer that was given is dropped, since the
    person has seen other values.
    """
    rows = {pair_name(row["left_key"], row["right_key"]): row for row in waiting.iter_rows(named=True)}
    if not rows:
        return
    known = {row.pair: row for row in _known(tx, rule_id, list(rows))}
    head = {"rule_id": rule_id, "rule_name": rule_name, "run_id": run_id, "last_at": at}
    opened = [{**head, **_values(rows[pair]), "pair": pair, "first_at": at} for pair in rows if pair not in known]
    if opened:
        tx.execute(sa.insert(pair_case), opened)
    moved = [row for row in known.values() if _told(row) != _told(rows[row.pair])]
    for row in moved:
        tx.execute(sa.update(pair_case).where(pair_case.c.id == row.id).values(_values(rows[row.pair])))
    for some in _batches([row.id for row in known.values()]):
        tx.execute(sa.update(pair_case).where(pair_case.c.id.in_(some)).values(run_id=run_id, last_at=at))
    dropped = tuple(row.id for row in moved if row.state == "answered")
    refreshed = tuple(row.id for row in moved if row.state != "answered")
    fresh = tuple(row.id for row in _known(tx, rule_id, [row["pair"] for row in opened]))
    for deed, cases in ((PairDeed.OPENED, fresh), (PairDeed.REFRESHED, refreshed), (PairDeed.DROPPED, dropped)):
        _tell(tx, PairsMoved(deed, cases, rule_name, run_id, SYSTEM.name, at))
    counts = {"opened": len(fresh), "refreshed": len(refreshed), "answers_dropped": len(dropped)}
    if any(counts.values()):
        record(tx, SYSTEM, at, Event(Tag.CASES_OPENED, Subject("rule", rule_name), None, counts, run_id=run_id))


def settle(tx: sa.Connection, rule_id: int, pairs: Sequence[str], run_id: int, at: datetime, by: str) -> None:
    """Let the named pairs wait no longer: a run has carried out the answer, or nothing is left to decide."""
    found = list(_known(tx, rule_id, pairs))
    if not found:
        return
    for some in _batches([row.id for row in found]):
        values = {"state": "settled", "run_id": run_id, "last_at": at}
        tx.execute(sa.update(pair_case).where(pair_case.c.id.in_(some)).values(values))
    used = tuple(row.id for row in found if row.state == "answered")
    resolved = tuple(row.id for row in found if row.state != "answered")
    name = found[0].rule_name
    for deed, cases in ((PairDeed.USED, used), (PairDeed.RESOLVED, resolved)):
        _tell(tx, PairsMoved(deed, cases, name, run_id, by, at))
    counts = {"answers_used": len(used), "resolved": len(resolved)}
    record(tx, SYSTEM, at, Event(Tag.CASES_SETTLED, Subject("rule", name), None, counts, run_id=run_id))


def answers(tx: sa.Connection, rule_id: int) -> pl.DataFrame:
    """Return the pairs of a rule that wait, with the answers that were given (columns of `ANSWERS`)."""
    table = pair_case.c
    columns = (table.pair, table.left_key, table.right_key, table.situation, table.seen, table.state, table.answer)
    rows = tx.execute(sa.select(*columns).where(table.rule_id == rule_id, _WAITS).order_by(table.id)).all()
    plain = [(*row[:-1], None if row[-1] is None else json.dumps(row[-1], ensure_ascii=False)) for row in rows]
    return pl.DataFrame(plain, schema=ANSWERS, orient="row")


def answer(tx: sa.Connection, case: int, choice: Mapping[str, Any], actor: Actor, at: datetime) -> None:
    """Keep what a person has chosen for a pair, until a run carries it out; it takes the place of an earlier answer.

    A choice may hold `seen`, to be refused where the values have changed since the person looked, and `answered`, to be
    refused where somebody has decided since.

    Raises `AnswerRefused`, or `ChoiceRefused` where the choice does not fit what is asked.
    """
    row = get(tx, case, lock=True)
    chosen = checked_choice(tx, row, choice)
    values = {"state": "answered", "answer": chosen, "answered_by": actor.name[:128], "answered_at": at}
    tx.execute(sa.update(pair_case).where(pair_case.c.id == case).values(values))
    subject = Subject("rule", row.rule_name, row.left_key or row.right_key)
    record(tx, actor, at, Event(Tag.CASE_ANSWERED, subject, row.answer, chosen, run_id=row.run_id))
    _tell(tx, PairsMoved(PairDeed.ANSWERED, (case,), row.rule_name, row.run_id, actor.name, at))


def checked_choice(tx: sa.Connection, row: PairCase, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return a choice as it would be stored for a pair; raises what `answer` raises."""
    if row.state == "settled":
        raise AnswerRefused(msg("This record is settled already; nothing is left to decide."))
    if choice.get("seen", row.seen) != row.seen:
        text = N_("The values of this record have changed since you looked. Look at them again before you decide.")
        raise AnswerRefused(msg(text))
    if choice.get("answered", row.answered) != row.answered:
        text = N_("{name} has decided about this record since you looked. Look at the decision before you change it.")
        raise AnswerRefused(msg(text, name=row.answered_by or "-"))
    document, types = _asked_under(tx, row)
    plain = {name: part for name, part in choice.items() if name not in ("seen", "answered")}
    return checked(plain, row.situation, row.details, numbered(row.details, document), types)


def get(tx: sa.Connection, case: int, *, lock: bool = False) -> PairCase:
    """Return a pair; raises `AnswerRefused` where there is none. A `lock` keeps runs from changing it meanwhile."""
    query = sa.select(*_COLUMNS).where(pair_case.c.id == case)
    row = tx.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise AnswerRefused(msg("There is no case {case}.", case=case))
    return PairCase(**row)


def find(tx: sa.Connection, cases: Sequence[int]) -> dict[int, PairCase]:
    """Return the pairs of these numbers."""
    found: dict[int, PairCase] = {}
    for some in _batches(list(cases)):
        rows = tx.execute(sa.select(*_COLUMNS).where(pair_case.c.id.in_(some))).mappings()
        found.update({row["id"]: PairCase(**row) for row in rows})
    return found


def document_of(tx: sa.Connection, row: PairCase) -> dict[str, Any]:
    """Return the rule as the run executed it that met the pair last."""
    return dict(tx.scalar(sa.select(run.c.document).where(run.c.id == row.run_id)) or {})


def schemas_of(tx: sa.Connection, run_id: int, document: Mapping[str, Any]) -> dict[str, Schema]:
    """Return the fields of both sides, as a run has noted them; nothing where it has not."""
    noted = tx.scalar(sa.select(run.c.schemas).where(run.c.id == run_id)) or []
    if not noted:
        return {}
    away = executed_way(document) is Direction.RIGHT_TO_LEFT
    places = ("target", "source") if away else ("source", "target")
    return {side: Schema.from_json(noted[-1][place]) for side, place in zip(("left", "right"), places, strict=True)}


def _asked_under(tx: sa.Connection, row: PairCase) -> tuple[dict[str, Any], dict[str, Field]]:
    document = document_of(tx, row)
    left = schemas_of(tx, row.run_id, document).get("left", Schema(()))
    return document, {field.name: field for field in left.fields}


def _known(tx: sa.Connection, rule_id: int, pairs: Sequence[str]) -> Iterator[Any]:
    """Yield the waiting rows of the named pairs, locked: nobody may answer one while it changes."""
    table = pair_case.c
    columns = (table.id, table.pair, table.rule_name, table.state, table.situation, table.seen)
    for some in _batches(list(pairs)):
        query = sa.select(*columns).where(table.rule_id == rule_id, table.pair.in_(some), _WAITS)
        yield from tx.execute(query.order_by(table.id).with_for_update()).all()


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def _told(row: Any) -> tuple[str, str]:
    """Return what an answer depends on."""
    values = row if isinstance(row, Mapping) else row._mapping  # noqa: SLF001 - SQLAlchemy's documented way
    return values["situation"], values["seen"]


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a run states of a pair; one that was answered waits anew."""
    keys = {side: row[f"{side}_key"] for side in ("left", "right")}
    stored = {side: column_text(key) for side, key in keys.items()}
    details = _clean(json.loads(row["details"] or "{}"))
    cut = {side: _clean(key) for side, key in keys.items() if key != stored[side]}
    return {
        "left_key": stored["left"],
        "right_key": stored["right"],
        "situation": row["situation"],
        "seen": row["seen"],
        "details": {**details, "keys": cut} if cut else details,
        "state": "open",
        "answer": None,
        "answered_by": None,
        "answered_at": None,
    }


def _clean(value: Any) -> Any:
    """Return a JSON value without NUL, which PostgreSQL does not store."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return {_clean(name): _clean(one) for name, one in value.items()} if isinstance(value, dict) else value


def _tell(tx: sa.Connection, moved: PairsMoved) -> None:
    if moved.cases:
        for hear in hooks.pairs:
            hear(tx, moved)
