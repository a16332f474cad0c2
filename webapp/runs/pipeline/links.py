"""The links of a sync rule: which left key belongs to which right key.

They are kept as a log of compressed Arrow segments in the metadata database, so that a chunk's links commit together
with its checkpoint and any worker on any machine can go on. A segment with a null right key unlinks.
"""

from __future__ import annotations

import polars as pl
import sqlalchemy as sa

from webapp.runs.models import link_segment
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.codec import pack, unpack
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.turning import flowed, turned

SCHEMA = {"left_key": pl.String(), "right_key": pl.String()}


class Links:
    """The links of one rule, as of the last committed chunk."""

    def __init__(self, rule_id: int, frame: pl.DataFrame, segments: int) -> None:
        self.rule_id = rule_id
        self._frame = frame
        self._segments = segments
        self._known = KeySet(frame["left_key"])

    @classmethod
    def load(cls, tx: sa.Connection, rule_id: int, *, reverse: bool = False) -> Links:
        """Return the links of a rule; later segments win. `reverse` tells that it flows to the left."""
        columns = (link_segment.c.id, link_segment.c.blob)
        query = sa.select(*columns).where(link_segment.c.rule_id == rule_id).order_by(link_segment.c.id)
        ways = flowed(tx, rule_id)
        parts = [
            _plain(unpack(row.blob)["links"], reverse=reverse, was=ways.get(row.id, reverse))
            for row in tx.execute(query)
        ]
        frame = _settle(pl.concat(parts)) if parts else pl.DataFrame(schema=SCHEMA)
        return cls(rule_id, frame, len(parts))

    def find(self, left_keys: pl.Series) -> pl.Series:
        """Return the right key of each left key, null where there is no link."""
        if not self._known.has(left_keys).any():
            return pl.repeat(None, left_keys.len(), dtype=pl.String, eager=True).alias("right_key")
        asked = pl.DataFrame({"left_key": left_keys})
        return asked.join(self._frame, on="left_key", how="left", maintain_order="left")["right_key"]

    @property
    def rows(self) -> pl.DataFrame:
        """Return all links."""
        return self._frame

    @property
    def keys(self) -> pl.Series:
        """Return the left keys that have a link."""
        return self._frame["left_key"]

    def taken(self, right_keys: pl.Series) -> pl.Series:
        """Return a mask of the right keys that have a link."""
        return right_keys.is_in(self._frame["right_key"].implode())

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk) -> None:
        """Write a chunk's links that are new, changed or (null right key) gone, in the caller's transaction."""
        if not chunk.links.is_empty():
            self._insert(tx, run_id, chunk.links)
            self._segments += 1

    def merge(self, chunk: Chunk) -> None:
        """Take over what `append` has committed."""
        delta = chunk.links
        if delta.is_empty():
            return
        fresh = delta["right_key"].null_count() == 0 and not self._known.has(delta["left_key"]).any()
        both = pl.concat([self._frame, delta])
        self._frame = both if fresh and delta["left_key"].is_unique().all() else _settle(both)
        self._known.add(delta["left_key"])

    def compact(self, tx: sa.Connection, run_id: int) -> None:
        """Replace the log by one segment."""
        if self._segments < 2:
            return
        tx.execute(sa.delete(link_segment).where(link_segment.c.rule_id == self.rule_id))
        self._insert(tx, run_id, self._frame)
        self._segments = 1

    def __len__(self) -> int:
        return self._frame.height

    def _insert(self, tx: sa.Connection, run_id: int, frame: pl.DataFrame) -> None:
        values = {"rule_id": self.rule_id, "run_id": run_id, "rows": frame.height, "blob": pack({"links": frame})}
        tx.execute(sa.insert(link_segment).values(values))


def _plain(frame: pl.DataFrame, *, reverse: bool, was: bool) -> pl.DataFrame:
    """Return links in this form; those of the time when the rule flowed another way have their keys turned.

    Links of a rule that flowed both ways tell more, and have the left key left.
    """
    if reverse != (was and "op" not in frame.columns):
        frame = turned(frame)
    if "op" in frame.columns:
        right = pl.when(pl.col("op") == "link").then("right_key").alias("right_key")
        frame = frame.filter(pl.col("left_key").is_not_null()).with_columns(right)
    return frame.select(*SCHEMA)


def _settle(log: pl.DataFrame) -> pl.DataFrame:
    latest = log.unique("left_key", keep="last", maintain_order=True)
    return latest.filter(pl.col("right_key").is_not_null())
