"""What a connector remembers of the jobs that write a chunk: written again, the chunk waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.spi import Fence

Place = tuple[int, int, bytes]
"""Which change of a chunk, which row of it comes first, and a digest of what the job was given."""


@dataclass
class Begun:
    """The jobs of the chunk that is being written."""

    jobs: dict[Place, str] = field(default_factory=dict)
    _chunk: tuple[str, int, int] | None = None
    _ways: list[bool] = field(default_factory=list)
    creating: bool = False
    """New records of the chunk go by jobs."""
    inherited: bool = False
    """Another worker may have begun jobs of the chunk that was asked about."""

    def begin(self, fence: Fence | None, ways: Sequence[bool]) -> list[bool]:
        """Return which changes of a chunk go by jobs: written again, the same as before, also if less is left of them.

        Args:
            fence: The chunk that is written now.
            ways: Which of its changes would go by jobs if they were written for the first time.
        """
        chunk = None if fence is None else _chunk(fence)
        if chunk is None or chunk != self._chunk or len(ways) != len(self._ways):
            self.jobs, self._chunk, self._ways = {}, chunk, list(ways)
        self.inherited = False
        return self._ways

    def asked_about(self, fence: Fence) -> None:
        """Note that a chunk may have been written before, if not by this connector then by another one."""
        self.inherited = _chunk(fence) != self._chunk

    def knows(self, fence: Fence) -> bool:
        """Tell whether this connector has given new records of a chunk to jobs."""
        return _chunk(fence) == self._chunk and self.creating


def _chunk(fence: Fence) -> tuple[str, int, int]:
    return fence.scope, fence.run, fence.chunk
