"""The description of the API: an OpenAPI 3.1 document of all operations, and a page to read it.

A room whose operations are not known before the request (entities) adds a function to
`app.extensions["syncline_openapi"]`; it is given the house and returns paths as OpenAPI writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Flask, Response, current_app, g
from flask_login import current_user

from webapp.extensions import House, to_json
from webapp.web.api import ApiError, Operation, RoomApi
from webapp.web.views import RoomView, expose, signed_in

PathHook = Callable[[House], dict[str, Any]]

PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do."},
        "request_id": {"type": ["string", "null"], "description": "The number under which the log knows the request."},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"at": {"type": "string"}, "detail": {"type": "string"}}},
        },
    },
    "required": ["type", "title", "status", "detail"],
}
_CONVERTERS = {"int": "integer", "float": "number"}
_PART = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")


class ApiView(RoomView):
    """The description of the API."""

    route_base = "/api"
    class_permission_name = "Api"

    @expose("/v1/openapi.json")
    def openapi(self) -> Response:
        """Return the OpenAPI document to whoever is signed in or holds a key."""
        if "api_actor" not in g and not current_user.is_authenticated:
            raise ApiError(401, "Send an API key as 'Authorization: Bearer syn_...'.")
        return Response(to_json(document(self.house)), mimetype="application/json")

    @expose("/docs")
    @signed_in
    def docs(self) -> Any:
        """Show the operations to a reader."""
        return self.page("shell/api_docs.html", rooms=described(document(self.house)))


def register(app: Flask) -> None:
    """Prepare the hooks."""
    app.extensions["syncline_openapi"] = []


def document(house: House) -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for path, method, description in _operations():
        paths.setdefault(path, {})[method] = description
    for hook in current_app.extensions["syncline_openapi"]:
        for path, item in hook(house).items():
            paths.setdefault(path, {}).update(item)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Syncline",
            "version": version("syncline"),
            "description": "What the console can do, for programs.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, made in the console."}
            },
            "schemas": {"Problem": PROBLEM},
        },
    }


def described(api: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the operations of a document by room, flat for a page."""
    rooms: dict[str, list[dict[str, Any]]] = {}
    for path, item in api["paths"].items():
        for method, about in item.items():
            name = (about.get("tags") or ["other"])[0]
            rooms.setdefault(name, []).append({**about, "path": path, "method": method.upper()})
    return rooms


def path_of(route: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a Flask route as an OpenAPI path and its parameters."""
    parameters = [
        {"name": part[2], "in": "path", "required": True, "schema": {"type": _CONVERTERS.get(part[1] or "", "string")}}
        for part in _PART.finditer(route)
    ]
    return _PART.sub(r"{\2}", route).rstrip("/"), parameters


def describe(operation: Operation, name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an operation as OpenAPI writes it."""
    query = [
        {"name": key, "in": "query", "required": False, "schema": dict(schema)}
        for key, schema in operation.query.items()
    ]
    empty = operation.response is None and not operation.media
    code = 204 if empty and operation.status == HTTPStatus.OK else operation.status
    success: dict[str, Any] = {"description": HTTPStatus(code).phrase}
    if operation.response is not None:
        success["content"] = {"application/json": {"schema": dict(operation.response)}}
    if operation.media:
        success["content"] = {media: {"schema": {"type": "string"}} for media in operation.media}
    wrong = {
        "description": "A problem.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    about: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "tags": [operation.scope.partition(":")[0]],
        "security": [{"key": [operation.scope]}],
        "x-scope": operation.scope,
        "parameters": [*parameters, *query],
        "responses": {str(code): success, "default": wrong},
    }
    if operation.body is not None:
        about["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(operation.body)}}}
    return about


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for view in current_app.extensions["appbuilder"].baseviews:
        if not isinstance(view, RoomApi):
            continue
        for name, operation in view.operations():
            path, parameters = path_of(f"{view.route_base}{operation.path}")
            yield path, operation.method.lower(), describe(operation, f"{type(view).__name__}.{name}", parameters)
