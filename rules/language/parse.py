"""From text to the syntax tree: Google's CEL parser reads the text, its serialized tree is decoded into our nodes.

The numbers are those of `cel.expr.ParsedExpr` (github.com/google/cel-spec, proto/cel/expr/syntax.proto).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from cel_expr_python import cel

from rules.language.nodes import (
    Call,
    Has,
    Ident,
    ListOf,
    Literal,
    Macro,
    MacroName,
    MapOf,
    Node,
    Operator,
    Select,
    children,
)
from rules.language.problems import ExpressionError, Problem, place
from rules.language.syntax import syntax_problem
from rules.language.wire import Reader
from rules.text import Message, msg

MAX_LENGTH = 10_000
MAX_ITEMS = 1_000
_NUL = msg("The character NUL (code 0) is not possible in an expression.")

SYMBOLS = {f"_{s}_": s for s in ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "?:")}
SYMBOLS |= {"_?_:_": "?:", "_[_]": "[]", "!_": "!", "-_": "-", "@in": "in"}


def parse(text: str) -> Node:
    """Return the syntax tree of an expression; raises `ExpressionError`."""
    if not text.strip():
        raise ExpressionError([Problem(msg("The expression is empty."))])
    if "\x00" in text:
        raise ExpressionError([Problem(_NUL, *place(text, text.index("\x00")))])
    if len(text) > MAX_LENGTH:
        message = msg(
            "This expression has {length} characters; at most {limit} are allowed.", length=len(text), limit=MAX_LENGTH
        )
        raise ExpressionError([Problem(message)])
    try:
        parsed = _environment().compile(text, disable_check=True).serialize()
    except RuntimeError as error:
        raise ExpressionError([syntax_problem(str(error), text)]) from None
    tree = Reader(parsed).message(2)
    return _Decoder(text, tree.message(3)).node(tree.message(2))


@cache
def _environment() -> cel.Env:
    return cel.NewEnv()


class _Decoder:
    """Turns the messages of one parsed expression into nodes."""

    def __init__(self, text: str, source: Reader) -> None:
        self._text = text
        self._offsets = {entry.integer(1): entry.integer(2) for entry in source.messages(4)}
        self._forms: dict[int, Callable[[Reader, int], Node]] = {
            3: self._literal,
            4: self._ident,
            5: self._select,
            6: self._call,
            7: self._list,
            8: self._map,
            9: self._macro,
        }

    def node(self, expr: Reader) -> Node:
        """Return the node of an `Expr`."""
        at = self._offsets.get(expr.integer(2), 0)
        number = next(number for number in self._forms if number in expr)
        return self._forms[number](expr.message(number), at)

    def _refuse(self, message: Message, at: int) -> ExpressionError:
        return ExpressionError([Problem(message, *place(self._text, at))])

    def _literal(self, const: Reader, at: int) -> Literal:
        if 4 in const:
            raise self._refuse(msg("Numbers with the ending u are not supported. Leave the u away."), at)
        if 5 in const and not math.isfinite(const.double(5)):
            raise self._refuse(msg("This number is too large."), at)
        readers: dict[int, Callable[[int], bool | int | float | str | bytes]] = {
            2: lambda n: bool(const.integer(n)),
            3: const.integer,
            5: const.double,
            6: const.text,
            7: const.data,
        }
        value = next((read(number) for number, read in readers.items() if number in const), None)
        if (isinstance(value, str) and "\x00" in value) or (isinstance(value, bytes) and 0 in value):
            raise self._refuse(_NUL, at)  # the runtime's functions would take it for the end
        return Literal(at, value)

    def _ident(self, ident: Reader, at: int) -> Ident:
        return Ident(at, ident.text(1).removeprefix("."))

    def _select(self, select: Reader, at: int) -> Select | Has:
        field, operand = select.text(2), self.node(select.message(1))
        place_ = self._text.find(field, at)
        return (Has if select.integer(3) else Select)(max(place_, 0), operand, field)

    def _call(self, call: Reader, at: int) -> Node:
        name = call.text(2)
        args = tuple(self.node(arg) for arg in call.messages(3))
        if name in SYMBOLS:
            return Operator(at, SYMBOLS[name], args)
        start = max(self._text.rfind(name, 0, at), 0)
        return (
            Call(start, name, (self.node(call.message(1)), *args), member=True)
            if 1 in call
            else Call(start, name, args)
        )

    def _list(self, items: Reader, at: int) -> ListOf:
        return ListOf(at, tuple(self.node(item) for item in self._bounded(items.messages(1), at)))

    def _map(self, struct: Reader, at: int) -> MapOf:
        if struct.text(1):
            raise self._refuse(
                msg("Objects of a named type are not supported. Leave the name before the brace away."), at
            )
        entries = self._bounded(struct.messages(2), at)
        return MapOf(
            at, tuple(self.node(e.message(3)) for e in entries), tuple(self.node(e.message(4)) for e in entries)
        )

    def _bounded(self, items: list[Reader], at: int) -> list[Reader]:
        if len(items) > MAX_ITEMS:
            raise self._refuse(msg("A list may have at most {limit} items here.", limit=MAX_ITEMS), at)
        return items

    def _macro(self, fold: Reader, at: int) -> Macro:
        source, variable = self.node(fold.message(2)), fold.text(1)
        start, step = fold.message(4), self._without_accumulator(self.node(fold.message(6)))
        if 7 in start:
            return self._collect(at, source, variable, step)
        if 2 in start.message(3):
            name = MacroName.ALL if start.message(3).integer(2) else MacroName.EXISTS
            return Macro(self._named(name, at), name, source, variable, step[-1])
        return Macro(self._named(MacroName.EXISTS_ONE, at), MacroName.EXISTS_ONE, source, variable, step[0])

    def _without_accumulator(self, step: Node) -> tuple[Node, ...]:
        """Return the operands of a loop step that the person wrote: the guard, if any, and the item."""
        parts = children(step)
        if isinstance(step, Operator) and step.symbol == "?:":
            return (parts[0], children(parts[1])[-1])
        return (parts[-1],)

    def _collect(self, at: int, source: Node, variable: str, step: tuple[Node, ...]) -> Macro:
        item = step[-1]
        body = item.items[0] if isinstance(item, ListOf) else item
        if len(step) == 1:
            return Macro(self._named(MacroName.MAP, at), MacroName.MAP, source, variable, body)
        if isinstance(body, Ident) and body.name == variable:
            return Macro(self._named(MacroName.FILTER, at), MacroName.FILTER, source, variable, step[0])
        return Macro(self._named(MacroName.MAP, at), MacroName.MAP, source, variable, body, step[0])

    def _named(self, name: str, at: int) -> int:
        return max(self._text.rfind(name, 0, at), 0)
