"""The process that simulates: reads a question as JSON, answers as JSON, ends.

The console and the command line ask it, so that the engine never runs inside them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import config
from rules.documents import DocumentError
from rules.events.examples import run_examples
from rules.events.interface import Live, TooLarge
from rules.events.simulate import START, BadEvent, Entry, Simulation, read_events, simulate
from rules.language.library import Library
from rules.text import Message
from webapp.extensions import open_house, to_json
from webapp.rulebook.library import library


def answer(question: Mapping[str, Any], shelf: Library) -> dict[str, Any]:
    """Return the answer to a question: a timeline, or how the examples of a rule went."""
    document = question["document"]
    try:
        if "events" not in question:
            verdicts = run_examples(document, shelf)
            return {"examples": [{"name": v.name, "problems": [p.to_json() for p in v.problems]} for v in verdicts]}
        start = datetime.fromisoformat(question["start"]) if question.get("start") else START
        until = datetime.fromisoformat(question["until"]) if question.get("until") else None
        return plain(simulate(document, read_events(question["events"], start), until, shelf))
    except (BadEvent, TooLarge) as error:
        return {"refused": error.message.to_json()}
    except DocumentError as error:
        return {"refused": error.problems[0].message.to_json()}


def plain(simulation: Simulation) -> dict[str, Any]:
    """Return a simulation as JSON holds it."""
    return {
        "entries": [_entry(entry) for entry in simulation.entries],
        "live": [_live(live) for live in simulation.live.values()],
        "states": dict(simulation.states),
        "end": simulation.end,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    head = {"at": entry.at, "key": entry.key}
    if entry.note is not None:
        return {**head, "kind": "note", "message": entry.note.to_json()}
    if entry.event is not None:
        names = list(entry.heard.names) if entry.heard else []
        return {**head, "kind": "event", "id": entry.event.id, "type": entry.event.type, "names": names}
    if entry.work is not None:
        problem = entry.work.problem.to_json() if entry.work.problem else None
        values = {"path": entry.work.path, "do": entry.work.kind, "values": dict(entry.work.values)}
        return {**head, "kind": "action", **values, "problem": problem}
    step = entry.step
    if step is None:
        raise TypeError("an empty line")
    events = {name: [one.id for one in seen] for name, seen in step.seen.items()}
    return {**head, "kind": step.kind, "before": step.before, "after": step.after, "events": events}


def _live(live: Live) -> dict[str, Any]:
    timers = [{"due": timer.due, "name": timer.name} for timer in live.timers]
    return {"key": live.key, "since": live.since, "state": live.state, "events": dict(live.events), "timers": timers}


def main() -> None:
    """Answer one question."""
    house = open_house(config.from_environment())
    try:
        found = answer(json.load(sys.stdin), library(house))
    finally:
        house.db.engine.dispose()
    sys.stdout.write(to_json(found))


def message_of(data: Mapping[str, Any] | None) -> Message | None:
    """Return the message in an answer."""
    return Message.from_json(data) if data else None


if __name__ == "__main__":
    main()
