"""A compiled table: decides batches of records at the speed of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rules.decisions.columns import Column, Words, bits, words_of
from rules.decisions.decided import Decided, count_hits
from rules.decisions.explaining import Explanation, Teller, one_record
from rules.decisions.matching import build_groups, each_chunk, first_bits
from rules.decisions.outcome import Deciding, Errors, at_cell, blanked, collected, note, rows_fired, values_of
from rules.decisions.plan import Condition, Front, OutputPlan, Rows, active_rows
from rules.decisions.policies import IN_ORDER, SINGLE, Winners, pairs, winners
from rules.decisions.seeing import Seen, see
from rules.documents.decision_table import HitPolicy
from rules.documents.problems import DocumentProblem
from rules.language import RowError
from rules.text import N_, msg

_CONTRADICTIONS = {
    HitPolicy.UNIQUE: N_("Rows {first} and {second} both apply, but only one may (hit policy unique)."),
    HitPolicy.ANY: N_("Rows {first} and {second} both apply, but with different outputs (hit policy any)."),
}


class Parts(NamedTuple):
    """What a table is compiled into; the rows' bits stand in the order in which the rows win."""

    front: Front
    columns: tuple[Column, ...]
    order: Rows
    conditions: tuple[Condition, ...]
    outputs: tuple[OutputPlan, ...]


