"""Simulation: what a rule would do about pasted events, on a clock of its own; and a rule's own examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rules.documents import DocumentError
from rules.documents.event_rule import Notify
from rules.events import work
from rules.events.examples import run_examples
from rules.events.interface import Event
from rules.events.scope import CannotWorkOut, Moment, Scope, Template, text_of, work_out
from rules.events.simulate import MAX_ENTRIES, START, BadEvent, read_events, simulate
from rules.language.problems import ExpressionError
from tests.rules.events.conftest import CASE, Play, rule
from tests.rules.events.test_charts import CHART

UNPAID = rule(
    {"all": ["a"], "absent": {"events": ["b"], "within": "30m"}},
    events={"a": {"type": "a", "where": "a.amount > 10"}, "b": {"type": "b"}},
    then=[{"case": {"title": "{key} owes {a.amount}"}}, {"run": {"rule": "x"}, "when": "a.amount > 100"}],
)


def timeline(document: dict[str, Any], *events: dict[str, Any], until: datetime | None = None) -> list[tuple[Any, ...]]:
    found = []
    for entry in simulate(document, read_events(list(events)), until).entries:
        what = "event" if entry.event else "note" if entry.note else entry.work.kind if entry.work else entry.step.kind
        found.append((entry.at - START, what, entry.key))
    return found


def test_a_timeline() -> None:
    """Events, steps, actions and notes stand in the order of time; timers fire on the clock of the simulation."""
    minutes = [timedelta(minutes=n) for n in range(60)]
    assert timeline(
        UNPAID,
        {"type": "b", "at": "20m", "data": {"k": "2"}},
        {"type": "a", "at": "0s", "data": {"k": "1", "amount": 500}},
        {"type": "a", "at": "5m", "data": {"k": "2", "amount": 50}},
        {"type": "a", "at": "6m", "data": {"k": "3", "amount": 5}},
        {"type": "a", "at": "7m", "data": {"k": "3", "amount": "many"}},
    ) == [
        (minutes[0], "event", "1"),
        (minutes[5], "event", "2"),
        (minutes[6], "event", None),
        (minutes[7], "event", None),
        (minutes[7], "note", None),
        (minutes[20], "event", "2"),
        (minutes[30], "match", "1"),
        (minutes[30], "case", "1"),
        (minutes[30], "run", "1"),
    ]


def test_the_end_of_a_simulation() -> None:
    """Timers fire up to a given time; what is open then is told."""
    events = read_events([{"type": "a", "data": {"k": "1", "amount": 500}}])
    early = simulate(UNPAID, events, START + timedelta(minutes=29))
    assert early.works == ()
    assert early.live["1"].timers[0].due == START + timedelta(minutes=30)
    assert early.end == START + timedelta(minutes=29)
    late = simulate(UNPAID, events)
    assert [made.values.get("title") for _, made in late.works] == ["1 owes 500", None]
    assert (late.live, late.end) == ({}, START + timedelta(minutes=30))
    assert simulate(UNPAID, []).end == START
    assert simulate(UNPAID, [], START + timedelta(1)).end == START + timedelta(1)


def test_the_states_of_processes() -> None:
    """The last state of each key is told, also of those that have ended; a note says what could not be worked out."""
    events = [{"type": "a", "data": {"k": key}} for key in "12"] + [{"type": "b", "data": {"k": "1", "ok": "?"}}]
    found = simulate(CHART, read_events(events), START)
    assert found.states == {"1": "bad", "2": "waiting"}
    assert [str(entry.note)[:13] for entry in found.entries if entry.note] == ["The condition"]


def test_a_chart_that_never_ends_is_cut_off() -> None:
    """A simulation has an end even where the process has none."""
    document = rule(
        states=[
            {"name": "x", "transitions": [{"on": "a", "to": "y"}]},
            {"name": "y", "transitions": [{"after": "1s", "to": "y"}]},
        ]
    )
    found = simulate(document, read_events([{"type": "a", "data": {"k": 1}}]))
    assert MAX_ENTRIES < len(found.entries) < MAX_ENTRIES + 10


@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        [1],
        [{"at": "1m"}],
        [{"type": 1}],
        [{"type": "a", "x": 1}],
        [{"type": "a", "at": "soon"}],
        [{"type": "a", "at": "2026-01-01T10:00:00"}],
        [{"type": "a"}] * 1001,
    ],
)
def test_events_that_cannot_be_read(items: Any) -> None:
    """A mistake in pasted events is told with the number of the event."""
    with pytest.raises(BadEvent):
        read_events(items)


def test_events_are_read() -> None:
    """Times may be absolute or relative to the start; one that is left out is that of the event before."""
    found = read_events(
        [{"type": "a", "at": "2026-05-01T10:00:00+02:00", "id": "x"}, {"type": "b"}, {"type": "c", "at": "1h"}]
    )
    assert [event.id for event in found] == ["x", "e2", "e3"]
    assert found[0].at == found[1].at == datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert found[2].at == START + timedelta(hours=1)


def examples(**more: Any) -> list[str]:
    """Return the problems of one example of the rule above."""
    events = [{"type": "a", "data": {"k": "1", "amount": 50}}]
    test = {"name": "x", "events": events, "until": "1h", "expect": [{"do": "case"}], **more}
    (verdict,) = run_examples({**UNPAID, "tests": [test]})
    assert verdict.passed == (not verdict.problems)
    return [str(problem) for problem in verdict.problems]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"expect": [{"do": "run"}]}, "Action 1 is case, not run."),
        ({"expect": []}, "Action 1: case was done, but nothing was expected."),
        ({"expect": [{"do": "case"}, {"do": "run"}]}, "Action 2: run was expected, but nothing was done."),
        ({"expect": [{"do": "case", "key": "2"}]}, "Action 1 is for '1', not for '2'."),
        ({"expect": [{"do": "case", "at": "29m"}]}, "Action 1 is done after 0:30:00, not after 29m."),
        ({"expect": [{"do": "case", "values": {"title": "x"}}]}, "Action 1: title is '1 owes 50', not 'x'."),
        ({"expect": [{"do": "case", "values": {"details": {"n": 1}}}]}, "Action 1: details/n is None, not 1."),
        ({"states": {"1": "paid"}}, "'1' is in the state '-' at the end, not in 'paid'."),
        ({"until": "10m"}, "Action 1: case was expected, but nothing was done."),
    ],
)
def test_an_example_that_fails_says_what_differs(more: dict[str, Any], problem: str) -> None:
    """Number, kind, key, time and values of the actions are compared, and the states at the end."""
    assert examples(**more) == [problem]


def test_examples_that_come_out_as_stated() -> None:
    """Only what an example names is compared."""
    assert examples(expect=[{"do": "case", "at": "30m", "key": "1", "values": {"title": "1 owes 50"}}]) == []
    assert run_examples({**UNPAID, "tests": [{"name": "nothing", "events": []}]})[0].passed
    chart = {"name": "x", "events": [{"type": "a", "data": {"k": 1}}], "states": {"1": "waiting"}}
    assert [str(p) for p in run_examples({**CHART, "tests": [chart]})[0].problems] == [
        "Action 1: case was done, but nothing was expected.",
        "Action 2: case was done, but nothing was expected.",
    ]
    with pytest.raises(DocumentError):
        run_examples(rule({}))


def test_an_action_without_values_fails_its_example() -> None:
    """What cannot be worked out is told."""
    document = {**UNPAID, "then": [{"case": {"title": "{a.nothing}"}}]}
    test = {
        "name": "x",
        "events": [{"type": "a", "data": {"k": "1", "amount": 50}}],
        "until": "1h",
        "expect": [{"do": "case"}],
    }
    assert "nothing" in str(run_examples({**document, "tests": [test]})[0].problems[0])


EVENT = Event(
    "e1", "a", START, {"n": 2.0, "t": "x/y", "l": [1, "b"], "m": {"k": None}, "f": 1.5, "yes": True, "no": None}
)
SCOPE = Scope(("a", "b"))
MOMENT = Moment("k1", START + timedelta(hours=1), {"a": (Event("e0", "a", START, {"n": 1}), EVENT)})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a.n + 1", 3),
        ("key", "k1"),
        ("now > a.event_at", True),
        ("now", "2026-01-01T01:00:00+00:00"),
        ("a.event_id", "e1"),
        ("size(a_all)", 2),
        ("a_all.map(x, x.n)", [1, 2]),
        ("b == null", True),
        ("1 + 1", 2),
        ("decimal('1.50')", "1.5"),
        ("date('2026-01-31')", "2026-01-31"),
        ("bytes('a')", "61"),
        ("b.event_at == null", True),
        ("{'n': a.n, 'l': a.l}", {"n": 2, "l": [1, "b"]}),
        ("size(b_all)", 0),
        ("a.m", {"k": None}),
    ],
)
def test_values_of_expressions(expression: str, value: Any) -> None:
    """Parts of events, the events themselves and all that were seen have their values as JSON holds them."""
    found = work_out(SCOPE.compile(expression), SCOPE, MOMENT)
    assert found == value or str(found).rstrip("0").rstrip(".") == value


def test_an_expression_without_a_value() -> None:
    """What an event does not have is told by name."""
    with pytest.raises(CannotWorkOut, match="nothing"):
        work_out(SCOPE.compile("a.nothing + 1"), SCOPE, MOMENT)


def test_texts_with_expressions() -> None:
    """Whole numbers have no decimals, nothing is nothing, braces can be meant, addresses are quoted."""
    text = "{{{a.n}}} {a.t} {a.f} {a.yes} {a.no}|{a.l}{a.m}"
    assert Template.of(text).fill(SCOPE, MOMENT) == '{2} x/y 1.5 true |[1, "b"]{"k": null}'
    assert Template.of("/{a.t}/{!a.yes}").fill(SCOPE, MOMENT, address=True) == "/x%2Fy/false"
    for broken in ("a}", "{", "x\n{ y"):
        with pytest.raises(ExpressionError):
            Template.of(broken)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("x", "x"),
        (7, "7"),
        (7.0, "7"),
        (1.5, "1.5"),
        (True, "true"),
        ("", None),
        (None, None),
        ([1], None),
        (float("nan"), None),
    ],
)
def test_what_can_be_a_key(value: Any, key: str | None) -> None:
    """Texts and numbers can be keys, 7 and 7.0 the same; what is empty or nested cannot."""
    assert text_of(value) == key


@pytest.mark.parametrize(
    ("by", "data", "key"),
    [
        ("k", {"k": 7}, "7"),
        ("c.id", {"c": {"id": "x"}}, "x"),
        ("c.id", {"c": 5}, None),
        ("k", {"k": "x" * 201}, None),
        ("k", {"k": "a\x00b"}, None),
        ("k", [1], None),
    ],
)
def test_keys_of_events(by: str, data: Any, key: str | None) -> None:
    """The key is a field of the event or of a part of it; an event without a usable one is left aside with a note."""
    play = Play(rule({"any": ["a"]}, by=by))
    heard, notes = play.ready.listener.hear(1, Event("e", "a", START, data))
    assert [one.key for one in heard] == ([key] if key else [])
    assert len(notes) == (0 if key else 1)


def test_keys_by_expression_and_without_any() -> None:
    """One event may have its own expression, one name may go to different keys; without `by` all belong together."""
    events = {
        "a": {"type": "a", "by": "a.x.upper()"},
        "b": {"type": "a", "by": "y"},
        "c": {"type": "c"},
        "d": {"type": "d"},
    }
    play = Play(rule({"any": ["a", "b"]}, events=events))
    heard, _ = play.ready.listener.hear(1, Event("e", "a", START, {"x": "k", "y": "l"}))
    assert [(one.key, one.names) for one in heard] == [("K", ("a",)), ("l", ("b",))]
    together = {k: v for k, v in rule({"any": ["a"]}).items() if k != "by"}
    assert [one.key for one in Play(together).ready.listener.hear(1, Event("e", "a", START, {}))[0]] == [""]
    assert play.ready.listener.types == {"a", "c", "d"}


def test_what_a_web_hook_is_told() -> None:
    """Without a body of its own it is told the rule, the key, the time and the events."""
    hooks = [
        {"notify": {"web_hook": {"url": "http://x"}}},
        {"notify": {"web_hook": {"url": "http://x", "body": "a.n"}}},
    ]
    play = Play(rule({"any": ["a"]}, then=hooks))
    (step,) = play.event("a", 0, n=5)
    whole, short = (made.values["web_hook"]["body"] for made in play.ready.works(step))
    assert short == 5
    assert whole["events"]["a"] == [
        {"id": "e1", "type": "a", "at": "2026-01-01T00:00:00+00:00", "data": {"k": "1", "n": 5}}
    ]


def test_the_values_of_each_kind_of_action() -> None:
    """Every kind of action has its values worked out from the events."""
    acts = [
        {"update_record": {"object": "x", "key": {"no": "key"}, "fields": {"n": "a.n * 2"}}},
        {"call": {"connection": "erp", "path": "/x/{a.s}", "method": "DELETE"}},
        {"call": {"connection": "erp", "path": "/x", "body": "[a.n]"}},
        {"run": {"rule": "other"}},
        {"notify": {"email": {"to": ["a@b.c"], "subject": "{key}", "text": "{a.n} pieces"}}},
        {"create_record": {"object": "x", "fields": {"n": "a.n / 0"}}},
    ]
    play = Play(rule({"any": ["a"]}, then=acts))
    made = play.ready.works(play.event("a", 0, n=5, s="u/v")[0])
    assert [one.values for one in made] == [
        {"connection": "hub", "object": "x", "key": {"no": "1"}, "fields": {"n": 10}},
        {"connection": "erp", "method": "DELETE", "path": "/x/u%2Fv"},
        {"connection": "erp", "method": "POST", "path": "/x", "body": [5]},
        {"rule": "other", "mode": "live"},
        {"email": {"to": ["a@b.c"], "subject": "1", "text": "5 pieces"}},
        {},
    ]
    assert [one.problem is None for one in made] == [True] * 5 + [False]


def test_actions_of_other_kinds_are_mistakes() -> None:
    """A part that is no action, or a message without a way, is a mistake of the caller."""
    with pytest.raises(TypeError):
        work._values(CASE, work._Filler(SCOPE, MOMENT, "r"))
    with pytest.raises(TypeError):
        work._values(Notify(), work._Filler(SCOPE, MOMENT, "r"))
