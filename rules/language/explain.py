"""Why a record has no result: finds the innermost part that failed, and says it in plain words.

The runtime reports an error without its place. So the parts of the tree are evaluated again for that record, from the
inside out along the way the evaluation took; the first that fails while its own parts do not is the cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rules.language.bindings import Unusable
from rules.language.cost import STEPS
from rules.language.encode import MAX_COLLECTED, TOO_LONG, TWICE
from rules.language.functions.registry import FunctionError
from rules.language.lower import DIVIDE
from rules.language.nodes import Call, Find, Ident, Let, Literal, Macro, MapOf, Node, Operator, Variable, children
from rules.language.results import shown
from rules.language.runtime import TOO_MUCH, Failed, Runner, TooDeep, implementations
from rules.text import N_, Message, msg

Row = Mapping[str, Any]
Scope = tuple[tuple[str, Node], ...]
Cause = tuple[int, Message]
MOST_ITEMS = 100
MOST_COPIED = 100_000  # items of the list, copied for each item that is looked at
NO_RESULT = msg("The expression has no result for this record.")


class Explainer:
    """Explains failures of one expression; keeps the parts it has prepared."""

    def __init__(self, tree: Node) -> None:
        self._tree = tree
        self._runners: dict[tuple[Node, Scope], Runner | None] = {}

    def cause(self, row: Row) -> Cause:
        """Return the place and the reason of the failure for one record."""
        return self._failed(self._tree, row, ()) or self._blame(self._tree, row, ())

    def _failed(self, node: Node, row: Row, scope: Scope) -> Cause | None:
        """Return why a part failed, None if it did not."""
        runner = self._runner(node, scope)
        failed = None if runner is None else runner.failure(row)
        if failed is None:
            return None
        if failed.reason == TOO_MUCH:
            return node.at, _WORK
        limit = next((message for reason, message in _LIMITS if reason in failed.reason), None)
        if limit is not None and isinstance(node, Macro):  # looking at its items would take as much work again
            return self._failed(node.source, row, scope) or (node.at, limit)
        causes = (self._failed(part, row, inner) for part, inner in self._parts(node, row, scope))
        return next((cause for cause in causes if cause is not None), None) or self._blame(node, row, scope)

    def _parts(self, node: Node, row: Row, scope: Scope) -> list[tuple[Node, Scope]]:
        """Return the parts of a node that its evaluation went through."""
        match node:
            case Operator(symbol="?:", operands=(test, yes, no)):
                chosen = self._value(test, row, scope)
                taken = {True: [(yes, scope)], False: [(no, scope)]}.get(chosen, []) if isinstance(chosen, bool) else []
                return [(test, scope), *taken]
            case Let(variable=name, value=value, body=body):
                return [(value, scope), (body, (*scope, (name, value)))]
            case Macro():
                return [(node.source, scope), *self._items(node, row, scope)]
            case _:
                return [(part, scope) for part in children(node)]

    def _items(self, node: Macro, row: Row, scope: Scope) -> list[tuple[Node, Scope]]:
        # the runtime counts: a list of a million items is not taken over for this
        listed = Operator(node.at, "==", (Call(node.at, "type", (node.source,)), Ident(node.at, "list")))
        count = self._value(Call(node.at, "size", (node.source,)), row, scope)
        if self._value(listed, row, scope) is not True or not isinstance(count, int):
            return []
        parts = [part for part in (node.guard, node.body) if part is not None]
        places = [
            Operator(node.at, "[]", (node.source, Literal(node.at, number)))
            for number in range(min(count, MOST_ITEMS, MOST_COPIED // max(count, 1) + 1))
        ]
        return [(part, (*scope, (node.variable, place))) for place in places for part in parts]

    def _value(self, node: Node, row: Row, scope: Scope) -> Any:
        runner = self._runner(node, scope)
        return None if runner is None else runner.one(row)

    def _runner(self, node: Node, scope: Scope) -> Runner | None:
        key = (node, scope)
        if key not in self._runners:
            self._runners[key] = self._prepare(node, scope)
        return self._runners[key]

    def _prepare(self, node: Node, scope: Scope) -> Runner | None:
        whole = node
        for name, value in reversed(scope):
            whole = Let(node.at, name, value, whole)
        try:
            return Runner(whole)
        except TooDeep:
            return None

    def _blame(self, node: Node, row: Row, scope: Scope) -> Cause:
        if isinstance(node, Variable):
            return node.at, self._unusable(node, row)
        inside = () if isinstance(node, (Let, Macro)) else children(node)
        parts = [(part, self._value(part, row, scope)) for part in inside]
        empty = next((part for part, value in parts if value is None), None)
        if empty is not None:
            return empty.at, empty_message(empty)
        values = [value for _, value in parts]
        if isinstance(node, Call) and node.name in implementations():
            return node.at, call_message(node, values)
        if isinstance(node, Find):
            text = N_("The lookup table '{table}' is keyed by {key}, but the value here is {value}.")
            return node.at, msg(text, table=node.table.name, key=node.table.key.value, value=shown(values[0]))
        failed = self._value(node, row, scope)
        return node.at, _reason(failed.reason if isinstance(failed, Failed) else "", node, values)

    def _unusable(self, node: Variable, row: Row) -> Message:
        value = row[node.name]
        if isinstance(value, Unusable):
            return value.message
        return empty_message(node) if value is None else msg("The value of '{field}' cannot be read.", field=node.field)


def empty_message(node: Node) -> Message:
    """Return what to say about a part whose value is empty."""
    if isinstance(node, Operator) and isinstance(node.operands[0], Variable):
        node = node.operands[0]
    if isinstance(node, Variable):
        text = N_("The field '{field}' is empty in this record. Use orDefault(), or ask first whether it is null.")
        return msg(text, field=node.field)
    if isinstance(node, Find):
        text = N_("The lookup table '{table}' has nothing for this key. Use orDefault() to say what stands for it.")
        return msg(text, table=node.table.name)
    return msg("A value is empty here (null). Use orDefault(), or ask first whether it is null.")


def call_message(node: Call, values: list[Any]) -> Message:
    """Return why one of our own functions failed, by calling it again."""
    for overload in implementations()[node.name]:
        if len(overload.parameters) == len(values) and overload.implementation is not None:
            try:
                overload.implementation(*values)
            except FunctionError as error:
                return error.message
            except (TypeError, ValueError, AttributeError, ArithmeticError):
                continue
    return _no_overload("/" if node.name == DIVIDE else _written(node.name), values)


def _written(name: str) -> str:
    """Return how a person writes the name of one of our own functions."""
    overload = implementations()[name][0]
    return overload.signature.partition("(")[0] + "()"


def _no_overload(name: str, values: list[Any]) -> Message:
    given = ", ".join(shown(value) for value in values)
    return msg("{name} cannot work with {values}.", name=name, values=given)


def _missing_key(found: re.Match[str], node: Node, _values: list[Any]) -> Message:
    key = found[1].strip('"')
    if isinstance(node, Operator) and isinstance(node.operands[0], Ident):
        return msg("'{value}' is not among the choices, and choose() has no default.", value=key)
    return msg("There is no '{key}' here. Ask first with has(), or with 'in'.", key=key)


def _bad_key(found: re.Match[str], node: Node, values: list[Any]) -> Message:
    if not isinstance(node, MapOf):
        return _operands(found, node, values)
    wrong = next((key for key in values[::2] if not isinstance(key, (str, int))), None)
    return msg("A key of a map is text, a whole number or true/false, not {type}.", type=shown(wrong))


def _constant(message: Message) -> Callable[[re.Match[str], Node, list[Any]], Message]:
    return lambda _found, _node, _values: message


def _index(found: re.Match[str], _node: Node, _values: list[Any]) -> Message:
    return msg("There is no item {index} in a list of {size}; the first item is 0.", index=found[1], size=found[2])


def _convert(_found: re.Match[str], _node: Node, values: list[Any]) -> Message:
    return msg("{value} cannot be converted.", value=shown(values[0] if values else None))


def _operands(_found: re.Match[str], node: Node, values: list[Any]) -> Message:
    if isinstance(node, Operator):
        return _no_overload(f"'{node.symbol}'", values)
    return _no_overload(f"{node.name}()", values) if isinstance(node, Call) else NO_RESULT


_WORK = msg("This is too much work for one record: its values are too large for what is done with them.")
BUDGET = "Iteration budget exceeded"
_STEPS = msg("The loops take more than {steps} steps for this record.", steps=STEPS)
_LONG = msg("map() and filter() take lists of at most {limit} items.", limit=MAX_COLLECTED)
_LIMITS = ((BUDGET, _STEPS), (TOO_LONG, _LONG))
_REASONS: tuple[tuple[str, Callable[[re.Match[str], Node, list[Any]], Message]], ...] = (
    *((re.escape(reason), _constant(message)) for reason, message in _LIMITS),
    (re.escape(TWICE), _constant(msg("A key stands twice in this map."))),
    (r"(?:divide|modulus) by zero", _constant(msg("Division by zero."))),
    (r"Key not found in map : (.*)", _missing_key),
    (r"overflow|out of.*range|OUT_OF_RANGE", _constant(msg("The result is too large."))),
    (r"Index error: index=(-?\d+) size=(\d+)", _index),
    (r"[Cc]onver", _convert),
    (r"No matching overload|Applying SELECT", _operands),
    (r"Invalid map key", _bad_key),
)


def _reason(text: str, node: Node, values: list[Any]) -> Message:
    for pattern, words in _REASONS:
        found = re.search(pattern, text)
        if found is not None:
            return words(found, node, values)
    return NO_RESULT
