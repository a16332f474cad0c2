"""A rule with a pattern at work: events are correlated, run out of time, wait for what must not happen.

An event counts for its pattern for as long as `within` says, from its own moment on; then it is forgotten. The end of
a time belongs to what follows: an event at that very moment comes too late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.documents.event_rule import EventRule, When, seconds
from rules.events.engine import DurablePatterns
from rules.events.interface import Event, Form, Heard, Live, Note, Pattern, Patterns, Step
from rules.events.timers import Timers

Seen = dict[str, tuple[Event, ...]]
FOREVER = timedelta(days=36_500)  # a pattern of one event is met at once, so it never waits


@dataclass
class _Wait:
    """A pattern that was met and waits for what must not happen."""

    at: datetime
    seen: Seen
    numbers: tuple[int, ...]
    first: datetime


class PatternMachine:
    """One rule with `when`; see `interface.Engine`."""

    def __init__(self, rule: EventRule, engine: Callable[[Pattern], Patterns] = DurablePatterns) -> None:
        when = rule.when or When()
        self.names, self._pattern = pattern_of(when)
        self._within = seconds(when.within) or FOREVER
        self._absent = set(when.absent.events) if when.absent else set()
        self._patience = seconds(when.absent.within) if when.absent else None
        self._acts = tuple(f"then/{number}" for number in range(len(rule.then)))
        self._engine = engine(self._pattern)
        self._timers = Timers()
        self._events: dict[str, dict[int, Heard]] = {}
        self._times: dict[tuple[str, int], datetime] = {}
        self._waits: dict[str, dict[int, _Wait]] = {}
        self.notes: list[Note] = []
        self.changed: set[str] = set()

    def feed(self, heard: Heard, at: datetime) -> list[Step]:
        """Fire the timers up to `at`, then take the event."""
        steps = self.advance(at)
        if self._absent.intersection(heard.names):
            for number in list(self._waits.get(heard.key, ())):
                self._end_wait(heard.key, number)
        steps += self._take(heard, at)
        self._forget_if_empty(heard.key)
        return steps

    def advance(self, now: datetime) -> list[Step]:
        """Fire the timers up to `now`, in order."""
        steps = []
        for due, key, number in self._timers.fired(now):
            if number < 0:
                wait = self._end_wait(key, number)
                steps.append(Step(key, due, "match", f"{-number}:absent", self._acts, wait.seen))
            else:
                self._drop(key, number)
                self._prune(key)
            self._forget_if_empty(key)
        return steps

    def due(self) -> datetime | None:
        """Return when the next timer fires."""
        return self._timers.next()

    def state(self, key: str) -> Live | None:
        """Return what is open for a key."""
        events, waits = self._events.get(key, {}), self._waits.get(key, {})
        if not events and not waits:
            return None
        seen: dict[str, tuple[str, ...]] = {}
        for heard in events.values():
            for name in heard.names:
                seen[name] = (*seen.get(name, ()), heard.event.id)
        for wait in waits.values():
            for name, held in wait.seen.items():
                seen[name] = (*seen.get(name, ()), *(event.id for event in held))
        since = min([*(self._times[key, n] for n in events), *(wait.first for wait in waits.values())])
        numbers = {*events, *(n for wait in waits.values() for n in wait.numbers)}
        return Live(key, since, None, seen, self._timers.of(key), tuple(sorted(numbers)))

    def open_keys(self) -> list[str]:
        """Return the keys for which something is open."""
        return list({**self._events, **self._waits})

    def _take(self, heard: Heard, at: datetime) -> list[Step]:
        places = [place for place, name in enumerate(self.names) if name in heard.names]
        places = [place for place in places if self._useful(heard.key, place)]
        if not places:
            return []
        self._events.setdefault(heard.key, {})[heard.number] = heard
        self._times[heard.key, heard.number] = at
        met = self._engine.event(heard.key, heard.number, places)
        if met is not None:
            return self._met(heard, at, met)
        self._timers.set(at + self._within, heard.key, heard.number, "within")
        return []

    def _useful(self, key: str, place: int) -> bool:
        """A later event of a sequence means nothing while no earlier one is open."""
        if self._pattern.form is not Form.SEQUENCE or place == 0:
            return True
        return any(self.names[place - 1] in heard.names for heard in self._events.get(key, {}).values())

    def _met(self, heard: Heard, at: datetime, met: tuple[tuple[int, ...], ...]) -> list[Step]:
        open_ = self._events[heard.key]
        seen = {
            self.names[place]: tuple(open_[n].event for n in numbers) for place, numbers in enumerate(met) if numbers
        }
        used = sorted({n for numbers in met for n in numbers})
        first = min(self._times[heard.key, n] for n in used)
        for number in used:
            del open_[number], self._times[heard.key, number]
            self._timers.clear(heard.key, number)
        self._prune(heard.key)
        if self._patience is None:
            return [Step(heard.key, at, "match", f"{heard.number}:met", self._acts, seen)]
        number = -heard.number
        self._waits.setdefault(heard.key, {})[number] = _Wait(at, seen, tuple(used), first)
        self._engine.wait(heard.key, number)
        self._timers.set(at + self._patience, heard.key, number, "absent")
        return []

    def _drop(self, key: str, number: int) -> None:
        self._engine.expire(key, number)
        self._timers.clear(key, number)
        del self._events[key][number], self._times[key, number]

    def _prune(self, key: str) -> None:
        """Forget events of a sequence that no earlier one is left for."""
        if self._pattern.form is not Form.SEQUENCE:
            return
        kept: set[str] = set()
        for number, heard in list(self._events.get(key, {}).items()):
            places = [place for place, name in enumerate(self.names) if name in heard.names]
            if any(place == 0 or self.names[place - 1] in kept for place in places):
                kept.update(heard.names)
            else:
                self._drop(key, number)

    def _end_wait(self, key: str, number: int) -> _Wait:
        self._engine.end_wait(key, number)
        self._timers.clear(key, number)
        return self._waits[key].pop(number)

    def _forget_if_empty(self, key: str) -> None:
        self.changed.add(key)
        for table in (self._events, self._waits):
            if key in table and not table[key]:
                del table[key]


def pattern_of(when: When) -> tuple[tuple[str, ...], Pattern]:
    """Return the names at the places of a pattern, and the pattern."""
    if when.count is not None:
        return (when.count.event,), Pattern(Form.COUNT, 1, when.count.times)
    for form in (Form.ALL, Form.SEQUENCE, Form.ANY):
        names: tuple[str, ...] = getattr(when, form.value)
        if names:
            return names, Pattern(form, len(names))
    raise ValueError("a pattern without events")
