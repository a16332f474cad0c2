"""From text to the syntax tree: a parser of CEL's grammar that knows where every word stands.

https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax . Operators are read with two stacks, so that a
long row of them costs no depth; `&&` and `||` become balanced trees, as they do in Google's parser. Why it is our own:
docs/decisions/own-parser.md.
"""

from __future__ import annotations

from collections.abc import Callable

from rules.language.functions import FUNCTIONS
from rules.language.literals import literal
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
from rules.language.problems import ExpressionError, Problem
from rules.language.syntax import RESERVED, failure, no_end, no_field, no_value, reserved
from rules.language.tokens import Token, TokenKind, tokens
from rules.text import Message, msg

MAX_LENGTH = 10_000
MAX_ITEMS = 1_000
MAX_BRACKETS = 40
MAX_HEIGHT = 100
_NUL = msg("The character NUL (code 0) is not possible in an expression.")
_DEEP = msg("This expression is nested too deeply or has too many terms in a row. Split it up.")

_LEVELS = {"||": 1, "&&": 2, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3)
_LOGIC = 2  # levels up to this one are balanced
_MACROS = {name.value: (2, 3) if name is MacroName.MAP else (2,) for name in MacroName}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_VALUES = frozenset(
    {TokenKind.STRING, TokenKind.BYTES, TokenKind.FLOAT, TokenKind.INTEGER},
)
_NUMBERS = frozenset({TokenKind.FLOAT, TokenKind.INTEGER})


def parse(text: str) -> Node:
    """Return the syntax tree of an expression; raises `ExpressionError`."""
    if not text.strip():
        raise ExpressionError([Problem(msg("The expression is empty."))])
    if len(text) > MAX_LENGTH:
        message = msg(
            "This expression has {length} characters; at most {limit} are allowed.", length=len(text), limit=MAX_LENGTH
        )
        raise ExpressionError([Problem(message)])
    if "\x00" in text:
        raise failure(text, text.index("\x00"), _NUL)
    tree = _Parser(text).whole()
    if _height(tree) > MAX_HEIGHT:
        raise ExpressionError([Problem(_DEEP, length=len(text))])
    return tree


def _height(tree: Node) -> int:
    """Return how many nodes stand above each other at most; works for trees of any height."""
    levels, rest = 0, [tree]
    while rest:
        levels += 1
        rest = [part for above in rest for part in children(above)]
    return levels


