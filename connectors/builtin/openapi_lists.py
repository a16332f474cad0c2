"""Lists of records in the answers that a document describes: where they are, what a record is, what stands beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.builtin.openapi_document import Node
from connectors.builtin.openapi_schema import Shape, Shapes
from connectors.builtin.paging_guess import LISTS, key_of, plain

_DEEP = 3
"""Lists are looked for in members of members up to here."""


@dataclass(frozen=True)
class ListAnswer:
    """Where the list is in the answer, its records, and the paths to the plain members beside it with their kinds."""

    records: str
    record: Shape
    beside: dict[str, str]


def list_of(shapes: Shapes, schema: Node, name: str) -> ListAnswer | None:
    """Return the list of records in an answer, None if there is none.

    Args:
        shapes: The shapes of the document.
        schema: The schema of the answer.
        name: How the path calls the records; a member of this name, or of a usual one, is preferred.
    """
    record = shapes.record(schema)
    if record is not None:
        return ListAnswer("", record, {})
    found: list[tuple[int, int, str, Shape]] = []
    beside: dict[str, str] = {}
    for path, shape in _members(shapes, shapes.shape(schema), "", 0):
        inner = shapes.record(shape.node) if shape.is_list else None
        if inner is not None:
            found.append((path.count("."), _rank(path.rpartition(".")[2], name), path, inner))
        elif not shape.is_list and not shape.is_object:
            beside[path] = _kind(path, shape)
    if not found or _is_record(shapes.shape(schema), found):
        return None
    _, _, path, record = min(found, key=lambda one: one[:3])
    return ListAnswer(path, record, beside)


def wrapped_in(shapes: Shapes, schema: Node | None, key: str) -> str | None:
    """Return the member in which one record with this key stands in an answer: "" for none, None if there is no key."""
    if schema is None:
        return None
    shape = shapes.shape(schema)
    if key in shape.members:
        return ""
    inner = [name for name, node in shape.members.items() if key in shapes.shape(node).members]
    return inner[0] if inner else None


def only_member(shapes: Shapes, shape: Shape) -> str:
    """Return the name of the only member of a record that is sent, if that holds the record itself."""
    if len(shape.members) != 1:
        return ""
    name, node = next(iter(shape.members.items()))
    return name if shapes.shape(node).members else ""


def _members(shapes: Shapes, shape: Shape, before: str, depth: int) -> Iterator[tuple[str, Shape]]:
    if depth == _DEEP:
        return
    for name, node in shape.members.items():
        if "." in name:
            continue  # a path could not tell it from a member of a member
        inner = shapes.shape(node)
        yield before + name, inner
        if inner.is_object:
            yield from _members(shapes, inner, f"{before}{name}.", depth + 1)


def _rank(member: str, name: str) -> int:
    if plain(member) in (plain(name), plain(name) + "s"):
        return 0
    return 1 + (LISTS.index(plain(member)) if plain(member) in LISTS else len(LISTS))


def _is_record(shape: Shape, found: list[tuple[int, int, str, Shape]]) -> bool:
    """Tell whether the answer is one record that happens to hold a list: it has a key and no list of a usual name."""
    return bool(key_of(shape.members)) and all(rank > len(LISTS) for _, rank, _, _ in found)


def _kind(path: str, shape: Shape) -> str:
    if shape.kinds and shape.kinds <= {"integer", "number"}:
        return "number"
    if shape.kinds == {"boolean"}:
        return "flag"
    name = plain(path.rpartition(".")[2])
    if not shape.is_text and shape.kinds:
        return "other"
    format_ = shape.node.get("format")
    if format_ in ("uri", "url", "uri-reference") or name.endswith(("url", "link", "href", "uri")):
        return "address"
    return "address" if name == "next" and "cursor" not in path else "text"
