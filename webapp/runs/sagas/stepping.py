"""One step for many records: looked up, noted, sent, confirmed; looked up once more before it is sent again.

A step finds its record by one of its fields. Where it is there already with all values, nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from connectors.spi import Connector, Fence, WriteResult
from rules.documents.saga import Compensation
from rules.mapping.saga import StepPlan, values_of
from rules.reconcile.one_way import key_text
from rules.schema import Change
from rules.schema import Op as Writes
from rules.text import Message, msg
from webapp.extensions import House
from webapp.runs.sagas import ledger
from webapp.runs.sagas.ledger import Done, Guard, Saga
from webapp.runs.sagas.looking import Now, look, plain
from webapp.runs.sagas.states import Op, State, StepState, Way

Why = tuple[str | None, Message]


@dataclass
class Wanted:
    """What a step is to write: a row for each saga."""

    sagas: Sequence[Saga]
    values: pl.DataFrame
    match: pl.Series
    undo: list[dict[str, Any]]
    refused: dict[int, Why] = field(default_factory=dict)
    """Saga -> why its record cannot be written."""

    def only(self, rows: Sequence[int]) -> Wanted:
        """Return some of the rows."""
        undo = [self.undo[row] for row in rows]
        return Wanted([self.sagas[row] for row in rows], self.values[rows], self.match[rows], undo)


@dataclass(frozen=True)
class _Sent:
    """One record that is about to be sent: its row, and what the ledger notes."""

    row: int
    note: dict[str, Any]
    sends: bool

    @property
    def ours(self) -> bool:
        """Tell whether the record was not there before the saga."""
        return bool(self.note["op"] == Op.CREATE)


@dataclass(frozen=True)
class StepWork:
    """Does one step of a chunk's sagas."""

    house: House
    plan: StepPlan
    no: int
    connector: Connector
    fence: Fence
    guard: Guard

    def wanted(self, sagas: Sequence[Saga], batch: pl.DataFrame) -> Wanted:
        """Return what is to be written; `batch` has the fields of the source and the keys of earlier steps."""
        values, wrong = values_of(self.plan.values, batch)
        undo, bad = values_of(self.plan.undo, batch)
        match = key_text(values[self.plan.step.match])
        empty = (self.plan.step.match, msg("The field by which the record is found is empty."))
        wrong = {**dict.fromkeys(match.is_null().arg_true(), empty), **bad, **wrong}
        whole = Wanted(sagas, values, match, plain(undo) if undo.width else [{} for _ in sagas])
        kept = whole.only([row for row in range(len(sagas)) if row not in wrong])
        kept.refused = {sagas[row].id: why for row, why in wrong.items()}
        return kept

    def attempt(self, wanted: Wanted) -> None:
        """Do the step for all records that it is not done for; what is refused is noted as such.

        Records that are found by the same value are written one behind the other.
        """
        self._refuse(wanted.refused)
        rest = self._undone(wanted)
        while rest.sagas:
            first = rest.match.is_first_distinct()
            self._round(rest.only(first.arg_true().to_list()))
            rest = rest.only((~first).arg_true().to_list())

    def _undone(self, wanted: Wanted) -> Wanted:
        """Return the records that the step is not done for, with what is noted of them by now."""
        with self.house.db.read() as tx:
            now = {saga.id: saga for saga in ledger.of_chunk(tx, self.fence.run, self.fence.chunk)}
        sagas = [now[saga.id] for saga in wanted.sagas]
        left = [row for row, saga in enumerate(sagas) if waits(saga, self.no)]
        return replace(wanted, sagas=sagas).only(left)

    def _round(self, wanted: Wanted) -> None:
        now = self._look(wanted.match)
        doubled = {saga.id: self._doubled(n) for saga, n in zip(wanted.sagas, now.count, strict=True) if n > 1}
        self._refuse(doubled)
        sent = [one for one in self._decided(wanted, now) if one.note["saga_id"] not in doubled]
        with self.house.db.begin() as tx:
            self.guard(tx)
            ledger.intend(tx, [one.note for one in sent])
        keys, refused = self._write(wanted, now, sent)
        there = {one.note["saga_id"] for one in sent if one.ours and now.count[one.row]}  # created before a crash
        self._refuse(refused, [one for one in refused if one not in there])
        with self.house.db.begin() as tx:
            self.guard(tx)
            ledger.confirm(tx, self.no, {one: key for one, key in keys.items() if one not in refused or one in there})

    def _look(self, match: pl.Series) -> Now:
        plan = self.plan
        return look(self.connector, (plan.step.object, plan.written, plan.key), plan.step.match, match)

    def _doubled(self, count: int) -> Why:
        text = msg("{count} records are found for it, and it cannot be known which one is meant.", count=count)
        return self.plan.step.match, text

    def _decided(self, wanted: Wanted, now: Now) -> Iterator[_Sent]:
        step, identity = self.plan.step, (self.plan.step.match, self.plan.key)
        fields = [name for name in wanted.values.columns if name not in identity]
        differs, after = now.differing(wanted.values.select(fields)), plain(wanted.values)
        before = now.texts(fields)
        for row, saga in enumerate(wanted.sagas):
            op = Op.CREATE if not now.count[row] else Op.UPDATE if differs[row] else Op.SAME
            place = {"name": step.name, "connection": step.connection, "object": step.object}
            found = {"key_field": self.plan.key, "match_field": step.match, "match": wanted.match[row]}
            note = {"saga_id": saga.id, "no": self.no, **place, **found, "key": now.keys[row], "op": op.value}
            back = _back(step.compensate, op, before[row], wanted.undo[row])
            note = _again(saga.steps.get(self.no), {**note, "after": after[row], **back})
            yield _Sent(row, note, sends=op is not Op.SAME)

    def _write(self, wanted: Wanted, now: Now, sent: Sequence[_Sent]) -> tuple[dict[int, str | None], dict[int, Why]]:
        """Write what is not there yet; return the keys of all that is done, and what was refused."""
        keys: dict[int, str | None] = {one.note["saga_id"]: one.note["key"] for one in sent}
        created = [one.row for one in sent if not now.count[one.row]]
        updated = [one.row for one in sent if now.count[one.row] and one.sends]
        parts = [rows for rows in (created, updated) if rows]
        if not parts:
            return keys, {}
        changes = [self._change(wanted, now, rows, create=rows is created) for rows in parts]
        result = self.connector.write(self.plan.step.object, self.plan.written, changes, self.fence)
        self.connector.finish(self.plan.step.object)
        refused = {wanted.sagas[parts[f.change][f.row]].id: (f.field, f.message) for f in result.failures}
        if created:
            keys |= self._made(wanted, created, changes[0], result)
        return keys, refused

    def _change(self, wanted: Wanted, now: Now, rows: list[int], *, create: bool) -> Change:
        plan = self.plan
        if create:
            return Change(Writes.CREATE, plan.key, wanted.values[rows])
        values = wanted.values[rows].drop(plan.step.match, plan.key, strict=False)
        return Change(Writes.UPDATE, plan.key, pl.DataFrame([now.frame[plan.key][rows], *values.get_columns()]))

    def _made(self, wanted: Wanted, rows: list[int], change: Change, result: WriteResult) -> dict[int, str | None]:
        """Return the keys of created records: those that the system told, else those that it shows."""
        made = result.keys[0] if result.keys else None
        if made is None and change.key in change.records.columns:
            made = change.records[change.key]
        texts = key_text(made) if made is not None else pl.Series([None] * len(rows), dtype=pl.String)
        if texts.null_count():
            now = self._look(wanted.match[rows])  # of several it cannot be known which one is ours
            shown = pl.select(pl.when(now.count == 1).then(now.keys)).to_series()
            texts = pl.select(pl.coalesce(texts, shown)).to_series()
        return {wanted.sagas[row].id: key for row, key in zip(rows, texts, strict=True)}

    def _refuse(self, refused: Mapping[int, Why], never: Sequence[int] = ()) -> None:
        """Note what is refused for good, and so taken back from now on; of those in `never` nothing has arrived."""
        if not refused:
            return
        with self.house.db.begin() as tx:
            self.guard(tx)
            ledger.drop(tx, self.no, never)
            for one, why in refused.items():
                ledger.refuse(tx, one, self.plan.step.name, (why[0], refusal(self.plan, why[1])))


