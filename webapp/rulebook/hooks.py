"""Where rooms above the rulebook hang in what only they know; filled once, when the application is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message


@dataclass(frozen=True)
class LastRun:
    """How a rule's last run went: its number, mode, state and times, and the page that shows it."""

    run: int
    mode: str
    state: str
    at: datetime
    url: str


RunsOf = Callable[[sa.Connection, Sequence[str]], dict[str, LastRun]]
HitsOf = Callable[[sa.Connection, str], list[int]]
Hindrance = Callable[[sa.Connection, str], Message | None]

HistoryOf = Callable[[sa.Connection, str, int, datetime], Any]

history: list[HistoryOf] = []
"""Name and number of a rule, now -> what its page shows of its runs; the first entry is asked."""

last_runs: list[RunsOf] = []
"""Rule names -> last run of each; the first entry is asked."""

table_hits: list[HitsOf] = []
"""Name of a decision table -> for each row of what is published how many records it decided; empty: not asked yet."""

deletion: list[Hindrance] = []
"""Each may say why the named rule cannot be deleted now ("run 17 is at work")."""


def runs_of(tx: sa.Connection, names: Sequence[str]) -> dict[str, LastRun]:
    """Return the last run of each of the named rules, where one is known."""
    found: dict[str, LastRun] = {}
    for ask in last_runs:
        found.update(ask(tx, names))
    return found


def hits_of(tx: sa.Connection, name: str) -> list[int]:
    """Return for each row of a published decision table how many records of runs it decided."""
    return next((hits for ask in table_hits if (hits := ask(tx, name))), [])


def history_of(tx: sa.Connection, name: str, rule_id: int, now: datetime) -> Any:
    """Return what the page of a rule shows of its runs, None where nobody knows."""
    return next((ask(tx, name, rule_id, now) for ask in history), None)
