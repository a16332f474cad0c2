"""Objects that a WSDL suggests by the names of its operations: lists, single records, and what writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.builtin.soap_objects import Get, Paging, Read, Since, SoapObject, Write
from connectors.builtin.soap_types import ANY, Member, Types, XsdType
from connectors.builtin.soap_wsdl import Operation, Service

_VERBS: Mapping[str, tuple[str, ...]] = {
    "read": ("getall", "listall", "findall", "list", "search", "query", "find", "fetch", "select", "get", "read",
             "retrieve"),
    "create": ("create", "add", "insert", "new", "register"),
    "update": ("update", "change", "modify", "edit"),
    "upsert": ("upsert", "save", "merge", "put"),
    "delete": ("delete", "remove", "destroy"),
}  # fmt: skip
_KEYS = ("id", "key", "no", "number", "code", "uuid", "guid", "internalid")
_PAGE = ("page", "pagenumber", "pageindex", "pageno", "pagenum")
_OFFSET = ("offset", "start", "startindex", "startrow", "skip", "from", "first")
_SIZE = ("pagesize", "size", "limit", "maxresults", "maxrecords", "count", "take", "perpage")
_TOTAL = ("total", "totalcount", "totalrecords", "totalresults", "totalsize")
_MORE = ("hasmore", "more", "moreavailable", "hasnext")
_SINCE = ("modifiedsince", "changedsince", "updatedsince", "since", "lastmodified", "modifiedafter", "updatedafter",
          "changedafter")  # fmt: skip
_DEEPEST = 4


def proposed(service: Service) -> dict[str, SoapObject]:
    """Return the objects that the names of the operations suggest, by name."""
    found: dict[str, dict[str, Operation]] = {}
    for operation in service.operations.values():
        deed, noun = _read_name(operation.name)
        if deed is None:
            continue
        listing = list(_lists(service.types, operation)) if deed == "read" else []
        if deed == "read" and not listing:
            deed = "get"
        found.setdefault(noun.lower(), {}).setdefault(deed, operation)
    objects = [_object(service.types, group) for group in found.values() if "read" in group]
    return {described.name: described for described in sorted(objects, key=lambda o: o.name)}


def _object(types: Types, group: Mapping[str, Operation]) -> SoapObject:
    read = group["read"]
    name = _read_name(read.name)[1]
    path, record = next(_lists(types, read))
    key = _key(types, record, name)
    inputs = types.members(_input(read))
    since = _named(inputs, _SINCE)
    writes = {deed: _write(types, group[deed], deed, record, key) for deed in ("create", "update", "upsert", "delete")
              if deed in group and (key or deed == "create")}  # fmt: skip
    return SoapObject(
        name=name, key=key,
        read=Read(operation=read.name, records=path, paging=_paging(types, read, inputs),
                  since=Since(parameter=since) if since else None),
        get=_get(types, group["get"], key) if key and "get" in group else None,
        create=writes.get("create"), update=writes.get("update"), upsert=writes.get("upsert"),
        delete=writes.get("delete"),
    )  # fmt: skip


def _get(types: Types, operation: Operation, key: str) -> Get | None:
    names = [m.name for m in types.members(_input(operation)).values() if types.kind(m.type) is not None]
    outer = [m for m in types.members(_output(operation)).values() if types.kind(m.type) is None and m.name != ANY]
    parameter = next((n for n in names if n.lower() == key.lower() or n.lower().endswith(key.lower())), None)
    if parameter is None and len(names) != 1:
        return None
    record = outer[0].name if len(outer) == 1 else ""
    return Get(operation=operation.name, key=parameter or names[0], record=record)


def _write(types: Types, operation: Operation, deed: str, record: XsdType, key: str) -> Write | None:
    members = types.members(_input(operation))
    holder = next((m.name for m in members.values() if m.type is record), None)
    simple = [m.name for m in members.values() if types.kind(m.type) is not None]
    answer = [m.name for m in types.members(_output(operation)).values() if types.kind(m.type) is not None]
    made = answer[0] if deed != "delete" and len(answer) == 1 else ""
    if holder is not None:
        keyed = next((n for n in simple if key and n.lower() == key.lower()), "") if deed == "update" else ""
        return Write(operation=operation.name, record=holder, key=made, key_parameter=keyed)
    if deed == "delete":
        named = next((n for n in simple if n.lower().endswith(key.lower())), simple[0] if len(simple) == 1 else None)
        return Write(operation=operation.name, key_parameter=named) if named else None
    return Write(operation=operation.name, key=made) if set(simple) & set(types.members(record)) else None


def _paging(types: Types, operation: Operation, inputs: Mapping[str, Member]) -> Paging:
    outputs = dict(_leaves(types, _output(operation), ""))
    size = _named(inputs, _SIZE)
    told = {"total": _ending(outputs, _TOTAL), "more": _ending(outputs, _MORE)}
    for by, names in (("page", _PAGE), ("offset", _OFFSET)):
        parameter = _named(inputs, names)
        if parameter:
            return Paging(by=by, parameter=parameter, size_parameter=size, **told)  # type: ignore[arg-type]
    return Paging()


def _lists(types: Types, operation: Operation) -> Iterator[tuple[str, XsdType]]:
    """Yield the paths in an answer where an element with members may stand several times, and its type."""
    yield from _repeated(types, _output(operation), "", 0)


def _repeated(types: Types, xsd_type: XsdType, above: str, depth: int) -> Iterator[tuple[str, XsdType]]:
    if depth > _DEEPEST:
        return
    for member in types.members(xsd_type).values():
        path = f"{above}/{member.name}" if above else member.name
        if member.attribute or types.kind(member.type) is not None or types.is_any(member.type):
            continue
        if member.many:
            yield path, member.type
        else:
            yield from _repeated(types, member.type, path, depth + 1)


def _leaves(types: Types, xsd_type: XsdType, above: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the paths of single values in an answer, and their names in small letters."""
    for member in types.members(xsd_type).values():
        path = f"{above}/{member.name}" if above else member.name
        if member.many:
            continue
        if types.kind(member.type) is not None:
            yield path, member.name.lstrip("@").lower()
        elif depth < _DEEPEST:
            yield from _leaves(types, member.type, path, depth + 1)


