"""A rule with states or a flow at work: one process for each key, which walks from state to state.

A process begins with the first event that leads out of its first state (of a flow: as soon as it is there, on an event
that the first stage waits for), and ends in a state without a way out. An event that nothing in the state at hand waits
for changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rules.documents.event_rule import EventRule, seconds
from rules.events.engine import DurableCharts
from rules.events.interface import Chart, Charts, Event, Heard, Live, Note, Step
from rules.events.scope import CannotWorkOut, Moment, Scope, holds
from rules.events.timers import Timers
from rules.text import N_, msg

MAX_HOPS = 100
"""Ways that a flow takes at one moment before it is stopped."""


@dataclass(frozen=True)
class Way:
    """A way from one state to another."""

    to: int
    number: int
    on: str | None
    after: timedelta | None
    when: str | None
    acts: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A state or stage."""

    name: str
    acts: tuple[str, ...]
    ways: tuple[Way, ...]


@dataclass
class _Process:
    state: int
    since: datetime
    entered: int = 0
    seen: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)


class ChartMachine:
    """One rule with `states` or `flow`; see `interface.Engine`."""

    def __init__(self, rule: EventRule, scope: Scope, engine: Callable[[Chart], Charts] = DurableCharts) -> None:
        self.places, self._first = places_of(rule)
        moves = sorted(((way.number, n, way.to) for n, p in enumerate(self.places) for way in p.ways))
        self._engine = engine(Chart(len(self.places), tuple((source, to) for _, source, to in moves)))
        self._scope = scope
        self._timers = Timers()
        self._processes: dict[str, _Process] = {}
        self.notes: list[Note] = []
        self.changed: set[str] = set()

    def feed(self, heard: Heard, at: datetime) -> list[Step]:
        """Fire the timers up to `at`, then take the event."""
        steps = self.advance(at)
        process = self._processes.get(heard.key)
        state = self._first if process is None else process.state
        seen = dict(process.seen) if process else {}
        seen |= {name: (*seen.get(name, ()), heard.event) for name in heard.names}
        waiting = [way for way in self.places[state].ways if way.on in heard.names]
        way = self._choose(waiting, Moment(heard.key, at, seen))
        if way is None:
            return steps
        if process is None:
            process = self._processes[heard.key] = _Process(state, at)
            self._engine.enter(heard.key, state)
        self.changed.add(heard.key)
        process.seen = seen
        process.numbers.append(heard.number)
        return [*steps, *self._walk(heard.key, way, at, f"{heard.number}:on")]

    def advance(self, now: datetime) -> list[Step]:
        """Fire the timers up to `now`, in order."""
        steps: list[Step] = []
        for due, key, number in self._timers.fired(now):
            process = self._processes[key]
            self.changed.add(key)
            way = next(way for way in self.places[process.state].ways if way.number == number)
            if self._choose([way], Moment(key, due, process.seen)) is not None:
                cause = f"{process.numbers[-1]}:{process.entered}:after:{number}"
                steps += self._walk(key, way, due, cause)
        return steps

    def due(self) -> datetime | None:
        """Return when the next timer fires."""
        return self._timers.next()

    def state(self, key: str) -> Live | None:
        """Return what is open for a key."""
        process = self._processes.get(key)
        if process is None:
            return None
        seen = {name: tuple(event.id for event in events) for name, events in process.seen.items()}
        name = self.places[process.state].name
        return Live(key, process.since, name, seen, self._timers.of(key), tuple(process.numbers))

    def open_keys(self) -> list[str]:
        """Return the keys for which something is open."""
        return list(self._processes)

    def _walk(self, key: str, way: Way, at: datetime, cause: str) -> list[Step]:
        """Take a way and those that follow from it at once."""
        process, steps = self._processes[key], []
        for hop in range(MAX_HOPS):
            before = self.places[process.state]
            for old in before.ways:
                self._timers.clear(key, old.number)
            process.state = self._engine.move(key, way.number)
            process.entered += 1
            place = self.places[process.state]
            acts = (*way.acts, *place.acts)
            steps.append(Step(key, at, "move", f"{cause}:{hop}", acts, dict(process.seen), before.name, place.name))
            if not place.ways:
                del self._processes[key]
                self._engine.leave(key)
                return steps
            self._set_timers(key, place, at)
            at_once = [one for one in place.ways if one.on is None and one.after is None]
            following = self._choose(at_once, Moment(key, at, process.seen))
            if following is None:
                return steps
            way = following
        text = N_(
            "The flow went through {count} stages at once and waits in '{name}' now. Let a stage wait for something."
        )
        self.notes.append(Note(key, at, msg(text, count=MAX_HOPS, name=self.places[process.state].name)))
        return steps

    def _set_timers(self, key: str, place: Place, at: datetime) -> None:
        for way in place.ways:
            if way.after is not None:
                self._timers.set(at + way.after, key, way.number, f"{place.name} > {self.places[way.to].name}")

    def _choose(self, ways: Sequence[Way], moment: Moment) -> Way | None:
        """Return the first way whose condition holds; one that cannot be worked out does not, and is told of."""
        for way in ways:
            try:
                if way.when is None or holds(way.when, self._scope, moment):
                    return way
            except CannotWorkOut as error:
                text = N_("The condition of a way to '{name}' cannot be worked out: {reason}")
                message = msg(text, name=self.places[way.to].name, reason=error.message)
                self.notes.append(Note(moment.key, moment.now, message))
        return None


def places_of(rule: EventRule) -> tuple[tuple[Place, ...], int]:
    """Return the states or stages, and the number of the first."""
    if rule.flow:
        return _stages(rule), 0
    numbers = {state.name: number for number, state in enumerate(rule.states)}
    count, places = 0, []
    for n, state in enumerate(rule.states):
        ways = []
        for position, way in enumerate(state.transitions):
            acts = tuple(f"states/{n}/transitions/{position}/then/{i}" for i in range(len(way.then)))
            ways.append(Way(numbers[way.to], count, way.on, seconds(way.after), way.when, acts))
            count += 1
        places.append(Place(state.name, _then(f"states/{n}", len(state.then)), tuple(ways)))
    return tuple(places), next((n for n, state in enumerate(rule.states) if state.initial), 0)


def _stages(rule: EventRule) -> tuple[Place, ...]:
    numbers = {stage.name: number for number, stage in enumerate(rule.flow)}
    count, places = 0, []
    for n, stage in enumerate(rule.flow):
        ways = []
        for branch in stage.next:
            ways.append(Way(numbers[branch.to], count, branch.on, seconds(branch.after), branch.when, ()))
            count += 1
        places.append(Place(stage.name, _then(f"flow/{n}", len(stage.then)), tuple(ways)))
    return tuple(places)


def _then(path: str, count: int) -> tuple[str, ...]:
    return tuple(f"{path}/then/{number}" for number in range(count))
