"""The linked pairs of a two-way rule, with their baselines: a log of compressed Arrow segments in the database.

Each chunk appends a segment in the transaction that checks it in, so that any worker on any machine can go on. Keys and
hashes of all pairs are in memory while a run works; baselines are read segment by segment where a record has changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.reconcile.baseline import folded, unfolded
from webapp.runs.models import link_segment
from webapp.runs.pipeline.chunk import PAIRS, Chunk
from webapp.runs.pipeline.codec import pack, unpack
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.packing import Packed
from webapp.runs.pipeline.pair_index import APART, GONE, LINK, PairIndex
from webapp.runs.pipeline.turning import flowed, turned

__all__ = ["APART", "GONE", "LINK", "Pairs"]

_KEPT = 2
_SEGMENT_ROWS = 20_000
_TOGETHER = 200_000
"""So many rows of the log are taken over at a time when it is read."""
_OTHER = {"left": "right", "right": "left"}
_BOTH_KEYS, _AGREED = "baseline", "agreed:"
"""How baselines are called that have both keys, and those of a chunk, which have the key of the side that was read."""

_Kept = tuple[pl.DataFrame, str, pl.DataFrame]
"""Baselines with one key, the name of that key, and both keys of the pairs."""
_NOTHING: _Kept = (
    pl.DataFrame(schema={"left_key": pl.String()}),
    "left_key",
    pl.DataFrame(schema={"left_key": pl.String(), "right_key": pl.String()}),
)


class Pairs:
    """The pairs of one rule as of the last committed chunk, in the form that `scheme` names.

    A pair is linked, it sleeps (`apart` with both keys, while a record is out of scope), or it is one record that is to
    stay alone (`apart` with one key). A later row of the log takes the place of all earlier ones that name one of its
    keys, so that links are one to one whatever happens.
    """

    def __init__(self, rule_id: int, scheme: str) -> None:
        self.rule_id = rule_id
        self.scheme = scheme
        self._index = PairIndex()
        self._sizes: dict[int, int] = {}
        self._cache: OrderedDict[int, _Kept] = OrderedDict()
        self._fresh: int | None = None

    @classmethod
    def load(cls, tx: sa.Connection, rule_id: int, scheme: str) -> Pairs:
        """Return the pairs of a rule; hashes made in another way are forgotten."""
        pairs = cls(rule_id, scheme)
        columns = (link_segment.c.id, link_segment.c.scheme, link_segment.c.rows)
        rows = tx.execute(sa.select(*columns).where(link_segment.c.rule_id == rule_id).order_by(link_segment.c.id))
        ways = flowed(tx, rule_id)
        parts: list[pl.DataFrame] = []
        for row in rows.all():
            pairs._sizes[row.id] = row.rows
            part = pairs._part(tx, row, reverse=ways.get(row.id, False))
            parts.append(part.with_columns(segment=pl.lit(row.id, dtype=pl.Int64)))
            if sum(part.height for part in parts) > _TOGETHER:
                pairs._index.add(pl.concat(parts))
                parts = []
        if parts:
            pairs._index.add(pl.concat(parts))
        return pairs

    def _part(self, tx: sa.Connection, row: Any, *, reverse: bool) -> pl.DataFrame:
        """Return the links of a segment; they are read one at a time, as all may be large together."""
        frame = unpack(tx.scalar(sa.select(link_segment.c.blob).where(link_segment.c.id == row.id)) or b"")["links"]
        if "op" not in frame.columns:  # links of the time when the rule flowed one way
            frame = turned(frame) if reverse else frame
            frame = frame.with_columns(
                op=pl.when(pl.col("right_key").is_null()).then(pl.lit(GONE)).otherwise(pl.lit(LINK))
            )
        missing = {name: pl.lit(None, dtype=dtype) for name, dtype in PAIRS.items() if name not in frame.columns}
        frame = frame.with_columns(**missing)
        if row.scheme != self.scheme:
            frame = frame.with_columns(
                left_hash=pl.lit(None, dtype=pl.UInt64), right_hash=pl.lit(None, dtype=pl.UInt64)
            )
        return frame.select(*PAIRS)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def rows(self) -> pl.DataFrame:
        """Return both keys of all pairs, and what they are (`op`)."""
        none = pl.DataFrame(schema={name: PAIRS[name] for name in ("left_key", "right_key", "op")})
        return pl.concat([none, *(part.select(none.columns) for part in self._index.slices())])

    def find(self, side: str, keys: pl.Series) -> pl.DataFrame:
        """Return what is known of records of a side, a row a key: partner, own_hash, other_hash, op, segment."""
        other = _OTHER[side]
        names = {"partner": f"{other}_key", "own_hash": f"{side}_hash", "other_hash": f"{other}_hash"}
        return self._index.rows(self._index.find(side, keys)).select("op", "segment", **names)

    def taken(self, side: str, keys: pl.Series) -> pl.Series:
        """Return a mask of the keys of a side that have a link; null for those that are null."""
        taken = self.find(side, keys)["op"].eq_missing(pl.Series([LINK]))
        return taken.set(keys.is_null(), None)

    def linked(self, side: str) -> Iterator[pl.DataFrame]:
        """Yield the keys of all linked pairs as `own` and `other`, some at a time."""
        for part in self._index.slices():
            yield part.filter(pl.col("op") == LINK).select(own=f"{side}_key", other=f"{_OTHER[side]}_key")

    def baselines(self, tx: sa.Connection, side: str, keys: pl.Series, segments: pl.Series) -> pl.DataFrame:
        """Return what was agreed for records of a side: a row a key, null where nothing is known.

        The columns are those that any of the segments holds, under the names of `rules.reconcile.baseline`.
        """
        asked = pl.DataFrame({"key": keys, "segment": segments.cast(pl.Int64)})
        wanted = asked.drop_nulls("segment").sort("segment", maintain_order=True)
        found = [
            self._agreed(tx, part["segment"][0], side, part["key"]).with_columns(segment=part["segment"][0])
            for part in wanted.partition_by("segment", maintain_order=True)
        ]
        known = pl.concat(found, how="diagonal_relaxed") if found else pl.DataFrame(schema=asked.schema)
        return asked.join(known, on=["key", "segment"], how="left", maintain_order="left").drop("key", "segment")

    def _agreed(self, tx: sa.Connection, number: int, side: str, keys: pl.Series) -> pl.DataFrame:
        """Return what a segment says of records of a side, with their `key`; of all others nothing is made."""
        mine, own, both = self._baseline(tx, number)
        key = f"{side}_key"
        named = both.filter(pl.col(key).is_in(keys.implode()))
        found = named.join(mine, on=own, how="inner", maintain_order="left")
        return unfolded(found.rename({key: "key"}).drop(f"{_OTHER[side]}_key"))

    def _baseline(self, tx: sa.Connection, number: int) -> _Kept:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        columns = (link_segment.c.blob, link_segment.c.baseline)
        row = tx.execute(sa.select(*columns).where(link_segment.c.id == number)).one_or_none()
        self._cache[number] = kept = _NOTHING if row is None or row.baseline is None else _read(row.blob, row.baseline)
        while len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        return kept

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk, packed: Packed | None = None) -> None:
        """Write what a chunk changes, in the caller's transaction; `merge` takes it over once that has committed.

        `packed` has frames of the chunk that are compressed already.
        """
        self._fresh = None
        if not chunk.links.is_empty():
            self._fresh = self._insert(tx, run_id, _turned(chunk), (f"{_AGREED}{chunk.side}", chunk.baseline), packed)

    def merge(self, chunk: Chunk) -> None:
        """Take over what `append` has committed."""
        delta = _turned(chunk)
        if delta.is_empty():
            return
        number = self._fresh if self._fresh is not None else -1
        self._sizes[number] = delta.height
        self._index.add(delta.with_columns(segment=pl.lit(number, dtype=pl.Int64)))

    def lost(self, gone: Mapping[str, KeySet]) -> pl.DataFrame:
        """Return what says that there are none of the pairs of which both records are among those gone, by side."""
        nothing = pl.lit(None, dtype=pl.UInt64)
        parts = (
            pairs.filter(gone["left"].has(pairs["own"]), gone["right"].has(pairs["other"]))
            for pairs in self.linked("left")
        )
        found = pl.concat([pl.DataFrame(schema={"own": pl.String(), "other": pl.String()}), *parts])
        said = found.select(left_key="own", right_key="other", left_hash=nothing, right_hash=nothing, op=pl.lit(GONE))
        return said.select(*PAIRS)

    def compact(self, tx: sa.Connection, run_id: int) -> None:
        """Drop segments that nothing needs any more, and put what is left of half-empty and small ones together."""
        live = self._index.sizes()
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
            self._sizes[self._insert(tx, run_id, buried)] = buried.height
        for start in range(0, len(dead), 500):
            tx.execute(sa.delete(link_segment).where(link_segment.c.id.in_(dead[start : start + 500])))

    def _buried(self, tx: sa.Connection, numbers: list[int]) -> pl.DataFrame:
        """Return rows that say of keys in segments to be dropped that they have no pair; older rows stay void."""
        parts = [pl.DataFrame(schema=PAIRS)]
        blobs = (tx.scalar(sa.select(link_segment.c.blob).where(link_segment.c.id == number)) for number in numbers)
        for named in (unpack(blob)["links"] for blob in blobs if blob):
            for side, other in _OTHER.items():
                keys = named.select(f"{side}_key").drop_nulls().unique(maintain_order=True)
                gone = keys.filter(self._index.find(side, keys.to_series()).is_null())
                nothing = {n: pl.lit(None, dtype=PAIRS[n]) for n in (f"{other}_key", "left_hash", "right_hash")}
                parts.append(gone.with_columns(**nothing, op=pl.lit(GONE)).select(*PAIRS))
        return pl.concat(parts).unique(maintain_order=True)

    def _rewrite(self, tx: sa.Connection, run_id: int, numbers: list[int]) -> None:
        room: list[pl.Series] = []
        for number in numbers:
            part = self._index.inside(number)
            if sum(p.len() for p in room) + part.len() > _SEGMENT_ROWS and room:
                self._together(tx, run_id, room)
                room = []
            room.append(part)
        self._together(tx, run_id, room)

    def _together(self, tx: sa.Connection, run_id: int, parts: list[pl.Series]) -> None:
        both = ["left_key", "right_key"]
        rows = [self._index.rows(part) for part in parts]
        kept = [self._whole(tx, int(p["segment"][0])).join(p.select(both), on=both, how="semi") for p in rows]
        links = pl.concat(rows).drop("segment")
        agreed = folded(pl.concat(kept, how="diagonal_relaxed"))
        number = self._insert(tx, run_id, links, (_BOTH_KEYS, agreed))
        self._sizes[number] = links.height
        self._index.move(pl.concat(parts), number)

    def _whole(self, tx: sa.Connection, number: int) -> pl.DataFrame:
        """Return all baselines of a segment with both keys."""
        mine, own, both = self._baseline(tx, number)
        return unfolded(both.join(mine, on=own, how="inner", maintain_order="left"))

    def _insert(
        self,
        tx: sa.Connection,
        run_id: int,
        links: pl.DataFrame,
        agreed: tuple[str, pl.DataFrame | None] = ("", None),
        packed: Packed | None = None,
    ) -> int:
        name, baseline = agreed
        values = {
            "rule_id": self.rule_id,
            "run_id": run_id,
            "rows": links.height,
            "blob": pack({"links": links}, packed),
            "baseline": None if baseline is None else pack({name: baseline}, packed),
            "scheme": self.scheme,
        }
        return int(tx.execute(sa.insert(link_segment).values(values)).inserted_primary_key[0])  # type: ignore[index]


def _turned(chunk: Chunk) -> pl.DataFrame:
    """Return a chunk's links with the left side left; a chunk has the side that it was read on there."""
    if chunk.side == "left":
        return chunk.links
    turned = {"left_key": "right_key", "right_key": "left_key", "left_hash": "right_hash", "right_hash": "left_hash"}
    return chunk.links.rename(turned).select(*PAIRS)


def _read(blob: bytes, baseline: bytes) -> _Kept:
    """Return the baselines of a segment and its keys; a chunk's own have that of the side that was read."""
    ((name, frame),) = unpack(baseline).items()
    if name == _BOTH_KEYS:
        return frame.drop("right_key"), "left_key", frame.select("left_key", "right_key")
    own = f"{name.removeprefix(_AGREED)}_key"
    return frame.rename({"left_key": own}), own, unpack(blob)["links"].select("left_key", "right_key")
