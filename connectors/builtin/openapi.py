"""OpenAPI 3.0, 3.1 and Swagger 2 documents as the description of a connection of the connector `rest`.

Pure: a document goes in; the address, the authentication, the objects and a list of what could not be taken over come
out. A list of records (`GET /customers`) makes an object, and the calls at its path and behind it read and write one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from connectors.builtin.openapi_auth import authentication
from connectors.builtin.openapi_document import Document, Node, Operation, part
from connectors.builtin.openapi_lists import ListAnswer, list_of, only_member, wrapped_in
from connectors.builtin.openapi_schema import Shapes, field_type
from connectors.builtin.paging_guess import SINCES, key_of, named, paging_of, plain
from rules.schema import FieldType
from rules.text import Message, msg

_HOLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class FoundObject:
    """An object as `rest_objects` wants it, and what a person should know about it."""

    document: dict[str, Any]
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A call that could not be taken over, and why."""

    place: str
    why: Message


@dataclass(frozen=True)
class Description:
    """What a document says about a service; `settings` are those of the connection without the objects."""

    title: str
    settings: dict[str, Any]
    objects: tuple[FoundObject, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[Message, ...] = ()


def described(root: Node, source: str = "") -> Description:
    """Return what a document describes; raises `Misconfigured` where it is of another kind.

    Args:
        root: The document as plain values.
        source: The address it came from, for addresses that are relative to it.
    """
    document = Document(root)
    settings, notes = authentication(document)
    address = document.address(source)
    if address:
        settings["base_url"] = address
    else:
        notes.append(msg("The document does not say where the service is. Enter its address in the form."))
    found = _Finder(document)
    objects = found.objects()
    notes += [msg("The reference {reference} leads out of the document or nowhere.", reference=r)
              for r in document.strange]  # fmt: skip
    title = str(part(root, "info").get("title") or "")
    return Description(title, settings, tuple(objects), tuple(found.left_out()), tuple(notes))


class _Finder:
    """Finds the objects among the operations of a document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.shapes = Shapes(document)
        self.calls = {(o.path.rstrip("/"), o.method): o for o in document.operations()}
        self.names: set[str] = set()
        self.items: dict[str, str] = {}
        self.used: set[tuple[str, str]] = set()
        self.why: dict[tuple[str, str], Message] = {}

    def objects(self) -> list[FoundObject]:
        """Return the objects, in the order of the document."""
        lists = [(path, operation) for (path, method), operation in self.calls.items() if method == "get"]
        lists.sort(key=lambda one: len(_HOLE.findall(one[0])))  # parents come first
        return [found for path, operation in lists if (found := self._object(path, operation)) is not None]

    def left_out(self) -> list[LeftOut]:
        """Return the operations that no object uses."""
        other = msg("It is no list of records, and no call that creates, changes or deletes one.")
        return [
            LeftOut(operation.place, self.why.get(place, other))
            for place, operation in self.calls.items()
            if place not in self.used
        ]

    def _object(self, path: str, operation: Operation) -> FoundObject | None:
        found = self._list(path, operation)
        if found is None:
            return None
        holes = _HOLE.findall(path)
        parent = self._parent(path) if len(holes) == 1 else {}
        if holes and not parent:
            self.why[path, "get"] = msg(
                "Its address needs {names}, which only another record knows.", names=", ".join(holes)
            )
            return None
        self.used.add((path, "get"))
        item = "" if parent else self._item_path(path)
        key = key_of(found.record.members, _HOLE.findall(item)[-1:])
        if key and field_type(self.shapes.shape(found.record.members[key])) is FieldType.JSON:
            key = ""
        query, notes = self._query(operation)
        document = {
            "name": self._name(path), "path": _HOLE.sub("{parent}", operation.path), "records": found.records,
            "key": key, "query": query, **parent,
            "paging": self._paging(operation, found), **self._since(operation),
            **(self._writing(path, item, key) if key and not parent else {}),
            "fields": self.shapes.fields(found.record, key),
        }  # fmt: skip
        if key and item:
            self.items[item] = document["name"]
        if not key:
            notes.append(msg("No field tells the records apart. Choose the key before you write or follow changes."))
        if not document["paging"]:
            notes.append(msg("How the list goes on is not described. If the service pages it, add the paging."))
        return FoundObject({name: value for name, value in document.items() if value not in ("", {})}, tuple(notes))

    def _list(self, path: str, operation: Operation) -> ListAnswer | None:
        schema, kind = self.document.answer(operation)
        if schema is None:
            if kind:
                self.why[path, "get"] = msg("It answers with {kind}, not with JSON.", kind=kind)
            return None
        return list_of(self.shapes, schema, path.rpartition("/")[2])

    def _item_path(self, path: str) -> str:
        """Return the path of one record of a list, "" where there is none."""
        pattern = re.compile(re.escape(path) + r"/\{[^{}/]+\}$")
        return next((p for p, _ in self.calls if pattern.match(p)), "")

    def _parent(self, path: str) -> dict[str, Any]:
        """Return the member `parent` of a list that each record of another object has."""
        item = path[: path.index("}") + 1]
        if item not in self.items:
            return {}
        return {"parent": {"object": self.items[item], "as": plain(_HOLE.findall(item)[0])}}

    def _name(self, path: str) -> str:
        bare = _HOLE.sub("", path)
        parts = [plain(part) for part in bare.split("/") if plain(part) and not re.fullmatch(r"v\d+", part)]
        names = ["_".join(parts[-count:]) for count in range(1, len(parts) + 1)] or ["records"]
        numbered = (f"{names[-1]}_{number}" for number in range(2, len(self.names) + 3))
        name = next((n for n in (*names, *numbered) if n not in self.names), names[-1])
        self.names.add(name)
        return name

    def _query(self, operation: Operation) -> tuple[dict[str, str], list[Message]]:
        """Return the parameters that the service wants always."""
        query: dict[str, str] = {}
        notes: list[Message] = []
        for name, parameter in operation.queries().items():
            schema = self._schema(parameter)
            if parameter.get("required") is not True:
                continue
            given = schema.get("default", parameter.get("example", next(iter(schema.get("enum") or ()), None)))
            query[name] = "" if given is None else _text(given)
            if given is None:
                notes.append(msg("The service wants the parameter '{name}'. Enter its value.", name=name))
        notes += [
            msg("The service wants the header '{name}'. Enter it under the further headers.", name=str(p.get("name")))
            for p in operation.parameters
            if p.get("in") == "header" and p.get("required") is True
        ]
        return query, notes

    def _paging(self, operation: Operation, found: ListAnswer) -> dict[str, Any]:
        queries = {name: self._schema(parameter) for name, parameter in operation.queries().items()}
        return paging_of(queries, found.beside, linked="link" in self.document.headers(operation))

    def _since(self, operation: Operation) -> dict[str, Any]:
        queries = operation.queries()
        name = named(queries, SINCES)
        if not name:
            return {}
        kinds = self.shapes.shape(self._schema(queries[name])).kinds
        return {"since": {"parameter": name, **({"seconds": True} if kinds == {"integer"} else {})}}

    def _schema(self, parameter: Node) -> Node:
        """Return the schema of a parameter, which Swagger 2 writes into the parameter itself."""
        return parameter if self.document.old else self.document.resolved(parameter.get("schema"))

    def _writing(self, path: str, item: str, key: str) -> dict[str, Any]:
        """Return the calls that read and write one record."""
        found: dict[str, Any] = {}
        create = self._call(path, "post")
        if create:
            found["create"] = create | self._new_key(path, create.get("wrap", ""), key)
        reading = self.calls.get((item, "get"))
        if reading:
            self.used.add((item, "get"))
            wrap = wrapped_in(self.shapes, self.document.answer(reading)[0], key)
            found |= {"item": _with_key(reading.path)} | ({"item_record": wrap} if wrap else {})
        update = self._call(item, "patch") or self._call(item, "put")
        if update:
            found["update"] = update
            self.used |= {(item, "put")} & self.calls.keys()
        delete = self._call(item, "delete")
        return found | ({"delete": delete} if delete else {})

    def _call(self, path: str, method: str) -> dict[str, Any]:
        operation = self.calls.get((path, method))
        if operation is None:
            return {}
        schema, kind = self.document.sent(operation)
        form = schema is None and "application/x-www-form-urlencoded" in kind
        if kind and schema is None and not form:
            self.why[path, method] = msg("It takes {kind}, not JSON.", kind=kind)
            return {}
        self.used.add((path, method))
        wrap = only_member(self.shapes, self.shapes.shape(schema)) if schema is not None else ""
        call = {"method": method.upper(), "path": _with_key(operation.path), "wrap": wrap}
        return {name: value for name, value in call.items() if value} | ({"format": "form"} if form else {})

    def _new_key(self, path: str, wrap: str, key: str) -> dict[str, str]:
        """Return where the key of a created record is in the answer, if it is not where the record was sent."""
        found = wrapped_in(self.shapes, self.document.answer(self.calls[path, "post"])[0], key)
        return {} if found is None or found == wrap else {"key": f"{found}.{key}" if found else key}


def _with_key(path: str) -> str:
    return _HOLE.sub("{key}", path)


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
