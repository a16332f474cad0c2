"""How a run reaches the connected systems."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from connectors.spi import Connector
from rules.language.library import EMPTY, Library
from rules.schema import Schema
from webapp.runs.pipeline.posting import Posted


@dataclass(frozen=True)
class Systems:
    """The systems of a run: by connection name, and their schemas by connection and object.

    `library` has the tables that its rule asks, in the versions that the run has pinned. `posted` stands in for the
    target where the rule has an outbox.
    """

    connect: Callable[[str], AbstractContextManager[Connector]]
    schema: Callable[[str, str], Schema]
    library: Library = EMPTY
    posted: Posted | None = None

    def receiver(self, name: str) -> AbstractContextManager[Connector]:
        """Return what a rule that flows one way writes to."""
        return self.connect(name) if self.posted is None else contextlib.nullcontext(self.posted)
