"""What a SCIM server says of itself (RFC 7643): kinds of resources, their attributes as flat fields. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.builtin.scim_options import ScimField, ScimObject
from connectors.errors import Misconfigured
from connectors.json_records import encode, text_of
from rules.schema import Field, FieldType, Schema
from rules.text import msg

Document = Mapping[str, Any]
CORE = "urn:ietf:params:scim:schemas:core:2.0"
MODIFIED = "meta.lastModified"
_TYPES = {
    "string": FieldType.TEXT, "reference": FieldType.TEXT, "boolean": FieldType.BOOLEAN, "integer": FieldType.INTEGER,
    "decimal": FieldType.DECIMAL, "dateTime": FieldType.DATETIME, "binary": FieldType.BINARY,
}  # fmt: skip
_UNREAD = frozenset({"writeOnly"})


@dataclass(frozen=True)
class Attribute:
    """An attribute as a field: where it is in a resource, and how it is named in a path."""

    field: Field
    parts: tuple[str, ...]
    """The members that lead to its value; the first is the extension's number, where it belongs to one."""
    extension: str = ""
    many: bool = False
    own: FieldType = FieldType.TEXT
    """Its type in the service, where the field may have another."""

    @property
    def path(self) -> str:
        """Return its name in filters and changes."""
        return f"{self.extension}:{'.'.join(self.parts[1:])}" if self.extension else ".".join(self.parts)

    def value(self, resource: Document) -> Any:
        """Return its value in a resource, None where there is none."""
        found: Any = resource
        for part in self.parts:
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def text(self, resource: Document) -> str | None:
        """Return its value as `connectors.casting` wants it."""
        found = self.value(resource)
        if found is None or found == []:
            return None
        return encode(found).decode() if self.own is FieldType.JSON else text_of(found)

    def put(self, resource: dict[str, Any], value: Any) -> None:
        """Set its value in a resource."""
        place = resource
        for part in self.parts[:-1]:
            place = place.setdefault(part, {})
        if value is None:
            place.pop(self.parts[-1], None)
        else:
            place[self.parts[-1]] = value


@dataclass(frozen=True)
class Kind:
    """A kind of resource: where it lies, its schemas, its attributes by field."""

    name: str
    endpoint: str
    schemas: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    key: str = "id"
    filter: str = ""
    label: str = ""

    @property
    def schema(self) -> Schema:
        """Return the fields."""
        key = (self.key,) if self.key in self.attributes else ()
        return Schema(tuple(a.field for a in self.attributes.values()), key)

    def described(self, given: ScimObject) -> Kind:
        """Return the kind as an object's description has it; raises `Misconfigured`."""
        named = replace(self, name=given.name, filter=given.filter, label=given.label or self.label)
        if not given.fields:
            return _with_key(named, given.key)
        made = {field.name: self._field(given, field) for field in given.fields}
        return _with_key(replace(named, attributes=made), given.key)

    def _field(self, given: ScimObject, field: ScimField) -> Attribute:
        found = self.attributes.get(field.attribute or field.name)
        if found is None:
            raise Misconfigured(
                msg("The object '{name}' has no attribute '{field}'.",
                    name=given.name, field=field.attribute or field.name),
                msg("Correct the objects in the connection's settings."),
                object_name=given.name,
            )  # fmt: skip
        kind = field.type or found.field.type
        made = Field(
            field.name, kind, nullable=not field.required, precision=38 if kind is FieldType.DECIMAL else None,
            scale=field.scale, generated=found.field.generated, label=found.field.label,
        )  # fmt: skip
        return replace(found, field=made)


def _with_key(kind: Kind, key: str) -> Kind:
    found = kind.attributes.get(key)
    if found is None:
        return replace(kind, key=key)
    made = {**kind.attributes, key: replace(found, field=replace(found.field, nullable=False))}
    return replace(kind, attributes=made, key=key)


