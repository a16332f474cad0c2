"""Schemas of a document as shapes: what a value can be, its members and their field types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.builtin.openapi_document import Document, Node, listed, part
from rules.schema import FieldType

_FORMATS = {"date": FieldType.DATE, "date-time": FieldType.DATETIME}
_FLOATS = frozenset({"float", "double"})


@dataclass(frozen=True)
class Shape:
    """What a value can be; `members` are the schemas of an object's members, `items` that of a list's."""

    kinds: frozenset[str] = frozenset()
    members: Mapping[str, Node] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    items: Node | None = None
    node: Node = field(default_factory=dict)

    @property
    def is_object(self) -> bool:
        """Tell whether it has members."""
        return bool(self.members) or self.kinds == {"object"}

    @property
    def is_list(self) -> bool:
        """Tell whether it is a list."""
        return self.kinds == {"array"}

    @property
    def is_text(self) -> bool:
        """Tell whether it is a text."""
        return self.kinds == {"string"}


class Shapes:
    """Makes shapes of the schemas of a document, each once; a schema that holds itself ends there."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._known: dict[int, tuple[Any, Shape]] = {}  # with the schema, so that its id stays its own

    def shape(self, schema: Any) -> Shape:
        """Return the shape of a schema: allOf put together, oneOf and anyOf as what each of them can be."""
        if id(schema) in self._known:
            return self._known[id(schema)][1]
        node = self.document.resolved(schema)
        own = Shape(_kinds(node), part(node, "properties"), _names(node), _items(node), node)
        self._known[id(schema)] = schema, own
        for inner in listed(node, "allOf"):
            own = _both(own, self.shape(inner))
        choices = [self.shape(inner) for name in ("oneOf", "anyOf") for inner in listed(node, name)]
        choices = [choice for choice in choices if choice.kinds != {"null"}]
        if choices:
            own = _both(own, _either(choices))
        self._known[id(schema)] = schema, own
        return own

    def record(self, schema: Any) -> Shape | None:
        """Return the shape of a list's records, None if it is no list of objects."""
        shape = self.shape(schema)
        if not shape.is_list or shape.items is None:
            return None
        record = self.shape(shape.items)
        return record if record.is_object else None

    def fields(self, shape: Shape, key: str) -> list[dict[str, Any]]:
        """Return the fields of a record as an object's document has them; what is only written is no field."""
        found = []
        for name, schema in shape.members.items():
            inner = self.shape(schema)
            if inner.node.get("writeOnly") is not True:
                found.append(_field(name, inner, required=name == key))
        return found


def field_type(shape: Shape) -> FieldType:
    """Return the type of a field whose values have this shape."""
    kinds = shape.kinds
    if shape.is_object or kinds & {"object", "array"}:
        return FieldType.JSON
    if kinds == {"string"}:
        return _FORMATS.get(str(shape.node.get("format")), FieldType.TEXT)
    if kinds == {"boolean"}:
        return FieldType.BOOLEAN
    if kinds == {"integer"}:
        return FieldType.INTEGER
    if kinds and kinds <= {"integer", "number"}:
        return FieldType.FLOAT if shape.node.get("format") in _FLOATS else FieldType.DECIMAL
    return FieldType.TEXT


def _field(name: str, shape: Shape, *, required: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "type": field_type(shape).value}
    title = shape.node.get("title")
    if isinstance(title, str) and title != name and len(title) <= 60:
        found["label"] = title
    if required:
        found["required"] = True
    if shape.node.get("readOnly") is True:
        found["generated"] = True
    return found


def _kinds(node: Node) -> frozenset[str]:
    given = node.get("type")
    named = {given} if isinstance(given, str) else {str(k) for k in given} if isinstance(given, list) else set()
    if not named and "properties" in node:
        named = {"object"}
    if not named and "items" in node:
        named = {"array"}
    if not named and listed(node, "enum"):
        named = set(map(_kind_of, node["enum"]))
    return frozenset(named if named == {"null"} else named - {"null"})


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
    return kinds.get(type(value), "string")


def _names(node: Node) -> frozenset[str]:
    return frozenset(name for name in listed(node, "required") if isinstance(name, str))


def _items(node: Node) -> Node | None:
    items = node.get("items")
    return items if isinstance(items, Mapping) else None


def _both(left: Shape, right: Shape) -> Shape:
    """Return the shape of a value that has both shapes."""
    return Shape(
        left.kinds or right.kinds,
        {**left.members, **{name: node for name, node in right.members.items() if name not in left.members}},
        left.required | right.required,
        left.items or right.items,
        {**right.node, **left.node},
    )


def _either(choices: Iterable[Shape]) -> Shape:
    """Return the shape of a value that has one of the shapes: only what all need is needed."""
    found: Shape | None = None
    for choice in choices:
        if found is None:
            found = choice
            continue
        same = found.node.get("format") == choice.node.get("format")
        node = found.node if same else {k: v for k, v in found.node.items() if k != "format"}
        found = replace(
            found,
            kinds=found.kinds | choice.kinds,
            members={**found.members, **choice.members},
            required=found.required & choice.required,
            items=found.items or choice.items,
            node=node,
        )
    return found or Shape()
