"""Two-phase commit: what a system offers that keeps a write ready until somebody elsewhere has decided about it.

A write is prepared under a global id. From then on the system promises that it can commit it or take it back, also
after a crash, and keeps the locks until it is told which. Only the coordinator tells it (`webapp.runs.transactions`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.spi import Fence, WriteResult
from rules.schema import Change, Schema
from rules.text import Message


@dataclass(frozen=True)
class InDoubt:
    """A prepared write as the system shows it: since when (where it tells), and on what it holds locks."""

    gid: str
    since: datetime | None = None
    locks: tuple[str, ...] = ()


class TwoPhase(ABC):
    """A connector with `Capabilities.two_phase`; its methods raise the errors of `connectors.errors`."""

    @abstractmethod
    def write_prepared(
        self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence, gid: str
    ) -> WriteResult:
        """Write as `Connector.write` does, with the fence, and keep it ready under `gid` instead of committing it.

        When this returns, the write outlives a crash of the system and of this process. When it raises, it may or may
        not be there.
        """

    @abstractmethod
    def commit_prepared(self, gid: str) -> bool:
        """Make a prepared write durable; False: there is none of this id (any more)."""

    @abstractmethod
    def rollback_prepared(self, gid: str) -> bool:
        """Take a prepared write back; False: there is none of this id (any more)."""

    @abstractmethod
    def in_doubt(self, prefix: str) -> list[InDoubt]:
        """Return the prepared writes whose id begins with `prefix`."""

    @abstractmethod
    def unfit(self) -> Message | None:
        """Return why this system cannot take part, None if it can."""


class Within(ABC):
    """A connector to the coordinator's own database: what it writes is part of the transaction that decides."""

    @abstractmethod
    def write_within(self, tx: Any, name: str, changes: Sequence[Change], fence: Fence) -> WriteResult:
        """Write as `Connector.write` does, with the fence, in a transaction of the caller."""
