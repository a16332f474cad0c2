"""The SCIM 2.0 server (RFC 7644) at /scim/v2: a company's directory adds, changes, disables and removes users here."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from flask import Flask, Response, request, url_for

from webapp.access import removal, scim, scim_calls, scim_schemas
from webapp.access.errors import Missing, Refused
from webapp.access.scim_errors import ScimError
from webapp.access.scim_filter import simple, test_of, values
from webapp.access.scim_patch import patched
from webapp.approvals.console import proposed
from webapp.approvals.errors import ApprovalProblem, SecondPersonNeeded
from webapp.web.api import ApiError, Operation, authorise
from webapp.web.problems import scim_problem
from webapp.web.request import actor, house

ROOT = "/scim/v2"
_KIND = "application/scim+json"
_ALWAYS = frozenset({"schemas", "id", "meta"})
Resource = dict[str, Any]


def register(app: Flask) -> None:
    """Install the server."""
    for path, methods, function in _ROUTES:
        app.add_url_rule(ROOT + path, f"scim{path}{methods[0]}", _guarded(function), methods=methods)


def _guarded(function: Callable[..., Response]) -> Callable[..., Response]:
    """Let a key in that has the scope, and tell refusals in SCIM's form."""

    @functools.wraps(function)
    def answer(*args: Any, **parts: Any) -> Response:
        deed = "read" if request.method == "GET" or request.path.endswith("/.search") else "update"
        try:
            authorise(Operation(request.method, request.path, f"provisioning:{deed}", ""))
        except ApiError as error:
            _note(error.status, str(error.detail))
            raise
        response = _answered(lambda: function(*args, **parts))
        refused = response.status_code >= HTTPStatus.BAD_REQUEST
        _note(response.status_code, json.loads(response.get_data())["detail"] if refused else "")
        return response

    return answer


def _answered(work: Callable[[], Response]) -> Response:
    try:
        return work()
    except ScimError as error:
        return scim_problem(error.status, error.detail, error.kind)
    except Refused as error:
        taken = "belongs to another" in str(error.message) or "already" in str(error.message)
        return scim_problem(409 if taken else 400, str(error.message), "uniqueness" if taken else "invalidValue")
    except Missing:
        return scim_problem(404, "There is nothing with this id.")
    except SecondPersonNeeded as needed:
        return _waits(needed)


def _waits(needed: SecondPersonNeeded) -> Response:
    """Propose what was asked for; SCIM has no answer for what is neither done nor wrong, so it is a refusal for now."""
    try:
        found = proposed(needed)
    except ApprovalProblem as error:
        return scim_problem(403, str(error.message))
    return scim_problem(403, f"This waits for the approval of a second person, as proposal {found.id}.")


def _note(status: int, said: str) -> None:
    """Keep what a key asked; who has none is not known, and is not written down."""
    who = actor()
    if who.kind == "key":
        scim_calls.note(house(), who.name, (request.method, request.path.removeprefix(ROOT)), status, said)


def provider() -> Response:
    """Tell what the server can do."""
    return _shown(scim_schemas.provider(_base()))


def catalogue(name: str, wanted: str = "") -> Response:
    """List the schemas or the kinds of resources, or show one."""
    if request.args.get("filter"):
        return scim_problem(403, "These lists cannot be filtered.")
    found = scim_schemas.schemas(_base()) if name == "Schemas" else scim_schemas.kinds(_base())
    if not wanted:
        return _shown(_listed(found, len(found), 1))
    one = next((document for document in found if document["id"] == wanted), None)
    return _shown(one) if one else scim_problem(404, f"There is no '{wanted}'.")


def search(kind: str) -> Response:
    """List users or groups that meet a filter, some at a time."""
    asked = _asked()
    text = str(asked.get("filter") or "")
    start, count = (
        max(_number(asked, "startIndex", 1), 1),
        min(max(_number(asked, "count", scim_schemas.USUAL), 0), scim_schemas.MOST),
    )
    meant = test_of(text) if text else None
    with house().db.read() as connection:
        one = simple(text)
        people = scim.user_resources(connection, one if one and scim.can_ask(one) else None) if "User" in kind else []
        found = [*people, *(scim.group_resources(connection) if "Group" in kind else [])]
    shown = [_located(resource) for resource in found]
    chosen = [resource for resource in shown if meant is None or meant(resource)]
    part = [_chosen(resource, asked) for resource in chosen[start - 1 : start - 1 + count]]
    return _shown(_listed(part, len(chosen), start))


def show(kind: str, resource_id: str) -> Response:
    """Show a user or a group; an answer that the caller has already is not sent again."""
    with house().db.read() as connection:
        found = _located(scim.one(connection, kind, resource_id))
    if found["meta"]["version"] in request.headers.get("If-None-Match", ""):
        return Response(status=304, headers={"ETag": found["meta"]["version"]})
    return _resource(found)


def create(kind: str) -> Response:
    """Add a user or a group."""
    body = _body(kind)
    with house().db.begin() as tx:
        make = scim.create_user if kind == "User" else scim.create_group
        number = make(tx, house(), body, actor())
        made = _located(scim.one(tx, kind, number))
    return _resource(made, 201)


def change(kind: str, resource_id: str) -> Response:
    """Replace a user or a group (PUT), or change parts of it (PATCH)."""
    body = _json() if request.method == "PATCH" else _body(kind)
    with house().db.begin() as tx:
        before = _expected(tx, kind, resource_id)
        wanted = patched(kind, before, body) if request.method == "PATCH" else body
        (scim.replace_user if kind == "User" else scim.replace_group)(tx, house(), before, wanted, actor())
        made = _located(scim.one(tx, kind, resource_id))
    return _resource(made)


