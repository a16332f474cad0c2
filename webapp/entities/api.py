"""The room's REST API: definitions under /api/v1/entities, records under /api/v1/entities/<name>/records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from flask import g

from rules.documents.problems import DocumentError
from rules.text import Message, msg
from webapp.access.roles import READ
from webapp.entities import listing, plain, quality, services
from webapp.entities.designs import require_design
from webapp.entities.document_schema import document_schema
from webapp.entities.documents import to_document
from webapp.entities.filters import BadFilter, Filter, Operator
from webapp.entities.listing import Query
from webapp.entities.model import Entity
from webapp.entities.permitted import Permit, permit_of
from webapp.entities.plain import BadRecord
from webapp.entities.refusals import Refusal
from webapp.policies.who import current_who
from webapp.web.api import PAGING, ApiError, RoomApi, listed, operation
from webapp.web.api import listing as page_of
from webapp.web.language import translated
from webapp.web.storable import read_json
from webapp.web.views import can

BULK = 1000
_DOCUMENT = {k: v for k, v in document_schema().items() if k not in ("$schema", "title")}
_ENTITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "integer"},
        "records": {"type": ["integer", "null"], "description": "How many one may see; null where none may be seen."},
        "definition": _DOCUMENT,
    },
}
_PLAN: dict[str, Any] = {
    "type": "object",
    "properties": {
        "entity": {"type": "string"},
        "new": {"type": "boolean"},
        "empty": {"type": "boolean"},
        "loses": {"type": "boolean", "description": "Values would be lost; send ?confirm=true to accept that."},
        "blocked": {"type": "boolean"},
        "steps": {"type": "array", "items": {"type": "object"}},
    },
}
_RECORD: dict[str, Any] = {"type": "object", "description": "The fields by name; the paths of each entity say which."}
_QUALITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "entity": {"type": "string"},
        "version": {"type": "integer", "description": "The version of the entity that was measured."},
        "at": {"type": "string"},
        "seconds": {"type": "number"},
        "score": {"type": ["number", "null"], "description": "0 to 100; null where nothing can be said."},
        "records": {"type": "integer"},
        "fields": {"type": "array", "items": {"type": "object"}},
        "validations": {"type": "array", "items": {"type": "object"}},
        "failing": {"type": "object", "description": "Validation -> numbers of the first records that do not meet it."},
        "history": {"type": "array", "items": {"type": "object"}},
    },
}
_FILTER = {
    "type": "string",
    "description": 'JSON such as [["status", "is", "active"], ["credit", "gt", "100"]]; operators as in the console.',
}
_SORT = {
    "type": "string",
    "default": listing.NEWEST_FIRST,
    "description": "A field with an index; a minus in front for falling order.",
}
_LIST = {**PAGING, "filter": _FILTER, "q": {"type": "string", "description": "Words to search for."}, "sort": _SORT}
_BULK: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "create": {"type": "array", "maxItems": BULK, "items": _RECORD},
        "update": {"type": "array", "maxItems": BULK, "items": {"type": "object", "required": ["id"]}},
        "delete": {"type": "array", "maxItems": BULK, "items": {"type": "integer"}},
    },
}


class EntitiesApi(RoomApi):
    """Definitions."""

    route_base = "/api/v1/entities"

    @operation("GET", "/", scope="entities:read", summary="List entities", response=page_of(_ENTITY))
    def list(self) -> Any:
        """Return all definitions."""
        with self.house.db.read() as tx:
            return listed(_described(tx, services.list_entities(tx)))

    @operation("GET", "/<name>", scope="entities:read", summary="Read an entity", response=_ENTITY)
    def get(self, name: str) -> Any:
        """Return a definition."""
        with self.house.db.read() as tx:
            return _described(tx, [_entity(tx, name)])[0]

    @operation(
        "PUT",
        "/<name>",
        scope="entities:update",
        summary="Create or change an entity",
        query={
            "dry_run": {"type": "boolean", "default": False, "description": "Only return the plan."},
            "confirm": {"type": "boolean", "default": False, "description": "Accept that values are lost."},
        },
        body=_DOCUMENT,
        response=_PLAN,
    )
    def put(self, name: str) -> Any:
        """Put a definition in force and return what was done."""
        document = {**self.body, "kind": "entity"}
        if document.get("name") != name:
            raise ApiError(422, f"The document is of '{document.get('name')}', the address says '{name}'.")
        with self.house.db.read() as tx:
            require_design(tx, current_who(), name)
        try:
            if self.query["dry_run"]:
                with self.house.db.read() as tx:
                    return services.make_plan(tx, document).to_json()
            return services.define(self.house, document, self.actor, confirm=self.query["confirm"]).to_json()
        except DocumentError as error:
            raise ApiError(422, "The definition has mistakes.", _problems(error)) from None
        except services.ChangeRefused as refused:
            detail = (
                "Values would be lost; send ?confirm=true to accept that."
                if refused.plan.loses
                else "The records do not allow this change."
            )
            steps = [
                {"at": s.field, "detail": translated(s.message)}
                for s in refused.plan.steps
                if s.tone in ("blocked", "loses")
            ]
            raise ApiError(409, detail, steps) from None

    @operation(
        "GET",
        "/<name>/quality",
        scope="records:read",
        summary="Read the data quality of an entity as measured last",
        response=_QUALITY,
    )
    def quality(self, name: str) -> Any:
        """Return the last measurement with the trend; no score where nothing was measured yet."""
        with self.house.db.read() as tx:
            return quality.to_json(tx, _permit(tx, _entity(tx, name)))

    @operation(
        "POST",
        "/<name>/quality",
        scope="records:read",
        summary="Measure the data quality of an entity over all of its records",
        response=_QUALITY,
        status=201,
    )
    def measure(self, name: str) -> Any:
        """Measure now and return the measurement."""
        with self.house.db.read() as tx:
            permit = _permit(tx, _entity(tx, name))
            quality.require_all(permit)
        quality.measure(self.house, permit.entity, self.actor)
        with self.house.db.read() as tx:
            return quality.to_json(tx, permit), 201

    @operation("DELETE", "/<name>", scope="entities:delete", summary="Delete an entity with its records")
    def delete(self, name: str) -> Any:
        """Delete an entity."""
        with self.house.db.read() as tx:
            require_design(tx, current_who(), name)
        try:
            services.delete_entity(self.house, name, self.actor)
        except services.NoEntity:
            raise ApiError(404, f"There is no entity '{name}'.") from None
        except DocumentError as error:
            raise ApiError(409, "Other entities point to it.", _problems(error)) from None


class RecordsApi(RoomApi):
    """Records of any entity."""

    route_base = "/api/v1/entities"

    @operation(
        "GET", "/<name>/records", scope="records:read", summary="List records", query=_LIST, response=page_of(_RECORD)
    )
    def list(self, name: str) -> Any:
        """Return a page of records."""
        with self.house.db.read() as tx:
            entity = _entity(tx, name)
            found = _filters(self.query.get("filter"))
            search, sort = self.query.get("q") or "", self.query["sort"]
            query = Query(found, search, sort, permit=_permit(tx, entity))
            try:
                page = listing.page(tx, entity, query, self.query["limit"], after=self.query.get("after"))
            except BadFilter as error:
                raise ApiError(422, error.message) from None
        if query.permit is not None:
            query.permit.looked(page.records)
        return listed([plain.to_plain_record(entity, r) for r in page.records], page.after)

    @operation(
        "POST",
        "/<name>/records",
        scope="records:create",
        summary="Create a record",
        body=_RECORD,
        response=_RECORD,
        status=201,
    )
    def create(self, name: str) -> Any:
        """Create a record and return it."""
        values = self._values(name, self.body)
        written = _refusing(lambda: services.add_record(self.house, name, values, self.actor, who=current_who()))
        return {**self._record(name, written.id), **_warned(written.warnings)}, 201

    @operation(
        "GET", "/<name>/records/<int:record_id>", scope="records:read", summary="Read a record", response=_RECORD
    )
    def get(self, name: str, record_id: int) -> Any:
        """Return a record."""
        return self._record(name, record_id)

    @operation(
        "PATCH",
        "/<name>/records/<int:record_id>",
        scope="records:update",
        summary="Change a record",
        body=_RECORD,
        response=_RECORD,
    )
    def update(self, name: str, record_id: int) -> Any:
        """Set fields of a record and return it; with `version` only if nobody has changed it since."""
        body = dict(self.body)
        version = body.pop("version", None)
        values = self._values(name, body)
        edit = services.Edit(name, record_id, values, version)
        written = _refusing(lambda: services.change_record(self.house, edit, self.actor, who=current_who()))
        return {**self._record(name, record_id), **_warned(written.warnings)}

    @operation("DELETE", "/<name>/records/<int:record_id>", scope="records:delete", summary="Delete a record")
    def delete(self, name: str, record_id: int) -> Any:
        """Delete a record."""
        who = current_who()
        with self.house.db.read() as tx:
            _entity(tx, name)
        _refusing(lambda: services.delete_record(self.house, name, record_id, self.actor, who=who))

    @operation(
        "POST",
        "/<name>/records/bulk",
        scope="records:update",
        summary="Create, change and delete many records",
        body=_BULK,
        response={"type": "object"},
    )
    def bulk(self, name: str) -> Any:
        """Write many records; refused ones are told, the others are written."""
        self._may_bulk()
        with self.house.db.read() as tx:
            entity = _entity(tx, name)
        try:
            batch = plain.Batch.read(entity, self.body)
        except BadRecord as error:
            raise ApiError(422, "A record does not have the fields of the entity.", _errors(error.errors)) from None
        result = services.write_batch(self.house, name, batch, self.actor, current_who())
        return {
            "created": result.created,
            "updated": result.updated,
            "deleted": result.deleted,
            "ids": result.ids,
            "errors": [_placed(e) for e in result.errors],
            **({"warnings": [_placed(w) for w in result.warnings]} if result.warnings else {}),
        }

    def _may_bulk(self) -> None:
        for deed in ("create", "delete"):
            scopes = g.get("api_scopes")
            lacking = not can(deed, "Records") or (scopes is not None and f"records:{deed}" not in scopes)
            if self.body.get(deed) and lacking:
                raise ApiError(403, f"The permission '{deed}' on Records is missing.")

    def _record(self, name: str, record_id: int) -> dict[str, Any]:
        with self.house.db.read() as tx:
            entity = _entity(tx, name)
            try:
                found = services.get_record(tx, entity, record_id, _permit(tx, entity))
                return plain.to_plain_record(entity, found)
            except services.NoRecord as error:
                raise ApiError(404, str(error)) from None

    def _values(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        with self.house.db.read() as tx:
            entity = _entity(tx, name)
            permit_of(tx, current_who(), entity).require_write(n for n in body if n in entity.schema)
        try:
            return plain.from_plain_record(entity, body)
        except BadRecord as error:
            raise ApiError(422, "The record does not have the fields of the entity.", _errors(error.errors)) from None


def _entity(tx: sa.Connection, name: str) -> Entity:
    try:
        return services.entity(tx, name)
    except services.NoEntity as error:
        raise ApiError(404, str(error)) from None


def _permit(tx: sa.Connection, entity: Entity) -> Permit:
    permit = permit_of(tx, current_who(), entity)
    permit.require(READ)
    return permit


def _described(tx: sa.Connection, entities: Sequence[Entity]) -> list[dict[str, Any]]:
    counts = listing.counts(tx, {entity: permit_of(tx, current_who(), entity) for entity in entities})
    found = ((entity, counts.get(entity.name)) for entity in entities)
    return [
        {"name": e.name, "version": e.version, "records": count and count.records, "definition": to_document(e)}
        for e, count in found
    ]


def _filters(text: str | None) -> tuple[Filter, ...]:
    if not text:
        return ()
    try:
        return tuple(Filter(str(f), Operator(o), str(rest[0]) if rest else "") for f, o, *rest in read_json(text))
    except (ValueError, TypeError):
        known = ", ".join(Operator)
        raise ApiError(
            422, msg("The filter is not a list of [field, operator, value]. Operators: {known}.", known=known)
        ) from None


def _refusing(write: Callable[[], Any]) -> Any:
    try:
        return write()
    except services.RecordRefused as refused:
        conflict = "version" in refused.errors
        raise ApiError(409 if conflict else 422, "The record is refused.", _errors(refused.errors)) from None
    except services.NoRecord as error:
        raise ApiError(404, str(error)) from None


def _placed(error: services.BatchError) -> dict[str, str]:
    at = f"/{error.deed}/{error.row}" + (f"/{error.field}" if error.field else "")
    return {"at": at, "detail": translated(error.message)}


def _warned(warnings: Sequence[Refusal]) -> dict[str, Any]:
    """Return the validations that a written record does not meet; no key where it meets all."""
    told = [
        {"at": f"/{w.field}" if w.field else "", "validation": w.validation, "detail": translated(w.message)}
        for w in warnings
    ]
    return {"warnings": told} if told else {}


def _errors(errors: Mapping[str, Message]) -> list[dict[str, str]]:
    return [{"at": f"/{name}" if name else "", "detail": translated(message)} for name, message in errors.items()]


def _problems(error: DocumentError) -> list[dict[str, Any]]:
    return [
        {"at": f"/{p.path}", "detail": translated(p.message), "line": p.line, "column": p.column}
        for p in error.problems
    ]


API: tuple[type[RoomApi], ...] = (EntitiesApi, RecordsApi)
