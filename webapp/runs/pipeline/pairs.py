"""The linked pairs of a two-way rule, with their baselines: a log of compressed Arrow segments in the database.

Each chunk appends a segment in the transaction that checks it in, so that any worker on any machine can go on. Keys and
hashes of all pairs are in memory while a run works; baselines are read segment by segment where a record has changed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import polars as pl
import sqlalchemy as sa

from webapp.runs.models import link_segment
from webapp.runs.pipeline.chunk import PAIRS, Chunk
from webapp.runs.pipeline.codec import pack, unpack
from webapp.runs.pipeline.turning import flowed, turned

_KEPT = 16
_SEGMENT_ROWS = 20_000
_OTHER = {"left": "right", "right": "left"}
LINK, APART, GONE = "link", "apart", "gone"
_FRAME = {**PAIRS, "segment": pl.Int64()}


class Pairs:
    """The pairs of one rule as of the last committed chunk, in the form that `scheme` names.

    A pair is linked, it sleeps (`apart` with both keys, while a record is out of scope), or it is one record that is to
    stay alone (`apart` with one key). A later row of the log takes the place of all earlier ones that name one of its
    keys, so that links are one to one whatever happens.
    """

    def __init__(self, rule_id: int, scheme: str) -> None:
        self.rule_id = rule_id
        self.scheme = scheme
        self._frame = pl.DataFrame(schema=_FRAME)
        self._sizes: dict[int, int] = {}
        self._cache: OrderedDict[int, pl.DataFrame] = OrderedDict()
        self._fresh: int | None = None

    @classmethod
    def load(cls, tx: sa.Connection, rule_id: int, scheme: str) -> Pairs:
        """Return the pairs of a rule; hashes made in another way are forgotten."""
        pairs = cls(rule_id, scheme)
        columns = (link_segment.c.id, link_segment.c.scheme, link_segment.c.rows, link_segment.c.blob)
        rows = tx.execute(sa.select(*columns).where(link_segment.c.rule_id == rule_id).order_by(link_segment.c.id))
        ways = flowed(tx, rule_id)
        parts = [pairs._part(row, reverse=ways.get(row.id, False)) for row in rows]
        pairs._frame = _settle(pl.concat([pairs._frame, *parts]))
        return pairs

    def _part(self, row: Any, *, reverse: bool) -> pl.DataFrame:
        self._sizes[row.id] = row.rows
        frame = unpack(row.blob)["links"]
        if "op" not in frame.columns:  # links of the time when the rule flowed one way
            frame = turned(frame) if reverse else frame
            frame = frame.with_columns(
                op=pl.when(pl.col("right_key").is_null()).then(pl.lit(GONE)).otherwise(pl.lit(LINK))
            )
        missing = {name: pl.lit(None, dtype=dtype) for name, dtype in PAIRS.items() if name not in frame.columns}
        frame = frame.with_columns(**missing, segment=pl.lit(row.id, dtype=pl.Int64))
        if row.scheme != self.scheme:
            frame = frame.with_columns(
                left_hash=pl.lit(None, dtype=pl.UInt64), right_hash=pl.lit(None, dtype=pl.UInt64)
            )
        return frame.select(*_FRAME)

    def __len__(self) -> int:
        return int((self._frame["op"] == LINK).sum())

    @property
    def rows(self) -> pl.DataFrame:
        """Return both keys of all pairs, and what they are (`op`)."""
        return self._frame.select("left_key", "right_key", "op")

    def find(self, side: str, keys: pl.Series) -> pl.DataFrame:
        """Return what is known of records of a side, a row a key: partner, own_hash, other_hash, op, segment."""
        other = _OTHER[side]
        names = {"partner": f"{other}_key", "own_hash": f"{side}_hash", "other_hash": f"{other}_hash"}
        here = self._frame.filter(pl.col(f"{side}_key").is_not_null())
        known = here.select(
            pl.col(f"{side}_key").alias("key"), "op", "segment", **{n: pl.col(c) for n, c in names.items()}
        )
        return pl.DataFrame({"key": keys}).join(known, on="key", how="left", maintain_order="left").drop("key")

    def taken(self, side: str, keys: pl.Series) -> pl.Series:
        """Return a mask of the keys of a side that have a link."""
        linked = self._frame.filter(pl.col("op") == LINK)[f"{side}_key"]
        return keys.is_in(linked.implode())

    def linked(self, side: str) -> pl.DataFrame:
        """Return the keys of all linked pairs as `own` and `other`."""
        linked = self._frame.filter(pl.col("op") == LINK)
        return linked.select(own=f"{side}_key", other=f"{_OTHER[side]}_key")

    def baselines(self, tx: sa.Connection, side: str, keys: pl.Series, segments: pl.Series) -> pl.DataFrame:
        """Return what was agreed for records of a side: a row a key, null where nothing is known.

        The columns are those that any of the segments holds, under the names of `rules.reconcile.baseline`.
        """
        asked = pl.DataFrame({"key": keys, "segment": segments.cast(pl.Int64)})
        found = [
            self._baseline(tx, number)
            .rename({f"{side}_key": "key"})
            .drop(f"{_OTHER[side]}_key")
            .with_columns(segment=pl.lit(number, dtype=pl.Int64))
            for number in segments.drop_nulls().unique().sort().to_list()
        ]
        found = [part.filter(pl.col("key").is_in(keys.implode())) for part in found]
        known = pl.concat(found, how="diagonal_relaxed") if found else pl.DataFrame(schema=asked.schema)
        return asked.join(known, on=["key", "segment"], how="left", maintain_order="left").drop("key", "segment")

    def _baseline(self, tx: sa.Connection, number: int) -> pl.DataFrame:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        blob = tx.scalar(sa.select(link_segment.c.baseline).where(link_segment.c.id == number))
        empty = pl.DataFrame(schema={"left_key": pl.String(), "right_key": pl.String()})
        frame = unpack(blob)["baseline"] if blob else empty
        self._cache[number] = frame
        while len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        return frame

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk) -> None:
        """Write what a chunk changes, in the caller's transaction; `merge` takes it over once that has committed."""
        self._fresh = None
        if not chunk.links.is_empty():
            self._fresh = self._insert(tx, run_id, _turned(chunk), _agreed(chunk))

    def merge(self, chunk: Chunk) -> None:
        """Take over what `append` has committed."""
        delta = _turned(chunk)
        if delta.is_empty():
            return
        number = self._fresh if self._fresh is not None else -1
        self._sizes[number] = delta.height
        delta = delta.with_columns(segment=pl.lit(number, dtype=pl.Int64)).select(*_FRAME)
        self._frame = _settle(pl.concat([self._frame, delta]))

    def compact(self, tx: sa.Connection, run_id: int) -> None:
        """Drop segments that nothing needs any more, and put what is left of half-empty and small ones together."""
        live = dict(self._frame.group_by("segment").len().iter_rows())
        dead = [number for number in self._sizes if not live.get(number)]
        small = [
            n
            for n in sorted(live)
            if n in self._sizes and (live[n] * 2 < self._sizes[n] or live[n] * 4 < _SEGMENT_ROWS)
        ]
        dead += small if len(small) > 1 else []
        buried = self._buried(tx, dead)
        if len(small) > 1:
            self._rewrite(tx, run_id, small)
        for number in dead:
            self._sizes.pop(number, None)
            self._cache.pop(number, None)
        if any(live[number] < self._sizes[number] for number in live if number in self._sizes) and len(buried):
            self._sizes[self._insert(tx, run_id, buried, None)] = buried.height
        for start in range(0, len(dead), 500):
            tx.execute(sa.delete(link_segment).where(link_segment.c.id.in_(dead[start : start + 500])))

    def _buried(self, tx: sa.Connection, numbers: list[int]) -> pl.DataFrame:
        """Return rows that say of keys in segments to be dropped that they have no pair; older rows stay void."""
        parts = [pl.DataFrame(schema=PAIRS)]
        blobs = (tx.scalar(sa.select(link_segment.c.blob).where(link_segment.c.id == number)) for number in numbers)
        for named in (unpack(blob)["links"] for blob in blobs if blob):
            for side, other in _OTHER.items():
                keys = named.select(f"{side}_key").drop_nulls().unique(maintain_order=True)
                gone = keys.join(self._frame, on=f"{side}_key", how="anti", maintain_order="left")
                nothing = {n: pl.lit(None, dtype=PAIRS[n]) for n in (f"{other}_key", "left_hash", "right_hash")}
                parts.append(gone.with_columns(**nothing, op=pl.lit(GONE)).select(*PAIRS))
        return pl.concat(parts).unique(maintain_order=True)

    def _rewrite(self, tx: sa.Connection, run_id: int, numbers: list[int]) -> None:
        moved: list[pl.DataFrame] = []
        room: list[pl.DataFrame] = []
        for number in numbers:
            part = self._frame.filter(pl.col("segment") == number)
            if sum(p.height for p in room) + part.height > _SEGMENT_ROWS and room:
                moved.append(self._together(tx, run_id, room))
                room = []
            room.append(part)
        moved.append(self._together(tx, run_id, room))
        rest = self._frame.filter(~pl.col("segment").is_in(numbers))
        self._frame = pl.concat([rest, *moved])

    def _together(self, tx: sa.Connection, run_id: int, parts: list[pl.DataFrame]) -> pl.DataFrame:
        both = ["left_key", "right_key"]
        kept = [self._baseline(tx, int(p["segment"][0])).join(p.select(both), on=both, how="semi") for p in parts]
        links = pl.concat(parts).drop("segment")
        number = self._insert(tx, run_id, links, pl.concat(kept, how="diagonal_relaxed"))
        self._sizes[number] = links.height
        return links.with_columns(segment=pl.lit(number, dtype=pl.Int64)).select(*_FRAME)

    def _insert(self, tx: sa.Connection, run_id: int, links: pl.DataFrame, baseline: pl.DataFrame | None) -> int:
        values = {
            "rule_id": self.rule_id,
            "run_id": run_id,
            "rows": links.height,
            "blob": pack({"links": links}),
            "baseline": None if baseline is None else pack({"baseline": baseline}),
            "scheme": self.scheme,
        }
        return int(tx.execute(sa.insert(link_segment).values(values)).inserted_primary_key[0])  # type: ignore[index]


def _turned(chunk: Chunk) -> pl.DataFrame:
    """Return a chunk's links with the left side left; a chunk has the side that it was read on there."""
    if chunk.side == "left":
        return chunk.links
    turned = {"left_key": "right_key", "right_key": "left_key", "left_hash": "right_hash", "right_hash": "left_hash"}
    return chunk.links.rename(turned).select(*PAIRS)


def _agreed(chunk: Chunk) -> pl.DataFrame | None:
    """Return a chunk's baselines with both keys."""
    if chunk.baseline is None:
        return None
    keys = chunk.links.select("left_key", "right_key")
    both = keys.join(chunk.baseline, on="left_key", how="inner", maintain_order="left")
    return both if chunk.side == "left" else both.rename({"left_key": "right_key", "right_key": "left_key"})


def _settle(log: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that no later one takes the place of."""
    numbered = log.with_row_index("at")
    last = [
        pl.col(name).is_null() | (pl.col("at") == pl.col("at").max().over(name)) for name in ("left_key", "right_key")
    ]
    return numbered.filter(*last, pl.col("op") != GONE).drop("at")
