"""State charts and flow charts: one process for each key."""

from __future__ import annotations

from typing import Any

from tests.rules.events.conftest import CASE, Play, moment, rule


def states(*items: dict[str, Any]) -> dict[str, Any]:
    return rule(states=list(items))


CHART = states(
    {"name": "begin", "transitions": [{"on": "a", "to": "waiting", "then": [CASE]}]},
    {
        "name": "waiting",
        "then": [CASE],
        "transitions": [
            {"on": "b", "when": "b.ok", "to": "good"},
            {"on": "b", "to": "bad"},
            {"on": "c", "to": "waiting"},
            {"after": "1h", "when": "size(c_all) < 2", "to": "late"},
        ],
    },
    {"name": "late", "transitions": [{"on": "b", "to": "good"}]},
    {"name": "good", "final": True},
    {"name": "bad", "final": True},
)


def path(steps: list[Any]) -> list[tuple[str, str]]:
    return [(step.before, step.after) for step in steps]


def test_a_process_begins_moves_and_ends() -> None:
    """The first way whose condition holds is taken, with the actions of the way and of the state."""
    play = Play(CHART)
    assert play.event("b", 0, ok=True) == [], "nothing has begun"
    (step,) = play.event("a", 1)
    assert (path([step]), step.acts) == ([("begin", "waiting")], ("states/0/transitions/0/then/0", "states/1/then/0"))
    assert play.engine.state("1").state == "waiting"
    assert path(play.event("b", 2, ok=False)) == [("waiting", "bad")]
    assert play.engine.state("1") is None
    play.event("a", 3)
    assert path(play.event("b", 4, ok=True)) == [("waiting", "good")]


def test_a_state_may_last_only_so_long() -> None:
    """The time of a state begins anew with each arrival; a way whose condition does not hold then is not taken."""
    play = Play(CHART)
    play.event("a", 0)
    assert path(play.event("c", 1800)) == [("waiting", "waiting")]
    assert play.until(3700) == []
    assert path(play.until(5400)) == [("waiting", "late")]
    assert path(play.event("b", 9000)) == [("late", "good")]
    play.event("a", 10_000)
    play.event("c", 10_001)
    play.event("c", 10_002)
    assert play.until(20_000) == []
    assert play.engine.due() is None
    assert play.engine.state("1").state == "waiting"


def test_a_condition_that_cannot_be_worked_out_is_told() -> None:
    """The way is not taken, and a note says why."""
    play = Play(CHART)
    play.event("a", 0)
    assert path(play.event("b", 1, ok="perhaps")) == [("waiting", "bad")]
    assert "cannot be worked out" in str(play.engine.notes[0].message)


def test_a_flow_goes_on_by_itself() -> None:
    """Stages without anything to wait for follow at once; conditions see all events so far."""
    flow = [
        {"name": "start", "next": [{"on": "a", "to": "decide"}]},
        {"name": "decide", "next": [{"to": "big", "when": "a.amount > 100"}, {"to": "small"}]},
        {"name": "big", "then": [CASE], "next": [{"on": "b", "to": "end"}, {"after": "1h", "to": "small"}]},
        {"name": "small"},
        {"name": "end"},
    ]
    play = Play(rule(flow=flow))
    steps = play.event("a", 0, amount=500)
    assert path(steps) == [("start", "decide"), ("decide", "big")]
    assert len({step.cause for step in steps}) == 2
    assert [timer.due for timer in play.engine.state("1").timers] == [moment(3600)]
    assert path(play.event("a", 1, "2", amount=5)) == [("start", "decide"), ("decide", "small")]
    assert play.engine.open_keys() == ["1"]
    assert path(play.until(3600)) == [("big", "small")]


def test_a_flow_in_a_circle_is_stopped() -> None:
    """A flow that never waits is stopped after a hundred stages, with a note."""
    flow = [
        {"name": "start", "next": [{"on": "a", "to": "left"}]},
        {"name": "left", "next": [{"to": "right"}]},
        {"name": "right", "next": [{"to": "left"}]},
    ]
    play = Play(rule(flow=flow))
    assert len(play.event("a", 0)) == 100
    assert "100 stages" in str(play.engine.notes[0].message)
    assert play.engine.state("1").state in ("left", "right")


def test_the_initial_state_need_not_be_the_first() -> None:
    """A state says that it is the initial one; with none that does, it is the first."""
    play = Play(states({"name": "end"}, {"name": "begin", "initial": True, "transitions": [{"on": "a", "to": "end"}]}))
    assert path(play.event("a", 0)) == [("begin", "end")]


def test_a_stage_without_a_way_that_fits_stays() -> None:
    """If no condition holds, the process waits where it is."""
    flow = [
        {"name": "start", "next": [{"on": "a", "to": "decide"}]},
        {"name": "decide", "next": [{"to": "end", "when": "a.amount > 100"}, {"on": "b", "to": "end"}]},
        {"name": "end"},
    ]
    play = Play(rule(flow=flow))
    assert path(play.event("a", 0, amount=5)) == [("start", "decide")]
    assert path(play.event("b", 1)) == [("decide", "end")]
