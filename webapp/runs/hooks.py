"""Where rooms above the runs hang in what they want to know of their ends and of pairs that wait for a person.

Filled once a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from webapp.extensions import Actor


@dataclass(frozen=True)
class Ended:
    """How a run has ended; `token` tells its ends apart, since it may be resumed."""

    run_id: int
    rule_name: str
    mode: str
    state: str
    token: int
    counts: Mapping[str, int]
    message: str
    at: datetime


class PairDeed(StrEnum):
    """What became of pairs of records that wait for a person."""

    OPENED = "opened"
    REFRESHED = "refreshed"  # their values have changed while they waited
    DROPPED = "dropped"  # so have the values, and the answer that was given no longer fits
    ANSWERED = "answered"
    USED = "used"  # a run has carried out the answer
    RESOLVED = "resolved"  # nothing is left to decide


@dataclass(frozen=True)
class PairsMoved:
    """What became of rows of `pair_case` at once; `run_id` is the run that met them last."""

    deed: PairDeed
    cases: tuple[int, ...]
    rule_name: str
    run_id: int
    by: str
    at: datetime


@dataclass(frozen=True)
class LevelMoved:
    """A rule's service level: `state` is late, failing, or met again; `reasons` say why."""

    rule_name: str
    state: str
    reasons: tuple[str, ...]
    at: datetime


ended: list[Callable[[sa.Connection, Ended], None]] = []
"""Each is called in the transaction that ends the run."""

pairs: list[Callable[[sa.Connection, PairsMoved], None]] = []
"""Each is called in the transaction that opens, refreshes, answers or settles pairs that wait."""

levels: list[Callable[[sa.Connection, LevelMoved], None]] = []
"""Each is called in the transaction that notes that a rule is late, failing, or meets its service level again."""


@dataclass(frozen=True)
class SagaMoved:
    """A saga that cannot be taken back (`stuck`) at a step, and waits for a person; or that waits no more."""

    saga: int
    rule_name: str
    run_id: int
    step: str
    place: str
    stuck: bool
    by: Actor
    at: datetime


sagas: list[Callable[[sa.Connection, SagaMoved], None]] = []
"""Each is called in the transaction that notes that a saga is stuck, or that it has ended."""
