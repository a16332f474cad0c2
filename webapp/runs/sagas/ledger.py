"""The rows of sagas: noted before anything is sent, confirmed behind it, taken back in reverse."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message
from webapp.runs.models import run
from webapp.runs.sagas.models import saga, saga_step
from webapp.runs.sagas.states import OPEN, Op, State, StepState, Way

Guard = Callable[[sa.Connection], None]
"""Raises `Fenced` for who has lost the run that a saga belongs to."""


@dataclass(frozen=True)
class Done:
    """What is stored of one step of a record."""

    no: int
    name: str
    connection: str
    object: str
    key_field: str
    key: str | None
    match_field: str | None
    match: str | None
    op: Op
    way: Way
    after: Mapping[str, Any]
    undo: Mapping[str, Any]
    state: StepState
    problem: Message | None = None

    @property
    def mark(self) -> str:
        """Return what tells how far it is, and what is in its way."""
        way = "" if self.problem is None else f"-{zlib.crc32(json.dumps(self.problem.to_json()).encode()):x}"
        return f"{self.no}-{self.state.value}{way}"


@dataclass(frozen=True)
class Saga:
    """What is stored of the saga of one record."""

    id: int
    rule_id: int
    rule_name: str
    run_id: int
    chunk_no: int
    row: int
    side: str
    record_key: str
    state: State
    step: str | None
    field_name: str | None
    reason: Message | None
    begun_at: datetime
    steps: Mapping[int, Done] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Return what tells whether anything has become of it since it was shown."""
        return ":".join([self.state.value, *(step.mark for _, step in sorted(self.steps.items()))])


def load(tx: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Saga]:
    """Return sagas with their steps, oldest first."""
    steps: dict[int, dict[int, Done]] = {}
    asked = sa.select(saga_step).where(saga_step.c.saga_id == saga.c.id, *where).order_by(saga_step.c.no)
    for row in tx.execute(asked):
        steps.setdefault(row.saga_id, {})[row.no] = _done(row)
    rows = tx.execute(sa.select(saga).where(*where).order_by(saga.c.id)).all()
    return [_saga(row, steps.get(row.id, {})) for row in rows]


def of_chunk(tx: sa.Connection, run_id: int, chunk_no: int) -> list[Saga]:
    """Return the sagas of a chunk of a run."""
    return load(tx, saga.c.run_id == run_id, saga.c.chunk_no == chunk_no)


def held_keys(tx: sa.Connection, rule_id: int, run_id: int, chunk_no: int) -> set[str]:
    """Return the keys of records of a rule whose saga is still open, beside those of one chunk."""
    elsewhere = sa.or_(saga.c.run_id != run_id, saga.c.chunk_no != chunk_no)
    mine = (saga.c.rule_id == rule_id, saga.c.state.in_([state.value for state in OPEN]))
    return set(tx.scalars(sa.select(saga.c.record_key).where(*mine, elsewhere)))


def are_left(tx: sa.Connection, rule_id: int) -> bool:
    """Tell whether there are sagas of a rule that a run has to go on with, or to take back."""
    left = saga.c.state.in_([State.WORKING.value, State.COMPENSATING.value])
    return bool(tx.scalar(sa.select(sa.exists().where(saga.c.rule_id == rule_id, left))))


def begin(
    tx: sa.Connection, head: Mapping[str, Any], rows: Sequence[tuple[int, str]], first: Mapping[int, Mapping[str, Any]]
) -> None:
    """Note the sagas of a chunk with the intent of their first step; `rows` are places in its outcomes, with keys."""
    if not rows:
        return
    made = [{**head, "row": row, "record_key": key, "state": State.WORKING.value} for row, key in rows]
    tx.execute(sa.insert(saga), made)
    mine = (saga.c.run_id == head["run_id"], saga.c.chunk_no == head["chunk_no"])
    numbers = tx.execute(sa.select(saga.c.id, saga.c.row).where(*mine)).all()
    intend(tx, [{"saga_id": row.id, "no": 0, **first[row.row]} for row in numbers])


