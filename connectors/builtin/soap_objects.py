"""The objects of a SOAP service, described as a document: which operation reads them, how to page, how to write.

```json
[{"name": "customers", "key": "id",
  "read": {"operation": "ListCustomers", "records": "ListCustomersResult/Customer",
           "paging": {"by": "page", "parameter": "page", "size_parameter": "size", "size": 500},
           "since": {"parameter": "changedSince"}},
  "get": {"operation": "GetCustomer", "key": "id", "record": "GetCustomerResult"},
  "create": {"operation": "AddCustomer", "record": "customer", "key": "AddCustomerResult"},
  "update": {"operation": "ChangeCustomer", "record": "customer"},
  "delete": {"operation": "RemoveCustomer", "key_parameter": "id"}}]
```

A path leads from the parameters of a request, or from the outermost element of an answer, to one of its members:
`result/customer`, `result/@status` for an attribute, `amount/#text` for the text beside attributes.
"""

from __future__ import annotations

from typing import Any, Literal

from connectors.builtin.described import Described, parsed
from connectors.errors import Misconfigured
from rules.schema import FieldType
from rules.text import Message, msg


class Paging(Described, frozen=True):
    """How a list goes on.

    `page` and `offset` count up in `parameter`; `token` sends what `next` leads to in the answer. The list ends where
    a page is empty, `total` records were read, `more` leads to no or `done` to yes. The pages behind the first can
    have an `operation` of their own, with its `parameters`, what it takes along from the first answer (`carry`:
    parameter -> place in the answer) and its own place of the `records`.
    """

    by: Literal["none", "page", "offset", "token"] = "none"
    parameter: str = ""
    start: int | None = None
    size: int = 100
    size_parameter: str = ""
    next: str = ""
    total: str = ""
    more: str = ""
    done: str = ""
    operation: str = ""
    parameters: dict[str, Any] = {}
    carry: dict[str, str] = {}
    records: str = ""


class Since(Described, frozen=True):
    """The parameter that asks for records changed since a moment.

    `format` says how the moment is written; `text` is what is sent, with `{since}` in it.
    """

    parameter: str
    format: Literal["moment", "local", "date", "seconds"] = "moment"
    text: str = "{since}"


class Read(Described, frozen=True):
    """The operation that lists the records, and where they are in its answer."""

    operation: str
    records: str = ""
    parameters: dict[str, Any] = {}
    paging: Paging = Paging()
    since: Since | None = None


class Get(Described, frozen=True):
    """The operation that returns one record: the parameter for its key, and where the record is in the answer."""

    operation: str
    key: str
    record: str = ""
    parameters: dict[str, Any] = {}


class Write(Described, frozen=True):
    """An operation that writes records.

    `record` is the parameter that holds the record, `key_parameter` the one for its key alone. `results` leads to the
    element of the answer that tells about one record, in the order sent; below it are `ok` (one of `ok_values`),
    `message` and `key`. `batch` records are sent in one call. With `whole` the record is read first and sent with its
    other fields; `version` and `version_parameter` send the field of the record read that shows who changed it last.
    """

    operation: str
    record: str = ""
    key_parameter: str = ""
    parameters: dict[str, Any] = {}
    batch: int = 1
    results: str = ""
    ok: str = ""
    ok_values: tuple[str, ...] = ("true", "1")
    message: str = ""
    key: str = ""
    repeatable: bool = False
    whole: bool = False
    version: str = ""
    version_parameter: str = ""


class FieldDescription(Described, frozen=True):
    """A field that the WSDL does not tell enough about: another type, or a place deeper in the record."""

    name: str
    path: str = ""
    type: FieldType | None = None
    scale: int | None = None
    required: bool | None = None
    generated: bool | None = None
    label: str = ""


class SoapObject(Described, frozen=True):
    """One set of records of the service; `type` names their type where the answer holds a more general one."""

    name: str
    read: Read
    key: str = ""
    label: str = ""
    type: str = ""
    get: Get | None = None
    create: Write | None = None
    update: Write | None = None
    upsert: Write | None = None
    delete: Write | None = None
    fields: list[FieldDescription] = []

    @property
    def writes(self) -> dict[str, Write]:
        """Return the operations that write, by what they do."""
        found = {"create": self.create or self.upsert, "update": self.update or self.upsert, "delete": self.delete}
        return {deed: write for deed, write in found.items() if write is not None}

    @property
    def operations(self) -> dict[str, str]:
        """Return the names of the operations that are used, by the member that names them."""
        found = {"read": self.read.operation, "paging": self.read.paging.operation}
        found |= {deed: write.operation for deed, write in self.writes.items()}
        if self.get:
            found["get"] = self.get.operation
        return {member: operation for member, operation in found.items() if operation}


class FaultRule(Described, frozen=True):
    """What a fault means: the faults whose code, detail and text fit are treated as `do` says.

    `code` and `detail` are the local name of the fault's code (or subcode) and of an element of its detail, `text` is
    a part of its words; what is empty fits every fault.
    """

    do: Literal["retry", "wait", "quarantine", "stop", "login", "missing", "credentials"]
    code: str = ""
    detail: str = ""
    text: str = ""


class Session(Described, frozen=True):
    """How to log in: an operation whose answer holds a token that is sent in a header from then on.

    `{user}` and `{password}` in `parameters` and `{token}` in `header` stand for their values. `address` leads to the
    address of the service in the answer, where the service gives one out.
    """

    operation: str
    token: str
    parameters: dict[str, Any] = {}
    header: dict[str, Any] = {}
    address: str = ""
    logout: str = ""


def objects_of(document: Any) -> dict[str, SoapObject]:
    """Return the objects by name; raises `Misconfigured` with the place of the mistake.

    Args:
        document: The list, or its JSON text.
    """
    found = parsed(document, list[SoapObject]) or []
    for number, described in enumerate(found):
        problem = _problem(described, number, [other.name for other in found[:number]])
        if problem:
            raise Misconfigured(problem, msg("Correct it in the connection's settings."))
    return {described.name: described for described in found}


def _problem(described: SoapObject, number: int, before: list[str]) -> Message | None:
    paging, name = described.read.paging, described.name
    if not name or name in before:
        return msg("Object {number} needs a name that no other object has.", number=number + 1)
    if paging.by != "none" and not paging.parameter:
        return msg("Object '{name}': paging by {by} needs the member 'parameter'.", name=name, by=paging.by)
    if paging.by == "token" and not paging.next:
        return msg("Object '{name}': paging by token needs the member 'next'.", name=name)
    if not described.key and (described.get or {"update", "delete"} & set(described.writes)):
        return msg("Object '{name}': to find or change records it needs the member 'key'.", name=name)
    if not described.get and any(write.whole or write.version for write in described.writes.values()):
        return msg("Object '{name}': 'whole' and 'version' need the member 'get'.", name=name)
    return None
