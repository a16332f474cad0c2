"""Two-way: a chunk is written to both sides, each with a fence of its own, the side that was not read first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import polars as pl

from connectors.spi import Failure, Fence, WriteResult
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.joint import End
from webapp.runs.pipeline.pairs import Pairs
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.pipeline.writing import Target, settled


@dataclass(frozen=True)
class SideTaken:
    """Tells which keys of one side have a link."""

    pairs: Pairs
    side: str

    def taken(self, keys: pl.Series) -> pl.Series:
        """Return a mask of the keys that have a link."""
        return self.pairs.taken(self.side, keys)


@dataclass(frozen=True)
class Both:
    """Where a two-way run writes: the targets of both sides by name."""

    targets: Mapping[str, Target[SideTaken]]
    links: Pairs

    def pretend(self, chunk: Chunk) -> Chunk:
        """Return a chunk as it would be if both sides took all of it."""
        return settled(chunk, WriteResult())

    def apply(self, chunk: Chunk, fence: Fence, retry: Retry, *, again: bool = False) -> Chunk:
        """Write a chunk and return it with its true outcomes; `again`: an earlier worker may have written it."""
        joint = next(iter(self.targets.values())).joint
        if joint is not None and chunk.writes and not (again and any(self._arrived(chunk, fence))):
            return joint.together.write(chunk, list(self._ends(chunk, fence)), retry)
        ended = joint is not None and joint.together.ended(fence)
        failures: list[Failure] = []
        keys: list[pl.Series | None] = [None] * len(chunk.writes)
        warnings = []
        for own in (False, True):
            places = [number for number, write in enumerate(chunk.writes) if write.own is own]
            if not places:
                continue
            side = chunk.side if own else OTHER[chunk.side]
            part = replace(chunk, writes=tuple(chunk.writes[number] for number in places))
            mine = replace(fence, scope=f"{fence.scope}:{side}")
            result = self.targets[side].write(part, mine, retry, again=again, ended=ended)
            failures += [replace(f, change=places[f.change]) for f in result.failures]
            warnings += [replace(w, change=places[w.change]) for w in result.warnings]
            for number, made in zip(places, result.keys, strict=False):
                keys[number] = made
        return settled(chunk, WriteResult(tuple(failures), tuple(keys), tuple(warnings)))

    def recover(self, chunk: Chunk, fence: Fence, retry: Retry) -> Chunk | None:
        """Finish a chunk that another run has begun to write; None if nothing of it has arrived."""
        if all(found is False for found in self._arrived(chunk, fence)):
            return None
        return self.apply(chunk, fence, retry, again=True)

    def _ends(self, chunk: Chunk, fence: Fence) -> Iterator[End]:
        """Yield the sides that a chunk is written to, the one that was not read first."""
        for own in (False, True):
            side = chunk.side if own else OTHER[chunk.side]
            places = [number for number, write in enumerate(chunk.writes) if write.own is own]
            if places:
                yield self.targets[side].end(side, places, replace(fence, scope=f"{fence.scope}:{side}"))

    def _arrived(self, chunk: Chunk, fence: Fence) -> list[bool | None]:
        """Return of each side that a chunk is written to whether it has it, None where it cannot tell."""
        used = {chunk.side if write.own else OTHER[chunk.side] for write in chunk.writes}
        return [self.targets[s].connector.arrived(replace(fence, scope=f"{fence.scope}:{s}")) for s in sorted(used)]

    def finish(self) -> None:
        """Let both sides put in place what has been written."""
        for target in self.targets.values():
            target.connector.finish(target.object)
