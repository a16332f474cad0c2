"""Which records of a batch may be too much work: those are left to the runtime, which refuses what really is.

That goes for long loops too, since the runtime counts the steps of all loops of an expression together.

A value weighs at most one more than it has bytes. For most batches the largest values tell that no record is too much,
and no single record is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from rules.language.cost import MOST_WORK, STEPS, Cost
from rules.language.nodes import Mode, Variable
from rules.schema import FieldType, Schema

_TIME = 16  # characters of a time of day


class Heavy:
    """Finds the records that may be too much for one of several expressions."""

    def __init__(self, costs: Iterable[Cost], variables: Iterable[Variable], schema: Schema) -> None:
        every = tuple(variables)
        values = [variable for variable in every if variable.mode is Mode.VALUE]
        self._costs = tuple(cost for cost in costs if (values and not cost.free) or not cost.short)
        self._rest = float(len(every) - len(values))
        self._weights = {f"n:{v.name}": _weight(pl.col(v.field), schema[v.field].type) for v in values}
        self._lists = [f"n:{v.name}" for v in values if schema[v.field].type is FieldType.JSON]

    def find(self, batch: pl.DataFrame) -> pl.Series | None:
        """Return a mask of the records that may be too much work, None if there are none."""
        if not self._costs or not batch.height:
            return None
        # One that is always there, so that there is a row even where no value has a size.
        weights = batch.select(pl.repeat(0.0, pl.len()).alias(""), *(e.alias(n) for n, e in self._weights.items()))
        largest: dict[str, float] = dict(zip(weights.columns, weights.max().row(0), strict=True))
        sizes = {**largest, "k": min(max((largest[n] for n in self._lists), default=1.0), STEPS)}
        sizes["t"] = min(sum(largest.values()) + self._rest, STEPS)
        costs = [cost for cost in self._costs if _beyond(cost, sizes)]
        if not costs:
            return None
        columns = {column.name: column for column in weights.get_columns()}
        columns["k"] = weights.select(pl.max_horizontal(pl.lit(1.0), *self._lists).clip(upper_bound=STEPS)).to_series()
        columns["t"] = (weights.sum_horizontal() + self._rest).clip(upper_bound=STEPS)
        found: pl.Series = reduce(
            or_, (_beyond(cost, columns) for cost in costs), pl.repeat(False, batch.height, eager=True)
        )
        return found if found.any() else None


def _beyond(cost: Cost, sizes: Mapping[str, Any]) -> Any:
    return (cost.of(sizes) > MOST_WORK) | (cost.steps(sizes) >= STEPS)


def _weight(column: pl.Expr, type_: FieldType) -> pl.Expr:
    if type_ in (FieldType.TEXT, FieldType.JSON):
        size = column.str.len_bytes()
    elif type_ is FieldType.BINARY:
        size = column.bin.size()
    else:
        size = pl.when(column.is_null()).then(0).otherwise(_TIME if type_ is FieldType.TIME else 0)
    return size.fill_null(0).cast(pl.Float64) + 1.0
