"""The adapter to durable-rules; nothing else imports it.

What was measured (2.0.28) and is guarded here:
- its host starts two threads that crash the process and die in forks: `_Host` starts none, so it has no clock either;
- a text, a nested value, NaN or arithmetic can end the process: only whole numbers get in, under names made here;
- 1024 live keys a ruleset end in corrupted memory, each takes some 140 KB, and a deleted ruleset gives none of it back:
  at most `RESIDENTS` keys are inside at a time; the others are kept as lists of what they have open and put back when
  their next event comes;
- deleting a key that has something open frees the same memory twice: it is emptied before, message by message;
- an action that raises is swallowed: actions here only append to a list, and what has fired is compared with what was
  expected (`EngineFailed`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from durable.engine import Host

from rules.events.interface import MAX_FIELDS, MAX_RULES, Chart, EngineFailed, Form, Pattern, TooLarge
from rules.text import N_, msg

RESIDENTS = 64
_LEAVE = 1_000_000
_LARGEST = 2**53

Fired = tuple[str, Any]


class _Host(Host):  # type: ignore[misc]
    """A host without threads, whose actions note that they were fired, and with which messages."""

    def __init__(self) -> None:
        self.fired: list[Fired] = []
        super().__init__()

    def _run(self) -> None:
        """Start nothing: whoever posts a message gets at once what follows from it."""

    def get_action(self, action_name: str) -> Callable[[Any], None]:
        """Return the action of this name."""

        def note(closure: Any) -> None:
            message = closure._m  # noqa: SLF001 - the engine's only way to all messages at once
            self.fired.append((action_name, message if message is not None else [one._d for one in closure.m]))  # noqa: SLF001

        return note


class Ruleset:
    """One ruleset of the engine, seen as messages of whole numbers in and fired rules out."""

    def __init__(self, rules: Mapping[str, Any], kind: str = "") -> None:
        self._count = 0
        self._host = _Host()
        self._host.register_rulesets({f"r{kind}": rules})

    def post(self, place: int, fields: Mapping[str, int]) -> list[Fired]:
        """Post a message for a key, given by the number of its place; return what has fired."""
        self._check(fields)
        self._count += 1
        self._host.fired.clear()
        try:
            self._host.post("r", {"id": self._count, "sid": str(place), **fields})
        except Exception as error:
            raise EngineFailed(f"the engine refused {dict(fields)}: {error!r}") from error
        return list(self._host.fired)

    def drop(self, place: int) -> None:
        """Forget a key that has nothing open."""
        try:
            self._host.delete_state("r", str(place))
        except Exception as error:
            raise EngineFailed(f"the engine could not forget a key: {error!r}") from error

    def _check(self, fields: Mapping[str, int]) -> None:
        if len(fields) > MAX_FIELDS:
            raise EngineFailed(f"a message has {len(fields)} fields; the engine takes {MAX_FIELDS}")
        for name, value in fields.items():
            if type(value) is not int or not -_LARGEST < value < _LARGEST or not name.isidentifier():
                raise EngineFailed(f"{name!r}: {value!r} must not get into the engine")


class _Residents:
    """Which keys are inside the engine; the one that was used longest ago makes room."""

    def __init__(self, limit: int) -> None:
        self._free = list(range(limit, 0, -1))
        self._places: OrderedDict[str, int] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def oldest(self) -> str | None:
        """Return the key that has to go before another can come, None where there is room."""
        return None if self._free else next(iter(self._places))

    def place(self, key: str) -> int:
        """Return the place of a key, a free one if it has none; the key counts as used now."""
        if key not in self._places:
            self._places[key] = self._free.pop()
        self._places.move_to_end(key)
        return self._places[key]

    def release(self, key: str) -> int:
        """Give the place of a key back and return it."""
        place = self._places.pop(key)
        self._free.append(place)
        return place


class DurablePatterns:
    """Correlates events with durable-rules; see `interface.Patterns`."""

    def __init__(self, pattern: Pattern, residents: int = RESIDENTS) -> None:
        rules = dict(_pattern_rules(pattern))
        _check_size(len(rules))
        self._pattern = pattern
        self._ruleset = Ruleset({name: {**rule, "run": name} for name, rule in rules.items()})
        self._inside = _Residents(residents)
        self._open: dict[str, dict[int, dict[str, int]]] = {}

    def event(self, key: str, number: int, places: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
        """Take an event; return the numbers at each place if the pattern is met."""
        fields = {"seq": number, **{f"f{place}": 1 for place in places}}
        place = self._enter(key)
        self._open[key][number] = fields
        fired = self._ruleset.post(place, fields)
        if not fired:
            return None
        if len(fired) > 1 or fired[0][0] != "match":
            raise EngineFailed(f"one event fired {fired}")
        met = self._met(fired[0][1])
        for used in {n for numbers in met for n in numbers}:
            del self._open[key][used]
        self._leave_if_empty(key)
        return met

    def expire(self, key: str, number: int) -> None:
        """Forget an event that is still open."""
        self._end(key, number)

    def wait(self, key: str, number: int) -> None:
        """Begin to wait."""
        fields = {"seq": number, "open": 1}
        place = self._enter(key)
        self._open[key][number] = fields
        if self._ruleset.post(place, fields):
            raise EngineFailed("a wait fired at its beginning")

    def end_wait(self, key: str, number: int) -> None:
        """End a wait."""
        self._end(key, number)

    def open(self, key: str) -> int:
        """Return how many events and waits are open."""
        return len(self._open.get(key, ()))

    def _met(self, message: Any) -> tuple[tuple[int, ...], ...]:
        if self._pattern.form is Form.COUNT and self._pattern.times > 1:
            return (tuple(sorted(one["seq"] for one in message)),)
        return tuple(
            (message[f"s{place}"]["seq"],) if f"s{place}" in message else () for place in range(self._pattern.places)
        )

    def _end(self, key: str, number: int) -> None:
        if number not in self._open.get(key, ()):
            raise EngineFailed(f"{number} is not open for {key!r}")
        self._take_out(self._enter(key), number)
        del self._open[key][number]
        self._leave_if_empty(key)

    def _take_out(self, place: int, number: int) -> None:
        fired = self._ruleset.post(place, {"over": number})
        if len(fired) != 1 or not fired[0][0].startswith("over") or fired[0][1]["e"]["seq"] != number:
            raise EngineFailed(f"{number} was to be taken out, but {fired} fired")

    def _enter(self, key: str) -> int:
        if key in self._inside:
            return self._inside.place(key)
        oldest = self._inside.oldest()
        if oldest is not None:
            self._park(oldest)
        place = self._inside.place(key)
        for fields in self._open.setdefault(key, {}).values():
            if self._ruleset.post(place, fields):
                raise EngineFailed(f"what was open for {key!r} fired when it was put back")
        return place

    def _park(self, key: str) -> None:
        place = self._inside.place(key)
        for number in self._open[key]:
            self._take_out(place, number)
        self._ruleset.drop(self._inside.release(key))

    def _leave_if_empty(self, key: str) -> None:
        if not self._open[key]:
            del self._open[key]
            self._ruleset.drop(self._inside.release(key))


class DurableCharts:
    """Walks through states with durable-rules' state charts; see `interface.Charts`."""

    def __init__(self, chart: Chart, residents: int = RESIDENTS) -> None:
        _check_size(2 * chart.states + len(chart.moves) + 1)
        self._chart = chart
        self._inside = _Residents(residents)
        self._states: dict[str, int] = {}
        self._ruleset = Ruleset(_chart_rules(chart), "$state")

    def enter(self, key: str, state: int) -> None:
        """Begin in a state."""
        if key in self._states:
            raise EngineFailed(f"{key!r} has begun already")
        self._states[key] = state
        self._place(key)

    def move(self, key: str, move: int) -> int:
        """Take a way out of the state at hand; return the new state."""
        source, target = self._chart.moves[move]
        if self._states.get(key) != source:
            raise EngineFailed(f"{key!r} is not in the state that move {move} leaves")
        self._go(self._place(key), move)
        self._states[key] = target
        return target

    def leave(self, key: str) -> None:
        """Forget a key."""
        if key in self._inside:
            self._park(key)
        del self._states[key]

    def _place(self, key: str) -> int:
        if key in self._inside:
            return self._inside.place(key)
        oldest = self._inside.oldest()
        if oldest is not None:
            self._park(oldest)
        place = self._inside.place(key)
        self._go(place, -1 - self._states[key])
        return place

    def _park(self, key: str) -> None:
        place = self._inside.release(key)
        self._go(place, _LEAVE)
        self._ruleset.drop(place)

    def _go(self, place: int, way: int) -> None:
        fired = [name for name, _ in self._ruleset.post(place, {"go": way})]
        if fired != [f"go{way}"]:
            raise EngineFailed(f"way {way} was to be taken, but {fired} fired")


