"""The data quality of an entity: measured over all of its records on demand, and kept so that a trend shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.schema import Field, FieldType
from rules.text import msg
from rules.validations.forms import FORMS, by_name
from rules.validations.quality import MAPPED, OTHER, REQUIRED, Form, Measure, Quality, ValidationQuality
from webapp.access.roles import READ
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.models import entity_quality
from webapp.entities.permitted import Permit
from webapp.entities.surveying import Survey, pages
from webapp.entities.validating import compiled, names
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted

LISTED = 100
"""So many records that fail a validation are kept by their numbers."""
KEPT = 200

mapped_fields: list[Callable[[sa.Connection, str], set[str]]] = []
"""Rooms above say here which fields of an entity they fill or read."""

_OF_KIND = {Kind.EMAIL: "email", Kind.PHONE: "phone", Kind.URL: "url"}


@dataclass(frozen=True)
class Measured:
    """One measurement: when, by whom, of which version of the entity, how long it took, and the records that fail.

    `failing` maps a validation to the first records that do not meet it.
    """

    id: int
    at: datetime
    actor: str
    version: int
    seconds: float
    score: float | None
    quality: Quality
    failing: Mapping[str, list[int]]


def measure(house: House, entity: Entity, actor: Actor) -> int:
    """Measure all records of an entity and keep the result; return its number."""
    started = time.perf_counter()
    with house.db.read() as tx:
        found, failing = _measured(tx, entity)
    values = {
        "entity": entity.name,
        "version": entity.version,
        "at": house.clock(),
        "actor": actor.name[:128],
        "seconds": round(time.perf_counter() - started, 3),
        "records": found.records,
        "score": found.score,
        "result": {**found.to_json(), "failing": failing},
    }
    with house.db.begin() as tx:
        key = tx.execute(sa.insert(entity_quality).values(values)).inserted_primary_key
        old = sa.select(entity_quality.c.id).where(entity_quality.c.entity == entity.name)
        gone = tx.scalars(old.order_by(entity_quality.c.id.desc()).offset(KEPT)).all()
        tx.execute(sa.delete(entity_quality).where(entity_quality.c.id.in_(gone)))
        return int(key[0]) if key else 0


def latest(tx: sa.Connection, name: str) -> Measured | None:
    """Return the last measurement of an entity."""
    query = sa.select(entity_quality).where(entity_quality.c.entity == name).order_by(entity_quality.c.id.desc())
    row = tx.execute(query.limit(1)).one_or_none()
    return _row(row) if row else None


def history(tx: sa.Connection, name: str, limit: int = 30) -> list[tuple[datetime, float | None, int]]:
    """Return when, score and number of records of the last measurements, the oldest first."""
    columns = (entity_quality.c.at, entity_quality.c.score, entity_quality.c.records)
    query = sa.select(*columns).where(entity_quality.c.entity == name).order_by(entity_quality.c.id.desc())
    return [(row.at, row.score, row.records) for row in reversed(tx.execute(query.limit(limit)).all())]


def require_all(permit: Permit) -> None:
    """Raise `NotPermitted` for who may not see all records: numbers over all of them would tell of the others."""
    permit.require(READ)
    if permit.rows is not None:
        text = msg(
            "Data quality is measured over all records of '{entity}', and your roles show you only some of them.",
            entity=permit.entity.name,
        )
        raise NotPermitted(text)


def shown(tx: sa.Connection, permit: Permit) -> tuple[Measured | None, list[tuple[datetime, float | None, int]]]:
    """Return the last measurement and the trend without what is said of fields that are not shown in full.

    The score is that of what is left; there is no trend then, as the scores of the past count the other fields too.
    """
    require_all(permit)
    last, points = latest(tx, permit.entity.name), history(tx, permit.entity.name)
    if permit.whole or last is None:
        return last, points
    open_ = {item.validation.name for item in compiled(tx, permit.entity) if all(map(permit.plain, names(item)))}
    fields = tuple(
        part for part in last.quality.fields if part.name in permit.entity.schema and permit.plain(part.name)
    )
    validations = tuple(part for part in last.quality.validations if part.name in open_)
    left = Quality(last.quality.records, fields, validations)
    failing = {name: ids for name, ids in last.failing.items() if name in open_}
    return replace(last, quality=left, score=left.score, failing=failing), []


def to_json(tx: sa.Connection, permit: Permit) -> dict[str, Any]:
    """Return the last measurement and the trend in their published form, as far as they may be seen."""
    name = permit.entity.name
    last, trend = shown(tx, permit)
    points = [{"at": at.isoformat(), "score": score, "records": count} for at, score, count in trend]
    if last is None:
        return {"entity": name, "score": None, "history": points}
    head = {"entity": name, "version": last.version, "at": last.at.isoformat(), "seconds": last.seconds}
    return {**head, "score": last.score, **last.quality.to_json(), "failing": dict(last.failing), "history": points}


def form_of(name: str, kind: Kind) -> Form | None:
    """Return what values of a field look like: by its type, or else by its name."""
    if kind in _OF_KIND:
        return FORMS[_OF_KIND[kind]]
    return by_name(name) if kind is Kind.TEXT else None


def _measured(tx: sa.Connection, entity: Entity) -> tuple[Quality, dict[str, list[int]]]:
    mapped = {name for ask in mapped_fields for name in ask(tx, entity.name)}
    counted = [f for f in entity.fields if not f.computed]
    fields = [Field(f.name, f.type if f.kind is not Kind.FILE else FieldType.TEXT) for f in counted]
    forms = {f.name: form for f in counted if (form := form_of(f.name, f.kind)) is not None}
    measure_ = Measure(fields, {f.name: _weight(f, mapped) for f in counted}, forms)
    items = compiled(tx, entity)
    read = {"id", *(field.name for field in fields)}.union(*(names(item) for item in items))
    schema = entity.schema.select(tuple(name for name in entity.schema.names if name in read))
    survey = Survey(tx, entity, schema, items, LISTED)
    for page in pages(tx, entity, schema):
        measure_.add(page)
        survey.ask(page)
    told = [ValidationQuality.of(v, survey.tallies[v.name]) for v in entity.validations if v.name in survey.tallies]
    return measure_.result(told), survey.failing


def _weight(field: EntityField, mapped: set[str]) -> int:
    if field.required:
        return REQUIRED
    return MAPPED if field.name in mapped else OTHER


def _row(row: sa.Row[Any]) -> Measured:
    result = row.result
    return Measured(
        row.id, row.at, row.actor, row.version, row.seconds, row.score, Quality.from_json(result), result["failing"]
    )
