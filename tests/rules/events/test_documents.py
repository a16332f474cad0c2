"""What is wrong with an event rule is said at its place, before it is published."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rules.documents import DocumentError, dump_document, load_documents
from rules.documents.build import plain
from rules.documents.event_rule import Act, act_kind, seconds
from rules.events.check import check_event_rule
from rules.events.parse import event_rule_schema, parse_event_rule
from rules.events.rule import Ready
from rules.language.problems import Severity
from tests.rules.events.conftest import CASE, rule

ANY = {"any": ["a"]}
GO = {"on": "a", "to": "end"}
END = {"name": "end"}
WAY = "states/0/transitions/0"


def problems(document: dict[str, Any]) -> dict[str, str]:
    """Return place -> message of what is wrong, warnings included."""
    try:
        found = check_event_rule(parse_event_rule(document))
    except DocumentError as error:
        found = list(error.problems)
    return {p.path: str(p.message) for p in found}


def act(**kinds: Any) -> dict[str, Any]:
    return rule(ANY, then=[kinds], events={"a": {"type": "a"}})


def chart(form: str, *places: dict[str, Any], **more: Any) -> dict[str, Any]:
    return rule(events={"a": {"type": "a"}}, **{form: list(places)}, **more)


def state(way: dict[str, Any]) -> dict[str, Any]:
    return chart("states", {"name": "x", "transitions": [way]}, END)


def stage(way: dict[str, Any]) -> dict[str, Any]:
    return chart("flow", {"name": "x", "next": [way]})


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (rule({"within": "1m"}), "when", "Choose one of"),
    (rule({"any": ["a"], "all": ["b"]}), "when", "Choose one of"),
    (rule(), "when", "exactly one way"),
    (rule(ANY, flow=[{"name": "x"}]), "flow", "exactly one way"),
    (rule({"all": ["a", "b"]}), "when/within", "within which time"),
    (rule({"count": {"event": "a", "times": 2}}), "when/within", "within which time"),
    (rule({"any": ["a"], "within": "0s"}), "when/within", "longer than nothing"),
    (rule({"any": ["a"], "absent": {"events": ["b"], "within": "999d"}}), "when/absent/within", "at most 400 days"),
    (rule({"any": ["ordr"]}, events={"order": {"type": "a"}}), "when/any/0", "mean 'order'"),
    (rule({"any": ["zebra"]}), "when/any/0", "no event 'zebra'"),
    (rule({"count": {"event": "zebra", "times": 1}}), "when/count/event", "no event"),
    (rule({"any": ["a"], "absent": {"events": ["zebra"], "within": "1m"}}), "when/absent/events/0", "no event"),
    (rule({"any": ["a"], "within": "soon"}), "when/within", "not a time span"),
    (rule(ANY, then=[]), "then", "at least one action"),
    (rule(ANY, by="a.k + 1"), "by", "Name one field"),
    (rule(ANY, events={"a": {"type": "A b"}}), "events/a/type", "no type of events"),
    (rule(ANY, events={"a": {"type": "a"}, "B b": {"type": "b"}}), "events/B b", "is no name"),
    (rule(ANY, events={"a": {"type": "a"}, "key": {"type": "b"}}), "events/key", "means something else"),
    (rule(ANY, events={"a": {"type": "a"}, "a_all": {"type": "b"}}), "events/a_all", "means something else"),
    (rule(ANY, events={"a": {"type": "a", "where": "a.x >"}}), "events/a/where", ""),
    (rule(ANY, events={"a": {"type": "a", "where": "1 + 1"}}), "events/a/where", "boolean"),
    (rule(ANY, events={"a": {"type": "a", "by": "b.x + 1"}}), "events/a/by", "no field 'b'"),
    (rule(ANY, tests=[{"name": "x", "events": []}, {"name": "x", "events": []}]), "tests", "Two examples"),
    (act(), "then/0", "Choose one of"),
    (act(case={"title": "x"}, run={"rule": "x"}), "then/0", "Choose one of"),
    (act(update_record={"object": "x", "fields": {"y": "1"}}), "then/0/update_record/key", "which record"),
    (act(update_record={"object": "x", "key": {"n": "a.n +"}, "fields": {"y": "1"}}), "then/0/update_record/key/n", ""),
    (act(create_record={"object": "x", "fields": {"y": "b.x"}}), "then/0/create_record/fields/y", "no field 'b'"),
    (act(notify={}), "then/0/notify", "web_hook, email"),
    (act(notify={"web_hook": {"url": "http://x", "body": "b"}}), "then/0/notify/web_hook/body", "no field"),
    (act(notify={"email": {"to": ["x"], "subject": "{b}", "text": "x"}}), "then/0/notify/email/subject", "In {b}: "),
    (act(notify={"email": {"to": ["x"], "subject": "x", "text": "{"}}), "then/0/notify/email/text", "no partner"),
    (act(call={"connection": "x", "path": "/{b}", "body": "a"}), "then/0/call/path", "In {b}: "),
    (act(call={"connection": "x", "path": "/", "body": "b"}), "then/0/call/body", "no field"),
    (act(case={"title": "x", "details": {"y": "b"}}), "then/0/case/details/y", "no field"),
    (act(case={"title": "x"}, when="b"), "then/0/when", "no field"),
    (chart("states", {"name": "x", "transitions": [{"to": "x"}]}), "states/0/transitions/0/on", "Name the event"),
    (chart("states", {"name": "x"}, {"name": "x"}), "states/1/name", "another one above"),
    (chart("states", {"name": "x", "initial": True}, {"name": "y", "initial": True}), "states", "Only one"),
    (chart("states", {"name": "x", "final": True, "transitions": [GO]}, END), "states/0/transitions", "Nothing"),
    (chart("states", {"name": "x", "final": True, "initial": True}), "states/0/final", "cannot be final"),
    (state({"on": "a", "to": "en"}), f"{WAY}/to", "mean 'end'"),
    (state({"on": "a", "to": "zebra"}), f"{WAY}/to", "no 'zebra'"),
    (state({"after": "0s", "to": "x"}), f"{WAY}/after", "longer"),
    (state({**GO, "when": "b"}), f"{WAY}/when", "no field"),
    (stage({"on": "a", "after": "1m", "to": "x"}), "flow/0/next/0/after", "not for both"),
    (chart("flow", {"name": "x", "next": [{"to": "x"}]}), "flow/0", "nothing ever begins"),
    (chart("flow", {"name": "x", "next": [{**GO, "when": "b"}]}, {"name": "end"}), "flow/0/next/0/when", "no field"),
    (chart("flow", {"name": "x", "next": [GO]}, {"name": "end"}, {"name": "alone"}), "flow/2", "No way leads"),
    (chart("flow", {"name": "x"}, then=[CASE]), "then", "belong to them"),
    (rule(ANY), "events/b", "Nothing waits"),
]


@pytest.mark.parametrize(("document", "path", "text"), BROKEN, ids=[f"{p} {t}" for _, p, t in BROKEN])
def test_mistakes_are_said_at_their_place(document: dict[str, Any], path: str, text: str) -> None:
    """Every mistake has the path of its key and a sentence that says what to do."""
    found = problems(document)
    assert path in found, found
    assert text in found[path]


def test_a_chart_may_not_be_too_large() -> None:
    """The limit of the engine is told when the rule is checked."""
    many = [
        {"name": f"s{n}", "transitions": [{"on": "a", "to": f"s{(n + k) % 99}"} for k in range(3)]} for n in range(99)
    ]
    assert "at most 400" in problems(chart("states", *many))["states"]


def test_a_whole_rule_is_read_and_written() -> None:
    """A document comes back from its dataclasses and from YAML as it was."""
    document = rule(
        {"sequence": ["a", "b"], "within": "30m", "absent": {"events": ["c"], "within": "2d"}},
        events={"a": {"type": "a.x", "where": "a.n > 1"}, "b": {"type": "b", "by": "b.k + ''"}, "c": {"type": "c"}},
        then=[
            {"create_record": {"object": "x", "fields": {"y": "a.n"}}},
            {
                "update_record": {
                    "connection": "erp",
                    "object": "x",
                    "key": {"n": "key"},
                    "fields": {"y": "a.y"},
                }
            },
            {"call": {"connection": "crm", "method": "PUT", "path": "/{a.id}", "body": "{'at': a.event_at}"}},
            {"run": {"rule": "sync_it", "mode": "simulate"}, "retry": {"times": 1, "wait": "1m", "backoff": "fixed"}},
            {"case": {"title": "{{x}} {key}", "assignee": "ann", "details": {"n": "a.n"}}, "when": "now > a.event_at"},
            {"notify": {"email": {"to": ["a@b.c"], "subject": "{b.event_id}", "text": "t"}}},
        ],
        tests=[{"name": "x", "events": [{"type": "a.x", "data": {"k": 1}}], "expect": [{"do": "case"}]}],
    )
    parsed = parse_event_rule(document)
    assert [p for p in check_event_rule(parsed) if p.severity is Severity.ERROR] == []
    assert {"kind": "event_rule", **plain(parsed)} == document
    assert load_documents(dump_document(document))[0].document == document
    assert act_kind(parsed.then[3]) == "run"
    assert seconds(None) is None


def test_the_schema_says_what_each_key_means() -> None:
    """Every key of the document has a description."""

    def missing(schema: Any, path: str) -> list[str]:
        found = []
        for name, part in schema.get("properties", {}).items():
            found += [] if part.get("description") else [f"{path}/{name}"]
            for inner in (part, part.get("items"), part.get("additionalProperties")):
                found += missing(inner, f"{path}/{name}") if isinstance(inner, dict) else []
        return found

    assert missing(event_rule_schema(), "") == []


def test_the_rule_is_ready_only_if_it_is_right() -> None:
    """A rule with a mistake cannot be put to work."""
    with pytest.raises(DocumentError):
        Ready.of(rule({}))
    document = deepcopy(rule(ANY))
    Ready.of(document)
    assert document == rule(ANY), "reading a document leaves it as it is"


def test_an_empty_action_is_no_kind() -> None:
    """What has no kind cannot be asked for it."""
    with pytest.raises(StopIteration):
        act_kind(Act())


def test_events_that_may_not_have_been_seen_are_warned_of() -> None:
    """Of several possible events each may be missing, which a warning says; a chart gives none, since it depends."""
    either = rule({"any": ["a", "b"]}, then=[{"case": {"title": "{a.n}"}}], events={n: {"type": n} for n in "ab"})
    assert "may be empty" in problems(either)["then/0/case/title"]
    asked = rule({"any": ["a", "b"]}, then=[{"case": {"title": "x"}, "when": "b == null"}], events=either["events"])
    assert problems(asked) == {}
    way = {**GO, "when": "a.n > 1 && (a == null || a.x)"}
    assert problems(chart("states", {"name": "x", "transitions": [way]}, END)) == {}


def test_a_condition_of_an_event_sees_that_event_only() -> None:
    """Other events are not there yet when an event is heard."""
    events = {"a": {"type": "a", "where": "b.x"}, "b": {"type": "b"}}
    assert "no field 'b'" in problems(rule({"any": ["a", "b"]}, events=events))["events/a/where"]
