"""Changes of a SCIM resource (RFC 7644, section 3.5.2) as the resource that comes of them. Changes nothing itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from webapp.access import scim_schemas as told
from webapp.access.scim_errors import ScimError
from webapp.access.scim_filter import Path, path_of

Resource = dict[str, Any]
_KNOWN = {
    "User": {
        "username": "userName",
        "name": "name",
        "emails": "emails",
        "active": "active",
        "externalid": "externalId",
    },
    "Group": {"displayname": "displayName", "members": "members", "externalid": "externalId"},
}
_MANY = frozenset({"emails", "members"})


def patched(kind: str, resource: Resource, body: Any) -> Resource:
    """Return a resource with the changes of a request; raises `ScimError`.

    Args:
        kind: User or Group.
        resource: As it is.
        body: The request's body.
    """
    if not isinstance(body, Mapping) or told.PATCH not in body.get("schemas", ()):
        raise ScimError(400, f"A change has the schema {told.PATCH}.", "invalidSyntax")
    made = copy.deepcopy(resource)
    operations = next((v for k, v in body.items() if k.lower() == "operations"), None)
    if not isinstance(operations, list) or not operations:
        raise ScimError(400, "A change needs a list of Operations.", "invalidSyntax")
    for operation in operations:
        if not isinstance(operation, Mapping):
            raise ScimError(400, "An operation is an object with op, path and value.", "invalidSyntax")
        _apply(kind, made, operation)
    return made


def _apply(kind: str, made: Resource, operation: Mapping[str, Any]) -> None:
    deed, path, value = str(operation.get("op", "")).lower(), operation.get("path"), operation.get("value")
    if deed not in ("add", "replace", "remove"):
        raise ScimError(400, f"There is no operation '{operation.get('op')}'.", "invalidSyntax")
    if path:
        _at(kind, made, deed, path_of(str(path)), value)
    elif deed == "remove":
        raise ScimError(400, "To remove something, its path has to be given.", "noTarget")
    elif not isinstance(value, Mapping):
        raise ScimError(400, "Without a path the value is an object with attributes.", "invalidValue")
    else:
        for name, each in value.items():
            if not name.lower().startswith("urn:") or not isinstance(each, Mapping):
                _at(kind, made, deed, path_of(name), each)
            else:  # an extension, of which at most attributes of users are kept
                made.setdefault(told.TOLD, {}).update({k.lower(): v for k, v in each.items()})


def _at(kind: str, made: Resource, deed: str, path: Path, value: Any) -> None:
    name = _KNOWN[kind].get(path.attribute.lower())
    if name is None:
        if (kind == "User" and told.passed_over(path.attribute)) or path.attribute.lower() in ("schemas", "id", "meta"):
            if not path.part:
                made.setdefault(told.TOLD, {})[path.attribute.lower()] = None if deed == "remove" else value
            return
        raise ScimError(400, f"There is no attribute '{path.attribute}'.", "invalidPath")
    if deed != "remove" and value is None:
        deed = "remove"  # no value is the same as none at all
    if name in _MANY:
        made[name] = _listed(name, made.get(name) or [], deed, path, value)
    else:
        made[name] = _single(name, made.get(name), path.part, None if deed == "remove" else value)


def _single(name: str, before: Any, part: str, value: Any) -> Any:
    """Return the value of an attribute that has only one."""
    if part and name != "name":
        raise ScimError(400, f"The attribute '{name}' has no parts.", "invalidPath")
    if part:
        return {**(before or {}), _part(part): value}
    if isinstance(value, Mapping) and name == "name":
        return {**(before or {}), **{_part(k): v for k, v in value.items()}}
    return value


def _part(name: str) -> str:
    return {"givenname": "givenName", "familyname": "familyName"}.get(name.lower(), name)


def _listed(name: str, before: list[Any], deed: str, path: Path, value: Any) -> list[Any]:
    """Return the values of an attribute that has several."""
    # one address is kept, so whatever is said of its kind (type eq "work") means it
    meant = before if name == "emails" else [v for v in before if path.meant is None or path.meant(v)]
    if path.meant is not None and not meant and deed == "replace" and name == "members":
        raise ScimError(400, "None of the values is meant.", "noTarget")
    if deed == "remove":
        return _without(before, meant, path, value)
    given = [_member(each) for each in (value if isinstance(value, list) else [value])]
    if path.part or (path.meant is not None and len(given) == 1):
        changed = {path.part: value} if path.part else given[0]
        return [{**v, **changed} if v in meant else v for v in before] if meant else [*before, changed]
    if deed == "replace":
        return given
    known = {str(v.get("value")) for v in before}
    added = [v for v in given if str(v.get("value")) not in known]
    return [*added, *before] if name == "emails" else [*before, *added]


def _without(before: list[Any], meant: list[Any], path: Path, value: Any) -> list[Any]:
    if path.meant is None and value:  # as Entra removes members: their ids are the value
        gone = {str(_member(v).get("value")) for v in (value if isinstance(value, list) else [value])}
        return [v for v in before if str(v.get("value")) not in gone]
    return [v for v in before if v not in meant]


def _member(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {"value": value}