def remove(kind: str, resource_id: str) -> Response:
    """Remove a user with sessions and keys, or a group."""
    with house().db.begin() as tx:
        before = _expected(tx, kind, resource_id)
        if kind == "User":
            removal.delete_user_in(tx, int(before["id"]), actor(), house().clock())
        else:
            scim.delete_group(tx, house(), before, actor())
    return Response(status=204)


def _expected(tx: sa.Connection, kind: str, resource_id: str) -> Resource:
    """Return a resource as it is, if it is the version that the caller means."""
    found = scim.one(tx, kind, resource_id)
    match = request.headers.get("If-Match", "*")
    if match.strip() != "*" and found["meta"]["version"] not in match:
        raise ScimError(412, "The resource has changed meanwhile. Read it again.")
    return found


def _json() -> Any:
    found = request.get_json(force=True, silent=True)
    if not isinstance(found, dict):
        raise ScimError(400, "The body is not a JSON object.", "invalidSyntax")
    return found


def _body(kind: str) -> Resource:
    """Return the resource that was sent, its attributes in their usual letters."""
    found = _json()
    wanted = scim_schemas.USER if kind == "User" else scim_schemas.GROUP
    if wanted not in (found.get("schemas") or ()):
        raise ScimError(400, f"The resource has the schema {wanted}.", "invalidSyntax")
    usual = {
        name.lower(): name for name in ("userName", "name", "emails", "active", "externalId", "displayName", "members")
    }
    return {usual.get(name.lower(), name): value for name, value in found.items()}


def _asked() -> Mapping[str, Any]:
    if request.method == "GET":
        return request.args
    found: Mapping[str, Any] = _json()
    return found


def _number(asked: Mapping[str, Any], name: str, usual: int) -> int:
    try:
        return int(asked.get(name) or usual) if asked.get(name) != 0 else 0
    except (ValueError, TypeError):
        raise ScimError(400, f"'{name}' is not a number.", "invalidValue") from None


def _chosen(resource: Resource, asked: Mapping[str, Any]) -> Resource:
    """Return the attributes of a resource that were asked for."""
    wanted, unwanted = (_names(asked, name) for name in ("attributes", "excludedAttributes"))
    if wanted:
        kept = {name.partition(".")[0] for name in wanted}
        made = {n: v for n, v in resource.items() if n in _ALWAYS or n.lower() in kept}
        return {n: _parts(n, v, wanted) for n, v in made.items()}
    return {n: v for n, v in resource.items() if n in _ALWAYS or n.lower() not in unwanted}


def _parts(name: str, value: Any, wanted: set[str]) -> Any:
    """Return the parts of an attribute that were asked for, all of them if it was named as a whole."""
    parts = {w.partition(".")[2] for w in wanted if w.partition(".")[0] == name.lower()}
    if name in _ALWAYS or "" in parts:
        return value
    if isinstance(value, list):
        return [_parts(name, each, wanted) for each in value]
    return {n: v for n, v in value.items() if n.lower() in parts} if isinstance(value, dict) else value


def _names(asked: Mapping[str, Any], name: str) -> set[str]:
    given = asked.get(name) or []
    found = given.split(",") if isinstance(given, str) else given
    return {str(each).rpartition(":")[2].strip().lower() for each in found if str(each).strip()}


def _located(resource: Resource) -> Resource:
    """Return a resource with the addresses of itself and of those that it names."""
    kind = resource["meta"]["resourceType"]
    resource["meta"]["location"] = f"{_base()}/{kind}s/{resource['id']}"
    for name, other in (("groups", "Groups"), ("members", "Users")):
        for each in values(resource, name):
            each["$ref"] = f"{_base()}/{other}/{each['value']}"
    return resource


def _resource(resource: Resource, status: int = 200) -> Response:
    headers = {"ETag": resource["meta"]["version"], "Location": resource["meta"]["location"]}
    return _shown(_chosen(resource, request.args), status, headers)


def _listed(resources: list[Any], total: int, start: int) -> Resource:
    return {
        "schemas": [scim_schemas.LIST], "totalResults": total, "startIndex": start, "itemsPerPage": len(resources),
        "Resources": resources,
    }  # fmt: skip


def _shown(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(document, ensure_ascii=False), status, dict(headers or {}), content_type=_KIND)


def _base() -> str:
    return url_for("scim/ServiceProviderConfigGET", _external=True).rpartition("/")[0]


_READ, _CHANGE = ["GET"], ["PUT", "PATCH"]
_ROUTES: tuple[tuple[str, list[str], Callable[..., Response]], ...] = (
    ("/ServiceProviderConfig", _READ, provider),
    *((f"/{name}", _READ, functools.partial(catalogue, name)) for name in ("Schemas", "ResourceTypes")),
    *((f"/{name}/<wanted>", _READ, functools.partial(catalogue, name)) for name in ("Schemas", "ResourceTypes")),
    ("/.search", ["POST"], functools.partial(search, "User and Group")),
    *(
        (f"/{kind}s{path}", methods, functools.partial(function, kind))
        for kind in ("User", "Group")
        for path, methods, function in (
            ("", _READ, search),
            ("", ["POST"], create),
            ("/.search", ["POST"], search),
            ("/<resource_id>", _READ, show),
            ("/<resource_id>", _CHANGE, change),
            ("/<resource_id>", ["DELETE"], remove),
        )
    ),
)