class CompiledTable:
    """Decides records; made by `compile_table`."""

    def __init__(self, parts: Parts, warnings: tuple[DocumentProblem, ...]) -> None:
        self.parts = parts
        self.table = parts.front.table
        self.warnings = warnings
        self._count = len(parts.order)
        self._ranks = np.argsort(parts.order)
        self._groups = build_groups(parts.columns, parts.order)
        self._alike = self._same_outputs()

    @property
    def fields(self) -> frozenset[str]:
        """Return the fields of a record that the table reads."""
        front = self.parts.front
        sources = dict(zip((field.name for field in front.fields), front.sources, strict=True))
        named = set(sources)
        named.update(*(condition.program.fields for condition in self.parts.conditions))
        named.update(*(program.fields for plan in self.parts.outputs for program in plan.programs.values()))
        computed = {name for name, source in sources.items() if source is not None}
        return frozenset(named - computed).union(*(s.fields for s in sources.values() if s is not None))

    def evaluate(self, batch: pl.DataFrame, as_of: date) -> Decided:
        """Return what the table says about each record of a batch that has at least the fields in `fields`.

        Args:
            batch: the records.
            as_of: the day for which is decided; rows whose dates do not include it do not apply.
        """
        seen = self.see(batch)
        active = self.active(as_of)
        self._note_undecided(seen, active)
        single = self.table.hit_policy in SINGLE
        return self._single(seen, active) if single else self._several(seen, active)

    def explain(self, record: Mapping[str, Any], as_of: date) -> Explanation:
        """Return why the table says what it says about a record (field -> value); raises `CellError` for misfits."""
        batch = one_record(record, self.fields, self.parts.front.record)
        decided, seen = self.evaluate(batch, as_of), self.see(batch)
        return Teller(self.parts.front, self.parts.columns, seen, decided).tell(as_of)

    def see(self, batch: pl.DataFrame) -> Seen:
        """Return the inputs of a batch and what the conditions say about it."""
        return see(self.parts.front, self.parts.columns, self.parts.conditions, batch)

    def active(self, as_of: date) -> Words:
        """Return the rows that apply on a day, as bits by rank."""
        return bits([int(self._ranks[row]) for row in active_rows(self.table, as_of)], self._count)

    def chunks(self, seen: Seen, active: Words, *, maybe: bool = False) -> Iterable[tuple[slice, Words]]:
        """Yield the rows that apply to each record; with `maybe` also those whose conditions have no answer."""
        return each_chunk(self._groups, seen.bins, active, seen.edit(maybe=maybe))

    def _single(self, seen: Seen, active: Words) -> Decided:
        height = seen.batch.height
        first, second = np.full(height, -1), np.full(height, -1)
        for part, masks in self.chunks(seen, active):
            first[part], second[part] = winners(self.table.hit_policy, masks, self._alike)
        self._note_contradictions(seen, Winners(first, second), active)
        first[list(seen.errors)] = -1
        rows = np.append(self.parts.order, -1)[first]
        deciding = Deciding(np.arange(height), rows)
        values = [values_of(plan, self.table, deciding, seen.batch, seen.errors) for plan in self.parts.outputs]
        failed = list(seen.errors)
        rows[failed] = -1
        fired = blanked(pl.Series("fired", rows.astype(np.int32)), np.flatnonzero(rows < 0).tolist())
        outputs = pl.DataFrame([blanked(series, failed) for series in values])
        return Decided(outputs, _sorted(seen.errors), fired, count_hits(rows, self._count))

    def _several(self, seen: Seen, active: Words) -> Decided:
        found = pairs(self.chunks(seen, active), self._count)
        height, errors = seen.batch.height, seen.errors
        deciding = _without(Deciding(found.records, self.parts.order[found.ranks]), errors)
        columns = []
        for plan in self.parts.outputs:
            values = values_of(plan, self.table, deciding, seen.batch, errors)
            columns.append(collected(plan, self.table, values, deciding.records, height, errors))
        failed = list(errors)
        kept = _without(deciding, errors)
        outputs = pl.DataFrame([blanked(series, failed) for series in columns])
        return Decided(outputs, _sorted(errors), rows_fired(kept, height, failed), count_hits(kept.rows, self._count))

    def _note_undecided(self, seen: Seen, active: Words) -> None:
        """Note the records for which a condition has no answer although it would matter."""
        if not any(asked.errors for asked in seen.asked):
            return
        failed = np.flatnonzero(np.logical_or.reduce([asked.failed for asked in seen.asked]))
        part = seen.part(failed)
        chunks = zip(self.chunks(part, active), self.chunks(part, active, maybe=True), strict=True)
        for (piece, certain), (_, possible) in chunks:
            doubtful, first = first_bits(possible & ~certain), first_bits(certain)
            matters = doubtful >= 0
            if self.table.hit_policy in IN_ORDER:
                matters &= (first < 0) | (doubtful < first)
            for place in np.flatnonzero(matters).tolist():
                self._note_condition(seen, int(failed[piece.start + place]), int(self.parts.order[doubtful[place]]))

    def _note_condition(self, seen: Seen, record: int, row: int) -> None:
        for asked in seen.asked:
            if asked.failed[record] and row in asked.condition.rows:
                error = asked.errors[record]
                column = None if error.column is None else asked.condition.filled.column(error.column)
                name = self.table.inputs[asked.condition.input].name
                note(seen.errors, record, at_cell(self.table, row, name, error.message), column, error.line)

    def _note_contradictions(self, seen: Seen, found: Winners, active: Words) -> None:
        """Note the records on which rows contradict each other."""
        doubtful = [n for n in np.flatnonzero(found.second >= 0).tolist() if n not in seen.errors]
        if self.table.hit_policy is HitPolicy.ANY and doubtful:
            doubtful = self._really_different(seen, np.array(doubtful), active)
        for record in doubtful:
            rows = sorted(int(self.parts.order[ranks[record]]) for ranks in found)
            first, second = (self.table.row_name(row) for row in rows)
            note(seen.errors, record, msg(_CONTRADICTIONS[self.table.hit_policy], first=first, second=second))

    def _really_different(self, seen: Seen, doubtful: Rows, active: Words) -> list[int]:
        """Return the records whose rows give different values, not only differently written ones."""
        part = seen.part(doubtful)
        found = pairs(self.chunks(part, active), self._count)
        deciding = Deciding(found.records, self.parts.order[found.ranks])
        different: set[int] = set()
        for plan in self.parts.outputs:
            values = values_of(plan, self.table, deciding, part.batch, {})
            counts = pl.DataFrame({"record": deciding.records, "value": values}).group_by("record").n_unique()
            different |= set(counts.filter(pl.col("value") > 1)["record"].to_list())
        return [int(doubtful[place]) for place in sorted(different)]

    def _same_outputs(self) -> Words:
        """Return for each rank the rows whose outputs are written alike."""
        made = np.zeros((max(self._count, 1), words_of(self._count)), np.uint64)
        by_outputs: dict[object, list[int]] = {}
        for rank, row in enumerate(self.parts.order if self.table.hit_policy is HitPolicy.ANY else ()):
            by_outputs.setdefault(self.parts.front.cells.then[row], []).append(rank)
        for ranks in by_outputs.values():
            made[ranks] = bits(ranks, self._count)
        return made


def _sorted(errors: Errors) -> tuple[RowError, ...]:
    return tuple(errors[record] for record in sorted(errors))


def _without(deciding: Deciding, errors: Errors) -> Deciding:
    kept = ~np.isin(deciding.records, list(errors)) if errors else slice(None)
    return Deciding(deciding.records[kept], deciding.rows[kept])
