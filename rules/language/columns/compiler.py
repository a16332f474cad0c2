"""From a lowered tree to columns: visits the nodes, and leaves what has no column form to Python or to the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from rules.language.columns import arithmetic, jsonvalues, operators, python
from rules.language.columns.constants import constant
from rules.language.columns.description import word_of, written_name
from rules.language.columns.facts import Fact, unusable_name
from rules.language.columns.forms import find_form
from rules.language.columns.islands import island, wrapped
from rules.language.columns.jsonvalues import WANTED, Json, Part, part_of
from rules.language.columns.kinds import kind_of, parameter_kind, runtime_kind, variable_kind
from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value
from rules.language.lower import DIVIDE
from rules.language.nodes import Call, Exact, Find, Has, Ident, Let, Literal, Mode, Node, Operator, Variable, children
from rules.language.runtime import implementations, variables
from rules.language.searches import search
from rules.language.types import Kind, of_field
from rules.schema import Schema
from rules.text import Message, msg

_DYNAMIC = msg("What JSON, lists and loops hold is known record by record only.")
COMBINED: dict[str, Callable[[str, Value, Value], Value]] = {
    **dict.fromkeys(("&&", "||"), operators.logic),
    **dict.fromkeys(("==", "!="), operators.equal),
    **dict.fromkeys(("<", "<=", ">", ">="), operators.order),
}
_SOUGHT = {"in": operators.member, "[]": operators.item}


class Compiler:
    """Compiles trees over one schema for batches about which the same facts are known.

    `slow` says what is not worked out by Polars, and why. With `explain`, each node gets a column of its own, kept in
    `found` by the node's id; in `opaque` are those whose parts nothing is known about.
    """

    def __init__(self, schema: Schema, facts: Mapping[str, Fact], stages: Stages, *, explain: bool = False) -> None:
        self.schema = schema
        self.stages = stages
        self.slow: list[Message] = []
        self.found: dict[int, Value] = {}
        self.opaque: set[int] = set()
        self._explain = explain
        self._facts = facts
        self._scope: dict[str, Node] = {}
        self._values: dict[str, Value] = {}
        self._reading: set[str] = set()
        self._forms: dict[type, Callable[[Any], Value]] = {
            Variable: self._variable,
            Ident: self._ident,
            Let: self._let,
            Operator: self._operator,
            Call: self._call,
            Find: self._find,
            Has: self._has,
        }
        self._json = Json(stages)

    def visit(self, node: Node) -> Value:
        """Return the values of a node; raises `NoColumn` where not even their kind is known."""
        self.stages.doing.append(word_of(node))
        try:
            return self.noted(node, self._visited(node))
        finally:
            self.stages.doing.pop()

    def noted(self, node: Node, value: Value) -> Value:
        """Return the values of a node after keeping them for explanations."""
        if self._explain:
            value = self.found[id(node)] = self.stages.stage(value)
        return value

    def _visited(self, node: Node) -> Value:
        if isinstance(node, Literal) or not self._reads(node):
            self.opaque.add(id(node))
            return constant(wrapped(node, self._scope), self.kind(node))
        try:
            return self._forms.get(type(node), _no_form)(node)
        except NoColumn as error:
            return self._island(node, error)

    def _island(self, node: Node, error: NoColumn) -> Value:
        kind = self.kind(node)
        if kind is None or kind is Kind.NULL or isinstance(node, (Variable, Ident)):
            raise error
        self.opaque.add(id(node))
        tree = wrapped(node, self._scope)
        if not variables(tree):
            return constant(tree, kind)
        found = island(self.stages, tree, self.schema, kind)
        self.slow.append(error.reason)
        return found

    def kind(self, node: Node) -> Kind | None:
        """Return the kind of a node's values, None where only the record tells."""
        return kind_of(node, self.schema, self._scope)

    def bind(self, node: Let, step: Callable[[Node], Value]) -> Value:
        """Return the body's values, the step taken on it where the name is known."""
        value: Value | NoColumn
        try:
            value = self.stages.stage(self.visit(node.value))
        except NoColumn as error:
            value = error
        outer = dict(self._scope), dict(self._values)
        self._scope[node.variable] = node.value
        if self._reads(node.value):
            self._reading.add(node.variable)
        if isinstance(value, Value):
            self._values[node.variable] = value
        try:
            return step(node.body)
        finally:
            self._scope, self._values = outer

    def choice(self, node: Operator, step: Callable[[Node], Value]) -> Value:
        """Return `test ? yes : no`, the step taken on both sides."""
        test, yes, no = node.operands
        return operators.choice(self.stages, self.typed(test, Kind.BOOLEAN), step(yes), step(no))

    def _reads(self, node: Node) -> bool:
        if isinstance(node, (Variable, Exact)):
            return True
        return (isinstance(node, Ident) and node.name in self._reading) or any(map(self._reads, children(node)))

    def _variable(self, node: Variable) -> Value:
        fact = self._facts[node.name]
        if node.mode is Mode.EMPTY:
            return Value(Kind.BOOLEAN, pl.col(node.name), simple=True)
        kind = runtime_kind(variable_kind(node, self.schema))
        if kind is Kind.ANY:
            raise NoColumn(_DYNAMIC)
        moment = node.mode is Mode.MOMENT  # the runtime has no empty moments: to read one is a failure
        return Value(
            kind,
            pl.col(node.name),
            empty=fact.empty and not moment,
            fallible=fact.unusable or (moment and fact.empty),
            failed=self.unusable(node),
            bound=fact.bound,
            nan=fact.nan,
            ascii=fact.ascii,
            simple=True,
            spread=True,
        )

    def unusable(self, node: Variable) -> pl.Expr | None:
        """Return where a variable's value must not be calculated with, None where all may."""
        return pl.col(unusable_name(node.name)) if self._facts[node.name].unusable else None

    def _ident(self, node: Ident) -> Value:
        if node.name not in self._values:
            raise NoColumn(_DYNAMIC)
        return self._values[node.name]

    def _let(self, node: Let) -> Value:
        return self.bind(node, self.visit)

    def _operator(self, node: Operator) -> Value:
        if node.symbol == "?:":
            return self.choice(node, self.visit)
        met = self._meeting(node) if len(node.operands) == 2 else None
        if met is not None:
            return met
        values = self._operands(node)
        if len(values) == 1:
            return arithmetic.negative(values[0]) if node.symbol == "-" else operators.negation(values[0])
        if node.symbol in COMBINED:
            return COMBINED[node.symbol](node.symbol, *values)
        return _SOUGHT.get(node.symbol, arithmetic.calculate)(self.stages, node.symbol, *values)

    def part(self, node: Node) -> Part | None:
        """Return the place in JSON that a node names."""
        return part_of(node, self.schema, self._scope)

    def typed(self, node: Node, kind: Kind | None) -> Value:
        """Return a node's values, those of JSON as the kind that is wanted: another type fails, as in the runtime."""
        part = self.part(node)
        if part is None or kind is None or kind not in WANTED:
            return self.visit(node)
        taken = self._json.take(part, kind)
        failed = taken.other if taken.value.failed is None else taken.value.failed | taken.other
        return self.noted(node, replace(taken.value, failed=failed, simple=False))

    def _operands(self, node: Operator) -> tuple[Value, ...]:
        """Return the values of operands; JSON takes the type of the other side, or of a condition."""
        parts = [self.part(operand) for operand in node.operands]
        if not any(parts) or node.symbol == "[]":
            return tuple(map(self.visit, node.operands))
        if node.symbol in ("&&", "||", "!"):
            return tuple(self.typed(operand, Kind.BOOLEAN) for operand in node.operands)
        if all(parts) or node.symbol == "in":
            raise NoColumn(_DYNAMIC)
        left, right = node.operands
        if parts[0] is None:
            known = self.visit(left)
            return known, self.typed(right, _real_kind(known))
        known = self.visit(right)
        return self.typed(left, _real_kind(known)), known

    def _meeting(self, node: Operator) -> Value | None:
        """Return `==`, `!=` and `in` where one side is JSON: another type is no failure there."""
        left, right = node.operands
        parts = self.part(left), self.part(right)
        if node.symbol not in ("==", "!=", "in") or (parts[0] is None) == (parts[1] is None):
            return None
        json, other = (left, right) if parts[0] is not None else (right, left)
        part = self.part(json)
        known = self.visit(other)
        kind = jsonvalues.meeting_kind(node.symbol, known)
        if part is None or kind is None or (node.symbol == "in" and json is right):
            raise NoColumn(_DYNAMIC)
        taken = self._json.take(part, kind)
        self.noted(json, taken.value)
        if node.symbol == "in":
            return operators.member(self.stages, "in", taken.value, known)
        return jsonvalues.equal(self.stages, node.symbol, taken, known)

    def _call(self, node: Call) -> Value:
        args = tuple(
            self.visit(arg) if self.part(arg) is None else self.typed(arg, parameter_kind(node, number))
            for number, arg in enumerate(node.args)
        )
        if node.name == DIVIDE:
            return arithmetic.divide(self.stages, *args)
        made = find_form(node.name, args)
        if made is not None:
            try:
                return made(self.stages, args)
            except NoColumn as error:
                if node.name not in implementations():
                    raise
                self.slow.append(error.reason)
        overloads = implementations().get(node.name)
        if overloads is None:
            raise NoColumn(msg("{name} has no column form.", name=written_name(node.name)))
        found = python.call(self.stages, python.choose(overloads, args), args)
        if made is None:
            self.slow.append(msg("{name} is worked out once for each different value.", name=written_name(node.name)))
        return found

    def _has(self, node: Has) -> Value:
        part = self.part(node.operand)
        if part is None:
            raise NoColumn(_DYNAMIC)
        return self._json.has(part, node.field)

    def _find(self, node: Find) -> Value:
        key = self.visit(node.key)
        kind = Kind.BOOLEAN if node.ask else of_field(node.table.columns[node.column].type).kind
        return python.apply(self.stages, search(node), [key], [True], (kind, True))


def _no_form(_node: Node) -> Value:
    raise NoColumn(_DYNAMIC)


def _real_kind(value: Value) -> Kind:
    """Return the kind that JSON has beside a value: its numbers are floating point."""
    return Kind.FLOAT if value.kind is Kind.INTEGER else value.kind
