"""Simulations and examples of event rules, worked out by a process of their own (`webapp.events.child`)."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import config
from rules.text import Message, msg
from webapp.extensions import House, to_json

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0

log = logging.getLogger(__name__)


class SimulationRefused(Exception):
    """Nothing could be simulated; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Verdict:
    """How an example went; `problems` is empty if it came out as stated."""

    name: str
    problems: tuple[Message, ...]


def simulate(
    house: House,
    document: Mapping[str, Any],
    events: Sequence[Any],
    until: datetime | None = None,
    start: datetime | None = None,
) -> dict[str, Any]:
    """Return what a rule would do about events, as plain data; raises `SimulationRefused`.

    `entries` is the timeline: kind (event, match, move, action, note), at, key and what belongs to the kind; `live`
    what is open at the end (key, state, events, timers), `states` the last state by key. An event has type, data and
    at: a time, or how much later than `start` (10m). Timers fire up to `until`; all of them where it is left out.
    """
    question = {"document": document, "events": list(events), "until": until, "start": start}
    return _ask(house, {name: value for name, value in question.items() if value is not None})


def run_examples(house: House, document: Mapping[str, Any]) -> list[Verdict]:
    """Return how the examples of a rule go; raises `SimulationRefused`."""
    found = _ask(house, {"document": document})
    return [Verdict(v["name"], tuple(Message.from_json(p) for p in v["problems"])) for v in found["examples"]]


def _ask(house: House, question: Mapping[str, Any]) -> dict[str, Any]:
    settings = house.settings
    env = config.environment(SYNCLINE_DATA=str(settings.data), SYNCLINE_DATABASE_URL=settings.database_url)
    command = (sys.executable, "-m", "webapp.events.child")
    text = to_json(question)
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=text, env=env, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise SimulationRefused(msg("This takes more than {seconds} seconds. Use fewer events.", seconds=30)) from None
    if done.returncode:
        log.error("a simulation ended with %s: %s", done.returncode, done.stderr)
        raise SimulationRefused(msg("The simulation failed; the log has the details."))
    found: dict[str, Any] = json.loads(done.stdout)
    if "refused" in found:
        raise SimulationRefused(Message.from_json(found["refused"]))
    return found
