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

    def begin(self, fence: Fence | None, ways: Sequence[bool]) -> list[bool]:
        """Return which changes of a chunk go by jobs: written again, the same as before, also if less is left of them.

        Args:
            fence: The chunk that is written now.
            ways: Which of its changes would go by jobs if they were written for the first time.
        """
        chunk = None if fence is None else (fence.scope, fence.run, fence.chunk)
        if chunk is None or chunk != self._chunk or len(ways) != len(self._ways):
            self.jobs, self._chunk, self._ways = {}, chunk, list(ways)
        return self._ways
