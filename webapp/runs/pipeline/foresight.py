"""Two-way: a page is decided about while the chunk before it is written, where the one does not touch the other.

A decision rests on the keys of the page's records and on those of the other side that were looked at for them. If the
chunk before turns out to name any of these, the page is decided about once more, as if it had waited.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import sqlalchemy as sa

from connectors.spi import Connector
from rules.documents.sync import SideName
from rules.reconcile.tombstones import told
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.hash_runs import Hashes
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.overlap import Behind
from webapp.runs.pipeline.packing import Packed
from webapp.runs.pipeline.pairs import Pairs
from webapp.runs.pipeline.sides import OTHER

if TYPE_CHECKING:
    from webapp.runs.pipeline.two_way import TwoWayPlanner

Connect = Callable[[str], AbstractContextManager[Connector]]


@dataclass(frozen=True)
class Ground:
    """What a decision about a page rests on: keys of the side that was read, and keys of the other side."""

    own: tuple[pl.Series, ...] = ()
    other: tuple[pl.Series, ...] = ()

    def touched(self, *chunks: Chunk) -> bool:
        """Tell whether chunks of the same side name any of the keys.

        Hashes are compared: a key that has the hash of another one means deciding once more, and nothing else.
        """
        for keys, name in ((self.own, "left_key"), (self.other, "right_key")):
            frames = (frame for chunk in chunks for frame in (chunk.outcomes, chunk.links) if name in frame.columns)
            named = _hashes(frame[name] for frame in frames)
            asked = _hashes(keys)
            if len(named) and len(asked) and (named[np.searchsorted(named, asked) % len(named)] == asked).any():
                return True
        return False


def _hashes(columns: Iterable[pl.Series]) -> Hashes:
    """Return the hashes of all keys in order; columns that are the same are hashed once."""
    known: list[pl.Series] = [pl.Series([], dtype=pl.String)]
    for keys in columns:
        if not any(keys.equals(one, null_equal=True) for one in known):
            known.append(keys)
    return np.sort(pl.concat(known).drop_nulls().hash().to_numpy())


class Underway:
    """The chunk that is done while the next page is decided about; without `ahead` it is done at once."""

    def __init__(self, take_over: Callable[[Chunk], None], *, ahead: bool) -> None:
        self._take_over = take_over
        self._behind: Behind[Chunk] = Behind(off=not ahead)
        self._ahead = ahead
        self._begun: Chunk | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the chunk at hand: what it raises comes before what has ended the block."""
        self._behind.wait()

    def begin(self, chunk: Chunk, do: Callable[[Chunk], Chunk], *, wait: bool) -> None:
        """Begin to do a chunk, which gives it as it was done; the one before must have been settled."""
        self._begun = chunk
        self._behind.start(partial(do, chunk))
        if wait or not self._ahead:
            self.settle()

    def settle(self) -> tuple[Chunk, ...]:
        """Wait for the chunk at hand; return it as it was planned and as it was done, nothing where there is none.

        What it has changed is taken over here: no other thread is looking at it now.
        """
        begun, done = self._begun, self._behind.wait()
        self._begun = None
        if begun is None or done is None:
            return ()
        self._take_over(done)
        return begun, done

    def close(self) -> None:
        """Let the chunk at hand end."""
        self._behind.close()


@dataclass(frozen=True)
class Appending:
    """Writes what a chunk changes of pairs; the run's own thread takes it over when the chunk is done."""

    pairs: Pairs

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk, packed: Packed | None = None) -> None:
        """Write what a chunk changes, in the caller's transaction."""
        self.pairs.append(tx, run_id, chunk, packed)

    def merge(self, chunk: Chunk) -> None:
        """Leave it to the thread that decides, which is looking at the pairs now."""


def look_aside(planner: TwoWayPlanner, claim: Claim, connect: Connect, stack: contextlib.ExitStack) -> bool:
    """Let partners be looked up over connections of their own; False where a page has to wait for the chunk before.

    It has to where partners are found by value, as a record may find what the chunk before creates, and where the run
    goes by what people have answered or what a side tells of deletions.
    """
    rule, views = planner.rule, planner.views.values()
    ends = {"left": rule.left, "right": rule.right}
    if claim.kind != "sync" or not claim.live or len({(end.connection, end.object) for end in ends.values()}) == 1:
        return False
    if planner.asked or any(told(rule, name) for name in SideName):
        return False
    if not all(view.planner.apart and view.planner.validating is None for view in views):
        return False
    for view in views:
        view.planner.target = stack.enter_context(connect(ends[OTHER[view.name]].connection))
    return True
