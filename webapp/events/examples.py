"""Examples of an event rule as the simulation's page reads and writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rules.documents.policies import DURATION, duration
from rules.events.simulate import START, read_events
from rules.text import N_, msg
from webapp.events.form_document import form_of
from webapp.events.known import listed
from webapp.events.pasted import Unreadable
from webapp.web.storable import natural

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def text_of(document: Mapping[str, Any], chosen: str) -> tuple[str, str]:
    """Return the events of an example as JSON lines, and until when it goes; those of the first if none is chosen."""
    tests = listed(document, "tests")
    number = natural(chosen) or 0
    if number >= len(tests):
        return "", ""
    one = tests[number]
    lines = (json.dumps(event, ensure_ascii=False) for event in listed(one, "events"))
    return "\n".join(lines), str(one.get("until") or "")


def times(items: Sequence[Any], until: str) -> tuple[datetime, datetime | None]:
    """Return when a simulation begins and until when timers fire (None: all of them); raises `Unreadable`."""
    start = read_events(list(items))[0].at if items else START
    if not until:
        return START, None
    if re.fullmatch(DURATION, until):
        return START, start + duration(until)
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Unreadable(msg(_NOT_A_TIME, text=until))
    return START, moment


_NOT_A_TIME = N_(
    "Until when: '{text}' is neither a time span, like 2h, nor a time with its zone, 2026-01-31T12:00:00Z."
)


def example_of(name: str, items: Sequence[Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return events, and what a simulation made of them, as an example; raises `Unreadable`."""
    events = sorted(read_events(list(items)), key=lambda event: event.at)
    start = events[0].at
    told = [{"type": e.type, **_at(e.at - start), **({"data": e.data} if e.data else {})} for e in events]
    expect = []
    for entry in found["entries"]:
        if entry["kind"] == "action":
            if entry["problem"]:
                raise Unreadable(msg("An action could not be worked out; such a simulation is no example."))
            at = datetime.fromisoformat(entry["at"]) - start
            key = {"key": entry["key"]} if entry["key"] else {}
            expect.append({"do": entry["do"], **key, "at": span(at), "values": entry["values"]})
    example: dict[str, Any] = {
        "name": name[:200],
        "events": told,
        "until": span(datetime.fromisoformat(found["end"]) - start),
    }
    states = {key: state for key, state in found["states"].items() if key}
    return {**example, **({"expect": expect} if expect else {}), **({"states": states} if states else {})}


def _at(after: timedelta) -> dict[str, str]:
    return {"at": span(after)} if after else {}


def span(after: timedelta) -> str:
    """Return a time span as documents write it, in the largest unit that says it exactly."""
    count = round(after / timedelta(milliseconds=1))
    return next(f"{count // size}{unit}" for unit, size in _UNITS if count % size == 0) if count else "0s"


def labels(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what people call the states or stages of a rule."""
    held = document.get(form_of(document))
    places = [p for p in held if isinstance(p, Mapping)] if isinstance(held, list) else []
    return {str(p.get("name")): str(p.get("label") or p.get("name")) for p in places}
