"""The checker: gives every node its type over a schema, and says in plain words what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from rules.language.check_calls import Calls
from rules.language.check_operators import Operators
from rules.language.checked import RECORD, Checked, Enough, field_of
from rules.language.flow import warn
from rules.language.library import EMPTY, Library
from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Macro, MacroName, MapOf, Node, Operator, Select
from rules.language.problems import Severity, nearest
from rules.language.types import (
    ANY,
    BINARY,
    BOOLEAN,
    FLOAT,
    INTEGER,
    NULL,
    TEXT,
    Kind,
    Type,
    list_of,
    map_of,
    of_field,
    unify_all,
)
from rules.schema import Schema
from rules.text import N_, Message, msg

MAX_LOOPS = 2
_LITERALS: Mapping[type, Type] = {bool: BOOLEAN, int: INTEGER, float: FLOAT, str: TEXT, bytes: BINARY, type(None): NULL}


def check(tree: Node, text: str, schema: Schema, object_name: str | None = None, library: Library = EMPTY) -> Checked:
    """Return the tree with its types; `object_name` is how messages call the object."""
    checked = Checked(tree, library=library)
    with suppress(Enough):
        Checker(checked, text, schema, object_name).visit(tree)
    if not any(problem.severity is Severity.ERROR for problem in checked.problems):
        warn(checked, text, schema)
    checked.problems.sort(key=lambda problem: (problem.line, problem.column))
    return checked


class Checker(Operators, Calls):
    """Visits the nodes of one expression."""

    def __init__(self, checked: Checked, text: str, schema: Schema, object_name: str | None) -> None:
        super().__init__(checked, text, schema)
        self._object = object_name

    def visit(self, node: Node) -> Type:
        """Return the type of a node, after noting it and what is wrong with it."""
        name = None if RECORD in self.variables else field_of(node)
        type_ = self._field(name, node.at) if name is not None else self._by_node(node)
        self.checked.types[id(node)] = type_
        return type_

    def _by_node(self, node: Node) -> Type:
        visits: dict[type, Callable[[Any], Type]] = {
            Literal: lambda literal: _LITERALS[type(literal.value)],
            Ident: self._ident,
            Select: self._select,
            Has: self._select,
            Call: self.call,
            Operator: self.operator,
            ListOf: lambda items: list_of(unify_all([self.visit(item) for item in items.items])),
            MapOf: self._map,
            Macro: self._macro,
        }
        return visits[type(node)](node)

    # Names

    def _ident(self, node: Ident) -> Type:
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name == RECORD and RECORD not in self.schema:
            return self.report(node.at, msg('Name a field behind record, like record.phone or record["phone"].'))
        return self._field(node.name, node.at)

    def _field(self, name: str, at: int) -> Type:
        if name in self.schema:
            self.checked.fields.add(name)
            return of_field(self.schema[name].type)
        return self.report(at, *self._no_field(name))

    def _no_field(self, name: str) -> tuple[Message, str | None]:
        close = nearest(name, [*self.schema.names, *self.variables])
        where = self._object
        if close is None and where is None:
            return msg("There is no field '{name}'.", name=name), None
        if close is None:
            return msg("There is no field '{name}' in {object}.", name=name, object=where), None
        if where is None:
            return msg("There is no field '{name}'. Did you mean '{close}'?", name=name, close=close), close
        text = N_("There is no field '{name}' in {object}. Did you mean '{close}'?")
        return msg(text, name=name, object=where, close=close), close

    def _select(self, node: Select | Has) -> Type:
        has = isinstance(node, Has)
        if isinstance(node.operand, Ident) and node.operand.name == RECORD and RECORD not in self.variables:
            self.checked.types[id(node.operand)] = ANY
            self._field(node.field, node.at)
            return BOOLEAN
        operand = self.visit(node.operand)
        if operand.kind not in (Kind.MAP, Kind.ANY):
            text = N_("'{field}' cannot be taken from a value of type {type}; only JSON and maps have parts.")
            return self.report(node.at, msg(text, field=node.field, type=str(operand)))
        return BOOLEAN if has else operand.item or ANY

    # Collections

    def _map(self, node: MapOf) -> Type:
        keys = [self.visit(key) for key in node.keys]
        for part, type_ in zip(node.keys, keys, strict=True):
            if type_.kind not in (Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN, Kind.ANY):
                text = N_("A key of a map is text, a whole number or true/false, not {type}.")
                self.report(part.at, msg(text, type=str(type_)))
        self._keys(node)
        return map_of(unify_all(keys), unify_all([self.visit(value) for value in node.values]))

    def _keys(self, node: MapOf) -> None:
        """Note it if a key stands twice, which the runtime refuses."""
        seen: set[tuple[type, object]] = set()
        for key in node.keys:
            value = (type(key.value), key.value) if isinstance(key, Literal) else None
            if value is not None and value in seen:
                self.report(key.at, msg("This key stands here a second time."))
            elif value is not None:
                seen.add(value)

    def _macro(self, node: Macro) -> Type:
        source = self.visit(node.source)
        if source.kind not in (Kind.LIST, Kind.MAP, Kind.ANY):
            self.report(
                node.at, msg("{name}() works on a list, not on {type}.", name=node.name.value, type=str(source))
            )
        item = source.key if source.kind is Kind.MAP else source.item
        item = None if item == NULL else item  # an empty list says nothing about its items
        if len(self.variables) >= MAX_LOOPS:
            text = N_("At most {limit} loops can stand inside each other.")
            return self.report(node.at, msg(text, limit=MAX_LOOPS))
        with self._variable(node.variable, item or ANY):
            if node.guard is not None:
                self.condition(node.guard)
            if node.name is MacroName.MAP:
                return list_of(self.visit(node.body))
            self.condition(node.body)
        return list_of(item or ANY) if node.name is MacroName.FILTER else BOOLEAN

    @contextmanager
    def _variable(self, name: str, type_: Type) -> Iterator[None]:
        outer = dict(self.variables)
        self.variables[name] = type_
        yield
        self.variables = outer
