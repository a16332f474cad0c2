"""By cursor: records that are read once more although nothing has changed, since the cursor steps back a little.

A linked record that is as the rule has left it, and whose partner is too, needs no mapping: only that partner is looked
up. What a whole comparison tells by scanning the target (see `steady`) is asked here for the few records of a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from connectors.errors import RecordRejected
from rules.reconcile.one_way import key_text, key_values
from webapp.runs.pipeline.digests import Light
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.steady import Steady, steady

if TYPE_CHECKING:
    from webapp.runs.pipeline.planning import Planner

MOST = 1_000
"""Of more records at a time all are looked at: they are read because they have changed."""


def _nothing(_keys: pl.Series) -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True)
class Reread(Steady):
    """Knows what the target holds by looking up the partners of those records that are as they were."""

    look: Callable[[pl.Series], pl.DataFrame] = field(default=_nothing)
    key: str = ""

    def mask(self, records: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
        """Return a mask of the records that are as they were, and whose partners are; `known` are their links."""
        none = pl.repeat(value=False, n=records.height, dtype=pl.Boolean, eager=True)
        if records.height > MOST or not known["right_hash"].is_not_null().any():
            return none
        same = known["left_hash"].eq_missing(self.hashing.source(records)) & known["left_hash"].is_not_null()
        same &= known["right_key"].is_unique() & known["right_hash"].is_not_null()
        if not same.any():
            return none
        try:
            there = self.look(known["right_key"].filter(same))
        except RecordRejected:  # who looks at one after the other tells which
            return none
        held = pl.DataFrame({"right_key": key_text(there[self.key]), "held": self.hashing.target(there)})
        held = held.filter(held["right_key"].is_unique())  # of two with one key, only looking at both tells
        found = known.select("right_key").join(held, on="right_key", how="left", maintain_order="left")
        return same & found["held"].eq_missing(known["right_hash"]) & found["held"].is_not_null()


def known_as_left(
    planner: Planner, links: Links, retry: Retry, *, full: bool, light: Light | None = None
) -> Steady | None:
    """Return what tells records that are as the rule has left them, None where nothing does."""
    return steady(planner, links, retry, light) if full else reread(planner)


def reread(planner: Planner) -> Reread | None:
    """Return what tells records that are read once more; None where more than two records decides about a pair."""
    if planner.hashing is None or planner.target.spec.capabilities.messages:
        return None
    key, schema, thing = planner.sides.target_key, planner.target_schema, planner.sides.target.object

    def look(keys: pl.Series) -> pl.DataFrame:
        values = key_values(keys, schema[key].dtype).drop_nulls().alias(key)
        if values.is_empty():
            return schema.empty()
        return planner.retry(lambda: planner.target.lookup(thing, schema, key, values))

    return Reread(planner.hashing, None, None, look, key)
