"""What the API says of a record that waits, and the decisions that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from webapp.cases.deciding import Decided
from webapp.cases.pairs import KIND
from webapp.cases.services import Case
from webapp.runs import pair_cases, sight_pairs
from webapp.runs.pair_choices import OPTIONS, numbered
from webapp.web.language import translated

SIDE = {"enum": ["left", "right"]}
TAKE = {
    "type": "object",
    "required": ["take"],
    "additionalProperties": False,
    "properties": {"take": {"enum": ["left", "right", "value"]}, "value": {}},
}
DEED = {"enum": sorted({deed for deeds in OPTIONS.values() for deed in deeds})}
ANSWER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "fields": {"type": "object", "additionalProperties": TAKE},
        "record": DEED,
        "key": {"type": "string", "maxLength": 10_000},
        "seen": {"type": "string", "maxLength": 64},
        "answered": {"type": "string", "maxLength": 64},
    },
}
BULK: dict[str, Any] = {
    "type": "object",
    "required": ["choice"],
    "additionalProperties": False,
    "properties": {
        "cases": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 5000},
        "rule": {"type": "string"},
        "situation": {"enum": list(OPTIONS)},
        "assignee": {"type": "string"},
        "choice": {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {"take": SIDE, "record": DEED},
        },
        "dry_run": {"type": "boolean"},
    },
}
DECIDED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "decided": {"type": "integer"},
        "dry_run": {"type": "boolean"},
        "left_out": {"type": "array", "items": {"type": "object"}},
        "runs": {"type": "array", "items": {"type": "integer"}},
    },
}
RECORD: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "The record that waits; null for a case that is not about one.",
}


def record_of(tx: sa.Connection, case: Case) -> dict[str, Any] | None:
    """Return the record of a case as who asks may see it: what is in question, what may be chosen, what was chosen."""
    if case.kind != KIND or case.pair_id is None:
        return None
    pair = sight_pairs.get(tx, case.pair_id)
    asked = numbered(pair.details, pair_cases.document_of(tx, pair))
    found = {
        "situation": pair.situation,
        "state": pair.state,
        "keys": pair.keys,
        "seen": pair.seen,
        "answered": pair.answered,
        "run": pair.run_id,
        "fields": {number: dict(entry) for number, entry in asked.items()},
        "options": list(OPTIONS.get(pair.situation, ())),
        "answer": pair.answer,
        "answered_by": pair.answered_by,
        "answered_at": pair.answered_at,
    }
    held: dict[str, Any] = {
        name: pair.details[name] for name in ("left", "right", "candidates") if name in pair.details
    }
    return {**found, **held}


def told(done: Decided, *, dry_run: bool) -> dict[str, Any]:
    """Return what became of many cases."""
    left_out = [{"case": case, "reason": translated(message)} for case, message in done.left_out]
    return {"decided": len(done.cases), "dry_run": dry_run, "left_out": left_out, "runs": done.runs}


def selection(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return which cases are meant, as arguments of `Wanted`."""
    named = {"rule_name": body.get("rule"), "situation": body.get("situation"), "assignee": body.get("assignee")}
    return {**named, "cases": tuple(body["cases"]) if "cases" in body else None}
