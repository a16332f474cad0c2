"""The law that everything rests on: what is open, rebuilt from the events it needs, goes on as if nothing had been."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.events.interface import Event, Heard, Step
from rules.events.rule import Ready
from tests.rules.events.conftest import CASE, moment, rule
from tests.rules.events.test_charts import CHART

RULES: dict[str, dict[str, Any]] = {
    "all": rule({"all": ["a", "b"], "within": "20s"}),
    "three": rule({"all": ["a", "b", "c"], "within": "20s"}),
    "sequence": rule({"sequence": ["a", "b", "c"], "within": "20s"}),
    "count": rule({"count": {"event": "a", "times": 3}, "within": "20s"}),
    "absent": rule({"all": ["a"], "absent": {"events": ["b"], "within": "15s"}}),
    "both": rule({"sequence": ["a", "b"], "within": "20s", "absent": {"events": ["c"], "within": "15s"}}),
    "two names": rule(
        {"all": ["a", "d"], "within": "20s"},
        events={"a": {"type": "a"}, "d": {"type": "a", "where": "d.n > 1"}, "b": {"type": "b"}, "c": {"type": "c"}},
    ),
    "chart": CHART,
    "flow": rule(
        flow=[
            {"name": "start", "next": [{"on": "a", "to": "decide"}]},
            {"name": "decide", "next": [{"to": "wait", "when": "a.n > 1"}, {"to": "end"}]},
            {"name": "wait", "then": [CASE], "next": [{"on": "b", "to": "decide"}, {"after": "12s", "to": "late"}]},
            {"name": "late", "next": [{"on": "c", "to": "end"}, {"after": "7s", "to": "wait"}]},
            {"name": "end"},
        ]
    ),
}
HAPPENING = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 9), st.integers(0, 3))


def heard(ready: Ready, happening: tuple[str, str, int, int], number: int, at: int) -> list[Heard]:
    type_, key, _, n = happening
    event = Event(f"e{number}", type_, moment(at), {"k": key, "n": n, "ok": n > 1})
    return ready.listener.hear(number, event)[0]


def rebuilt(document: dict[str, Any], old: Ready, kept: dict[int, tuple[Heard, int]], clock: int) -> Ready:
    """Return a new machine that was given only the events that the old one still needs."""
    new = Ready.of(document)
    needed: dict[int, set[str]] = {}
    for key in old.engine.open_keys():
        for number in old.engine.state(key).numbers:
            needed.setdefault(number, set()).add(key)
    for number in sorted(needed):
        one, at = kept[number]
        assert needed[number] == {one.key}
        new.engine.feed(one, moment(at))
    new.engine.advance(moment(clock))
    return new


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=60)
@given(happenings=st.lists(HAPPENING, max_size=40), cut=st.integers(0, 40), pause=st.integers(0, 9))
def test_a_rebuilt_machine_goes_on_alike(
    name: str, happenings: list[tuple[str, str, int, int]], cut: int, pause: int
) -> None:
    """Cut anywhere: the rebuilt machine holds the same, and does the same about all that follows."""
    document = RULES[name]
    whole, clock = Ready.of(document), 0
    kept: dict[int, tuple[Heard, int]] = {}
    other: Ready | None = None
    for number, happening in enumerate(happenings, 1):
        if number - 1 == cut:
            clock += pause
            whole.engine.advance(moment(clock))
            other = rebuilt(document, whole, kept, clock)
            assert same(whole) == same(other)
        clock += happening[2]
        for one in heard(whole, happening, number, clock):
            kept[number] = (one, clock)
            steps = whole.engine.feed(one, moment(clock))
            if other is not None:
                assert other.engine.feed(one, moment(clock)) == steps
    if other is not None:
        assert whole.engine.advance(moment(clock + 50)) == other.engine.advance(moment(clock + 50))
        assert same(whole) == same(other)


def same(ready: Ready) -> dict[str, Any]:
    return {key: ready.engine.state(key) for key in ready.engine.open_keys()}


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=40)
@given(happenings=st.lists(HAPPENING, max_size=30), looks=st.lists(st.integers(0, 200), max_size=10))
def test_it_does_not_matter_how_often_one_looks(
    name: str, happenings: list[tuple[str, str, int, int]], looks: list[int]
) -> None:
    """Advancing in between changes nothing but when the steps are told."""
    assert run(name, happenings, []) == run(name, happenings, looks)


def run(name: str, happenings: list[tuple[str, str, int, int]], looks: list[int]) -> list[Step]:
    ready, clock, steps = Ready.of(RULES[name]), 0, []
    for number, happening in enumerate(happenings, 1):
        before, clock = clock, clock + happening[2]
        for look in sorted(look for look in looks if before <= look <= clock):
            steps += ready.engine.advance(moment(look))
        for one in heard(ready, happening, number, clock):
            steps += ready.engine.feed(one, moment(clock))
    return [*steps, *ready.engine.advance(moment(clock + 60))]


@settings(max_examples=100)
@given(happenings=st.lists(HAPPENING, max_size=40))
def test_pairs_are_those_of_a_plain_model(happenings: list[tuple[str, str, int, int]]) -> None:
    """For two events in any order, the engine finds what a few lines of Python find: the latest partner in time."""
    ready, clock, found, expected = Ready.of(RULES["all"]), 0, [], []
    open_: dict[str, list[tuple[str, int, int]]] = {}
    for number, happening in enumerate(happenings, 1):
        clock += happening[2]
        type_, key = happening[:2]
        for one in heard(ready, happening, number, clock):
            steps = ready.engine.feed(one, moment(clock))
            found += [(step.key, sorted(seen[0].id for seen in step.seen.values())) for step in steps]
        if type_ in "ab":
            mine = [held for held in open_.get(key, []) if held[2] > clock - 20]
            partners = [held for held in mine if held[0] != type_]
            if partners:
                mine.remove(partners[-1])
                expected.append((key, sorted([f"e{partners[-1][1]}", f"e{number}"])))
            else:
                mine.append((type_, number, clock))
            open_[key] = mine
    assert found == expected
