"""Frames of outcomes: filled up, of records that could not be read, with texts of what is written."""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl

from connectors.spi import Page
from rules.reconcile.situations import Outcome
from webapp.runs.pipeline.chunk import OUTCOMES
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.draft import Parked

_REASONS = ("stage", "field", "reason", "place")


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
    columns = {name: pl.repeat(None, len(numbers), dtype=pl.String, eager=True).alias(name) for name in _REASONS}
    if not parked:
        return columns
    told = [(why.stage, why.field, json.dumps(why.message.to_json(), ensure_ascii=False)) for why in parked.values()]
    places = [f"record {numbers[row]}" for row in parked]
    listed = zip(columns.items(), (*zip(*told, strict=True), places), strict=True)
    return {name: texts.scatter(list(parked), pl.Series(values, dtype=pl.String)) for (name, texts), values in listed}


def put(texts: pl.Series, rows: pl.Series, records: pl.DataFrame) -> pl.Series:
    """Return texts with those of records in some rows."""
    return texts.clone().scatter(rows, pl.Series(to_texts(records), dtype=pl.String))  # it works in place
