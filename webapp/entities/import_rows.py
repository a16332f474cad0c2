"""The rows of an imported file as records: what each cell means, which record a row is, what is refused and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import sqlalchemy as sa

from rules.documents.validation import OnFailure
from rules.text import N_, Message, msg
from webapp.access.roles import READ
from webapp.entities import batches, bulk, exporting, records, storage
from webapp.entities.history import Author
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.permitted import Permit
from webapp.entities.values import BadValue, from_text
from webapp.web.storable import natural

DOING_MATCH = N_("find records")
Row = tuple[int, dict[str, str], int]
"""Line, cells by column, and the byte behind the row in the kept file."""


@dataclass(frozen=True)
class Options:
    """How a file becomes records: column -> field ("" leaves it out), and which records the rows are."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    mode: str = "create"
    dry_run: bool = False


@dataclass(frozen=True)
class Failure:
    """One row that is refused, or (severity warn) imported although it does not meet a validation."""

    line: int
    field: str | None
    message: Message
    row: Mapping[str, str]
    severity: OnFailure = OnFailure.REJECT


def write(
    tx: sa.Connection,
    entity: Entity,
    options: Options,
    rows: Sequence[Row],
    author: Author,
    zone: tzinfo,
) -> tuple[dict[str, int], list[Failure]]:
    """Write the rows; returns how many were created, updated, unchanged, refused and warned of, and what is told."""
    pointers = _pointers(tx, entity, options, rows, author.permit)
    good: list[tuple[int, dict[str, Any]]] = []
    failures: list[Failure] = []
    for number, (line, row, _end) in enumerate(rows):
        values, wrong = _values(entity, options, row, pointers, zone)
        failures += [Failure(line, name, message, row) for name, message in wrong.items()]
        if not wrong:
            good.append((number, values))
    keys = [values.get(options.key) for _, values in good]
    known = {} if options.mode == "create" else _known(tx, entity, options.key, keys, author.permit)
    created, updated = _split(options, good, known, rows, failures)
    made = batches.write([v for _, v in created], lambda f: records.create(tx, entity, f, author), entity)
    moved = batches.write([v for _, v in updated], lambda f: records.update(tx, entity, f, author), entity)
    for numbered, outcome in ((created, made), (updated, moved)):
        for refusal in (*outcome.refusals, *outcome.warnings):
            line, row, _end = rows[numbered[refusal.row][0]]
            failures.append(Failure(line, refusal.field, refusal.message, row, refusal.severity))
    refused = len({f.line for f in failures if f.severity is not OnFailure.WARN})
    warned = len({f.line for f in failures if f.severity is OnFailure.WARN})
    unchanged = len(rows) - refused - made.changed - moved.changed
    counts = {"created": made.changed, "updated": moved.changed, "unchanged": unchanged, "refused": refused}
    return {**counts, **({"warned": warned} if warned else {})}, failures


Numbered = list[tuple[int, dict[str, Any]]]


def _split(
    options: Options, good: Numbered, known: Mapping[Any, int], rows: Sequence[Row], failures: list[Failure]
) -> tuple[Numbered, Numbered]:
    """Return what is new and what changes a record that exists (with its `id`, and without what found it)."""
    if options.mode == "create":
        return [(n, {k: v for k, v in values.items() if k != "id"}) for n, values in good], []
    created: Numbered = []
    updated: Numbered = []
    for number, values in good:
        record_id = known.get(values.get(options.key))
        if record_id is not None:
            given = {name: value for name, value in values.items() if name != options.key}
            updated.append((number, {**given, "id": record_id}))
        elif options.mode == "both" and options.key != "id":
            created.append((number, values))
        else:
            sentence = msg(
                "There is no record with {key} = '{value}'.", key=options.key, value=str(values.get(options.key, ""))
            )
            failures.append(Failure(rows[number][0], options.key, sentence, rows[number][1]))
    return created, updated


def _known(tx: sa.Connection, entity: Entity, key: str, values: Sequence[Any], permit: Permit | None) -> dict[Any, int]:
    table = storage.table(tx, entity)
    wanted = [v for v in values if v is not None]
    query = sa.select(table.c[key], table.c.id).where(bulk.among(tx, table.c[key], wanted))
    if permit is not None:
        permit.require_plain((key,), DOING_MATCH)
        query = query if permit.rows is None else query.where(permit.rows)
    return {row[0]: row[1] for row in tx.execute(query)} if wanted else {}


def _values(
    entity: Entity, options: Options, row: Mapping[str, str], pointers: Mapping[str, Mapping[str, int]], zone: tzinfo
) -> tuple[dict[str, Any], dict[str, Message]]:
    """Return the stored values of a row; an empty cell states nothing: a default is taken, an old value kept."""
    values: dict[str, Any] = {}
    wrong: dict[str, Message] = {}
    for column, name in options.mapping.items():
        text = exporting.unsafe(row.get(column, ""))
        if not name or not text:
            continue
        try:
            values[name] = _value(_target(entity, name), text, pointers.get(name, {}), zone)
        except BadValue as error:
            wrong[name] = error.message
    return values, wrong


def _value(target: EntityField, text: str, pointers: Mapping[str, int], zone: tzinfo) -> Any:
    if target.kind is not Kind.REFERENCE or natural(text) is not None:
        return from_text(target, text, zone)
    if text in pointers:
        return pointers[text]
    raise BadValue(
        msg("There is not exactly one record called '{text}' in '{entity}'.", text=text, entity=target.entity)
    )


def _target(entity: Entity, name: str) -> EntityField:
    if name == "id":
        return EntityField("id", Kind.INTEGER)
    return entity.by_name.get(name) or EntityField(name, Kind.TEXT)


def _pointers(
    tx: sa.Connection, entity: Entity, options: Options, rows: Sequence[Row], permit: Permit | None
) -> dict[str, dict[str, int]]:
    """Return, for each reference, text -> number of the one record that is called so."""
    found: dict[str, dict[str, int]] = {}
    for column, name in options.mapping.items():
        target = entity.by_name.get(name)
        if target is not None and target.kind is Kind.REFERENCE:
            texts = {row.get(column, "") for _, row, _ in rows}
            found[name] = _called(tx, target.entity, sorted(t for t in texts if t and natural(t) is None), permit)
    return found


def _called(tx: sa.Connection, name: str, texts: Sequence[str], permit: Permit | None) -> dict[str, int]:
    other = storage.current(tx, name)
    theirs = None if permit is None else permit.of(tx, other)
    if not texts or other.title_field == "id" or other.by_name[other.title_field].type.value != "text":
        return {}
    if theirs is not None and not (theirs.may(READ) and theirs.plain(other.title_field)):
        return {}
    table = storage.table(tx, other)
    column = table.c[other.title_field]
    query = sa.select(column, table.c.id).where(bulk.among(tx, column, texts))
    by_text: dict[str, list[int]] = {}
    for text, record_id in tx.execute(query if theirs is None or theirs.rows is None else query.where(theirs.rows)):
        by_text.setdefault(text, []).append(record_id)
    return {text: ids[0] for text, ids in by_text.items() if len(ids) == 1}
