"""The sagas of one chunk: begun, done step by step, taken back where a step was refused.

All of it goes by the ledger, so that a worker that takes the chunk up does what is left, and nothing twice.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from connectors.errors import ConnectorError, Fenced
from connectors.spi import Connector, Failure, Fence, WriteResult
from rules.documents.saga import KEY, RECORD
from rules.mapping.saga import StepPlan, values_of
from rules.reconcile.one_way import key_text, key_values
from rules.reconcile.situations import Outcome
from rules.schema import Op as Writes
from rules.text import Message, msg
from webapp.runs.pipeline.chunk import ROW, Chunk, Write
from webapp.runs.pipeline.codec import column_text, column_texts
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.writing import Target, settled, without
from webapp.runs.sagas import ledger
from webapp.runs.sagas.ledger import Saga
from webapp.runs.sagas.looking import plain
from webapp.runs.sagas.settling import settle, unsettled
from webapp.runs.sagas.states import Op, State, Way
from webapp.runs.sagas.stepping import StepWork, refusal, waits
from webapp.runs.sagas.taking_back import TakingBack

if TYPE_CHECKING:
    from webapp.runs.sagas.writing import SagaWriter

_HELD = msg("What was done earlier for this record in several systems waits for a person. See to that first.")
_STOPPED = msg("The run was stopped before all steps were done.")


class Work:
    """One chunk of such a rule."""

    def __init__(self, writer: SagaWriter, target: Target[Any], chunk: Chunk, fence: Fence, retry: Retry) -> None:
        self.writer, self.target, self.chunk, self.fence, self.retry = writer, target, chunk, fence, retry
        self.house, self.guard = writer.house, writer.journal.guard

    def done(self, *, again: bool) -> Chunk:
        """Do what is left to be done, and return the chunk with what became of its records."""
        known = self._sagas()
        self._without_others()
        if known:
            self._bar(set(_sought(self.chunk)) - {saga.row for saga in known})
        else:
            self._begin()
        if not any(write.rows.len() for write in self.chunk.writes):
            return settled(self.chunk, WriteResult())
        result = self._first(again=again or bool(known))
        for no, step in enumerate(self.writer.plan.steps, 1):
            self._step(no, step)
        self._take_back()
        return self._settled(result)

    def abandoned(self) -> Chunk | None:
        """Take back what a stopped run has begun, and return its chunk; None where nothing of it was written."""
        known = self._sagas()
        if not known:
            return self.target.recover(self.chunk, self.fence)
        arrived = self.target.connector.arrived(self.fence) is not False
        self._bar(set(_sought(self.chunk)) - {saga.row for saga in known})
        if unsettled(known, 0):
            result = self.target.write(self.chunk, self.fence, self.retry, ended=True) if arrived else WriteResult()
            self._note_first(known, result, arrived=arrived)
        for no in sorted({no for saga in known for no in saga.steps if no}):
            self._settle(no, unsettled(known, no))
        with self.house.db.begin() as tx:
            self.guard(tx)
            for saga in known:
                ledger.refuse(tx, saga.id, RECORD, (None, _STOPPED))
        self._take_back()
        return self._settled(WriteResult((), self._keys(self._sagas())))

    def _sagas(self) -> list[Saga]:
        with self.house.db.read() as tx:
            return ledger.of_chunk(tx, self.fence.run, self.fence.chunk)

    def _begin(self) -> None:
        """Note the records of the chunk that are about to be written."""
        claim, keys = self.writer.claim, self.chunk.outcomes["left_key"]
        rows = [(row, str(column_text(keys[row]))) for row in _sought(self.chunk)]
        first = dict(self._notes())
        with self.house.db.begin() as tx:
            self.guard(tx)
            ledger.forget_done(tx, claim.rule_id)  # their chunks are checked in
            rule = {"rule_id": claim.rule_id, "rule_name": claim.rule_name}
            place = {"run_id": self.fence.run, "chunk_no": self.fence.chunk}
            head = {**rule, **place, "side": Sides.of(self.writer.rule).source_name, "begun_at": self.house.clock()}
            ledger.begin(tx, head, rows, first)

    def _notes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield what the ledger notes of the first step: the write of the rule's own record."""
        sides, said = Sides.of(self.writer.rule), self.writer.plan.compensation
        place = {"name": RECORD, "connection": sides.target.connection, "object": sides.target.object}
        for write in _writes(self.chunk):
            create, key = write.change.op is Writes.CREATE, write.change.key
            keys = key_text(write.change.records[key]) if key in write.change.records.columns else None
            after = plain(write.change.records if create else write.change.records.drop(key))
            way = Way(said.created.value if create else said.updated.value)
            undo = self._undo(write, way)
            for place_, row in enumerate(write.rows.to_list()):
                op = {"op": (Op.CREATE if create else Op.UPDATE).value, "way": way.value}
                found = {"key_field": key, "key": None if keys is None else keys[place_], "match_field": None}
                yield row, {**place, **op, **found, "match": None, "after": after[place_], "undo": undo[place_]}

    def _undo(self, write: Write, way: Way) -> list[dict[str, Any]]:
        """Return what is written to take records back."""
        if way is Way.UPDATE:
            batch = self._records(write.rows.to_list())
            return plain(values_of(self.writer.plan.undo, batch)[0])
        texts = self.chunk.outcomes["before"][write.rows]
        return [json.loads(text) if text and way is Way.RESTORE else {} for text in texts]

    def _first(self, *, again: bool) -> WriteResult:
        """Write the rule's own records, unless that is done already, and note their keys."""
        sagas = self._sagas()
        if not unsettled(sagas, 0):
            rest = without(self.chunk, dict.fromkeys((saga.row for saga in sagas), Failure(0, 0, _HELD)))
            left = any(write.rows.len() for write in rest.writes)
            result = self.target.write(rest, self.fence, self.retry, again=True) if left else WriteResult()
            return WriteResult(tuple(_moved(result.failures, rest, self.chunk)), self._keys(sagas))
        result = self.target.write(self.chunk, self.fence, self.retry, again=again)
        self._note_first(sagas, result)
        return result

    def _note_first(self, sagas: Sequence[Saga], result: WriteResult, *, arrived: bool = True) -> None:
        """Note which of the rule's own records are written, under which key, and which were refused."""
        refused = {self.chunk.writes[f.change].rows[f.row]: f for f in result.failures}
        keys = dict(_keys_of(self.chunk, result))
        with self.house.db.begin() as tx:
            self.guard(tx)
            for saga in sagas:
                failure = refused.get(saga.row)
                if failure is not None:
                    ledger.refuse(tx, saga.id, RECORD, (failure.field, failure.message))
            lost = [saga.id for saga in sagas if saga.row in refused or not arrived]
            ledger.drop(tx, 0, lost)
            ledger.confirm(tx, 0, {saga.id: keys.get(saga.row) for saga in sagas if saga.id not in set(lost)})

    def _without_others(self) -> None:
        """Leave the records out that an earlier saga is open for, also where there seems to be nothing to write."""
        with self.house.db.read() as tx:
            held = ledger.held_keys(tx, self.writer.claim.rule_id, self.fence.run, self.fence.chunk)
        if held:
            outcomes = self.chunk.outcomes
            mine = column_texts(outcomes["left_key"]).is_in(sorted(held)) & (outcomes["outcome"] != Outcome.QUARANTINED)
            self._bar(set(mine.fill_null(value=False).arg_true()))

    def _bar(self, rows: set[int]) -> None:
        if rows:
            self.chunk = without(self.chunk, dict.fromkeys(sorted(rows), Failure(0, 0, _HELD)))

    def _keys(self, sagas: Sequence[Saga]) -> tuple[pl.Series | None, ...]:
        """Return the keys that the target had given to created records, as the ledger has them."""
        known = {saga.row: saga.steps[0].key for saga in sagas if 0 in saga.steps}
        keys: list[pl.Series | None] = []
        for write in self.chunk.writes:
            if write.change.op is not Writes.CREATE or write.change.key in write.change.records.columns:
                keys.append(None)
                continue
            texts = pl.Series([known.get(row) for row in write.rows], dtype=pl.String)
            keys.append(key_values(texts, self.target.schema[write.change.key].dtype))
        return tuple(keys)

    def _step(self, no: int, step: StepPlan) -> None:
        """Do one step for all records that have come so far."""
        sagas = [saga for saga in self._sagas() if waits(saga, no)]
        if not sagas:
            return
        try:
            connector = self.writer.opened(step.step.connection)
            fence = self._fence(no)
            work = StepWork(self.house, step, no, connector, fence, self.guard)
            wanted = work.wanted(sagas, self._batch(sagas, no))
            self.retry(partial(work.attempt, wanted))
        except Fenced:
            raise
        except ConnectorError as error:
            self._give_up(no, step, error)

    def _give_up(self, no: int, step: StepPlan, error: ConnectorError) -> None:
        """Take back the records that a step could not be done for; raises `error` while it is not known for which."""
        try:
            self._settle(no, unsettled(self._sagas(), no))
        except Fenced:
            raise
        except ConnectorError:
            raise error from None
        why = (None, refusal(step, error.advice))
        with self.house.db.begin() as tx:
            self.guard(tx)
            for saga in ledger.of_chunk(tx, self.fence.run, self.fence.chunk):
                if saga.state is State.WORKING:
                    ledger.refuse(tx, saga.id, step.step.name, why)
        self.writer.stop(error)

    def _settle(self, no: int, sent: Sequence[Saga]) -> None:
        """Find out what became of what was sent of a step."""
        if sent:
            connector = self.writer.opened(sent[0].steps[no].connection)
            self.retry(partial(settle, self.house, self.guard, connector, no, sent))

    def _take_back(self) -> None:
        sagas = [saga for saga in self._sagas() if saga.state is State.COMPENSATING]
        back = TakingBack(self.house, self._lent, self.retry, self._fence, self.guard)
        back(sagas)
        with self.house.db.begin() as tx:
            self.guard(tx)
            done = [saga.id for saga in ledger.of_chunk(tx, self.fence.run, self.fence.chunk)]
            ledger.move(tx, done, State.WORKING, State.DONE, self.house.clock())

    def _lent(self, name: str) -> AbstractContextManager[Connector]:
        return contextlib.nullcontext(self.writer.opened(name))

    def _fence(self, no: int) -> Fence:
        """Return the fence of a step: a worker that was replaced writes nothing over what its successor did."""
        return self.fence if no == 0 else replace(self.fence, scope=f"{self.fence.scope}:{no}")

    def _records(self, rows: Sequence[int]) -> pl.DataFrame:
        records = self.chunk.records
        assert records is not None  # noqa: S101 - only such rows have a saga
        places = {row: place for place, row in enumerate(records[ROW].to_list())}
        return records[[places[row] for row in rows]]

    def _batch(self, sagas: Sequence[Saga], no: int) -> pl.DataFrame:
        """Return the source records of sagas with the keys of the steps before."""
        batch = self._records([saga.row for saga in sagas])
        kinds = [
            self.target.schema[Sides.of(self.writer.rule).target_key].dtype,
            *(s.schema[s.key].dtype for s in self.writer.plan.steps),
        ]
        names = [f"{RECORD}{KEY}", *(step.key_name for step in self.writer.plan.steps)]
        for before in range(no):
            texts = pl.Series([saga.steps[before].key for saga in sagas], dtype=pl.String)
            batch = batch.with_columns(key_values(texts, kinds[before]).alias(names[before]))
        return batch

    def _settled(self, result: WriteResult) -> Chunk:
        """Return the chunk as it came out: what was taken back is parked with what was in the way."""
        places = {row: (n, at) for n, write in enumerate(self.chunk.writes) for at, row in enumerate(write.rows)}
        failed = [saga for saga in self._sagas() if saga.state is not State.DONE]
        gone = {saga.row for saga in failed}
        mine = [Failure(*places[saga.row], _told(saga), saga.field_name) for saga in failed]
        others = [f for f in result.failures if self.chunk.writes[f.change].rows[f.row] not in gone]
        keys = tuple(_cleared(made, write, gone) for write, made in zip(self.chunk.writes, result.keys, strict=False))
        return settled(self.chunk, replace(result, failures=(*others, *mine), keys=keys))