class _Parser:
    """Reads the words of one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = list(tokens(text))
        self._next = 0
        self._depth = 0
        self._brackets: dict[str, Callable[[Token], Node]] = {"(": self._group, "[": self._list, "{": self._map}

    def whole(self) -> Node:
        """Return the tree of the whole text."""
        tree = self._expression()
        if self._word.kind is not TokenKind.END:
            raise no_end(self._word, self._text, None, self._before())
        return tree

    @property
    def _word(self) -> Token:
        return self._words[self._next]

    def _before(self) -> Token | None:
        return self._words[self._next - 1] if self._next else None

    def _take(self) -> Token:
        word = self._words[self._next]
        self._next += 1
        return word

    def _is(self, symbol: str) -> bool:
        word = self._words[self._next]
        return word.kind is TokenKind.SYMBOL and word.text == symbol

    def _skip(self, symbol: str) -> bool:
        found = self._is(symbol)
        self._next += found
        return found

    def _need(self, symbol: str) -> None:
        if not self._skip(symbol):
            raise no_end(self._word, self._text, symbol, self._before())

    def _refuse(self, message: Message, at: int) -> ExpressionError:
        return failure(self._text, at, message)

    # Operators

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_BRACKETS:
            raise ExpressionError([Problem(_DEEP, length=len(self._text))])
        tests: list[tuple[int, Node, Node]] = []
        result = self._operators()
        while self._is("?"):
            at = self._take().start
            yes = self._operators()
            self._need(":")
            tests.append((at, result, yes))
            result = self._operators()
        for at, test, yes in reversed(tests):
            result = Operator(at, "?:", (test, yes, result))
        self._depth -= 1
        return result

    def _operators(self) -> Node:
        """Return a row of operands with operators between them."""
        values, signs = [self._unary()], list[tuple[int, Token]]()
        while True:
            level = self._level()
            while signs and (signs[-1][0] > level or signs[-1][0] == level > _LOGIC):
                _reduce(values, signs)
            if level == 0:
                return values[0]
            signs.append((level, self._take()))
            values.append(self._unary())

    def _level(self) -> int:
        word = self._words[self._next]
        named = word.kind is TokenKind.NAME and word.text == "in"
        return _LEVELS.get(word.text, 0) if named or word.kind is TokenKind.SYMBOL else 0

    def _unary(self) -> Node:
        first = self._word
        if first.kind is not TokenKind.SYMBOL or first.text not in ("!", "-"):
            return self._member(self._primary())
        count = 0
        while self._is(first.text):
            self._next += 1
            count += 1
        if first.text == "-" and count == 1 and self._word.kind in _NUMBERS:
            return self._member(literal(self._text, self._take(), sign=first))
        operand = self._member(self._primary())
        return operand if count % 2 == 0 else Operator(first.start, first.text, (operand,))

    # What follows a value

    def _member(self, node: Node) -> Node:
        while True:
            if self._is("."):
                self._next += 1
                node = self._dot(node)
            elif self._is("["):
                at = self._take().start
                index = self._expression()
                self._need("]")
                node = Operator(at, "[]", (node, index))
            elif self._is("{") and isinstance(node, (Ident, Select)):
                message = msg("Objects of a named type are not supported. Leave the name before the brace away.")
                raise self._refuse(message, self._words[self._next - 1].start)
            else:
                return node

    def _dot(self, node: Node) -> Node:
        word = self._take()
        if word.kind is TokenKind.QUOTED:
            return Select(word.start, node, word.text[1:-1])
        if word.kind is not TokenKind.NAME or word.text in (*_WORDS, "in"):
            raise no_field(word, self._text)
        if not self._skip("("):
            return Select(word.start, node, word.text)
        return self._call_on(node, word, self._items(")"))

    def _call_on(self, node: Node, word: Token, args: list[Node]) -> Node:
        if isinstance(node, Ident) and f"{node.name}.{word.text}" in FUNCTIONS:
            return Call(node.at, f"{node.name}.{word.text}", tuple(args))
        if len(args) in _MACROS.get(word.text, ()):
            return self._macro(node, word, args)
        return Call(word.start, word.text, (node, *args), member=True)

    def _macro(self, source: Node, word: Token, args: list[Node]) -> Macro:
        variable, *guard, body = args
        if not isinstance(variable, Ident):
            message = msg("The first part in the brackets must be a new name for the items, like x.")
            raise self._refuse(message, variable.at)
        name = MacroName(word.text)
        return Macro(word.start, name, source, variable.name, body, guard[0] if guard else None)

    # Values

    def _primary(self) -> Node:
        word = self._take()
        if word.kind in _VALUES:
            return literal(self._text, word)
        if word.kind is TokenKind.SYMBOL and word.text in self._brackets:
            return self._brackets[word.text](word)
        if word.kind is TokenKind.SYMBOL and word.text == "." and self._word.kind is TokenKind.NAME:
            word = self._take()
        if word.kind is not TokenKind.NAME or word.text == "in":
            raise no_value(word, self._text)
        if word.text in _WORDS:
            return Literal(word.start, _WORDS[word.text])
        return self._named(word)

    def _named(self, word: Token) -> Node:
        if self._skip("("):
            args = self._items(")")
            return (
                self._has(args[0]) if word.text == "has" and len(args) == 1 else Call(word.start, word.text, (*args,))
            )
        if word.text in RESERVED:
            raise reserved(word, self._text)
        return Ident(word.start, word.text)

    def _has(self, node: Node) -> Has:
        if not isinstance(node, Select):
            raise self._refuse(msg("has() asks for a field, like has(record.phone)."), node.at)
        return Has(node.at, node.operand, node.field)

    def _group(self, _word: Token) -> Node:
        node = self._expression()
        self._need(")")
        return node

    def _list(self, word: Token) -> ListOf:
        return ListOf(word.start, tuple(self._bounded(self._items("]"), word)))

    def _map(self, word: Token) -> MapOf:
        keys, values = list[Node](), list[Node]()
        while not self._skip("}"):
            keys.append(self._expression())
            self._need(":")
            values.append(self._expression())
            if not self._is("}") and not self._skip(","):
                raise no_end(self._word, self._text, "}", self._before())
        return MapOf(word.start, tuple(self._bounded(keys, word)), tuple(values))

    def _items(self, end: str) -> list[Node]:
        """Return what stands between commas up to a bracket; a list may end with a comma."""
        found: list[Node] = []
        while not self._skip(end):
            found.append(self._expression())
            if self._is(end):
                continue
            if not self._skip(","):
                raise no_end(self._word, self._text, end, self._before())
            if end == ")" and self._is(end):
                raise no_value(self._word, self._text)
        return found

    def _bounded(self, items: list[Node], word: Token) -> list[Node]:
        if len(items) > MAX_ITEMS:
            raise self._refuse(msg("A list may have at most {limit} items here.", limit=MAX_ITEMS), word.start)
        return items


def _reduce(values: list[Node], signs: list[tuple[int, Token]]) -> None:
    """Replace the last operator, or the last row of the same && or ||, with its node."""
    level, sign = signs.pop()
    row = [sign]
    while level <= _LOGIC and signs and signs[-1][0] == level:
        row.insert(0, signs.pop()[1])
    operands = values[-len(row) - 1 :]
    del values[-len(row) - 1 :]
    values.append(_balanced(operands, row, 0, len(row) - 1))


def _balanced(operands: list[Node], row: list[Token], first: int, last: int) -> Node:
    """Return the tree of a row of operators that is as flat as can be."""
    middle = (first + last + 1) // 2
    left = operands[middle] if first == middle else _balanced(operands, row, first, middle - 1)
    right = operands[middle + 1] if middle == last else _balanced(operands, row, middle + 1, last)
    return Operator(row[middle].start, row[middle].text, (left, right))
