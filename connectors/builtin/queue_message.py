"""What message brokers have in common: messages, a scan of those that are there, and what each broker has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from connectors.builtin.queue_options import QueueObject
from connectors.spi import ObjectInfo
from rules.schema import Op
from rules.text import Message as Text

D = TypeVar("D", bound=QueueObject)
BATCH_BYTES = 8 * 1024 * 1024
"""A batch is taken no further than this, but for its last messages."""


@dataclass(frozen=True)
class Message:
    """One message; `id` is unique in its object and the same when it is delivered again."""

    id: str
    body: bytes
    key: str | None = None
    time: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """The next messages of an object; `mark` is a JSON value, behind which reading goes on."""

    messages: Sequence[Message]
    mark: Any


@dataclass(frozen=True)
class Outgoing:
    """A message to be sent: `id` is the same if it is sent again, `row` tells which record of a change it holds."""

    id: str
    op: Op
    key: str | None
    body: bytes
    change: int
    row: int


class Scan(ABC):
    """The messages that were in an object when the scan began, taken batch by batch."""

    @abstractmethod
    def take(self, most: int) -> Batch | None:
        """Return at most so many messages, None where no more of them is there."""

    @abstractmethod
    def acknowledge(self, mark: Any) -> None:
        """Give up the messages of all batches up to this mark, also one of an earlier scan if that can be told."""

    def close(self) -> None:  # noqa: B027 - some hold nothing
        """Leave what is not acknowledged to the next scan."""


class Broker(ABC, Generic[D]):
    """A broker that one connection talks to; methods raise the errors of `connectors.errors`."""

    @abstractmethod
    def steps(self) -> Iterator[tuple[str, Any]]:
        """Yield name and function of each step of the connection test; the functions return what was found."""

    @abstractmethod
    def objects(self) -> list[ObjectInfo]:
        """Return the objects, in any order; also shows that the broker can be reached."""

    @abstractmethod
    def sample(self, described: D, most: int) -> list[Message]:
        """Return the first messages and leave them where they are; raises `ObjectMissing`."""

    @abstractmethod
    def scan(self, described: D, after: Any, *, consume: bool) -> Scan:
        """Begin a scan behind a mark (None: from the first message on); raises `ObjectMissing`."""

    @abstractmethod
    def send(self, described: D, messages: Sequence[Outgoing]) -> Mapping[int, Text]:
        """Send messages in their order; all others than those returned, by their number, are kept by the broker."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held; messages that are not acknowledged return to where they were."""