def _told(saga: Saga) -> Message:
    """Return why a record is parked."""
    return saga.reason or _HELD


def _cleared(made: pl.Series | None, write: Write, gone: set[int]) -> pl.Series | None:
    """Return the keys of created records without those that were taken back."""
    if made is None:
        return None
    rows = [place for place, row in enumerate(write.rows) if row in gone]
    return made.scatter(rows, None) if rows else made


def _writes(chunk: Chunk) -> Iterator[Write]:
    """Yield the writes of records that go on to the steps: those that were read, and are created or updated."""
    if chunk.records is None:
        return
    known = set(chunk.records[ROW])
    for write in chunk.writes:
        if write.change.op is not Writes.DELETE and set(write.rows) <= known:
            yield write


def _sought(chunk: Chunk) -> list[int]:
    return [row for write in _writes(chunk) for row in write.rows]


def _keys_of(chunk: Chunk, result: WriteResult) -> Iterator[tuple[int, str | None]]:
    """Yield the row of each written record with its key."""
    for number, write in enumerate(chunk.writes):
        key, made = write.change.key, result.keys[number] if number < len(result.keys) else None
        values = made if made is not None else write.change.records.get_column(key, default=None)
        if values is not None:
            yield from zip(write.rows, key_text(values), strict=True)


def _moved(failures: Sequence[Failure], part: Chunk, whole: Chunk) -> Iterator[Failure]:
    """Yield the failures of a part of a chunk's writes as those of the whole."""
    places = {row: (n, at) for n, write in enumerate(whole.writes) for at, row in enumerate(write.rows)}
    for failure in failures:
        change, row = places[part.writes[failure.change].rows[failure.row]]
        yield replace(failure, change=change, row=row)
