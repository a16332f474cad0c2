"""The value of one part of an expression for one record, by the runtime that evaluates whole expressions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import polars as pl

from rules.language.bindings import bind
from rules.language.checked import Checked, field_of
from rules.language.encode import REFERENCE
from rules.language.explain import Explainer
from rules.language.lower import lower
from rules.language.nodes import Ident, Let, Literal, Macro, Node, Operator
from rules.language.runtime import Failed, Runner, TooDeep
from rules.language.types import Kind, Type
from rules.schema import Schema
from rules.text import Message


@dataclass(frozen=True)
class Found:
    """A value, or why there is none."""

    value: Any = None
    error: Message | None = None


class Values:
    """Evaluates the parts of one checked expression; keeps what it has prepared."""

    def __init__(self, checked: Checked, schema: Schema) -> None:
        self._checked = checked
        self._schema = schema
        self._ready: dict[tuple[int, int], tuple[Runner, Explainer] | Message] = {}

    def of(self, node: Node, record: pl.DataFrame) -> Found:
        """Return the value of a part that no loop's variable occurs in; that of a field is the stored one."""
        name = node.name if isinstance(node, Ident) else field_of(node)
        if name is not None:
            return Found(record[name][0])
        return self._found((id(node), -1), node, self._checked.type(node), record)

    def body(self, loop: Macro, part: Node, number: int, record: pl.DataFrame) -> Found:
        """Return the value of a loop's condition or body for one item."""
        key = (id(part), number)
        if key not in self._ready:
            whole = cast(Macro, self._lowered(loop))
            lowered = whole.guard if part is loop.guard and whole.guard is not None else whole.body
            item = Operator(loop.at, "[]", (whole.source, Literal(loop.at, number)))
            self._ready[key] = _prepared(Let(loop.at, loop.variable, item, lowered))
        return self._found(key, part, self._checked.type(part), record)

    def _lowered(self, node: Node) -> Node:
        return lower(replace(self._checked, tree=node), self._schema, self._checked.type(node)).tree

    def _found(self, key: tuple[int, int], node: Node, type_: Type, record: pl.DataFrame) -> Found:
        if key not in self._ready:
            self._ready[key] = _prepared(self._lowered(node))
        ready = self._ready[key]
        if isinstance(ready, Message):
            return Found(error=ready)
        runner, explainer = ready
        row = {variable.name: bind(variable, record, self._schema)[0] for variable in runner.variables}
        value = runner.one(row)
        if isinstance(value, Failed):
            return Found(error=explainer.cause(row)[1])
        return Found(self._typed(value, type_, record))

    def _typed(self, value: Any, type_: Type, record: pl.DataFrame) -> Any:
        """Return the runtime's value as one of the language: the stored one where it only names a field."""
        if isinstance(value, bytearray):
            data = bytes(value)
            return record[data.removeprefix(REFERENCE).decode()][0] if data.startswith(REFERENCE) else data
        if not isinstance(value, datetime):
            return value
        return _MOMENTS.get(type_.kind, lambda moment: moment)(value)


_MOMENTS: dict[Kind, Any] = {
    Kind.DATE: lambda moment: moment.date(),
    Kind.LOCAL_DATETIME: lambda moment: moment.replace(tzinfo=None),
}


def _prepared(tree: Node) -> tuple[Runner, Explainer] | Message:
    try:
        return Runner(tree), Explainer(tree)
    except TooDeep as error:
        return error.message
