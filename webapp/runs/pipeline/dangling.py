"""Two-way: references of partners that lead nowhere any more, though nobody has changed them since the last agreement.

The record that such a field names has lost its link, say because it was deleted and created again under another key.
What counts is what the other side says now, so the field is taken for unchanged instead of parking the pair.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rules.mapping.references import STAGE
from rules.mapping.results import FieldError
from rules.reconcile.merge import MergeField
from webapp.runs.pipeline.views import View

_MARKS = {"left": "l:", "right": "r:"}
_OTHER = {"left": "right", "right": "left"}


def unchanged(
    errors: Sequence[FieldError], view: View, fields: Sequence[MergeField], held: pl.DataFrame, base: pl.DataFrame
) -> tuple[tuple[FieldError, ...], pl.DataFrame]:
    """Return the errors that remain, and the baselines with nothing agreed on where a reference is taken for unchanged.

    Args:
        errors: what records of a side do not give to the other one.
        view: that side.
        fields: the field pairs of the rule.
        held: its records.
        base: what both sides last agreed on, a row a record.
    """
    kept: list[FieldError] = []
    for error in errors:
        item = next((one for one in fields if view.writes(one) == error.field), None)
        name = None if item is None else getattr(view.rule.fields[int(item.name)], view.name)
        if error.stage != STAGE or item is None or not _agreed(item, view, held[str(name)], base, error.row):
            kept.append(error)
        else:
            column = f"{_MARKS[view.name]}{item.name}"
            base = base.with_columns(base[column].scatter(error.row, None))
    return tuple(kept), base


def _agreed(item: MergeField, view: View, held: pl.Series, base: pl.DataFrame, row: int) -> bool:
    """Tell whether a record holds what the other side gave it when both last agreed."""
    column = f"{_MARKS[_OTHER[view.name]]}{item.name}"
    return column in base.columns and base[column][row] is not None and base[column][row] == held[row]
