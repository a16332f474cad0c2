"""Where rooms above the cases hang in what they want to know of cases. Filled once a process.

Cases of records that wait are opened by runs, which tell of them at their end (`webapp.runs.hooks`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.extensions import Actor


@dataclass(frozen=True)
class Opened:
    """A case that a person or an event rule has opened."""

    case: int
    kind: str
    title: str
    subject: str
    rule_name: str | None
    assignee: str | None
    actor: Actor
    at: datetime


@dataclass(frozen=True)
class Assigned:
    """Cases that were given to somebody at once, by number."""

    cases: tuple[int, ...]
    assignee: str
    actor: Actor
    at: datetime


opened: list[Callable[[sa.Connection, Opened], None]] = []
"""Each is called in the transaction that opens the case."""

assigned: list[Callable[[sa.Connection, Assigned], None]] = []
"""Each is called in the transaction that gives the cases to somebody."""
