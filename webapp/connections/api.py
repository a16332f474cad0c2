"""Connections over the REST API: the same documents as in files, never a secret's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from connectors.errors import ConnectorError, Misconfigured, ObjectMissing, Retriable
from connectors.spi import Step
from rules.schema import FieldType
from webapp.connections import permitted, personal_marks, services
from webapp.connections.documents import checked
from webapp.connections.errors import (
    ConnectionBuiltIn,
    ConnectionChanged,
    ConnectionInUse,
    ConnectionInvalid,
    ConnectionMissing,
    ConnectionProblem,
    sentence,
)
from webapp.connections.schema import LIMITS_SCHEMA
from webapp.connections.store import ConnectionRow
from webapp.web import proof
from webapp.web.api import ApiError, RoomApi, listed, listing, operation
from webapp.web.language import translated
from webapp.web.views import can

T = TypeVar("T")

_TEXT = {"type": "string"}
DOCUMENT: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "anyOf": [{"required": ["connector"]}, {"required": ["preset"]}],
    "additionalProperties": False,
    "properties": {
        "kind": {"const": "connection"},
        "name": _TEXT,
        "connector": _TEXT,
        "label": _TEXT,
        "note": _TEXT,
        "preset": {
            "type": "string",
            "description": "Its preset (name@version); without a connector, the settings are the answers.",
        },
        "limits": LIMITS_SCHEMA,
        "settings": {"type": "object", "description": "Secrets as values or references; answered as references only."},
        "version": {
            "type": "integer",
            "description": "The version that a change was made from; answers 409 if it is old.",
        },
    },
}
PERSONAL: dict[str, Any] = {
    "type": "object",
    "required": ["object", "fields"],
    "additionalProperties": False,
    "properties": {
        "object": {"type": "string", "minLength": 1, "maxLength": personal_marks.LONGEST_NAME},
        "fields": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": personal_marks.LONGEST_NAME},
        },
    },
}
CONNECTION: dict[str, Any] = {
    "type": "object",
    "properties": {
        **DOCUMENT["properties"],
        "version": {"type": "integer"},
        "builtin": {"type": "boolean"},
        "state": {"enum": ["ok", "failed", "untested"]},
        "last_check_at": {"type": ["string", "null"], "format": "date-time"},
    },
}
STEPS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ok": {"type": "boolean"},
        "steps": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": _TEXT, "ok": {"type": "boolean"}, "detail": _TEXT},
            },
        },
    },
}
OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "kind": _TEXT,
        "label": _TEXT,
        "records": {"type": ["integer", "null"]},
        "writable": {"type": "boolean"},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "array", "items": _TEXT},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": _TEXT,
                    "type": {"enum": [kind.value for kind in FieldType]},
                    "nullable": {"type": "boolean"},
                    "label": _TEXT,
                },
            },
        },
    },
}
PREVIEW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "schema": SCHEMA,
        "records": {"type": "array", "items": {"type": "object"}},
        "rejects": {"type": "array", "items": {"type": "object"}},
    },
}
_REFRESH = {"refresh": {"type": "boolean", "default": False, "description": "Ask the system instead of the cache."}}
_NAME = {"object": {"type": "string", "description": "The object's name, as the list of objects has it."}}
_LIMIT = {"limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}}


class ConnectionApi(RoomApi):
    """The configured systems."""

    route_base = "/api/v1/connections"

    @operation("GET", "/", scope="connections:read", summary="List connections", response=listing(CONNECTION))
    def list(self) -> Any:
        """Return all connections, the hub first."""
        with self.house.db.read() as tx:
            return listed([_shown(row) for row in services.list_connections(tx)])

    @operation(
        "POST",
        "/",
        scope="connections:create",
        summary="Create a connection",
        body=DOCUMENT,
        response=CONNECTION,
        status=201,
    )
    def create(self) -> Any:
        """Create a connection."""
        document = {key: value for key, value in self.body.items() if key != "version"}
        _insist(document)
        return _shown(_asked(lambda: services.create(self.house, document, self.actor)))

    @operation("GET", "/<name>", scope="connections:read", summary="Show a connection", response=CONNECTION)
    def get(self, name: str) -> Any:
        """Return one connection."""
        return _shown(self._row(name))

    @operation(
        "PUT", "/<name>", scope="connections:update", summary="Replace a connection", body=DOCUMENT, response=CONNECTION
    )
    def replace(self, name: str) -> Any:
        """Bring a connection to the stated document; a secret that is not stated is deleted."""
        document = {key: value for key, value in self.body.items() if key != "version"}
        if document["name"] != name:
            raise ApiError(422, "The name of a connection cannot be changed: body and address must agree.")
        _insist(document)
        version = self.body.get("version")
        return _shown(_asked(lambda: services.update(self.house, document, self.actor, version=version)))

    @operation("DELETE", "/<name>", scope="connections:delete", summary="Delete a connection and its stored secrets")
    def delete(self, name: str) -> Any:
        """Delete a connection."""
        return _asked(lambda: services.delete(self.house, name, self.actor))

    @operation("POST", "/<name>/check", scope="connections:read", summary="Test a connection", response=STEPS)
    def check(self, name: str) -> Any:
        """Test a connection and keep the result."""
        steps = _asked(lambda: services.check(self.house, name, self.actor))
        return {"ok": all(step.ok for step in steps), "steps": [_step(step) for step in steps]}

    @operation(
        "GET",
        "/<name>/objects",
        scope="connections:read",
        summary="List what is in the system",
        query=_REFRESH,
        response=listing(OBJECT),
    )
    def objects(self, name: str) -> Any:
        """Return the objects of a connection."""
        found = _asked(lambda: services.objects(self.house, name, refresh=self.query["refresh"]))
        return listed([{key: getattr(info, key) for key in OBJECT["properties"]} for info in found])

    @operation(
        "GET",
        "/<name>/schema",
        scope="connections:read",
        summary="Show the fields of an object",
        query=_NAME | _REFRESH,
        response=SCHEMA,
    )
    def schema(self, name: str) -> Any:
        """Return the fields of an object."""
        wanted = self._object()
        return _asked(lambda: services.object_schema(self.house, name, wanted, self.query["refresh"])).to_json()

    @operation(
        "GET",
        "/<name>/preview",
        scope="connections:read",
        summary="Show the first records of an object",
        query=_NAME | _LIMIT,
        response=PREVIEW,
    )
    def preview(self, name: str) -> Any:
        """Return the first records of an object, as JSON values."""
        if not can("read", "Records"):
            raise ApiError(403, "The permission 'read' on Records is missing.")
        wanted = self._object()
        found = _asked(lambda: services.preview(self.house, name, wanted, self.query["limit"]))
        rejects = [
            {"place": r.place, "field": r.field, "raw": r.raw[:2000], "detail": translated(r.message)}
            for r in found.rejects
        ]
        return {"schema": found.schema.to_json(), "records": _records(found), "rejects": rejects}

    @operation(
        "GET",
        "/<name>/personal",
        scope="connections:read",
        summary="Show which fields of an object are marked as personal",
        query=_NAME,
        response=PERSONAL,
    )
    def personal(self, name: str) -> Any:
        """Return the marks of an object."""
        return self._marks(self._row(name).name, self._object())

    @operation(
        "PUT",
        "/<name>/personal",
        scope="connections:update",
        summary="Say which fields of an object are personal, and that no others are",
        body=PERSONAL,
        response=PERSONAL,
    )
    def mark(self, name: str) -> Any:
        """Mark fields of an object."""
        if self._row(name).builtin:
            raise ApiError(409, "Fields of entities are marked in the entity.")
        place, fields = (name, self.body["object"]), self.body["fields"]
        with self.house.db.read() as tx:
            withheld = permitted.withholds_personal(tx)
        personal_marks.mark(self.house, place, fields, self.actor, withheld=withheld)
        return self._marks(*place)

    def _marks(self, name: str, object_name: str) -> dict[str, Any]:
        with self.house.db.read() as tx:
            return {"object": object_name, "fields": sorted(personal_marks.marked(tx, name, object_name))}

    def _object(self) -> str:
        name = self.query["object"]
        if not name:
            raise ApiError(422, "Name the object: ?object=NAME")
        return str(name)

    def _row(self, name: str) -> ConnectionRow:
        with self.house.db.read() as tx:
            return _asked(lambda: services.get_connection(tx, name))


def _shown(row: ConnectionRow) -> dict[str, Any]:
    return {
        **services.to_document(None, row),
        "version": row.version,
        "builtin": row.builtin,
        "state": row.state,
        "last_check_at": row.last_check_at,
    }


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "ok": step.ok, "detail": translated(step.detail)}


def _records(found: services.Preview) -> list[dict[str, Any]]:
    """Return the records; what JSON cannot hold exactly is text, bytes are in hexadecimal."""
    return found.rows.select(found.schema.names).to_dicts()


def _insist(document: Mapping[str, Any]) -> None:
    """Let secrets be set only by a key that may, or by who has just shown who they are."""
    if checked(document)[0].values:
        proof.insist("connections:secrets")


def _asked(question: Callable[[], T]) -> T:
    """Return the answer of a service; its errors become statuses with a sentence each."""
    try:
        return question()
    except ConnectionInvalid as error:
        places = [problem.to_json() for problem in error.problems]
        raise ApiError(422, error.message, places) from error
    except ConnectionProblem as error:
        raise ApiError(_STATUS.get(type(error), 422), error.message) from error
    except ConnectorError as error:
        status = next((code for kind, code in _SYSTEM.items() if isinstance(error, kind)), 502)
        raise ApiError(status, sentence(error)) from error


_STATUS: dict[type[ConnectionProblem], int] = {
    ConnectionMissing: 404,
    ConnectionChanged: 409,
    ConnectionInUse: 409,
    ConnectionBuiltIn: 409,
}
_SYSTEM: dict[type[ConnectorError], int] = {ObjectMissing: 404, Misconfigured: 422, Retriable: 503}

API = (ConnectionApi,)
