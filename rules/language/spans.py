"""From where to where a part of an expression is written."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from rules.language.nodes import Has, Node, children
from rules.language.tokens import Token, TokenKind, tokens

_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


def span(node: Node, text: str) -> tuple[int, int]:
    """Return the first character of a node and the one behind its last, its own brackets included."""
    words = _words(text)
    places, rest = set[int](), [node]
    while rest:
        part = rest.pop()
        places.add(_has(words, part.at) if isinstance(part, Has) else part.at)
        rest += children(part)
    inside = [number for number, word in enumerate(words) if word.start in places]
    if not inside:
        return node.at, node.at
    first, last = _with_brackets(words, inside[0], inside[-1])
    return words[first].start, words[last].end


@lru_cache(maxsize=16)
def _words(text: str) -> list[Token]:
    return [word for word in tokens(text) if word.kind is not TokenKind.END]


def _has(words: list[Token], at: int) -> int:
    """Return where the `has` begins whose field stands at a place."""
    return max(
        word.start for word, after in pairwise(words) if word.text == "has" and after.text == "(" and word.start < at
    )


def _with_brackets(words: list[Token], first: int, last: int) -> tuple[int, int]:
    """Return the range widened until every bracket in it has its partner."""
    open_, missing = 0, 0
    number = first
    while number < len(words) and (number <= last or open_ > 0 or _called(words, number)):
        open_ += _step(words[number])
        if open_ < 0:
            missing, open_ = missing + 1, 0
        last = max(last, number)
        number += 1
    while missing and first > 0:
        first -= 1
        missing -= _step(words[first])
    return first, last


def _called(words: list[Token], number: int) -> bool:
    """Tell whether a bracket directly behind a name calls it."""
    return (
        words[number].text == "("
        and words[number - 1].kind is TokenKind.NAME
        and words[number].start == words[number - 1].end
    )


def _step(word: Token) -> int:
    if word.kind is not TokenKind.SYMBOL:
        return 0
    return (word.text in _OPEN) - (word.text in _CLOSE)
