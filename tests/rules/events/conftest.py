"""Rules, events and times for the tests of event rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rules.events.interface import Event, Step
from rules.events.rule import Ready

START = datetime(2026, 1, 1, tzinfo=UTC)
CASE = {"case": {"title": "{key}"}}


def rule(when: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a rule over events a, b, c and d, by the field k."""
    head: dict[str, Any] = {"kind": "event_rule", "name": "r", "by": "k", "events": {n: {"type": n} for n in "abcd"}}
    return {**head, **({"when": when, "then": [CASE]} if when else {}), **more}


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Play:
    """One rule at work, seen through its steps."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.ready = Ready.of(document)
        self.engine = self.ready.engine
        self.number = 0

    def event(self, type_: str, at: float, key: str = "1", **data: Any) -> list[Step]:
        self.number += 1
        event = Event(f"e{self.number}", type_, moment(at), {"k": key, **data})
        heard, _ = self.ready.listener.hear(self.number, event)
        return [step for one in heard for step in self.engine.feed(one, moment(at))]

    def until(self, at: float) -> list[Step]:
        return self.engine.advance(moment(at))


def ids(step: Step) -> dict[str, list[str]]:
    return {name: [event.id for event in seen] for name, seen in step.seen.items()}