def intend(tx: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note what is about to be sent; what was noted of the same steps before is replaced."""
    if rows:
        drop(tx, int(rows[0]["no"]), [int(row["saga_id"]) for row in rows])
        tx.execute(sa.insert(saga_step), [{"state": StepState.INTENT.value, **row} for row in rows])


def drop(tx: sa.Connection, no: int, sagas: Sequence[int]) -> None:
    """Forget a step that was not done."""
    if sagas:
        which = (saga_step.c.saga_id == sa.bindparam("of"), saga_step.c.no == no)
        tx.execute(sa.delete(saga_step).where(*which), [{"of": one} for one in sagas])


def confirm(tx: sa.Connection, no: int, keys: Mapping[int, str | None]) -> None:
    """Note that a step is done: saga -> the key of its record."""
    if keys:
        which = (saga_step.c.saga_id == sa.bindparam("of"), saga_step.c.no == no)
        done = sa.update(saga_step).where(*which)
        done = done.values(key=sa.bindparam("found", type_=saga_step.c.key.type), state=StepState.CONFIRMED.value)
        tx.execute(done, [{"of": one, "found": key} for one, key in keys.items()])


def mark(tx: sa.Connection, no: int, sagas: Iterable[int], state: StepState, problem: Message | None = None) -> None:
    """Note how a step was taken back, or why it could not be."""
    told = None if problem is None else problem.to_json()
    for one in sagas:
        which = (saga_step.c.saga_id == one, saga_step.c.no == no)
        tx.execute(sa.update(saga_step).where(*which).values(state=state.value, problem=told))


def refuse(tx: sa.Connection, one: int, step: str, why: tuple[str | None, Message]) -> None:
    """Note that a saga is taken back from now on, and why."""
    values = {"state": State.COMPENSATING.value, "step": step, "field": why[0], "reason": why[1].to_json()}
    tx.execute(sa.update(saga).where(saga.c.id == one, saga.c.state == State.WORKING.value).values(values))


def move(tx: sa.Connection, sagas: Sequence[int], before: State, state: State, at: datetime | None) -> int:
    """Move sagas on; `at` is when they have ended, None where they have not. Return how many moved.

    Of what has ended only keys are kept: nobody needs the values of its records any more.
    """
    moved = 0
    values = {"state": state.value, "ended_at": at}
    for start in range(0, len(sagas), _AT_ONCE):
        some = sagas[start : start + _AT_ONCE]
        here = (saga.c.id.in_(some), saga.c.state == before.value)
        moved += tx.execute(sa.update(saga).where(*here).values(values)).rowcount
        if at is not None:
            ended = sa.select(saga.c.id).where(saga.c.id.in_(some), saga.c.ended_at.is_not(None))
            steps = sa.update(saga_step).where(saga_step.c.saga_id.in_(ended))
            tx.execute(steps.values(after=sa.null(), undo=sa.null(), match=None))
    return moved


def forget_done(tx: sa.Connection, rule_id: int) -> None:
    """Delete what is stored of the sagas of a rule that have come through all their steps."""
    done = (saga.c.rule_id == rule_id, saga.c.state == State.DONE.value)
    tx.execute(sa.delete(saga_step).where(saga_step.c.saga_id.in_(sa.select(saga.c.id).where(*done))))
    tx.execute(sa.delete(saga).where(*done))


def said(tx: sa.Connection, rule_name: str, key: str) -> tuple[int, int]:
    """Return how many sagas of a record have ended and hold what was in its way, and how many are open."""
    mine = sa.select(sa.func.count()).where(saga.c.rule_name == rule_name, saga.c.record_key == key)
    step = sa.exists().where(saga_step.c.saga_id == saga.c.id, saga_step.c.problem.is_not(None))
    ended = mine.where(saga.c.ended_at.is_not(None), sa.or_(saga.c.reason.is_not(None), step))
    return int(tx.scalar(ended) or 0), int(tx.scalar(mine.where(saga.c.ended_at.is_(None))) or 0)


def erase(tx: sa.Connection, rule_name: str, key: str) -> int:
    """Forget what was in the way of a record whose sagas have ended; return how many are open, and keep theirs."""
    mine = (saga.c.rule_name == rule_name, saga.c.record_key == key)
    ended = (*mine, saga.c.ended_at.is_not(None))
    steps = sa.update(saga_step).where(saga_step.c.saga_id.in_(sa.select(saga.c.id).where(*ended)))
    tx.execute(steps.values(problem=sa.null()))
    tx.execute(sa.update(saga).where(*ended).values(reason=sa.null()))
    return said(tx, rule_name, key)[1]


def forget_old(tx: sa.Connection, until: datetime) -> None:
    """Delete sagas that ended before an instant, of runs that nobody can resume."""
    kept = sa.exists().where(run.c.id == saga.c.run_id, run.c.state.not_in(("succeeded", "cancelled")))
    old = sa.select(saga.c.id).where(saga.c.ended_at < until, ~kept)
    tx.execute(sa.delete(saga_step).where(saga_step.c.saga_id.in_(old)))
    tx.execute(sa.delete(saga).where(saga.c.ended_at < until, ~kept))


def of_ids(tx: sa.Connection, ids: Iterable[int]) -> list[Saga]:
    """Return sagas by their numbers."""
    return load(tx, saga.c.id.in_(list(ids)))


_AT_ONCE = 1_000


def _done(row: sa.Row[Any]) -> Done:
    problem = Message.from_json(row.problem) if row.problem else None
    place = (row.no, row.name, row.connection, row.object, row.key_field, row.key, row.match_field, row.match)
    return Done(*place, Op(row.op), Way(row.way), row.after or {}, row.undo or {}, StepState(row.state), problem)


def _saga(row: sa.Row[Any], steps: Mapping[int, Done]) -> Saga:
    reason = Message.from_json(row.reason) if row.reason else None
    place = (row.id, row.rule_id, row.rule_name, row.run_id, row.chunk_no, row.row, row.side, row.record_key)
    return Saga(*place, State(row.state), row.step, row.field, reason, row.begun_at, steps)
