"""Runs and their records as the API shows them."""

from __future__ import annotations

import json
from typing import Any

from rules.documents.policies import Priority
from rules.text import Message
from webapp.runs import reading
from webapp.runs.requests import MODES
from webapp.web.api import ApiError
from webapp.web.storable import natural

KINDS = ("sync", "replay", "approved", "undo", "records", "part", "verify", "rebaseline")
COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}
SLICE = {
    "type": "object",
    "properties": {
        "slice": {"type": "integer"},
        "state": {"enum": ["queued", "running", "done"]},
        "worker": {"type": ["string", "null"]},
        "attempts": {"type": "integer"},
        "counts": COUNTS,
    },
}
RUN = {
    "type": "object",
    "properties": {
        "run": {"type": "integer"},
        "rule": {"type": "string"},
        "mode": {"enum": list(MODES)},
        "kind": {"enum": list(KINDS)},
        "of": {"type": ["integer", "null"], "description": "The run whose plan it carries out, or which it undoes."},
        "state": {"enum": list(reading.STATES)},
        "counts": COUNTS,
        "priority": {"enum": [str(one) for one in Priority]},
        "waits_for": {"type": "array", "items": {"type": "integer"}, "description": "Runs that have to end first."},
        "message": {"type": ["string", "null"]},
        "slices": {"type": "array", "items": SLICE, "description": "The parts of a run that is split."},
    },
}
RECORD = {"type": "object", "additionalProperties": True}


def run_json(row: reading.RunRow) -> dict[str, Any]:
    """Return a run with all that the API tells of it."""
    times = {name: getattr(row, name) for name in ("requested_at", "started_at", "ended_at")}
    head = {**row.to_json(), "message": str(row.message) if row.message else None, "requested_by": row.requested_by}
    return {**head, "kind": row.kind, "of": row.of, "rule_version": row.rule_version, "priority": row.priority, **times}


def record_json(row: Any) -> dict[str, Any]:
    """Return a record of a run with its differences."""
    names = ("record_no", "left_key", "right_key", "outcome", "situation", "side", "field")
    images = ("before", "after", "own_before", "own_after")
    texts = {name: json.loads(getattr(row, name)) if getattr(row, name) else None for name in images}
    reason = str(Message.from_json(row.reason)) if row.reason else None
    return {**{name: getattr(row, name) for name in names}, **texts, "reason": reason}


def number_of(text: str | None) -> int | None:
    """Return the number that `after` stands for; raises `ApiError`."""
    if text is None:
        return None
    number = natural(text)
    if number is None:
        raise ApiError(400, "`after` is the `next` of the page before.")
    return number
