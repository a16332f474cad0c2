"""From a lowered tree to columns: visits the nodes, and leaves what has no column form to Python or to the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from rules.language.columns import arithmetic, operators, python
from rules.language.columns.constants import constant
from rules.language.columns.facts import Fact, unusable_name
from rules.language.columns.forms import find_form
from rules.language.columns.islands import island, wrapped
from rules.language.columns.kinds import kind_of, runtime_kind, variable_kind
from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value
from rules.language.lower import DIVIDE
from rules.language.nodes import Call, Exact, Find, Ident, Let, Literal, Mode, Node, Operator, Variable, children
from rules.language.runtime import implementations, variables
from rules.language.searches import search
from rules.language.types import Kind, of_field
from rules.schema import Schema
from rules.text import Message, msg

_DYNAMIC = msg("What JSON, lists and loops hold is known record by record only.")
_EXACT = 2**53


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
        self._forms: dict[type, Callable[[Any], Value]] = {
            Variable: self._variable,
            Ident: self._ident,
            Let: self._let,
            Operator: self._operator,
            Call: self._call,
            Find: self._find,
        }

    def visit(self, node: Node) -> Value:
        """Return the values of a node; raises `NoColumn` where not even their kind is known."""
        found = self._visited(node)
        return self.noted(node, found) if self._explain else found

    def noted(self, node: Node, value: Value) -> Value:
        """Return the values of a node after keeping them for explanations."""
        if self._explain:
            value = self.found[id(node)] = self.stages.stage(value)
        return value

    def _visited(self, node: Node) -> Value:
        if isinstance(node, Literal) or not self._reads(node):
            self.opaque.add(id(node))
            return constant(node, self.kind(node))
        made = self._forms.get(type(node))
        try:
            if made is None:
                raise NoColumn(_DYNAMIC)
            return made(node)
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
        if isinstance(value, Value):
            self._values[node.variable] = value
        try:
            return step(node.body)
        finally:
            self._scope, self._values = outer

    def choice(self, node: Operator, step: Callable[[Node], Value]) -> Value:
        """Return `test ? yes : no`, the step taken on both sides."""
        test, yes, no = node.operands
        return operators.choice(self.stages, self.visit(test), step(yes), step(no))

    def _reads(self, node: Node) -> bool:
        if isinstance(node, (Variable, Exact)):
            return True
        return (isinstance(node, Ident) and node.name in self._scope) or any(map(self._reads, children(node)))

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
        values = tuple(map(self.visit, node.operands))
        if len(values) == 1:
            return arithmetic.negative(values[0]) if node.symbol == "-" else operators.negation(values[0])
        left, right = values
        match node.symbol:
            case "&&" | "||":
                return operators.logic(node.symbol, left, right)
            case "==" | "!=":
                return operators.equal(self.stages, node.symbol, left, right)
            case "<" | "<=" | ">" | ">=":
                return operators.order(node.symbol, left, right)
            case "in":
                return operators.member(self.stages, left, right)
            case "[]":
                return operators.item(self.stages, left, right)
            case _:
                return arithmetic.calculate(self.stages, node.symbol, left, right)

    def _call(self, node: Call) -> Value:
        args = tuple(map(self.visit, node.args))
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
            raise NoColumn(msg("{name}() has no column form.", name=node.name))
        found = python.call(self.stages, python.choose(overloads, args), args)
        if made is None:
            name = node.name.split(".")[1]
            self.slow.append(msg("{name}() is worked out once for each different value.", name=name))
        return found

    def _find(self, node: Find) -> Value:
        key = self.visit(node.key)
        kind = Kind.BOOLEAN if node.ask else of_field(node.table.columns[node.column].type).kind
        return python.apply(self.stages, search(node), [key], [True], (kind, True))
