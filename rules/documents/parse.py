"""From plain data to a sync rule: its keys, their values, and what they mean together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from rules.documents.build import build
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.shape import json_schema
from rules.documents.sync import DetectBy, FieldMap, OnError, SyncRule
from rules.documents.validate import validate
from rules.documents.validation import meaning as validations
from rules.text import N_, msg

KIND = "sync"


@cache
def sync_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a sync rule document."""
    kind = {"const": KIND, "description": "What the document describes."}
    schema = json_schema(SyncRule, kind=kind)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sync rule"}
    plain: dict[str, Any] = json.loads(json.dumps({**head, **schema}))
    return plain


def parse_sync(document: Mapping[str, Any]) -> SyncRule:
    """Return the rule that a document describes; raises `DocumentError`. Rules that were parsed lately are kept."""
    try:
        return _parsed(_Written(document))
    except RecursionError:  # what is nested so deeply is no rule, and has no text
        return _parse(document)


class _Written:
    """A document, known by how it is written: equal values of different types are different documents."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._text = repr(document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Written) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(64)
def _parsed(written: _Written) -> SyncRule:
    return _parse(deepcopy(written.document))  # what is kept shares nothing that its reader may change


def _parse(document: Mapping[str, Any]) -> SyncRule:
    problems = validate(document, sync_schema())
    if problems:
        raise DocumentError(problems)
    rule = build(SyncRule, {name: value for name, value in document.items() if name != "kind"})
    meaning = [*_flows(rule), *_cursors(rule), *_schedule(rule), *_confidence(rule)]
    meaning += validations(rule.validations)
    if meaning:
        raise DocumentError(meaning)
    return rule


def _flows(rule: SyncRule) -> Iterator[DocumentProblem]:
    for number, field_map in enumerate(rule.fields):
        yield from _flow(f"fields/{number}", field_map)
        yield from _on_error(f"fields/{number}", field_map)
        yield from _reference(f"fields/{number}", field_map)


def _flow(path: str, field_map: FieldMap) -> Iterator[DocumentProblem]:
    if field_map.left is None and field_map.right is None:
        yield DocumentProblem(path, msg("Name the left field, the right field or both."))
    elif field_map.right is not None and field_map.left is None and field_map.to_right is None:
        text = N_("The field '{field}' gets no value. Name the left field, or write an expression under to_right.")
        yield DocumentProblem(path, msg(text, field=field_map.right))
    elif field_map.left is not None and field_map.right is None and field_map.to_left is None:
        text = N_("The field '{field}' gets no value. Name the right field, or write an expression under to_left.")
        yield DocumentProblem(path, msg(text, field=field_map.left))


def _reference(path: str, field_map: FieldMap) -> Iterator[DocumentProblem]:
    if field_map.reference is None:
        return
    if field_map.left is None or field_map.right is None:
        text = N_("A field that refers to records needs both fields, left and right.")
        yield DocumentProblem(f"{path}/reference", msg(text))
    for name in ("to_right", "to_left"):
        if getattr(field_map, name) is not None:
            text = N_("A field that refers to records gets its value from their links, so it has no expression.")
            yield DocumentProblem(f"{path}/{name}", msg(text))


def _on_error(path: str, field_map: FieldMap) -> Iterator[DocumentProblem]:
    if field_map.on_error is OnError.DEFAULT and field_map.default is None:
        text = N_("Say under default what is written where the value cannot be worked out.")
        yield DocumentProblem(f"{path}/on_error", msg(text))
    elif field_map.default is not None and field_map.on_error is not OnError.DEFAULT:
        text = N_("A default is written only with on_error: default.")
        yield DocumentProblem(f"{path}/default", msg(text))


def _cursors(rule: SyncRule) -> Iterator[DocumentProblem]:
    for side, detect in (("left", rule.detect.left), ("right", rule.detect.right)):
        if detect.by is DetectBy.CURSOR and detect.field is None:
            text = N_("Name the field that grows with every change, such as updated_at.")
            yield DocumentProblem(f"detect/{side}/field", msg(text))


def _schedule(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.schedule is None:
        return
    try:
        CronSim(rule.schedule.cron, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError:
        text = N_(
            "'{cron}' is not a schedule. Five fields are needed: minute, hour, day, month, weekday, like */5 * * * *."
        )
        yield DocumentProblem("schedule/cron", msg(text, cron=rule.schedule.cron))
    try:
        ZoneInfo(rule.schedule.timezone)
    except (ValueError, OSError, KeyError):
        text = N_("There is no time zone '{zone}'. Write it like Asia/Shanghai.")
        yield DocumentProblem("schedule/timezone", msg(text, zone=rule.schedule.timezone))


def _confidence(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.review > rule.auto_link:
        yield DocumentProblem("review", msg("review must not be higher than auto_link."))
