"""The links of a sync rule: which left key belongs to which right key.

They are kept as a log of compressed Arrow segments in the metadata database, so that a chunk's links commit together
with its checkpoint and any worker on any machine can go on. A segment with a null right key unlinks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import sqlalchemy as sa

from webapp.runs.models import link_segment
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.codec import Packed, pack, unpack
from webapp.runs.pipeline.keyed_rows import KeyedRows
from webapp.runs.pipeline.turning import flowed, turned

SCHEMA = {
    "left_key": pl.String(),
    "right_key": pl.String(),
    "left_hash": pl.UInt64(),  # of both records as the rule has left them; see `steady`
    "right_hash": pl.UInt64(),
    "left_digest": pl.Int64(),  # the same, as the systems themselves make them; see `digests`
    "right_digest": pl.Int64(),
}
_SCHEMES = {"scheme": "_hash", "digests": "_digest"}
"""Where a segment notes how they were made, and the columns that they stand in."""
_SPARE = 2
_MOST = 50
"""The log is rewritten when it has twice as many rows as there are links, or so many segments."""


class Links:
    """The links of one rule, as of the last committed chunk."""

    def __init__(
        self, rule_id: int, frame: pl.DataFrame, segments: Sequence[int], schemes: tuple[str, str] = ("", "")
    ) -> None:
        self.rule_id = rule_id
        self.schemes = schemes
        self._rows = list(segments)
        self._links = KeyedRows(frame, "left_key")

    @classmethod
    def load(
        cls, tx: sa.Connection, rule_id: int, scheme: str = "", digests: str = "", *, reverse: bool = False
    ) -> Links:
        """Return the links of a rule; later segments win. `reverse` tells that it flows to the left.

        Hashes and digests that were made in other ways than `scheme` and `digests` name are forgotten.
        """
        columns = (link_segment.c.id, link_segment.c.blob)
        query = sa.select(*columns).where(link_segment.c.rule_id == rule_id).order_by(link_segment.c.id)
        ways = flowed(tx, rule_id)
        parts = [
            _plain(_hashed(unpack(row.blob), (scheme, digests)), reverse=reverse, was=ways.get(row.id, reverse))
            for row in tx.execute(query)
        ]
        frame = pl.concat([pl.DataFrame(schema=SCHEMA), *parts])
        return cls(rule_id, frame, [part.height for part in parts], (scheme, digests))

    def find(self, left_keys: pl.Series) -> pl.Series:
        """Return the right key of each left key, null where there is no link."""
        return self.known(left_keys)["right_key"]

    def known(self, left_keys: pl.Series) -> pl.DataFrame:
        """Return the right key and the hashes of each left key, nulls where there is no link."""
        return self._links.find(left_keys)

    @property
    def hashed(self) -> int:
        """Return how many links have hashes."""
        return int(self.rows["right_hash"].count())

    @property
    def digested(self) -> int:
        """Return how many links have digests of both sides."""
        return int(self.rows.select((pl.col("left_digest") + pl.col("right_digest")).count()).item())

    @property
    def rows(self) -> pl.DataFrame:
        """Return all links."""
        return self._links.all().filter(pl.col("right_key").is_not_null())

    @property
    def keys(self) -> pl.Series:
        """Return the left keys that have a link."""
        return self.rows["left_key"]

    def taken(self, right_keys: pl.Series) -> pl.Series:
        """Return a mask of the right keys that have a link."""
        return right_keys.is_in(self.rows["right_key"].implode())

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk, packed: Packed | None = None) -> None:
        """Write a chunk's links that are new, changed or (null right key) gone, in the caller's transaction."""
        if not chunk.links.is_empty():
            self._insert(tx, run_id, chunk.links, packed)
            self._rows.append(chunk.links.height)

    def merge(self, chunk: Chunk) -> None:
        """Take over what `append` has committed."""
        self._links.add(chunk.links)

    def compact(self, tx: sa.Connection, run_id: int) -> None:
        """Replace the log by one segment, if that is worth while."""
        if len(self._rows) < 2 or (sum(self._rows) < _SPARE * len(self) and len(self._rows) < _MOST):
            return
        links = self.rows
        tx.execute(sa.delete(link_segment).where(link_segment.c.rule_id == self.rule_id))
        self._insert(tx, run_id, links)
        self._rows = [links.height]

    def __len__(self) -> int:
        return self.rows.height

    def _insert(self, tx: sa.Connection, run_id: int, frame: pl.DataFrame, packed: Packed | None = None) -> None:
        blob = pack({"links": frame, "scheme": pl.DataFrame(dict(zip(_SCHEMES, self.schemes, strict=True)))}, packed)
        values = {"rule_id": self.rule_id, "run_id": run_id, "rows": frame.height, "blob": blob}
        tx.execute(sa.insert(link_segment).values(values))


def _hashed(frames: Mapping[str, pl.DataFrame], schemes: tuple[str, str]) -> pl.DataFrame:
    """Return the links of a segment, with the hashes and digests that they have in these schemes."""
    links, made = frames["links"], frames.get("scheme", pl.DataFrame())
    for kind, scheme in zip(_SCHEMES, schemes, strict=True):
        if not scheme or kind not in made.columns or made[kind][0] != scheme:
            names = [name for name in SCHEMA if name.endswith(_SCHEMES[kind])]
            links = links.with_columns(pl.lit(None, dtype=SCHEMA[name]).alias(name) for name in names)
    return links


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


def unlinked(frame: pl.DataFrame) -> pl.DataFrame:
    """Return what says of left keys that they have no link any more."""
    none = {name: pl.lit(None, dtype=dtype) for name, dtype in SCHEMA.items() if name != "left_key"}
    return frame.select("left_key", **none)
