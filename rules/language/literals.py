"""The values of words that stand for themselves: numbers, text and binary data."""

from __future__ import annotations

import math

from rules.language.nodes import Literal
from rules.language.syntax import failure
from rules.language.tokens import BadEscape, Token, TokenKind, bytes_of, text_of
from rules.text import Message, msg

_INT64 = 2**63
_NUL = msg("The character NUL (code 0) is not possible in an expression.")
_ESCAPE = msg("A backslash in this text is followed by something that is no character.")


def literal(text: str, word: Token, sign: Token | None = None) -> Literal:
    """Return the node of a word; `sign` is the minus before a number. Raises `ExpressionError`."""
    at = word.start if sign is None else sign.start

    def refuse(message: Message, suggestion: str | None = None) -> Exception:
        return failure(text, at, message, suggestion, end=word.end)

    if word.kind is TokenKind.INTEGER and word.text[-1] in "uU":
        raise refuse(msg("Numbers with the ending u are not supported. Leave the u away."), text[at : word.end - 1])
    try:
        value = _value(word)
    except BadEscape:
        raise refuse(_ESCAPE) from None
    if isinstance(value, (int, float)):
        value = value if sign is None else -value
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise refuse(msg("This whole number is too large."))
        if not math.isfinite(value):
            raise refuse(msg("This number is too large."))
    elif ("\x00" if isinstance(value, str) else b"\x00") in value:  # type: ignore[operator]
        raise refuse(_NUL)  # the runtime's functions would take it for the end
    return Literal(at, value)


def _value(word: Token) -> int | float | str | bytes:
    if word.kind is TokenKind.STRING:
        return text_of(word)
    if word.kind is TokenKind.BYTES:
        return bytes_of(word)
    if word.kind is TokenKind.FLOAT:
        return float(word.text)
    digits = word.text.removeprefix("0x")
    if digits != word.text:
        return int(digits, 16)
    return int(digits.lstrip("0")[:40] or "0")  # what is longer is too large anyway
