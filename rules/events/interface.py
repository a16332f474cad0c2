"""What stands between Syncline and the engine: plain numbers only, no texts of users, no clock.

`Patterns` correlates events, `Charts` walks through states. Both keep what is open by key; a `Machine` (one rule) uses
one of them. Whoever wants another engine writes these two classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from rules.text import Message

MAX_RULES = 400
"""Rules that the engine takes in one ruleset."""
MAX_FIELDS = 250
"""Fields that the engine takes in one message."""
MAX_KEY = 200
"""Characters of a key."""


class EngineFailed(Exception):
    """The engine did not do what it was asked; what it holds in memory is worth nothing any more."""


class TooLarge(ValueError):
    """The rule is larger than the engine takes; `message` says what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class Form(StrEnum):
    """How the events of a pattern belong together."""

    ALL = "all"
    SEQUENCE = "sequence"
    ANY = "any"
    COUNT = "count"


@dataclass(frozen=True)
class Pattern:
    """A pattern over numbered places; `times` is for `count`, which has one place."""

    form: Form
    places: int
    times: int = 1


@dataclass(frozen=True)
class Chart:
    """States and moves by number; move -> (from, to)."""

    states: int
    moves: tuple[tuple[int, int], ...]


class Patterns(Protocol):
    """Correlates events by key."""

    def event(self, key: str, number: int, places: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
        """Take an event that can stand at these places; return the numbers at each place if the pattern is met.

        Events that met a pattern are used up. Where several fit, the latest are taken.
        """

    def expire(self, key: str, number: int) -> None:
        """Forget an event that is still open."""

    def wait(self, key: str, number: int) -> None:
        """Begin to wait, under a number that no event has."""

    def end_wait(self, key: str, number: int) -> None:
        """End a wait: its time has come, or what must not happen has happened."""

    def open(self, key: str) -> int:
        """Return how many events and waits are open."""


class Charts(Protocol):
    """Keeps the state of each key."""

    def enter(self, key: str, state: int) -> None:
        """Begin in a state."""

    def move(self, key: str, move: int) -> int:
        """Take a way out of the state at hand; return the new state."""

    def leave(self, key: str) -> None:
        """Forget a key."""


@dataclass(frozen=True)
class Event:
    """Something that happened: a type, a moment, and JSON data. `id` is unique for its source."""

    id: str
    type: str
    at: datetime
    data: Any = None


@dataclass(frozen=True)
class Heard:
    """An event as a rule hears it: under which names, for which key; `number` grows with every event."""

    number: int
    event: Event
    key: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Timer:
    """A moment at which a rule will do something for a key, unless something else happens before."""

    due: datetime
    key: str
    name: str


@dataclass(frozen=True)
class Step:
    """What a rule did at one moment: its pattern was met (`match`), or its chart went to another state (`move`).

    `cause` tells steps apart for good: the same events and times give the same causes. `acts` are the places of the
    actions in the document that are to be done now, `seen` the events by name, the latest last.
    """

    key: str
    at: datetime
    kind: str
    cause: str
    acts: tuple[str, ...]
    seen: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class Note:
    """Something that a person should know although nothing follows from it."""

    key: str
    at: datetime
    message: Message


@dataclass(frozen=True)
class Live:
    """What is open for a key: the state of a chart, events by name, timers, since when; numbers of events to keep."""

    key: str
    since: datetime
    state: str | None
    events: Mapping[str, tuple[str, ...]]
    timers: tuple[Timer, ...]
    numbers: tuple[int, ...]


class Engine(Protocol):
    """One rule at work. Times never go back.

    `notes` and the keys in `changed` pile up until the caller clears them.
    """

    notes: list[Note]
    changed: set[str]

    def feed(self, heard: Heard, at: datetime) -> list[Step]:
        """Fire the timers up to `at`, then take the event."""

    def advance(self, now: datetime) -> list[Step]:
        """Fire the timers up to `now`, in order."""

    def due(self) -> datetime | None:
        """Return when the next timer fires."""

    def state(self, key: str) -> Live | None:
        """Return what is open for a key."""

    def open_keys(self) -> list[str]:
        """Return the keys for which something is open."""
