"""Taking back what the steps of sagas have done: the last step first, and nothing that somebody has changed since.

Each step is looked up before it is taken back, so that one that was taken back before a crash is not taken back again.
What cannot be taken back stays as it is, with what is in the way, until a person ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.errors import ConnectorError, Fenced
from connectors.spi import Connector, Fence
from rules.schema import Change, Schema
from rules.schema import Op as Writes
from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House
from webapp.runs import hooks
from webapp.runs.sagas import ledger
from webapp.runs.sagas.ledger import Done, Guard, Saga
from webapp.runs.sagas.looking import Now, look, typed
from webapp.runs.sagas.states import SENT, Op, State, StepState, Way

_ASK = msg("It was there after a crash with other values than were sent, so it cannot be known whether it is ours.")
_GONE = msg("The record is gone.")
_NO_KEY = msg("It was sent, and it is not known under which key it has arrived. Look for it in the system yourself.")


@dataclass
class _Settled:
    """What becomes of the steps of a batch: saga -> taken back, left as it is, or why not."""

    back: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    stuck: dict[int, Message] = field(default_factory=dict)
    delete: list[int] = field(default_factory=list)
    """Rows whose records are deleted."""
    write: list[int] = field(default_factory=list)
    """Rows whose records get other values."""


@dataclass(frozen=True)
class TakingBack:
    """Takes sagas back; `guard` keeps who has lost the run from noting anything."""

    house: House
    connect: Callable[[str], AbstractContextManager[Connector]]
    retry: Callable[[Callable[[], None]], None]
    fence: Callable[[int], Fence | None]
    guard: Guard = lambda _tx: None
    actor: Actor = SYSTEM

    def __call__(self, sagas: Sequence[Saga]) -> None:
        """Take back what is compensating, as far as that is possible."""
        last = max((no for saga in sagas for no in saga.steps), default=-1)
        stuck: set[int] = set()
        for no in range(last, -1, -1):
            mine = [saga for saga in sagas if saga.id not in stuck and no in saga.steps]
            mine = [saga for saga in mine if saga.steps[no].state in SENT]
            for part in _by_shape(mine, no):
                stuck |= self._step(no, part)
        ended = [saga for saga in sagas if saga.id not in stuck]
        self._end(ended)

    def _step(self, no: int, sagas: Sequence[Saga]) -> set[int]:
        """Take a step back for sagas that wrote alike; return those for which it was not possible."""
        try:
            self.retry(partial(self._attempt, no, sagas))
        except Fenced:
            raise
        except ConnectorError as error:
            self._note(no, sagas, _Settled(stuck={saga.id: error.advice for saga in sagas}))
        with self.house.db.read() as tx:
            mine = ledger.of_ids(tx, (saga.id for saga in sagas))
        return {saga.id for saga in mine if saga.steps[no].state is StepState.STUCK}

    def _attempt(self, no: int, sagas: Sequence[Saga]) -> None:
        done = [saga.steps[no] for saga in sagas]
        first = done[0]
        settled = _Settled(kept=[s.id for s, d in zip(sagas, done, strict=True) if d.way is Way.NONE])
        asked = [(saga, one) for saga, one in zip(sagas, done, strict=True) if one.way is not Way.NONE]
        if asked:
            with self.connect(first.connection) as connector:
                schema = connector.schema(first.object)
                missing = [name for name in (first.key_field, *first.after, *first.undo) if name not in schema]
                if missing:
                    text = msg("There is no field '{name}' in {object}.", name=missing[0], object=first.object)
                    settled.stuck = {saga.id: text for saga, _ in asked}
                else:
                    self._carry_out(no, asked, (connector, schema), settled)
        self._note(no, sagas, settled)

    def _carry_out(
        self, no: int, asked: Sequence[tuple[Saga, Done]], system: tuple[Connector, Schema], settled: _Settled
    ) -> None:
        connector, schema = system
        first = asked[0][1]
        known = {*first.after, *first.undo, first.key_field, first.match_field}
        fields = schema.select(tuple(name for name in schema.names if name in known))
        now = _now(connector, fields, [done for _, done in asked])
        _decide(asked, now, fields, settled)
        parts = [rows for rows in (settled.delete, settled.write) if rows]
        changes = [self._change(asked, now, fields, rows, delete=rows is settled.delete) for rows in parts]
        failures = connector.write(first.object, fields, changes, self.fence(no)).failures if changes else ()
        if changes:
            connector.finish(first.object)
        settled.stuck |= {asked[parts[f.change][f.row]][0].id: f.message for f in failures}
        settled.back += [asked[row][0].id for rows in parts for row in rows if asked[row][0].id not in settled.stuck]

    @staticmethod
    def _change(
        asked: Sequence[tuple[Saga, Done]], now: Now, fields: Schema, rows: list[int], *, delete: bool
    ) -> Change:
        keys = now.frame[now.key][rows]
        if delete:
            return Change(Writes.DELETE, now.key, keys.to_frame())
        names = tuple(name for name in asked[rows[0]][1].undo if name != now.key)
        values = typed([asked[row][1].undo for row in rows], fields.select(names))
        return Change(Writes.UPDATE, now.key, pl.DataFrame([keys, *values.get_columns()]))

    def _note(self, no: int, sagas: Sequence[Saga], settled: _Settled) -> None:
        at = self.house.clock()
        with self.house.db.begin() as tx:
            self.guard(tx)
            ledger.mark(tx, no, settled.back, StepState.COMPENSATED)
            ledger.mark(tx, no, settled.kept, StepState.KEPT)
            stuck = [saga for saga in sagas if saga.id in settled.stuck]
            for saga in stuck:
                ledger.mark(tx, no, [saga.id], StepState.STUCK, settled.stuck[saga.id])
            ledger.move(tx, [saga.id for saga in stuck], State.COMPENSATING, State.STUCK, None)
            self._tell(tx, Tag.SAGA_STUCK, stuck)
            for saga in stuck:
                done = saga.steps[no]
                place = (saga.rule_name, saga.run_id, done.name, f"{done.connection} › {done.object}")
                for tell in hooks.sagas:
                    tell(tx, hooks.SagaMoved(saga.id, *place, stuck=True, by=self.actor, at=at))

    def _end(self, sagas: Sequence[Saga]) -> None:
        """Note that nothing is left of sagas."""
        if not sagas:
            return
        at = self.house.clock()
        with self.house.db.begin() as tx:
            self.guard(tx)
            ledger.move(tx, [saga.id for saga in sagas], State.COMPENSATING, State.COMPENSATED, at)
            self._tell(tx, Tag.SAGA_TAKEN_BACK, [saga for saga in sagas if saga.steps])
            for saga in sagas:
                place = (saga.rule_name, saga.run_id, "", "")
                for tell in hooks.sagas:
                    tell(tx, hooks.SagaMoved(saga.id, *place, stuck=False, by=self.actor, at=at))

    def _tell(self, tx: sa.Connection, tag: Tag, sagas: Sequence[Saga]) -> None:
        """Note in the audit log what became of sagas, once for those of a run."""
        if sagas:
            first = sagas[0]
            told = {"sagas": [saga.id for saga in sagas[:_TOLD]], "records": len(sagas), "chunk": first.chunk_no}
            subject = Subject("rule", first.rule_name)
            record(tx, self.actor, self.house.clock(), Event(tag, subject, None, told, run_id=first.run_id))


_TOLD = 100
"""So many sagas are named in one entry of the audit log."""


def _by_shape(sagas: Iterable[Saga], no: int) -> Iterator[list[Saga]]:
    """Yield sagas whose step wrote the same fields of the same object, so that they are taken back together."""
    parts: dict[Any, list[Saga]] = {}
    for saga in sagas:
        done = saga.steps[no]
        by = (done.key is None, done.match_field)
        shape = (done.connection, done.object, done.key_field, *by, tuple(done.after), tuple(done.undo))
        parts.setdefault(shape, []).append(saga)
    yield from parts.values()


def _now(connector: Connector, fields: Schema, done: Sequence[Done]) -> Now:
    """Return what is held of records, by their keys; where these are not known, by the field that finds them."""
    first = done[0]
    place = (first.object, fields, first.key_field)
    if first.key is None and first.match_field is not None:
        return look(connector, place, first.match_field, pl.Series([one.match for one in done], dtype=pl.String))
    return look(connector, place, first.key_field, pl.Series([one.key for one in done], dtype=pl.String))


def _decide(asked: Sequence[tuple[Saga, Done]], now: Now, fields: Schema, settled: _Settled) -> None:
    """Decide what is written to take records back, from what they hold now."""
    changed = _apart(asked, now, fields, after=True)
    still = _apart(asked, now, fields, after=False)
    for row, (saga, done) in enumerate(asked):
        unknown = _unknown(done, now.count[row])
        if unknown is not None:
            settled.stuck[saga.id] = unknown
        elif not now.count[row]:
            settled.back.append(saga.id)
        elif done.way is Way.ASK:
            settled.stuck[saga.id] = _ASK
        elif done.way is not Way.DELETE and not still[row]:
            settled.back.append(saga.id)
        elif done.way is not Way.UPDATE and changed[row]:
            text = msg("Somebody has changed it since: {fields}.", fields=", ".join(changed[row]))
            settled.stuck[saga.id] = text
        else:
            (settled.delete if done.way is Way.DELETE else settled.write).append(row)


def _unknown(done: Done, count: int) -> Message | None:
    """Return why it cannot be told which record is taken back, None where it can, or where nothing is left of it."""
    if done.key is None and done.match_field is None:
        return _NO_KEY
    if count > 1:
        return msg("{count} records are found for it, and it cannot be known which one is meant.", count=count)
    never_arrived = done.state is StepState.INTENT and done.op is Op.CREATE
    return _GONE if not count and done.way not in (Way.DELETE, Way.ASK) and not never_arrived else None


def _apart(asked: Sequence[tuple[Saga, Done]], now: Now, fields: Schema, *, after: bool) -> list[list[str]]:
    """Return which fields do not hold what was written (`after`), or what they are taken back to."""
    kept = [done.after if after else done.undo for _, done in asked]
    names = tuple(name for name in fields.names if name in kept[0])
    return now.differing(typed(kept, fields.select(names)))
