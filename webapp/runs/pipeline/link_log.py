"""The log of a rule's links as it lies in the database: segments that are read when one of their keys is asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import polars as pl
import sqlalchemy as sa

from webapp.runs.models import link_segment
from webapp.runs.pipeline.codec import pack, unpack
from webapp.runs.pipeline.key_bits import Asked, key_bits
from webapp.runs.pipeline.packing import Packed
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
_KEPT = 8
"""So many segments stay in memory while single keys are asked for."""

Connect = Callable[[], AbstractContextManager[sa.Connection]]


class LinkLog:
    """The segments of one rule; later ones win. `reverse` tells that the rule flows to the left.

    Hashes and digests that were made in other ways than `schemes` names are forgotten.
    """

    def __init__(self, rule_id: int, schemes: tuple[str, str], *, reverse: bool) -> None:
        self.rule_id, self.schemes, self._reverse = rule_id, schemes, reverse
        self.rows: list[int] = []
        self._kind = (
            "right" if reverse else "left"
        )  # the keys of segments of the time before it was turned lie crosswise
        self._bits: dict[int, bytes | None] = {}
        self._read: OrderedDict[int, pl.DataFrame] = OrderedDict()

    def look(self, tx: sa.Connection) -> None:
        """Take note of the segments that there are."""
        columns = (link_segment.c.id, link_segment.c.rows, link_segment.c.bits)
        query = sa.select(*columns).where(link_segment.c.rule_id == self.rule_id).order_by(link_segment.c.id)
        found = tx.execute(query).all()
        self.rows = [row.rows for row in found]
        self._bits = {row.id: row.bits for row in found}

    def all(self, tx: sa.Connection) -> pl.DataFrame:
        """Return the rows of all segments that were noted, one after the other."""
        return pl.concat([pl.DataFrame(schema=SCHEMA), *(part for _, part in self._parts(tx, self._bits))])

    def find(self, connect: Connect, keys: pl.Series) -> pl.DataFrame:
        """Return the rows of some keys; only segments that may hold one of them are read."""
        asked_for = Asked(keys, self._kind)
        numbers = [number for number, bits in self._bits.items() if asked_for.may_be_in(bits)]
        missing = [number for number in numbers if number not in self._read]
        if missing:
            with connect() as tx:
                self._read |= self._parts(tx, missing)
        asked = pl.col("left_key").is_in(keys.implode())
        found = [self._read[number].filter(asked) for number in numbers]
        while len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return pl.concat([pl.DataFrame(schema=SCHEMA), *found])

    def append(self, tx: sa.Connection, run_id: int, frame: pl.DataFrame, packed: Packed | None = None) -> None:
        """Write a segment, in the caller's transaction."""
        made = pl.DataFrame(dict(zip(_SCHEMES, self.schemes, strict=True)))
        values = {
            "rule_id": self.rule_id,
            "run_id": run_id,
            "rows": frame.height,
            "bits": key_bits(frame["left_key"], self._kind),
            "blob": pack({"links": frame, "scheme": made}, packed),
        }
        tx.execute(sa.insert(link_segment).values(values))
        self.rows.append(frame.height)

    def rewrite(self, tx: sa.Connection, run_id: int, parts: Iterable[pl.DataFrame]) -> None:
        """Put other segments in place of all that there are, in the caller's transaction."""
        tx.execute(sa.delete(link_segment).where(link_segment.c.rule_id == self.rule_id))
        self.rows = []
        for part in parts:
            self.append(tx, run_id, part)

    def _parts(self, tx: sa.Connection, numbers: Iterable[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        wanted = list(numbers)
        ways = flowed(tx, self.rule_id, wanted)
        for number in wanted:
            blob = tx.scalar(sa.select(link_segment.c.blob).where(link_segment.c.id == number))
            frames = unpack(blob or b"")
            was = ways.get(number, self._reverse)
            yield number, _plain(_hashed(frames, self.schemes), reverse=self._reverse, was=was)


def _hashed(frames: Mapping[str, pl.DataFrame], schemes: tuple[str, str]) -> pl.DataFrame:
    """Return the links of a segment, with the hashes and digests that they have in these schemes.

    Digests were learnt of records whose hashes hold: where these are of another scheme, they say nothing either.
    """
    links, made, holds = frames["links"], frames.get("scheme", pl.DataFrame()), True
    for kind, scheme in zip(_SCHEMES, schemes, strict=True):
        holds &= bool(scheme) and kind in made.columns and made[kind][0] == scheme
        if not holds:
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
    none: dict[str, Any] = {name: pl.lit(None, dtype=dtype) for name, dtype in SCHEMA.items() if name != "left_key"}
    return frame.select("left_key", **none)
