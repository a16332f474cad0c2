"""The links of a sync rule: which left key belongs to which right key.

They are kept as a log of compressed Arrow segments in the metadata database, so that a chunk's links commit together
with its checkpoint and any worker on any machine can go on. A segment with a null right key unlinks. A run that asks
for few of them reads only the segments that may hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

import polars as pl
import sqlalchemy as sa

from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.keyed_rows import KeyedRows
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.link_log import SCHEMA, Connect, LinkLog, unlinked
from webapp.runs.pipeline.packing import Packed

__all__ = ["SCHEMA", "Links", "unlinked"]

_SPARE = 2
_MOST = 50
"""The log is rewritten when it has twice as many rows as there are links, or so many small segments."""
_PART = 25_000
"""So many links lie in a segment then; one with less than half of them is a small one."""
_FEW = 1_000
"""A run that asks for more keys than this reads all links."""


class Links:
    """The links of one rule, as of the last committed chunk."""

    def __init__(
        self,
        log: LinkLog,
        connect: Connect | None = None,
        frame: pl.DataFrame | None = None,
        own: KeySet | None = None,
    ) -> None:
        self._log = log
        self._connect = connect
        self._all = None if frame is None else KeyedRows(frame, "left_key")
        self._added: list[pl.DataFrame] = []
        self._own = own
        """The left keys that a first load has linked so far: it hardly asks for them, so the rows stay away."""
        self._lock = Lock()
        self._asked = 0
        self.mine: Callable[[pl.Series], pl.Series] | None = None
        """Tells which left keys are those of a slice, where a run works on one only."""

    @classmethod
    def load(
        cls, tx: sa.Connection, rule_id: int, scheme: str = "", digests: str = "", *, reverse: bool = False
    ) -> Links:
        """Return the links of a rule; later segments win. `reverse` tells that it flows to the left.

        Hashes and digests that were made in other ways than `scheme` and `digests` name are forgotten.
        """
        log = LinkLog(rule_id, (scheme, digests), reverse=reverse)
        log.look(tx)
        return cls(log, frame=log.all(tx))

    @classmethod
    def whole(
        cls, connect: Connect, rule_id: int, scheme: str = "", digests: str = "", *, reverse: bool = False
    ) -> Links:
        """Return what `load` does, over a connection of its own; where there are no links yet, keys of new ones only.

        One thread may ask while another one changes them.
        """
        log = LinkLog(rule_id, (scheme, digests), reverse=reverse)
        with connect() as tx:
            log.look(tx)
            return cls(log, connect, log.all(tx) if log.rows else None, own=None if log.rows else KeySet())

    @classmethod
    def lazy(
        cls, connect: Connect, rule_id: int, scheme: str = "", digests: str = "", *, reverse: bool = False
    ) -> Links:
        """Return what `load` does, to be read as they are asked for by a run that alone changes them.

        Only one thread at a time may ask and change them.
        """
        log = LinkLog(rule_id, (scheme, digests), reverse=reverse)
        with connect() as tx:
            log.look(tx)
        return cls(log, connect)

    @property
    def _links(self) -> KeyedRows:
        return self._all if self._all is not None else self._read()

    def _read(self) -> KeyedRows:
        """Read all links; what is committed meanwhile is among them or merged afterwards, or both."""
        assert self._connect is not None  # noqa: S101 - else they were given
        with self._lock:
            if self._own is not None and not len(self._own):
                return KeyedRows(pl.DataFrame(schema=SCHEMA), "left_key")
            with self._connect() as tx:
                if self._own is not None:
                    self._log.look(tx)
                self._all = KeyedRows(pl.concat([self._log.all(tx), *self._added]), "left_key")
            self._added, self._own = [], None
            return self._all

    def find(self, left_keys: pl.Series) -> pl.Series:
        """Return the right key of each left key, null where there is no link."""
        return self.known(left_keys)["right_key"]

    def known(self, left_keys: pl.Series) -> pl.DataFrame:
        """Return the right key and the hashes of each left key, nulls where there is no link."""
        if self._has_none(left_keys):
            return pl.DataFrame(schema=SCHEMA).drop("left_key").clear(left_keys.len())
        self._asked += left_keys.len()
        if self._all is not None or self._own is not None or self._connect is None or self._asked > _FEW:
            return self._links.find(left_keys)
        found = pl.concat([self._log.find(self._connect, left_keys), *self._added])
        rows = found.unique("left_key", keep="last", maintain_order=True)
        asked = pl.DataFrame({"left_key": left_keys})
        return asked.join(rows, on="left_key", how="left", maintain_order="left").drop("left_key")

    @property
    def hashed(self) -> int:
        """Return how many links have hashes."""
        return self._count(pl.col("right_hash"))

    @property
    def digested(self) -> int:
        """Return how many links have digests of both sides."""
        return self._count(pl.col("left_digest") + pl.col("right_digest"))

    def _count(self, known: pl.Expr) -> int:
        counted = (known.is_not_null() & pl.col("right_key").is_not_null()).sum()
        return int(self._links.all().select(counted).item())

    @property
    def rows(self) -> pl.DataFrame:
        """Return all links."""
        rows = self._links.all()  # most often all of them, and then not copied
        return rows.filter(pl.col("right_key").is_not_null()) if rows["right_key"].null_count() else rows

    @property
    def keys(self) -> pl.Series:
        """Return the left keys that have a link, and are among those that are worked on."""
        keys = self.rows["left_key"]
        return keys if self.mine is None else keys.filter(self.mine(keys))

    def missing_in(self, met: KeySet) -> pl.Series:
        """Return the left keys that have a link, are among those that are worked on and not in a set."""
        if self._own is not None and self.mine is None and self._own.within(met):
            return pl.Series("left_key", [], pl.String())
        return met.missing(self.keys)

    def _has_none(self, left_keys: pl.Series) -> bool:
        """Tell whether none of these keys has a link, as far as that is known without the links themselves."""
        with self._lock:
            return self._own is not None and not self._own.has(left_keys).any()

    def taken(self, right_keys: pl.Series) -> pl.Series:
        """Return a mask of the right keys that have a link."""
        return right_keys.is_in(self.rows["right_key"].implode())

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk, packed: Packed | None = None) -> None:
        """Write a chunk's links that are new, changed or (null right key) gone, in the caller's transaction."""
        if not chunk.links.is_empty():
            self._log.append(tx, run_id, chunk.links, packed)

    def merge(self, chunk: Chunk) -> None:
        """Take over what `append` has committed."""
        with self._lock:
            if self._all is not None:
                self._all.add(chunk.links)
            elif self._own is not None:
                self._own.add(chunk.links["left_key"])
            elif not chunk.links.is_empty():
                self._added.append(chunk.links)

    def compact(self, tx: sa.Connection, run_id: int) -> None:
        """Put links that count into segments of their own, if that is worth while."""
        rows = self._log.rows
        many = sum(number < _PART // 2 for number in rows) >= _MOST
        if len(rows) < 2 or not (many or (self._all is not None and sum(rows) >= _SPARE * self._all.count())):
            return
        self._log.rewrite(tx, run_id, self._parts())

    def __len__(self) -> int:
        return self._count(pl.col("right_key"))

    def _parts(self) -> Iterator[pl.DataFrame]:
        """Yield all links, those whose keys have hashes near each other together: each segment has few of a page."""
        links = self._links.all()
        order = links["left_key"].hash().arg_sort()
        order = order.filter(links["right_key"].is_not_null()[order])
        for start in range(0, order.len(), _PART):
            yield links[order[start : start + _PART]]
