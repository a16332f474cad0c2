"""What a run has created, kept as columns beside the outcomes: as texts it would take most of the time of a first load.

The outcome of a created record has no text of its own behind it (`after`); `outcomes` fills it in for whoever reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from webapp.runs.pipeline.codec import to_texts, unpack

_PREFIX = "made:"


@dataclass(frozen=True)
class Made:
    """Records that were created with the same fields, and their numbers in the run; `own`: on the side read."""

    numbers: pl.Series
    records: pl.DataFrame
    own: bool = False

    def filter(self, numbers: pl.Series) -> Made:
        """Return those of the records whose numbers are given."""
        mask = self.numbers.is_in(numbers.implode())
        return self if mask.all() else Made(self.numbers.filter(mask), self.records.filter(mask), self.own)


def frames(made: Iterable[Made]) -> dict[str, pl.DataFrame]:
    """Return what was created as frames, by names that no other frame of a chunk has."""
    found = {}
    for number, part in enumerate(made):
        side = "own" if part.own else "other"
        found[f"{_PREFIX}{number}:{side}"] = part.records
        found[f"{_PREFIX}{number}:numbers"] = part.numbers.to_frame("record_no")
    return found


def take(found: dict[str, pl.DataFrame]) -> tuple[Made, ...]:
    """Take what `frames` gave out of the frames of a chunk."""
    parts = {name: found.pop(name) for name in list(found) if name.startswith(_PREFIX)}
    numbers = {name.rpartition(":")[0]: frame["record_no"] for name, frame in parts.items() if name.endswith("numbers")}
    records = ((*name.rpartition(":")[::2], frame) for name, frame in parts.items() if not name.endswith("numbers"))
    return tuple(Made(numbers[name], frame, side == "own") for name, side, frame in records)


def outcomes(blob: bytes | None) -> pl.DataFrame:
    """Return the outcomes that a chunk's blob holds, with the texts of what was created."""
    found = unpack(blob or b"")
    return filled(found["outcomes"], take(found))


def filled(told: pl.DataFrame, made: Iterable[Made]) -> pl.DataFrame:
    """Return outcomes with the texts of what was created."""
    for part in made:
        column = "own_after" if part.own else "after"
        wanted = part.filter(told["record_no"].drop_nulls())
        texts = pl.DataFrame({"record_no": wanted.numbers, "__text": to_texts(wanted.records)})
        texts = texts.with_columns(pl.col("__text").cast(pl.String))
        joined = told.join(texts, on="record_no", how="left", maintain_order="left")
        # a record that was deleted has no number and no text
        told = joined.with_columns(pl.coalesce(column, "__text").alias(column)).drop("__text")
    return told
