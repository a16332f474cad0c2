"""What a compiled table consists of: expressions with the rows that they belong to, and the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from rules.decisions.cells import Value
from rules.decisions.columns import Words
from rules.decisions.placeholders import Filled
from rules.decisions.table_cells import TableCells
from rules.documents.decision_table import DecisionTable
from rules.language import Program
from rules.schema import Field, Schema

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Condition:
    """An expression in the cells of an input: the rows that it stands in, by rank as bits and by number."""

    filled: Filled
    program: Program
    words: Words
    input: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class OutputPlan:
    """An output: its written values by row, the expressions of the other rows, and the value where no row applies."""

    field: Field
    constants: pl.Series
    programs: Mapping[int, Program]
    default: Value | None
    choices: tuple[Value | None, ...] = ()


@dataclass(frozen=True)
class Front:
    """What is made of a table before its columns are compiled; `fields` are those of its inputs.

    `sources[n]` computes input n; None where it is the field `fields[n].name` itself. `scope` is what expressions in
    cells may name: the record's fields (`record`) and the inputs.
    """

    table: DecisionTable
    cells: TableCells
    fields: tuple[Field, ...]
    sources: tuple[Program | None, ...]
    scope: Schema
    record: Schema


def active_rows(table: DecisionTable, as_of: date) -> Sequence[int]:
    """Return the rows whose dates include a day."""
    day = as_of.isoformat()
    return [
        number
        for number, row in enumerate(table.rows)
        if (row.since is None or row.since <= day) and (row.until is None or day < row.until)
    ]
