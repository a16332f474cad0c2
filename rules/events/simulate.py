"""What a rule would do about given events, on a clock of its own; nothing is carried out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.documents.policies import DURATION, duration
from rules.events.interface import Event, Heard, Live, Note, Step
from rules.events.rule import Ready
from rules.events.work import Work
from rules.language.library import EMPTY, Library
from rules.text import N_, Message, msg


class BadEvent(ValueError):
    """An event cannot be read; `message` says which and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Entry:
    """One line of a timeline: an event, heard or not; a step of the rule; an action; a note."""

    at: datetime
    heard: Heard | None = None
    event: Event | None = None
    step: Step | None = None
    work: Work | None = None
    note: Message | None = None

    @property
    def key(self) -> str | None:
        """Return the key that the line is about."""
        return self.step.key if self.step else self.heard.key if self.heard else None


@dataclass(frozen=True)
class Simulation:
    """What came of the events, in the order of time; what is open at the end, by key; the state of ended processes."""

    entries: tuple[Entry, ...]
    live: Mapping[str, Live]
    states: Mapping[str, str]
    end: datetime

    @property
    def works(self) -> tuple[tuple[Step, Work], ...]:
        """Return the actions in order, each with the step that it belongs to."""
        return tuple((entry.step, entry.work) for entry in self.entries if entry.step and entry.work)


def simulate(
    document: Mapping[str, Any], events: Iterable[Event], until: datetime | None = None, library: Library = EMPTY
) -> Simulation:
    """Return what a rule would do about events, taken in the order of their times.

    Timers fire up to `until`; all of them, where it is left out. Raises `DocumentError` and `TooLarge`.
    """
    return _Simulator(Ready.of(document, library)).run(sorted(events, key=lambda event: event.at), until)


class _Simulator:
    def __init__(self, ready: Ready) -> None:
        self._ready = ready
        self._entries: list[Entry] = []
        self._states: dict[str, str] = {}

    def run(self, events: list[Event], until: datetime | None) -> Simulation:
        end = events[-1].at if events else until
        for number, event in enumerate(events, 1):
            self._advance(event.at)
            heard, notes = self._ready.listener.hear(number, event)
            self._entries += [Entry(event.at, one, event) for one in heard] or [Entry(event.at, None, event)]
            self._note(notes)
            for one in heard:
                self._take(self._ready.engine.feed(one, event.at))
        while (due := self._ready.engine.due()) is not None and (until is None or due <= until):
            if len(self._entries) > MAX_ENTRIES:
                break
            self._advance(due)
            end = max(due, end or due)
        if until is not None:
            end = max(until, end or until)
        live = {key: found for key in self._ready.engine.open_keys() if (found := self._ready.engine.state(key))}
        states = self._states | {key: one.state for key, one in live.items() if one.state}
        return Simulation(tuple(self._entries), live, states, end or START)

    def _advance(self, now: datetime) -> None:
        self._take(self._ready.engine.advance(now))

    def _take(self, steps: list[Step]) -> None:
        for step in steps:
            self._entries.append(Entry(step.at, step=step))
            self._entries += [Entry(step.at, step=step, work=work) for work in self._ready.works(step)]
            if step.after is not None:
                self._states[step.key] = step.after
        self._note(self._ready.engine.notes)
        self._ready.engine.notes.clear()

    def _note(self, notes: list[Note]) -> None:
        self._entries += [Entry(note.at, note=note.message) for note in notes]


MAX_ENTRIES = 5_000
"""Lines of a timeline after which no further timer fires: a chart may go round in circles for ever."""
START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
"""When a simulation begins whose events only say how much later they come."""
MAX_EVENTS = 1_000
_KEYS = frozenset({"id", "type", "at", "data"})


def read_events(items: Any, start: datetime = START) -> list[Event]:
    """Return the events that plain data describes; raises `BadEvent`.

    `at` is a time such as 2026-01-31T12:00:00Z, or how much later than `start` (`10m`); the event before, if left out.
    """
    if not isinstance(items, list) or len(items) > MAX_EVENTS:
        raise BadEvent(msg("A list of events is needed, with at most {limit} of them.", limit=MAX_EVENTS))
    events: list[Event] = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, Mapping) or not isinstance(item.get("type"), str) or not set(item) <= _KEYS:
            text = N_("Event {number}: type, data and at are needed; id is possible as well.")
            raise BadEvent(msg(text, number=number))
        before = events[-1].at if events else start
        at = before if item.get("at") is None else _moment(str(item["at"]), start, number)
        events.append(Event(str(item.get("id") or f"e{number}"), item["type"], at, item.get("data")))
    return events


def _moment(text: str, start: datetime, number: int) -> datetime:
    if re.fullmatch(DURATION, text):
        return start + duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        text_ = N_(
            "Event {number}: '{at}' is neither a time with its zone, like 2026-01-31T12:00:00Z, nor a time span."
        )
        raise BadEvent(msg(text_, number=number, at=text))
    return moment
