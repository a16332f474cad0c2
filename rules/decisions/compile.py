"""From a table to what decides batches: cells become bits of rows, expressions become programs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from rules.decisions.cells import Constant, Expression, Value
from rules.decisions.columns import Column, bits, build_column
from rules.decisions.compiled import CompiledTable, Parts
from rules.decisions.lines import line_of
from rules.decisions.placeholders import Filled
from rules.decisions.plan import Condition, Front, OutputPlan, Rows
from rules.decisions.programs import Programs
from rules.decisions.sets import alternatives, cover
from rules.decisions.table_cells import read_cells
from rules.documents.decision_table import DecisionTable, HitPolicy
from rules.documents.problems import DocumentError, DocumentProblem
from rules.language import Program
from rules.language.library import EMPTY, Library
from rules.schema import Field, Schema
from rules.text import N_, msg

RANKED = frozenset({HitPolicy.PRIORITY, HitPolicy.OUTPUT_ORDER})


def compile_table(table: DecisionTable, schema: Schema | None = None, library: Library = EMPTY) -> CompiledTable:
    """Return what decides batches of records; raises `DocumentError`.

    Args:
        table: the table.
        schema: the fields of the records; those that the inputs name, if it is None.
        library: the lookup tables that expressions may use.
    """
    fields = () if schema is None else schema.names
    cells, problems = read_cells(table, fields)
    programs = Programs(table, schema, library, cells)
    front = Front(table, cells, programs.fields, programs.sources, programs.scope, programs.record)
    order = rank_rows(front)
    conditions = _conditions(front, programs, order)
    outputs, misfits = _outputs(front, programs)
    problems += [*programs.problems, *_unranked(front), *misfits]
    if problems:
        raise DocumentError(problems)
    parts = Parts(front, _columns(front), order, tuple(conditions), outputs)
    return CompiledTable(parts, tuple(programs.warnings))


def compile_columns(table: DecisionTable, schema: Schema | None = None) -> tuple[Front, tuple[Column, ...]]:
    """Return the columns alone, for the analysis, to which expressions do not matter; raises `DocumentError`."""
    fields = () if schema is None else schema.names
    cells, problems = read_cells(table, fields)
    programs = Programs(table, schema, EMPTY, cells)
    if problems:
        raise DocumentError(problems)
    front = Front(table, cells, programs.fields, programs.sources, programs.scope, programs.record)
    return front, _columns(front)


def _columns(front: Front) -> tuple[Column, ...]:
    columns = []
    for number, field in enumerate(front.fields):
        line = line_of(field)
        known = {cell: cover(cell, line) for cell in {row[number] for row in front.cells.when}}
        allowed = front.cells.allowed[number]
        limit = alternatives(allowed, line) if allowed else None
        columns.append(build_column(line, field.type, [known[row[number]] for row in front.cells.when], limit))
    return tuple(columns)


def _conditions(front: Front, programs: Programs, order: Rows) -> list[Condition]:
    places: dict[tuple[str, int], list[int]] = {}
    for row, cells in enumerate(front.cells.when):
        for number, cell in enumerate(cells):
            if isinstance(cell, Expression):
                places.setdefault((cell.text, number), []).append(row)
    ranks = np.argsort(order)
    made = []
    for (text, number), rows in places.items():
        name = front.table.inputs[number].name
        filled = Filled(text, name)
        found = [programs.condition(f"rows/{row}/when/{number}", filled) for row in rows]
        if found[0] is not None:
            words = bits([int(ranks[row]) for row in rows], len(order))
            made.append(Condition(filled, found[0], words, number, tuple(rows)))
    return made


def rank_rows(front: Front) -> Rows:
    """Return the rows in the order in which they win."""
    count, ranked = len(front.table.rows), _ranked(front)
    ranks = [tuple(_rank(front, row, number) for number in ranked) for row in range(count)]
    return np.array(sorted(range(count), key=lambda row: (ranks[row], row)), np.int64)


def _ranked(front: Front) -> list[int]:
    """Return the outputs whose values rank the rows."""
    by_output = front.table.hit_policy in RANKED
    return [number for number, choices in enumerate(front.cells.choices) if choices and by_output]


def _unranked(front: Front) -> Iterator[DocumentProblem]:
    """Yield what keeps rows from being ranked."""
    for row, cells in enumerate(front.cells.then):
        for number in _ranked(front):
            if isinstance(cells[number], Expression):
                text = N_("With this hit policy the values of '{output}' have to be written out, not computed.")
                words = msg(text, output=front.table.outputs[number].name)
                yield DocumentProblem(f"rows/{row}/then/{number}", words)


def _rank(front: Front, row: int, number: int) -> int:
    cell, choices = front.cells.then[row][number], front.cells.choices[number]
    value = cell.value if isinstance(cell, Constant) else None
    return choices.index(value) if value in choices else len(choices)


def _outputs(front: Front, programs: Programs) -> tuple[tuple[OutputPlan, ...], list[DocumentProblem]]:
    made, problems = [], []
    for number, output in enumerate(front.table.outputs):
        field = Field(output.name, output.type)
        values: list[Value | None] = []
        compiled: dict[int, Program] = {}
        for row, cells in enumerate(front.cells.then):
            cell, path = cells[number], f"rows/{row}/then/{number}"
            values.append(cell.value if isinstance(cell, Constant) else None)
            if isinstance(cell, Expression):
                program = programs.value(path, cell, field)
                compiled |= {} if program is None else {row: program}
            elif front.cells.choices[number] and cell.value not in (None, *front.cells.choices[number]):
                text = N_("This value is not among those that '{output}' may have.")
                problems.append(DocumentProblem(path, msg(text, output=output.name)))
        constants = pl.Series(output.name, values, dtype=field.dtype, strict=True)
        made.append(OutputPlan(field, constants, compiled, front.cells.defaults[number], front.cells.choices[number]))
    return tuple(made), problems
