"""Compares the two ways to evaluate an expression: over columns, and record by record on the C++ runtime."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rules.language import Evaluated, ExpressionError, compile_expression
from rules.language.columns.backend import Columns
from rules.schema import Field, FieldType
from tests.rules.language.expressions import SCHEMA, Generator, batches

EXPECTED = (None, None, Field("x", FieldType.DECIMAL, scale=2), Field("x", FieldType.TEXT), Field("x", FieldType.FLOAT))


@dataclass
class Report:
    """How many expressions were compared, how many the checker refused, and what differed."""

    seed: int
    compared: int = 0
    refused: int = 0
    different: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the report as a test prints it."""
        head = f"seed {self.seed}: {self.compared} expressions compared, {self.refused} refused"
        return "\n".join([f"{head}, {len(self.different)} different", *self.different[:10]])


def compare(seed: int, count: int) -> Report:
    """Return how `count` random expressions compare over batches of all sorts."""
    generator, frames, rng = Generator(seed), batches(seed), random.Random(seed)
    report = Report(seed)
    while report.compared < count:
        text, expect = generator.expression(), rng.choice(EXPECTED)
        try:
            backend = compile_expression(text, SCHEMA, expect=expect, convertible=True).backend
        except ExpressionError:
            report.refused += 1
            continue
        if isinstance(backend, Columns):
            found = difference(backend, frames[report.compared % len(frames)])
            report.different += [] if found is None else [f"{text}  (expected {expect}): {found}"]
            report.compared += 1
    return report


def difference(backend: Columns, batch: pl.DataFrame) -> str | None:
    """Return where the two ways differ over a batch, None where they agree."""
    got, wanted = _plain(backend.evaluate(batch)), _plain(backend.rows.evaluate(batch))
    if got[0] != wanted[0]:
        return f"{got[0]} instead of {wanted[0]}"
    for row, (one, other) in enumerate(zip(got[1], wanted[1], strict=True)):
        if one != other:
            return f"record {row}: {one} instead of {other}"
    return None


def _plain(found: Evaluated) -> tuple[pl.DataType, list[tuple[Any, ...]]]:
    errors = {e.row: (str(e.message), e.line, e.column) for e in found.errors}
    assert len(errors) == len(found.errors)
    values = found.values.to_list()
    return found.values.dtype, [(_bits(value), *errors.get(row, ())) for row, value in enumerate(values)]


def _bits(value: Any) -> Any:
    """Return what tells two values apart: NaN is NaN here, and -0.0 is not 0.0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return value
