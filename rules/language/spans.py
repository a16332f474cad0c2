"""Where each part of an expression stands in its text: the nodes of the syntax tree only know a place to point at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Macro, MapOf, Node, Operator, Select, children
from rules.language.tokens import Token, TokenKind, tokens

Span = tuple[int, int]
_OPEN = {"(": ")", "[": "]", "{": "}"}


def spans(text: str, tree: Node) -> dict[int, Span]:
    """Return id of node -> offsets of its first character and behind its last, for the tree that `text` was read to."""
    return dict(_Finder(text).walk(tree))


class _Finder:
    """Finds the words that belong to a node from the words of its parts."""

    def __init__(self, text: str) -> None:
        self._words = list(tokens(text))
        self._at = {word.start: number for number, word in enumerate(self._words)}
        self._partner = _partners(self._words)
        self._found: dict[int, Span] = {}
        self._rules: dict[type, Callable[[Any], Span]] = {
            Literal: self._literal,
            Ident: lambda node: self._word(node.at),
            Select: lambda node: (self._start(node.operand), self._word(node.at)[1]),
            Has: self._has,
            Call: self._call,
            Operator: self._operator,
            ListOf: lambda node: (node.at, self._closing(node.at)),
            MapOf: lambda node: (node.at, self._closing(node.at)),
            Macro: lambda node: (self._start(node.source), self._closing(node.at)),
        }

    def walk(self, node: Node) -> Iterator[tuple[int, Span]]:
        """Yield a node and its parts with their places, the parts first."""
        for child in children(node):
            yield from self.walk(child)
        self._found[id(node)] = self._balanced(self._rules[type(node)](node))
        yield id(node), self._found[id(node)]

    def _start(self, node: Node) -> int:
        return self._found[id(node)][0]

    def _word(self, at: int) -> Span:
        word = self._words[self._at[at]]
        return word.start, word.end

    def _literal(self, node: Literal) -> Span:
        first = self._words[self._at[node.at]]
        last = self._words[self._at[node.at] + 1] if first.text == "-" else first
        return first.start, last.end

    def _closing(self, at: int) -> int:
        """Return the end of the first bracket that opens at or behind a place."""
        number = next(n for n in range(self._at[at], len(self._words)) if n in self._partner)
        return self._words[self._partner[number]].end

    def _has(self, node: Has) -> Span:
        first = self._at[self._start(node.operand)]
        while self._words[first].text != "has":
            first -= 1
        return self._words[first].start, self._closing(self._words[first].start)

    def _call(self, node: Call) -> Span:
        return (self._start(node.args[0]) if node.member else node.at), self._closing(node.at)

    def _operator(self, node: Operator) -> Span:
        if node.symbol == "[]":
            return self._start(node.operands[0]), self._closing(node.at)
        start = node.at if len(node.operands) == 1 else self._start(node.operands[0])
        return start, self._found[id(node.operands[-1])][1]

    def _balanced(self, span: Span) -> Span:
        """Return the place widened to the other halves of its brackets."""
        start, end = span
        number = self._at[start]
        while self._words[number].start < end:
            partner = self._words[self._partner.get(number, number)]
            start, end = min(start, partner.start), max(end, partner.end)
            number += 1
        return start, end


def _partners(words: list[Token]) -> dict[int, int]:
    """Return the number of each bracket -> that of its other half."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for number, word in enumerate(words):
        if word.kind is TokenKind.SYMBOL and word.text in _OPEN:
            waiting.append(number)
        elif word.kind is TokenKind.SYMBOL and word.text in _OPEN.values():
            opening = waiting.pop()
            found |= {opening: number, number: opening}
    return found
