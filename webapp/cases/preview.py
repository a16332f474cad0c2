"""What a decision writes, worked out with the same mapping as a run, before anybody confirms it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rules.documents import DocumentError, parse_sync
from rules.documents.sync import Direction, SyncRule
from rules.language import ExpressionError
from rules.language.library import EMPTY, Library
from rules.mapping import compile_mapping
from rules.reconcile.agreement import executed
from rules.schema import Schema
from rules.text import Message, msg
from webapp.cases.words import other, present
from webapp.runs.pair_cases import PairCase
from webapp.runs.pair_choices import FIELDS, RECORD, VALUE, numbered
from webapp.runs.pipeline.codec import from_texts, to_texts

_WAYS = {"left": Direction.LEFT_TO_RIGHT, "right": Direction.RIGHT_TO_LEFT}


@dataclass(frozen=True)
class Written:
    """A value that is written: to which side and field, what stands there now, or why the value is not known."""

    side: str
    field: str
    before: Any = None
    after: Any = None
    problem: Message | None = None


@dataclass(frozen=True)
class Known:
    """What a preview is worked out from: the rule, the fields of both sides and the tables it asks."""

    document: Mapping[str, Any]
    schemas: Mapping[str, Schema]
    library: Library = EMPTY


def written(pair: PairCase, choice: Mapping[str, Any], known: Known) -> list[Written]:
    """Return what a decision writes; nothing for one that only links, unlinks or deletes."""
    if FIELDS in choice:
        return list(_merged(pair, choice[FIELDS], known))
    if choice.get(RECORD) in ("recreate", "create"):
        side = present(pair)
        given = _gives(known, side, pair.details.get(side) or {})
        return [replace(one, before=None) for one in given.values() if one.problem or one.after is not None]
    return []


def _merged(pair: PairCase, chosen: Mapping[str, Any], known: Known) -> Iterator[Written]:
    asked = numbered(pair.details, known.document)
    records = {side: dict(pair.details.get(side) or {}) for side in ("left", "right")}
    own = {number: take[VALUE] for number, take in chosen.items() if take.get("take") == VALUE}
    for number, value in own.items():
        name = (asked[number].get("left") or {}).get("name")
        if name:
            yield Written("left", name, records["left"].get(name), value)
            records["left"][name] = value
    gives = {side: _gives(known, side, records[side]) for side in records}
    for number, take in chosen.items():
        side = "right" if take.get("take") == "right" else "left"
        name = (asked[number].get(other(side)) or {}).get("name")
        if name:
            yield _one(gives[side], asked[number], side, name, _current(pair, other(side), name))


def _one(given: Mapping[str, Written], entry: Mapping[str, Any], side: str, name: str, before: Any) -> Written:
    found = given.get(name)
    if found is not None:
        return replace(found, before=before)
    values = entry.get(side) or {}
    text = msg("what the rule makes of '{value}'", value=str(values.get("value")))
    return Written(other(side), name, before, None, text)


def _current(pair: PairCase, side: str, name: str) -> Any:
    record = pair.details.get(side) or {}
    if name in record:
        return record[name]
    found = ((entry.get(side) or {}) for entry in pair.details.get("fields") or [])
    return next((one.get("value") for one in found if one.get("name") == name), None)


def _gives(known: Known, side: str, record: Mapping[str, Any]) -> dict[str, Written]:
    """Return what a record gives to the other side, by field; nothing where it cannot be worked out here."""
    schema = known.schemas.get(side)
    if schema is None or other(side) not in known.schemas:
        return {}
    batch, errors = from_texts([json.dumps(dict(record))], schema)
    if errors:
        return {}
    try:
        rule = _one_way(executed(parse_sync(known.document)), side)
        mapping = compile_mapping(rule, known.schemas["left"], known.schemas["right"], known.library)
        mapped = mapping.apply(batch)
    except (DocumentError, ExpressionError, pl.exceptions.PolarsError):
        return {}
    if mapped.records.is_empty() or not mapped.records.width:
        return {}
    values = json.loads(to_texts(mapped.records)[0])
    problems = {error.field: error.message for error in mapped.errors}
    return {name: Written(other(side), name, None, values[name], problems.get(name)) for name in values}


def _one_way(rule: SyncRule, side: str) -> SyncRule:
    """Return the rule as if it only flowed away from a side; its decision tables are not asked."""
    return replace(rule, direction=_WAYS[side], decisions=(), validations=())