def waits(saga: Saga, no: int) -> bool:
    """Tell whether a step of a saga is to be done."""
    done = saga.steps.get(no)
    return saga.state is State.WORKING and (done is None or done.state is StepState.INTENT)


def refusal(plan: StepPlan, why: Message) -> Message:
    """Return what is said of a record that a step was refused for."""
    place = {"step": plan.step.name, "connection": plan.step.connection, "object": plan.step.object}
    return msg("The step '{step}' in {connection} › {object} was refused: {problem}", **place, problem=why)


def _back(said: Compensation, op: Op, before: dict[str, Any], undo: dict[str, Any]) -> dict[str, Any]:
    """Return how a step is taken back, and what is written then."""
    if op is Op.SAME:
        return {"way": Way.NONE.value, "undo": {}}
    way = Way(said.created.value if op is Op.CREATE else said.updated.value)
    return {"way": way.value, "undo": {Way.RESTORE: before, Way.UPDATE: undo}.get(way, {})}


def _again(known: Done | None, note: dict[str, Any]) -> dict[str, Any]:
    """Return the note of a step that was noted before: what it found then is what it is taken back to."""
    if known is None or note["op"] == Op.CREATE:
        return note
    if known.op is Op.CREATE and note["op"] == Op.UPDATE:  # is it ours, changed by its system, or somebody else's?
        return {**note, "op": known.op.value, "way": Way.ASK.value if known.way is not Way.NONE else known.way.value}
    return {**note, "op": known.op.value, "way": known.way.value, "undo": known.undo}
