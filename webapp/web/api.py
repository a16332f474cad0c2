"""The base of the REST API under /api/v1: operations that carry their scope, their shape and their documentation.

    class ConnectionApi(RoomApi):
        route_base = "/api/v1/connections"

        @operation("GET", "/", scope="connections:read", summary="List connections", response=listing(ITEM))
        def list(self) -> Any:
            return listed(items, next_key)

An operation is called with the parts of its path. It finds the checked query in `self.query` and the checked body in
`self.body`, and returns something that JSON can hold, `(value, status)`, a Response, or None for 204.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from flask import Response, current_app, g, has_request_context, request
from flask_appbuilder import BaseView
from flask_login import current_user

from webapp.extensions import Actor, House, to_json
from webapp.web.request import actor, house
from webapp.web.storable import LARGEST, read_json

Schema = Mapping[str, Any]

PAGING: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50, "description": "How many at most."},
    "after": {"type": "string", "description": "The `next` of the page before."},
}


class ApiError(Exception):
    """An operation refuses; `detail` says to the caller what is wrong and what to do."""

    def __init__(self, status: int, detail: Any, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)


@dataclass(frozen=True)
class Operation:
    """What is known of one operation of the API."""

    method: str
    path: str
    scope: str
    summary: str
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None
    response: Schema | None = None
    status: int = 200
    media: tuple[str, ...] = ()
    """The types of the files that it may send instead."""

    @property
    def action(self) -> str:
        """Return the permission that the scope stands for ("read")."""
        return self.scope.partition(":")[2]

    @property
    def room(self) -> str:
        """Return the room that the scope speaks of ("Connections")."""
        return self.scope.partition(":")[0].capitalize()


class RoomApi(BaseView):  # type: ignore[misc]
    """A room's operations; a subclass names its `route_base`."""

    @property
    def house(self) -> House:
        """Return the house."""
        return house()

    @property
    def actor(self) -> Actor:
        """Return who asks."""
        return actor()

    @property
    def body(self) -> Any:
        """Return the JSON body, checked against the operation's schema."""
        return g.get("api_body") if has_request_context() else None

    @property
    def query(self) -> dict[str, Any]:
        """Return the query's parameters, checked and converted, with their defaults."""
        return g.get("api_query", {}) if has_request_context() else {}

    @classmethod
    def operations(cls) -> list[tuple[str, Operation]]:
        """Return the operations with the name of their method."""
        found = ((name, getattr(getattr(cls, name, None), "operation", None)) for name in sorted(dir(cls)))
        return [(name, described) for name, described in found if isinstance(described, Operation)]


def operation(method: str, path: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method an operation.

    Args:
        method: the HTTP method.
        path: the path below the class's `route_base`, with Flask's converters.
        options: `scope` ("connections:read"), `summary`, and if there are any `query` (JSON schema by name),
            `body` and `response` (JSON schemas), or `media` for files; `status` of a success, if it is not 200 (or 204
            for None).
    """
    described = Operation(method, path, **options)

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def guarded(self: RoomApi, *args: Any, **kwargs: Any) -> Response:
            authorise(described)
            g.api_query = _checked_query(described)
            g.api_body = _checked_body(described)
            return _answer(function(self, *args, **kwargs), described.status)

        guarded.operation = described  # type: ignore[attr-defined]
        guarded._urls = [(path, (method,))]  # type: ignore[attr-defined]  # noqa: SLF001 - where FAB looks for routes
        return guarded

    return wrap


def listed(items: Sequence[Any], after: str | int | None = None) -> dict[str, Any]:
    """Return a page of a list; `after` is what the caller gives back to get the next one."""
    return {"items": list(items), "next": None if after is None else str(after)}


def listing(item: Schema) -> dict[str, Any]:
    """Return the schema of a page of `item`."""
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": item}, "next": {"type": ["string", "null"]}},
        "required": ["items", "next"],
    }


def authorise(described: Operation) -> None:
    """Let a key in that holds the scope and whose owner may do it, or a signed-in user who may."""
    if "api_actor" not in g and not current_user.is_authenticated:
        raise ApiError(401, "Send an API key as 'Authorization: Bearer syn_...'.")
    scopes = g.get("api_scopes")
    if scopes is not None and described.scope not in scopes:
        raise ApiError(403, f"The API key lacks the scope '{described.scope}'.")
    if not current_app.extensions["appbuilder"].sm.has_access(f"can_{described.action}", described.room):
        raise ApiError(403, f"The permission '{described.action}' on {described.room} is missing.")


def _checked_query(described: Operation) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, schema in described.query.items():
        text = request.args.get(name)
        if text is None:
            values[name] = schema.get("default")
            continue
        values[name] = _converted(name, text, schema)
        _check(values[name], schema, f"?{name}")
    return values


def _converted(name: str, text: str, schema: Schema) -> Any:
    kind = schema.get("type")
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "boolean":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except (ValueError, KeyError):
        raise ApiError(422, f"The parameter '{name}' is not of type {kind}: '{text}'.") from None
    return text


def _checked_body(described: Operation) -> Any:
    if described.body is None:
        return None
    body = sent_json()
    _check(body if body is not None else {}, described.body, "")
    return body if body is not None else {}


def sent_json() -> Any:
    """Return the JSON that was sent, None if nothing was; raises `ApiError` for anything else."""
    data = request.get_data(cache=True)
    if not data:
        return None
    if not request.is_json:
        raise ApiError(400, "The body is not valid JSON, or 'Content-Type: application/json' is missing.")
    try:
        return read_json(data)
    except ValueError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}.") from None


def _is_integer(_checker: Any, value: Any) -> bool:
    """Tell whether a value is a whole number that a database can hold."""
    known: bool = jsonschema.Draft202012Validator.TYPE_CHECKER.is_type(value, "integer")
    return known and abs(value) <= LARGEST


_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_TYPES)  # type: ignore[no-untyped-call]


def _check(value: Any, schema: Schema, where: str) -> None:
    problems = sorted(_Validator(dict(schema)).iter_errors(value), key=lambda e: list(map(str, e.absolute_path)))
    if problems:
        errors = [
            {"at": where + "".join(f"/{part}" for part in p.absolute_path), "detail": p.message} for p in problems[:50]
        ]
        raise ApiError(422, "The request does not have the documented shape; see 'errors'.", errors)


def _answer(result: Any, usual: int) -> Response:
    if isinstance(result, Response):
        return result
    value, status = result if isinstance(result, tuple) else (result, usual)
    if value is None:
        return Response(status=204 if status == 200 else status)
    return Response(to_json(value), status, mimetype="application/json")