def _key(types: Types, record: XsdType, noun: str) -> str:
    single = [m.name for m in types.members(record).values() if types.kind(m.type) is not None and not m.many]
    wanted = (*_KEYS, *(noun.lower() + ending for ending in _KEYS))
    by_name = {name.lstrip("@").replace("_", "").lower(): name for name in reversed(single)}
    return next((by_name[word] for word in wanted if word in by_name), "")


def _read_name(name: str) -> tuple[str | None, str]:
    """Return what an operation does by its name, and to what: `GetAllCustomers` reads `Customer`."""
    plain = name.replace("_", "")
    for deed, verbs in _VERBS.items():
        for verb in verbs:
            if plain.lower().startswith(verb) and (len(plain) > len(verb)) and not plain[len(verb)].islower():
                return deed, _singular(re.sub(r"(?<=.)(By[A-Z].*|List|All|Since.*|Async)$", "", plain[len(verb) :]))
    return None, ""


def _singular(noun: str) -> str:
    for ending, single in (("ies", "y"), ("sses", "ss"), ("xes", "x")):
        if noun.endswith(ending):
            return noun.removesuffix(ending) + single
    return noun.removesuffix("s") if noun.endswith("s") and not noun.endswith(("ss", "us")) else noun


def _named(members: Mapping[str, Member], wanted: tuple[str, ...]) -> str:
    by_name = {name.replace("_", "").lower(): name for name in members}
    return next((by_name[word] for word in wanted if word in by_name), "")


def _ending(leaves: Mapping[str, str], wanted: tuple[str, ...]) -> str:
    return next((path for word in wanted for path, name in leaves.items() if name.replace("_", "") == word), "")


def _input(operation: Operation) -> Any:
    return operation.element.type if operation.element is not None else None


def _output(operation: Operation) -> Any:
    return operation.output.type if operation.output is not None else None