def _check_size(rules: int) -> None:
    if rules > MAX_RULES:
        text = N_("The rule has {count} ways in all; the engine takes {limit}. Split it into several rules.")
        raise TooLarge(msg(text, count=rules, limit=MAX_RULES))


def _pattern_rules(pattern: Pattern) -> Iterator[tuple[str, dict[str, Any]]]:
    places = range(pattern.places)
    if pattern.form is Form.COUNT and pattern.times > 1:
        yield "match", {"all": [{"m": {"f0": 1}}], "count": pattern.times}
    elif pattern.form is Form.ANY:
        yield "match", {"any": [{f"s{n}": {f"f{n}": 1}} for n in places]}
    else:
        yield "match", {"all": [{f"s{n}": _place_test(pattern, n)} for n in places]}
    for n in places:
        yield f"over{n}", {"all": [{"e": {f"f{n}": 1}}, {"t": {"over": {"e": "seq"}}}]}
    yield "over_wait", {"all": [{"e": {"open": 1}}, {"t": {"over": {"e": "seq"}}}]}


def _place_test(pattern: Pattern, place: int) -> dict[str, Any]:
    test: dict[str, Any] = {f"f{place}": 1}
    if pattern.form is Form.SEQUENCE and place:
        return {"$and": [test, {"$gt": {"seq": {f"s{place - 1}": "seq"}}}]}
    return test


def _chart_rules(chart: Chart) -> dict[str, Any]:
    """Return a chart with a beginning that leads into every state, and an end into which every state leads."""
    rules: dict[str, Any] = {"begin": {f"b{n}": _way(-1 - n, f"s{n}") for n in range(chart.states)}, "end": {}}
    for n in range(chart.states):
        ways = {f"m{no}": _way(no, f"s{to}") for no, (source, to) in enumerate(chart.moves) if source == n}
        rules[f"s{n}"] = {**ways, "leave": _way(_LEAVE, "end")}
    return rules


def _way(number: int, to: str) -> dict[str, Any]:
    return {"all": [{"m": {"go": number}}], "to": to, "run": f"go{number}"}
