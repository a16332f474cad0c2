"""The systems that a chunk is written to, for those who write it to all of them or to none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors.spi import Connector, Fence
from rules.schema import Change
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.retry import Retry

_JOINT = "joint of the run"


@dataclass(frozen=True)
class End:
    """A system that a chunk is written to: which of the chunk's writes are for it, by their places, and its fence."""

    side: str
    connection: str
    object: str
    system: Connector
    places: tuple[int, ...]
    fence: Fence

    def changes(self, chunk: Chunk) -> list[Change]:
        """Return what is written here."""
        return [chunk.writes[place].change for place in self.places]

    def records(self, chunk: Chunk) -> int:
        """Return how many records are written here."""
        return sum(chunk.writes[place].rows.len() for place in self.places)


class Together(Protocol):
    """Writes a chunk to all its systems or to none."""

    def write(self, chunk: Chunk, ends: Sequence[End], retry: Retry, /) -> Chunk:
        """Write a chunk and return it with its true outcomes."""

    def ended(self, fence: Fence, /) -> bool:
        """Tell whether a chunk of a run was decided to be written, and is, or was taken for that, everywhere."""


@dataclass(frozen=True)
class Joint:
    """What a connector of such a rule belongs to; `side` is the one that a one-way rule writes to."""

    together: Together
    connection: str
    side: str


def join(connector: Connector, joint: Joint) -> None:
    """Let a connector be written to together with the others of its rule."""
    vars(connector)[_JOINT] = joint


def joint_of(connector: Connector) -> Joint | None:
    """Return what a connector, or the one behind a view of it, was joined to."""
    found: Joint | None = getattr(connector, _JOINT, None)
    return found
