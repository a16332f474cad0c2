"""Patterns: all, sequence, any, count, and what must not happen, each within its time."""

from __future__ import annotations

import pytest

from rules.documents.event_rule import When
from rules.events.machine import pattern_of
from tests.rules.events.conftest import START, Play, ids, moment, rule


def test_all_in_any_order() -> None:
    """Two events meet the pattern in whatever order they come, if they come within the time."""
    play = Play(rule({"all": ["a", "b"], "within": "10s"}))
    assert play.event("b", 0) == []
    (step,) = play.event("a", 9)
    assert (step.key, step.at, step.kind, ids(step)) == ("1", moment(9), "match", {"a": ["e2"], "b": ["e1"]})
    assert play.event("b", 20) == []
    assert play.event("a", 30) == [], "at the end of its time an event is forgotten"
    assert play.engine.state("1").events == {"a": ("e4",)}
    assert play.until(100) == []
    assert play.engine.state("1") is None


def test_keys_do_not_meet() -> None:
    """Events of different keys never belong together."""
    play = Play(rule({"all": ["a", "b"], "within": "10s"}))
    assert play.event("a", 0, "1") + play.event("b", 1, "2") == []
    assert sorted(play.engine.open_keys()) == ["1", "2"]
    assert [step.key for step in play.event("b", 2, "1")] == ["1"]


def test_a_sequence_keeps_its_order() -> None:
    """What comes too early does not count; what comes in order does."""
    play = Play(rule({"sequence": ["a", "b", "c"], "within": "60s"}))
    assert play.event("b", 0) + play.event("a", 1) + play.event("c", 2) + play.event("b", 3) == []
    (step,) = play.event("c", 4)
    assert ids(step) == {"a": ["e2"], "b": ["e4"], "c": ["e5"]}
    assert play.engine.state("1") is None


def test_the_rest_of_a_sequence_is_forgotten_with_its_beginning() -> None:
    """A second event without a first one left is not kept."""
    play = Play(rule({"sequence": ["a", "b", "c"], "within": "10s"}))
    play.event("a", 0)
    play.event("b", 5)
    assert play.until(10) == []
    assert play.engine.state("1") is None
    assert play.engine.due() is None


def test_a_number_of_events() -> None:
    """Three within the time, each counted once."""
    play = Play(rule({"count": {"event": "a", "times": 3}, "within": "10s"}))
    assert play.event("a", 0) + play.event("a", 5) + play.event("a", 11) == []
    (step,) = play.event("a", 12)
    assert ids(step) == {"a": ["e2", "e3", "e4"]}
    assert play.event("a", 13) == []


def test_any_of_them() -> None:
    """One event is enough, and nothing is kept."""
    play = Play(rule({"any": ["a", "b"]}))
    assert ids(play.event("b", 0)[0]) == {"b": ["e1"]}
    assert play.event("c", 1) == []
    assert play.engine.open_keys() == []


def test_what_does_not_happen() -> None:
    """The rule acts at the end of the time, unless it happens; one payment settles all that wait."""
    play = Play(rule({"all": ["a"], "absent": {"events": ["b", "c"], "within": "30s"}}))
    play.event("a", 0)
    play.event("a", 10)
    assert play.event("c", 20) == []
    assert play.engine.state("1") is None
    play.event("a", 40)
    play.event("a", 50)
    assert play.engine.due() == moment(70)
    assert len(play.engine.state("1").timers) == 2
    assert [(step.at, step.cause) for step in play.event("b", 75)] == [(moment(70), "4:absent")]
    assert play.until(1000) == []


def test_something_and_then_not_something_else() -> None:
    """The time begins when the whole pattern is met."""
    play = Play(rule({"sequence": ["a", "b"], "within": "10s", "absent": {"events": ["c"], "within": "60s"}}))
    play.event("a", 0)
    play.event("b", 5)
    live = play.engine.state("1")
    assert (live.since, live.numbers, [timer.due for timer in live.timers]) == (START, (1, 2), [moment(65)])
    (step,) = play.until(65)
    assert (step.at, ids(step)) == (moment(65), {"a": ["e1"], "b": ["e2"]})


def test_an_event_under_two_names() -> None:
    """One event can be heard under two names, and still counts once."""
    events = {"a": {"type": "a"}, "big": {"type": "a", "where": "big.amount > 10"}}
    play = Play(rule({"all": ["a", "big"], "within": "10s"}, events=events))
    assert play.event("a", 0, amount=50) == []
    (step,) = play.event("a", 1, amount=5)
    assert ids(step) == {"a": ["e2"], "big": ["e1"]}


def test_timers_of_one_moment_fire_in_order() -> None:
    """What was set first fires first."""
    play = Play(rule({"all": ["a"], "absent": {"events": ["b"], "within": "30s"}}))
    for key in "cab":
        play.event("a", 0, key)
    assert [step.key for step in play.until(30)] == ["c", "a", "b"]


def test_a_pattern_needs_events() -> None:
    """A pattern without events is a mistake of the caller."""
    with pytest.raises(ValueError, match="without events"):
        pattern_of(When())
