"""The objects of a GraphQL service, described as a document: queries, where the records are, how to page and to write.

```json
[{"name": "customers", "key": "id", "records": "customers",
  "query": "query($n: Int, $after: String) { customers(first: $n, after: $after) { edges { node { id name } } ... } }",
  "paging": {"by": "relay", "variable": "after", "size_variable": "n", "size": 100},
  "item": {"query": "query($id: ID!) { customer(id: $id) { id name } }", "variables": {"id": "{key}"},
           "record": "customer"},
  "create": {"query": "mutation($in: CustomerInput!) { add(input: $in) { customer { id } userErrors { message } } }",
             "variables": {"in": "{record}"}, "record": "add.customer", "errors": "add.userErrors"}}]
```
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.builtin.described import Described, parsed, wrong
from connectors.builtin.rest_objects import FieldDescription, RestObject, Since
from rules.schema import Schema
from rules.text import Message, msg


class GraphPaging(Described, frozen=True):
    """How a list goes on.

    `relay` sends the `endCursor` of the connection's `pageInfo` in the variable; `offset` counts up the records read,
    until a page is empty or as many were read as `total` leads to. `size` is asked for in `size_variable`.
    """

    by: Literal["none", "relay", "offset"] = "none"
    variable: str = ""
    size_variable: str = ""
    size: int = 100
    total: str = ""


class GraphCall(Described, frozen=True):
    """A query or mutation about one record.

    In `variables` the text "{record}" stands for the record, "{key}" for its key, "{name}" for a field. `record` leads
    to the record in the data, `errors` to a list of what is wrong with it, where the service tells it there.
    """

    query: str
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    record: str = ""
    errors: str = ""


class GraphObject(Described, frozen=True):
    """One list of records of the service.

    name, label: The object.
    query, variables: What reads the list, with variables that are always sent.
    records: Where the list is in the data: a list, or a connection with `edges` or `nodes`.
    key: The field that tells the records apart.
    paging, since: How the list goes on; the variable that asks for what changed (`since.parameter`).
    item: A query for one record.
    create, update, delete: Mutations.
    fields: The fields; without them the service's own schema tells, else a sample.
    """

    name: str
    query: str
    records: str
    key: str = ""
    label: str = ""
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    paging: GraphPaging = GraphPaging()
    since: Since | None = None
    item: GraphCall | None = None
    create: GraphCall | None = None
    update: GraphCall | None = None
    delete: GraphCall | None = None
    fields: list[FieldDescription] = msgspec.field(default_factory=list)

    @property
    def writable(self) -> bool:
        """Tell whether records can be written at all."""
        return any((self.create, self.update, self.delete))

    @property
    def as_list(self) -> RestObject:
        """Return what the reading of lists needs to know."""
        since = msgspec.structs.replace(self.since, place="body") if self.since else None
        return RestObject(name=self.name, path="/", key=self.key, since=since, fields=self.fields)

    @property
    def queries(self) -> list[tuple[str, str]]:
        """Return all queries with the member they stand in."""
        calls = [(name, getattr(self, name)) for name in ("item", "create", "update", "delete")]
        return [("query", self.query), *((name, call.query) for name, call in calls if call)]

    def schema(self) -> Schema | None:
        """Return the given fields, None if there are none."""
        return self.as_list.schema()


def graph_objects_of(document: Any) -> dict[str, GraphObject]:
    """Return the objects by name; raises `Misconfigured` with the place of the mistake.

    Args:
        document: The list, or its JSON text.
    """
    found = parsed(document, list[GraphObject]) or []
    names = [described.name for described in found]
    for number, described in enumerate(found):
        problem = _problem(described, names[:number], number + 1)
        if problem:
            raise wrong(problem)
    return {described.name: described for described in found}


def _problem(described: GraphObject, before: list[str], number: int) -> Message | None:
    paging = described.paging
    if not described.name or described.name in before:
        return msg("Object {number} needs a name that no other object has.", number=number)
    if paging.by != "none" and not paging.variable:
        return msg("Object '{name}': paging needs the member 'variable'.", name=described.name)
    if (described.update or described.delete) and not described.key:
        return msg("Object '{name}': to change records it needs the member 'key'.", name=described.name)
    return None