def kinds_of(types: list[Document], schemas: list[Document]) -> dict[str, Kind]:
    """Return the kinds of resources by the name of their endpoint.

    Args:
        types: The documents of /ResourceTypes.
        schemas: Those of /Schemas.
    """
    known = {str(schema.get("id")): schema for schema in schemas}
    found = {}
    for given in types:
        endpoint = str(given.get("endpoint") or "").strip("/")
        core = str(given.get("schema") or "")
        more = [str(e.get("schema")) for e in given.get("schemaExtensions") or () if e.get("schema")]
        attributes = [*_common(), *_of_schema(known.get(core, {}), "")]
        for number in more:
            attributes += _of_schema(known.get(number, {}), number)
        named = {a.field.name: a for a in attributes}
        found[endpoint] = Kind(endpoint, endpoint, (core, *more), named, label=str(given.get("description") or ""))
    return dict(sorted(found.items()))


def _common() -> list[Attribute]:
    moment = FieldType.DATETIME
    return [
        Attribute(Field("id", nullable=False, generated=True), ("id",)),
        Attribute(Field("externalId"), ("externalId",)),
        Attribute(Field("meta.created", moment, generated=True), ("meta", "created"), own=moment),
        Attribute(Field(MODIFIED, moment, generated=True), ("meta", "lastModified"), own=moment),
    ]


def _of_schema(schema: Document, extension: str) -> list[Attribute]:
    prefix = f"{_short(extension)}." if extension else ""
    own = {attribute.field.name for attribute in _common()}
    made = (_attribute(each, prefix, (extension,) if extension else ()) for each in schema.get("attributes") or ())
    return [a for group in made for a in group if a.field.name not in own]


def _short(extension: str) -> str:
    """Return how an extension's fields begin: `enterprise` for the one of the standard, else the last word but two."""
    _, mark, rest = extension.partition(":extension:")
    return rest.partition(":")[0] if mark else extension.rpartition(":")[2]


def _attribute(given: Document, prefix: str, above: tuple[str, ...]) -> Iterator[Attribute]:
    """Yield an attribute, or those that it is made of."""
    if given.get("mutability") in _UNREAD or given.get("returned") == "never":
        return
    name, many = str(given.get("name")), bool(given.get("multiValued"))
    parts = given.get("subAttributes") or ()
    if given.get("type") == "complex" and parts and not many:
        for part in parts:
            yield from _attribute(part, f"{prefix}{name}.", (*above, name))
        return
    kind = (
        FieldType.JSON if many or given.get("type") == "complex" else _TYPES.get(str(given.get("type")), FieldType.TEXT)
    )
    field = Field(
        f"{prefix}{name}", kind, nullable=not (given.get("required") and len(above) == 0),
        precision=38 if kind is FieldType.DECIMAL else None, generated=given.get("mutability") == "readOnly",
        label=str(given.get("displayName") or ""),
    )  # fmt: skip
    extension = above[0] if above and above[0].startswith("urn:") else ""
    yield Attribute(field, (*above, name), extension, many, kind)


def usual() -> tuple[list[Document], list[Document]]:
    """Return the kinds and schemas of the standard, for services that do not tell theirs."""

    def text(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "type": "string", **more}

    names = [text(n) for n in ("formatted", "familyName", "givenName", "middleName")]
    plain = ("displayName", "nickName", "title", "userType", "preferredLanguage", "locale", "timezone")
    lists = [
        {"name": n, "type": "complex", "multiValued": True} for n in ("emails", "phoneNumbers", "addresses", "roles")
    ]
    user = [
        text("userName", required=True), {"name": "name", "type": "complex", "subAttributes": names}, *map(text, plain),
        {"name": "active", "type": "boolean"}, *lists,
        {"name": "groups", "type": "complex", "multiValued": True, "mutability": "readOnly"},
    ]  # fmt: skip
    group = [text("displayName", required=True), {"name": "members", "type": "complex", "multiValued": True}]
    types: list[Document] = [{"endpoint": f"/{name}s", "schema": f"{CORE}:{name}"} for name in ("User", "Group")]
    return types, [{"id": f"{CORE}:User", "attributes": user}, {"id": f"{CORE}:Group", "attributes": group}]
