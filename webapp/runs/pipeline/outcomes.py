"""Frames of outcomes: filled up, of records that could not be read, with texts of what is written."""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl

from connectors.spi import Page
from rules.reconcile.situations import Outcome
from webapp.runs.pipeline.chunk import OUTCOMES
from webapp.runs.pipeline.draft import Parked


def outcomes_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with all columns of outcomes, nulls where it has none."""
    missing = {name: pl.lit(None, dtype=dtype) for name, dtype in OUTCOMES.items() if name not in frame.columns}
    return frame.with_columns(**missing).select(pl.col(name).cast(dtype) for name, dtype in OUTCOMES.items())


def rejected(page: Page, side: str, first: int) -> pl.DataFrame:
    """Return the outcomes of a page's records that could not be read; `first` is the number of the first of them."""
    rows = [
        {
            "record_no": first + number,
            "left_key": reject.key,
            "side": side,
            "outcome": Outcome.QUARANTINED.value,
            "stage": "read",
            "field": reject.field,
            "reason": json.dumps(reject.message.to_json(), ensure_ascii=False),
            "place": reject.place,
            "raw": reject.raw,
        }
        for number, reject in enumerate(page.rejects)
    ]
    return pl.DataFrame(rows, schema=OUTCOMES)


def reasons(parked: Mapping[int, Parked], numbers: pl.Series) -> dict[str, pl.Series]:
    """Return why records are parked, as columns of outcomes; `numbers` are their places in the run."""
    columns: dict[str, list[str | None]] = {n: [None] * len(numbers) for n in ("stage", "field", "reason", "place")}
    for row, why in parked.items():
        columns["stage"][row] = why.stage
        columns["field"][row] = why.field
        columns["reason"][row] = json.dumps(why.message.to_json(), ensure_ascii=False)
        columns["place"][row] = f"record {numbers[row]}"
    return {name: pl.Series(name, values, dtype=pl.String) for name, values in columns.items()}
