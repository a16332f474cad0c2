"""What is wrong with a table before it decides anything: gaps, overlaps, rows that never apply, repetitions.

Exact for cells that are ranges and lists. Rows with expression cells count as rows that may apply: they close no gap
for certain and hide no row, and each such cell is reported as not analysed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from rules.decisions.axes import Axis, Pieces, RowBits, build_axes
from rules.decisions.boxes import SHOWN, Found, Search, TooMuch
from rules.decisions.cells import Expression
from rules.decisions.columns import Column
from rules.decisions.compile import compile_columns, rank_rows
from rules.decisions.findings import Analysis, Finding, FindingKind
from rules.decisions.plan import Front
from rules.decisions.policies import IN_ORDER
from rules.decisions.regions import region
from rules.documents.decision_table import DecisionTable, HitPolicy
from rules.language.problems import Severity
from rules.schema import Schema
from rules.text import N_, Message, msg

_ALIKE = frozenset({HitPolicy.UNIQUE, HitPolicy.ANY})


def analyse(table: DecisionTable, schema: Schema | None = None, *, as_of: date | None = None) -> Analysis:
    """Return what is remarkable about a table; raises `DocumentError` for cells that cannot be read.

    Args:
        table: the table.
        schema: the fields of the records, which tell what may be empty; those of the inputs if it is None.
        as_of: days before this one do not matter; None: all days do.
    """
    front, columns = compile_columns(table, schema)
    return _Analyser(front, columns, as_of).run()


class _Analyser:
    """Analyses one table."""

    def __init__(self, front: Front, columns: Sequence[Column], as_of: date | None) -> None:
        self._front = front
        self._table = front.table
        self._axes = build_axes(front, columns, as_of)
        self._computed = [any(isinstance(cell, Expression) for cell in cells) for cells in front.cells.when]
        self._complete = True

    def run(self) -> Analysis:
        """Return all findings."""
        gaps = self._gaps()
        pairs = list(self._overlaps())
        found = [
            *self._gap_findings(gaps),
            *(self._overlap_finding(*pair) for pair in pairs[:SHOWN]),
            *self._never(),
            *self._duplicates(),
            *self._expressions(),
        ]
        if not self._complete:
            text = N_("The table is too entangled to be analysed completely; there may be more than is listed here.")
            found.append(Finding(FindingKind.STOPPED, Severity.WARNING, msg(text)))
        found.sort(key=lambda finding: finding.severity is not Severity.ERROR)
        return Analysis(tuple(found), len(gaps.boxes), len(pairs), self._complete)

    def _name(self, row: int) -> str:
        return self._table.row_name(row)

    # Gaps

    def _gaps(self) -> Found:
        found = Search(self._axes, [axis.viable for axis in self._axes]).gaps((1 << len(self._table.rows)) - 1)
        self._complete = self._complete and found.complete
        return found

    def _gap_findings(self, gaps: Found) -> Iterator[Finding]:
        for box in gaps.boxes[:SHOWN]:
            where = region(self._axes, box)
            nowhere = msg("No row applies, whatever the inputs are.")
            words = msg("No row applies if {region}.", region=where.words) if where.parts else nowhere
            yield Finding(FindingKind.GAP, Severity.WARNING, words, region=where)

    # Overlaps

    def _overlaps(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of rows that can both apply although they must not."""
        if self._table.hit_policy not in _ALIKE or not self._table.rows:
            return
        both = self._together()
        for first, second in np.argwhere(np.triu(both, 1)).tolist():
            if self._table.hit_policy is HitPolicy.UNIQUE or self._differ(first, second):
                yield first, second

    def _together(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Return which rows share values on every axis."""
        count = len(self._table.rows)
        both = np.ones((count, count), bool)
        for axis in self._axes:
            pieces = [piece for piece in range(axis.column.nan + 1) if axis.viable >> piece & 1]
            covered = axis.column.covered[pieces].astype(np.float32)
            both &= covered.T @ covered > 0
        return both

    def _differ(self, first: int, second: int) -> bool:
        return self._front.cells.then[first] != self._front.cells.then[second]

    def _overlap_finding(self, first: int, second: int) -> Finding:
        box = tuple(axis.rows[first] & axis.rows[second] for axis in self._axes)
        where = region(self._axes, box)
        unique = self._table.hit_policy is HitPolicy.UNIQUE
        open_ = (
            self._computed[first] or self._computed[second] or (not unique and self._writes_expression(first, second))
        )
        text = (_MAYBE if open_ else _SURELY)[unique]
        words = msg(text, first=self._name(first), second=self._name(second), region=where.words)
        kind = FindingKind.OVERLAP if unique else FindingKind.CONTRADICTION
        severity = Severity.WARNING if open_ else Severity.ERROR
        return Finding(kind, severity, words, (first, second), where)

    def _writes_expression(self, *rows: int) -> bool:
        return any(isinstance(cell, Expression) for row in rows for cell in self._front.cells.then[row])

    # Rows that never apply

    def _never(self) -> Iterator[Finding]:
        ranks = rank_rows(self._front).tolist()
        hidden = self._table.hit_policy in IN_ORDER
        before: RowBits = 0
        for row in ranks:
            empty = next((axis for axis in self._axes if not axis.rows[row]), None)
            if empty is not None:
                yield self._nothing(row, empty)
                continue
            if hidden and self._hidden(row, before):
                text = N_("Row {row} can never decide: rows before it apply to everything that it applies to.")
                if self._table.hit_policy is HitPolicy.PRIORITY:
                    text = N_("Row {row} can never decide: more important rows apply to everything that it applies to.")
                yield Finding(FindingKind.NEVER, Severity.WARNING, msg(text, row=self._name(row)), (row,))
            if not self._computed[row]:
                before |= 1 << row

    def _nothing(self, row: int, axis: Axis) -> Finding:
        text = N_("Row {row} can never apply: no value of '{input}' that can occur meets its cell.")
        words = msg(text, row=self._name(row), input=axis.name)
        if axis.input is None:
            words = msg("Row {row} no longer applies: its last day is over.", row=self._name(row))
        return Finding(FindingKind.NEVER, Severity.WARNING, words, (row,), input=axis.input)

    def _hidden(self, row: int, before: RowBits) -> bool:
        within: list[Pieces] = [axis.rows[row] for axis in self._axes]
        try:
            return bool(before) and Search(self._axes, within).covered(before)
        except TooMuch:
            self._complete = False
            return False

    # Repetitions and expressions

    def _duplicates(self) -> Iterator[Finding]:
        seen: dict[object, int] = {}
        for row, cells in enumerate(self._front.cells.when):
            texts = tuple(cell if isinstance(cell, Expression) else None for cell in cells)
            key = (tuple(axis.rows[row] for axis in self._axes), texts)
            first = seen.setdefault(key, row)
            if first != row and all(key[0]):
                words = self._repetition(first, row)
                if words is not None:
                    yield Finding(FindingKind.DUPLICATE, Severity.WARNING, words, (first, row))

    def _repetition(self, first: int, second: int) -> Message | None:
        names = {"first": self._name(first), "second": self._name(second)}
        if not self._differ(first, second):
            return msg("Rows {first} and {second} say the same.", **names)
        if self._table.hit_policy in (*_ALIKE, *IN_ORDER):
            return msg("Rows {first} and {second} have the same conditions but different outputs.", **names)
        return None

    def _expressions(self) -> Iterator[Finding]:
        for row, cells in enumerate(self._front.cells.when):
            for number, cell in enumerate(cells):
                if isinstance(cell, Expression):
                    text = N_(
                        "Row {row}, '{input}': the expression is not analysed; the row counts as one that may apply."
                    )
                    words = msg(text, row=self._name(row), input=self._table.inputs[number].name)
                    yield Finding(FindingKind.NOT_ANALYSED, Severity.WARNING, words, (row,), input=number)


_SURELY = {
    True: N_("Rows {first} and {second} both apply if {region}, but only one may (hit policy unique)."),
    False: N_("Rows {first} and {second} both apply if {region}, but with different outputs (hit policy any)."),
}
_MAYBE = {
    True: N_("Rows {first} and {second} may both apply if {region}; that depends on their expressions."),
    False: N_("Rows {first} and {second} may have different outputs if {region}; that depends on their expressions."),
}
