"""What correlation found."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

SCHEMA = {"left_key": pl.String, "right_key": pl.String, "confidence": pl.Float64, "tier": pl.Int32}


@dataclass(frozen=True)
class Skipped:
    """Records of a similarity tier that were compared with few others, as all they share is shared by too many.

    `values` counts the values and parts of values that are too frequent to look at.
    """

    tier: int
    records: int
    values: int


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMA)


@dataclass(frozen=True)
class Matches:
    """Pairs of keys, each with its confidence and the number of its tier in the rule (0 is the first).

    `links` are to be linked. `doubtful` are candidates for a person, possibly several of a record, best first.
    `disputed` are partners of which none is clearly the best, and partners that others dispute. A record that was asked
    for is in one of them at most. Keys are texts of `one_way.key_text`.
    """

    links: pl.DataFrame = field(default_factory=_empty)
    doubtful: pl.DataFrame = field(default_factory=_empty)
    disputed: pl.DataFrame = field(default_factory=_empty)
    skipped: tuple[Skipped, ...] = ()
