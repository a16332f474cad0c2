"""What does more than to write a chunk to its target, for rules whose records go on from there to other systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from connectors.spi import Connector, Fence
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.retry import Retry

if TYPE_CHECKING:
    from webapp.runs.pipeline.journal import Journal
    from webapp.runs.pipeline.writing import Target

_THROUGH = "through of the run"


class Through(Protocol):
    """Writes a chunk to its target, and what belongs to it elsewhere."""

    @property
    def writes(self) -> bool:
        """Tell whether the rule at hand asks for it; where not, it only sees to what earlier runs have left."""

    def write(self, target: Target[Any], chunk: Chunk, fence: Fence, retry: Retry, /, *, again: bool) -> Chunk:
        """Write a chunk and return it with its true outcomes; `again`: an earlier worker may have written it."""

    def abandoned(self, target: Target[Any], half: Chunk, fence: Fence, journal: Journal, /) -> Chunk | None:
        """Return a chunk that a stopped run had begun as it is once that is taken back; None: nothing was written."""


def go_through(connector: Connector, through: Through) -> None:
    """Let what is written to a connector go through something else."""
    vars(connector)[_THROUGH] = through


def through_of(connector: Connector) -> Through | None:
    """Return what the writes to a connector, or to the one behind a view of it, go through."""
    found: Through | None = getattr(connector, _THROUGH, None)
    return found
