"""The objects of a web service, described as a document: where the records are, how to page, how to write.

```json
[{"name": "customers", "path": "/customers", "records": "data.items", "key": "id",
  "paging": {"by": "page", "parameter": "page", "size_parameter": "per_page", "size": 100},
  "since": {"parameter": "updated_after"},
  "item": "/customers/{key}",
  "create": {"method": "POST", "path": "/customers"},
  "update": {"method": "PATCH", "path": "/customers/{key}"},
  "delete": {"method": "DELETE", "path": "/customers/{key}"}}]
```
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.errors import Misconfigured
from rules.schema import Field, FieldType, Schema
from rules.text import msg


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the document; a member that is not known is a mistake."""


class Paging(Described, frozen=True):
    """How a list goes on.

    `page` and `offset` count up in `parameter` until a page is empty or `total` records were read; `cursor` sends what
    `next` leads to in the answer; `link` follows the address that `next` leads to or the `Link` header.
    """

    by: Literal["none", "page", "offset", "cursor", "link"] = "none"
    parameter: str = ""
    start: int | None = None
    size: int = 100
    size_parameter: str = ""
    next: str = ""
    total: str = ""


class Since(Described, frozen=True):
    """The parameter that asks for records changed since a moment; with `seconds` it is sent as a Unix time."""

    parameter: str
    seconds: bool = False


class Call(Described, frozen=True):
    """A request that writes one record; `wrap` puts the record under that member, `key` finds the key in the answer."""

    path: str
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    wrap: str = ""
    key: str = ""


class FieldDescription(Described, frozen=True):
    """A field whose type is given and not judged by a sample."""

    name: str
    type: FieldType = FieldType.TEXT
    scale: int | None = None
    required: bool = False
    generated: bool = False
    label: str = ""


class RestObject(Described, frozen=True):
    """One list of records of the service."""

    name: str
    path: str
    records: str = ""
    key: str = ""
    label: str = ""
    query: dict[str, str] = {}
    paging: Paging = Paging()
    since: Since | None = None
    item: str = ""
    item_record: str = ""
    create: Call | None = None
    update: Call | None = None
    delete: Call | None = None
    fields: list[FieldDescription] = []

    @property
    def writable(self) -> bool:
        """Tell whether records can be written at all."""
        return any((self.create, self.update, self.delete))

    def schema(self) -> Schema | None:
        """Return the given fields, or None if they are to be judged by a sample."""
        if not self.fields:
            return None
        return Schema(tuple(map(_field, self.fields)), (self.key,) if self.key else ())


def objects_of(document: Any) -> dict[str, RestObject]:
    """Return the objects by name; raises `Misconfigured` with the place of the mistake.

    Args:
        document: The list, or its JSON text.
    """
    try:
        if isinstance(document, (str, bytes)):
            document = msgspec.json.decode(document)
        found = msgspec.convert(document, list[RestObject])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(
            msg("The description of the objects is wrong: {problem}.", problem=str(error).replace("$", "objects")),
            msg("Correct it in the connection's settings."),
        ) from error
    for number, described in enumerate(found):
        _check(described, number, [other.name for other in found[:number]])
    return {described.name: described for described in found}


def _check(described: RestObject, number: int, before: list[str]) -> None:
    paging = described.paging
    problem = None
    if not described.name or described.name in before:
        problem = msg("Object {number} needs a name that no other object has.", number=number + 1)
    elif paging.by in ("page", "offset", "cursor") and not paging.parameter:
        problem = msg(
            "Object '{name}': paging by {by} needs the member 'parameter'.", name=described.name, by=paging.by
        )
    elif paging.by == "cursor" and not paging.next:
        problem = msg("Object '{name}': paging by cursor needs the member 'next'.", name=described.name)
    elif (described.update or described.delete) and not described.key:
        problem = msg("Object '{name}': to change records it needs the member 'key'.", name=described.name)
    if problem:
        raise Misconfigured(problem, msg("Correct it in the connection's settings."))


def _field(described: FieldDescription) -> Field:
    return Field(
        described.name, described.type, nullable=not described.required, scale=described.scale,
        precision=38 if described.type is FieldType.DECIMAL else None,
        generated=described.generated, label=described.label,
    )  # fmt: skip
