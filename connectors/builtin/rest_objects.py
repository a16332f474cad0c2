"""The objects of a web service, described as a document: where the records are, how to page, how to write.

```json
[{"name": "customers", "path": "/customers", "records": "data.items", "key": "id",
  "paging": {"by": "page", "parameter": "page", "size_parameter": "per_page", "size": 100, "total": "meta.total"},
  "since": {"parameter": "updated_after", "format": "unix_ms"},
  "item": "/customers/{key}", "item_record": "data", "etag": "header",
  "find": {"path": "/customers", "query": {"erp_no": "{value}"}, "field": "erp_no", "records": "data.items"},
  "create": {"method": "POST", "path": "/customers", "wrap": "customer", "key": "data.id"},
  "update": {"method": "PATCH", "path": "/customers/{key}"},
  "delete": {"method": "DELETE", "path": "/customers/{key}"}},
 {"name": "contacts", "path": "/customers/{parent}/contacts", "key": "id",
  "parent": {"object": "customers", "as": "customer_id"}}]
```

Every member is documented at its class below. A path such as `data.items` names a member of a member; a part that is
a number counts into a list; a member whose own name has dots (`@odata.nextLink`) is found by its whole name;
`header:Name` names a header of the answer. In XML the parts are elements, and `@id` is an attribute.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.builtin.described import Described, parsed, wrong
from connectors.builtin.rest_json_schema import fields_of
from connectors.builtin.rest_objects_check import described_wrongly
from connectors.errors import Misconfigured
from rules.schema import Field, FieldType, Schema
from rules.text import msg

Place = Literal["query", "body"]
Form = Literal["json", "form", "xml"]


class Paging(Described, frozen=True):
    """How a list goes on.

    `page` and `offset` count up in `parameter` until a page is empty or `total` records were read; `cursor` sends what
    `next` leads to in the answer; `link` follows the address that `next` leads to or the `Link` header (`next_url` is
    another word for it); `keyset` sends the `field` (else the object's key) of the last record, as `template` writes it
    ("id gt {value}"), and needs a list that is sorted by that field.

    `start` is the first page or offset; `size` is asked for in `size_parameter`; `place` puts the parameters into the
    query or the JSON body; `more` leads to a member that is false on the last page; `ends: short` takes a page with
    fewer than `size` records for the last one, which is right only where the service never caps the size.
    """

    by: Literal["none", "page", "offset", "cursor", "link", "next_url", "keyset"] = "none"
    parameter: str = ""
    start: int | None = None
    size: int = 100
    size_parameter: str = ""
    place: Place = "query"
    next: str = ""
    total: str = ""
    more: str = ""
    ends: Literal["empty", "short"] = "empty"
    field: str = ""
    template: str = "{value}"


class Since(Described, frozen=True):
    """The parameter that asks for records changed since a moment.

    `format` writes it: `iso`, `date`, `unix` (seconds), `unix_ms`, or `template`, a text with {iso}, {date}, {time},
    {unix}, {unix_ms} or {value} ("modified ge {iso}"). `lookback` asks that many seconds earlier. `place` is query or
    body. `seconds: true` is the older word for `format: unix`.
    """

    parameter: str
    format: Literal["iso", "date", "unix", "unix_ms", "template"] = "iso"
    template: str = ""
    lookback: int = 0
    place: Place = "query"
    seconds: bool = False


class Parent(Described, frozen=True):
    """A list that is read once for each record of `object`, whose `field` (else its key) is `{parent}`.

    `{parent}` may stand in `path`, `query` and `body`. `as` names the field of the records that gets the parent's
    value; `most` is the largest number of parents. `also` are values that no record stands for, such as the root of a
    tree. An object that is its own parent is a tree: it is walked down from the values in `also`. With `once`, a record
    that several parents list is met once.
    """

    object: str
    field: str = ""
    name: str = msgspec.field(default="", name="as")
    most: int = 10_000
    also: list[str] = []
    once: bool = False


class Delta(Described, frozen=True):
    """The list in which the service itself tells what was changed behind a place (`@odata.deltaLink`).

    It begins at `path` with `query` and, so that it tells of nothing that is there already, `latest`. Entries are at
    `records`; `next` leads to the address of more of them, `link` to that of a later time. An entry that has the member
    `removed` tells that its record is gone.
    """

    path: str
    link: str
    records: str = ""
    next: str = ""
    removed: str = "@removed"
    query: dict[str, str] = {}
    latest: dict[str, str] = {}


class Find(Described, frozen=True):
    """How to find a record by an external key: a call with `{value}` in `path`, `query` or `body`.

    A creation whose answer got lost is looked for by it before it is sent again, and one that the service calls
    "already there" gets its key by it. `records` leads to the list (or the one record) in the answer.
    """

    field: str
    path: str
    method: Literal["GET", "POST"] = "GET"
    query: dict[str, str] = {}
    body: Any = None
    records: str = ""


class Batch(Described, frozen=True):
    """Several records in one call, at most `size`, listed in the member `records` of the body (empty: the body itself).

    `results` leads to the answers, one a record, in order or, with `match`, by that member, which holds the record's
    field of the same name (or `match_field`). An answer is a failure if `error` leads to something, or `ok` does not
    lead to a true value, or `status` leads to 400 or more; `message` leads to the words for people, `key` to the key.
    """

    size: int = 100
    records: str = "records"
    results: str = ""
    match: str = ""
    match_field: str = ""
    ok: str = ""
    error: str = ""
    status: str = ""
    message: str = ""
    key: str = ""


class Call(Described, frozen=True):
    """A request that writes one record, or with `batch` several.

    `path`, `query` and `headers` may hold `{key}` or another field in braces. The body is the record, under the member
    `wrap` if there is one; or it is `body`, a template in which "{record}" stands for the record, "{records}" for
    those of a batch, and "{name}" for a field. `format` writes it as JSON, as form fields or as XML (`wrap` names the
    element). `key` leads to the new key in the answer (else the Location header, else the key that was sent).

    With `keyed` the record of a change holds its key, too. With `partial` a PUT changes only what it is sent, so the
    record need not be read before.
    """

    path: str
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = "POST"
    wrap: str = ""
    key: str = ""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: Any = None
    format: Form = "json"
    keyed: bool = False
    partial: bool = False
    batch: Batch | None = None


class FieldDescription(Described, frozen=True):
    """A field whose type is given and not judged by a sample.

    `path` leads to its value in the record, if that is not a member of the same name ("amount.value"), when it is read
    and when it is written. `write_path` is another place to write it to. `join` is what stands between the parts of a
    list that is a text here (`1,2`).
    """

    name: str
    type: FieldType = FieldType.TEXT
    scale: int | None = None
    required: bool = False
    generated: bool = False
    label: str = ""
    path: str = ""
    write_path: str = ""
    join: str = ""


class RestObject(Described, frozen=True):
    """One list of records of the service.

    name, label: The object.
    path, method, query, headers, body: The list; with `method: POST` the parameters of a search are in `body`.
    format: `json` or `xml`, what the service answers with.
    false_is_null: The service writes `false` where a field that is not a yes or no has no value.
    records: Where the list is in the answer; empty if the answer is the list.
    absent_is_empty: The service leaves the list out of its answer where it is empty.
    key: The field that tells the records apart.
    cap: The service stops at this many records without saying so: a list that long is an error, as it is incomplete.
    paging, since, parent, delta: See their classes.
    item, item_record: One record by its key, for lookups; where it is in the answer.
    find: A record by its external key.
    etag: `header`, or where the ETag is in a record: writes carry If-Match.
    create, update, delete, upsert: See `Call`; `upsert` is used for what has no call of its own.
    fields, json_schema: The fields; without them a sample tells. `json_schema` is a JSON Schema of one record.
    """

    name: str
    path: str
    method: Literal["GET", "POST"] = "GET"
    format: Literal["json", "xml"] = "json"
    false_is_null: bool = False
    absent_is_empty: bool = False
    records: str = ""
    key: str = ""
    label: str = ""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: Any = None
    cap: int = 0
    paging: Paging = Paging()
    since: Since | None = None
    parent: Parent | None = None
    delta: Delta | None = None
    item: str = ""
    item_record: str = ""
    find: Find | None = None
    etag: str = ""
    create: Call | None = None
    update: Call | None = None
    delete: Call | None = None
    upsert: Call | None = None
    fields: list[FieldDescription] = []
    json_schema: dict[str, Any] | None = None

    @property
    def writable(self) -> bool:
        """Tell whether records can be written at all."""
        return any((self.create, self.update, self.delete, self.upsert))

    @property
    def paths(self) -> dict[str, str]:
        """Return where the values of the fields are that do not stand at their own name."""
        return {field.name: field.path for field in self.fields if field.path and field.path != field.name}

    @property
    def written(self) -> dict[str, str]:
        """Return where the values of the fields are written to, where that is not their own name."""
        own = {field.name: field.write_path for field in self.fields if field.write_path}
        return {name: path for name, path in {**self.paths, **own}.items() if path != name}

    @property
    def joins(self) -> dict[str, str]:
        """Return what stands between the parts of the lists that are texts here."""
        return {field.name: field.join for field in self.fields if field.join}

    def schema(self) -> Schema | None:
        """Return the given fields, or None if they are to be judged by a sample."""
        fields = tuple(map(_field, self.fields)) or fields_of(self.json_schema or {})
        if not fields:
            return None
        return Schema(fields, (self.key,) if self.key else ())


def objects_of(document: Any) -> dict[str, RestObject]:
    """Return the objects by name; raises `Misconfigured` with the place of the mistake.

    Args:
        document: The list, or its JSON text.
    """
    found = parsed(document, list[RestObject]) or []
    names = [described.name for described in found]
    for number, described in enumerate(found):
        problem = described_wrongly(described, names[:number], names, number + 1)
        if problem:
            raise wrong(problem)
    return _without_circles({described.name: described for described in found})


def _without_circles(objects: dict[str, RestObject]) -> dict[str, RestObject]:
    """Return the objects; a list that is read for each record of itself, by way of others, would never end."""
    for name, described in objects.items():
        above, met = described.parent, {name}
        while above is not None and above.object not in met:
            met.add(above.object)
            above = objects[above.object].parent
        if above is not None and above.object == name and len(met) > 1:
            raise Misconfigured(
                msg("Object '{name}' is read for each record of an object that is read for its records, so neither "
                    "can begin.", name=name),
                msg("Correct it in the connection's settings."),
            )  # fmt: skip
    return objects


def _field(described: FieldDescription) -> Field:
    return Field(
        described.name, described.type, nullable=not described.required, scale=described.scale,
        precision=38 if described.type is FieldType.DECIMAL else None,
        generated=described.generated, label=described.label,
    )  # fmt: skip
