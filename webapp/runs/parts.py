"""Runs over some of a rule's records: those that are named, or a part of a side (a backfill)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.documents import parse_sync
from rules.documents.sync import Direction, SyncRule
from rules.language.problems import ExpressionError
from rules.predicate import EVERYTHING
from rules.reconcile.agreement import executed
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg
from rules.trace import named_fields
from webapp.connections.permitted import rights_to, sees_all
from webapp.connections.probing import object_schema
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted
from webapp.rulebook import reading as rulebook
from webapp.rulebook.library import library, pins
from webapp.runs import requests
from webapp.runs.pipeline.part import Part
from webapp.runs.requests import MODES, RunRefused, insert

_LIKE = {
    FieldType.TEXT: "A100",
    FieldType.INTEGER: "42",
    FieldType.DECIMAL: "12.50",
    FieldType.FLOAT: "12.5",
    FieldType.BOOLEAN: "true",
    FieldType.DATE: "2026-01-31",
    FieldType.TIME: "12:00:00",
    FieldType.DATETIME: "2026-01-31T12:00:00Z",
    FieldType.LOCAL_DATETIME: "2026-01-31T12:00:00",
    FieldType.BINARY: "00ff",
    FieldType.JSON: "{}",
}
_WHICH = msg("Say which part: a condition, or a field with where it begins or ends.")


@dataclass(frozen=True)
class Wanted:
    """A part of a side: records that meet a condition, and whose field lies from `start` to before `end`."""

    side: str | None = None
    where: str | None = None
    field: str | None = None
    start: str | None = None
    end: str | None = None

    @property
    def incomplete(self) -> bool:
        """Tell whether bounds or a side are given without what they belong to: taken at its word, that means all."""
        if self.start or self.end:
            return not self.field
        return bool(self.side and not (self.where or self.field))

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what the run keeps of it."""
        span = {"field": self.field, "from": self.start, "to": self.end} if self.field else None
        return {"side": self.side, "where": self.where, "range": span}


def sides(rule: SyncRule) -> tuple[str, ...]:
    """Return the sides that a rule reads."""
    if executed(rule).direction is Direction.TWO_WAY:
        return ("left", "right")
    return ("right",) if rule.direction is Direction.RIGHT_TO_LEFT else ("left",)


def named(text: str, side: str) -> list[dict[str, str]]:
    """Return the records of a list of keys, one a line."""
    return [{"side": side, "key": line.strip()} for line in text.splitlines() if line.strip()]


def run_records(house: House, rule: str, wanted: Sequence[Mapping[str, str]], actor: Actor) -> int:
    """Request a run over single records and return its number; raises `RunRefused`."""
    with house.db.begin() as tx:
        return requests.records(house, rule, wanted, actor, tx)


def run_part(house: House, name: str, wanted: Wanted, mode: str, actor: Actor) -> int:
    """Request a run over a part of a side and return its number; raises `RunRefused`.

    It neither moves cursors nor deletes.
    """
    if mode not in MODES:
        raise RunRefused(msg("'{mode}' is not a mode; use simulate, shadow or live.", mode=mode))
    with house.db.read() as tx:
        row = published(tx, name)
    rule = parse_sync(row.published or {})
    side = wanted.side or sides(rule)[0]
    if side not in sides(rule):
        raise RunRefused(msg("'{name}' reads {side} only.", name=name, side=sides(rule)[0]))
    if (wanted.start or wanted.end) and not wanted.field:
        raise RunRefused(_WHICH)
    parameters = {**wanted.parameters, "side": side}
    check(house, rule, parameters)
    with house.db.begin() as tx:
        row = published(tx, name)
        head = {"rule_id": row.id, "rule_name": row.name, "rule_version": row.published_version}
        values = {**head, "document": row.published, "mode": mode, "kind": "part", "parameters": parameters}
        return insert(house, tx, values, actor)


def published(tx: sa.Connection, name: str) -> rulebook.RuleRow:
    """Return a rule that can run; raises `RunRefused`."""
    row = rulebook.find(tx, name)
    if row is None:
        raise RunRefused(msg("There is no rule called '{name}'.", name=name))
    if row.published is None:
        raise RunRefused(msg("The rule '{name}' is not published, so it cannot run.", name=name))
    return row


def schema_of(house: House, rule: SyncRule, side: str) -> Schema:
    """Return the fields of a side; raises `ConnectorError`."""
    part = rule.right if side == "right" else rule.left
    return object_schema(house, part.connection, part.object)


def check(house: House, rule: SyncRule, parameters: Mapping[str, Any]) -> None:
    """Raise `RunRefused` where parameters describe no part of a side, or one that cannot be told."""
    span = parameters["range"]
    if not parameters["where"] and not (span and (span["from"] or span["to"])):
        raise RunRefused(_WHICH)
    try:
        schema = schema_of(house, rule, parameters["side"])
    except ConnectorError as error:
        raise RunRefused(error.message) from error
    if span and span["field"] not in schema.names:
        raise RunRefused(msg("{object} has no field '{field}'.", object=_object(rule, parameters), field=span["field"]))
    with house.db.read() as tx:
        uses = pins(tx)
        _require_plain(tx, rule, parameters, schema)
    try:
        Part(parameters, schema, library(house, uses))
    except ExpressionError as error:
        raise RunRefused(_problem(error)) from error
    except (ValueError, TypeError, ArithmeticError) as error:
        text = msg("'{field}' holds nothing like this. Write it like {example}.",
                   field=span["field"], example=_LIKE[schema[span["field"]].type])  # fmt: skip
        raise RunRefused(text) from error


def _require_plain(tx: sa.Connection, rule: SyncRule, parameters: Mapping[str, Any], schema: Schema) -> None:
    """Raise `NotPermitted` where a part is chosen by values that who asks does not see."""
    part = rule.right if parameters["side"] == "right" else rule.left
    rights = rights_to(tx, part.connection, part.object, schema)
    if not sees_all(rights):
        if rights.rows() != EVERYTHING:
            text = N_("You may not see all records of {object}, so you cannot run a part of them.")
            raise NotPermitted(msg(text, object=_object(rule, parameters)))
        span = {parameters["range"]["field"]} if parameters["range"] else set()
        rights.require_plain(sorted(span | named_fields(parameters["where"] or "", schema)), N_("choose records"))


def _object(rule: SyncRule, parameters: Mapping[str, Any]) -> str:
    return (rule.right if parameters["side"] == "right" else rule.left).object


def _problem(error: ExpressionError) -> Message:
    return msg("The condition cannot be used: {problem}", problem=str(error.problems[0].message))
