"""From the text of a cell to what it says; mistakes are told with their column in the cell.

An input cell is a list of alternatives (`"CN", "DE"`, `> 100`, `[1..10)`, `not("CN")`, `null`), `-` for everything, or
an expression. In columns of text, quotes may be left out where nothing else can be meant. An output cell is a value or
an expression; `=` in front says that it is an expression.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from rules.decisions.cells import (
    ANY,
    CellError,
    Constant,
    Expression,
    InputCell,
    Null,
    OutputCell,
    Range,
    Test,
    Tests,
    Value,
)
from rules.decisions.literals import MOMENT_WORDS, MOMENTS, needed, value_of
from rules.decisions.scan import Sort, Token, scan, unquoted
from rules.schema import FieldType
from rules.text import N_, msg

_BARE = re.compile(r"\w[\w \-./&+#]*")
_STOPS = frozenset({",", ")", "]", "[", "(", ".."})
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "=", "==", "!="})
_SYMBOLS = frozenset({"&&", "||", "!", "?", "{", "}"})
_ARITHMETIC = frozenset({"+", "*", "/", "%", ".", ":"})
_OPENERS = {"[": True, "(": False, "]": False}
_CLOSERS = {"]": True, ")": False, "[": False}
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(,\d{3})+(?![\d])")
_WHATEVER = Tests((Null(),), negated=True, or_null=True)
_WORDS = frozenset({"not", *MOMENT_WORDS})


def cell_text(cell: object) -> str:
    """Return the text of a cell as a document holds it: numbers and true/false may stand there as they are."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return "" if cell is None else str(cell)


def read_input(text: str, type_: FieldType, names: Collection[str] = ()) -> InputCell:
    """Return what an input cell says; `names` are the fields that expressions may name. Raises `CellError`."""
    if text.strip() in ("", "-"):
        return ANY
    tokens = scan(text)
    if _is_expression(tokens, type_, names):
        return Expression(text.strip())
    found = _Reader(text, tokens, type_, names).tests()
    return ANY if found == _WHATEVER else found


def read_allowed(text: str, type_: FieldType) -> Tests:
    """Return the values that one entry of `allowed` names; raises `CellError`."""
    return _Reader(text, scan(text), type_, ()).tests()


def read_output(text: str, type_: FieldType, names: Collection[str] = ()) -> OutputCell:
    """Return what an output cell says; raises `CellError`."""
    stripped = text.strip()
    if stripped in ("", "-", "null"):
        return Constant(None)
    if stripped.startswith("="):
        return Expression(stripped[1:].strip())
    if type_ is FieldType.JSON:
        return Expression(stripped)
    tokens = scan(text)
    reader = _Reader(text, tokens, type_, names)
    if _is_value(tokens, type_, reader):
        return Constant(reader.whole_value())
    return Expression(stripped)


def read_constant(text: str, type_: FieldType) -> Constant:
    """Return the value of a cell that cannot be an expression; raises `CellError`."""
    if text.strip() in ("", "-", "null"):
        return Constant(None)
    return Constant(_Reader(text, scan(text), type_, ()).whole_value())


def read_plain(text: str, type_: FieldType) -> Tests:
    """Return alternatives whose texts stand in quotes, as other programs write them; raises `CellError`."""
    return _Reader(text, scan(text), type_, (), quotes=True).tests()


def read_plain_constant(text: str, type_: FieldType) -> Constant:
    """Return a value that stands in quotes if it is a text; raises `CellError`."""
    if text.strip() == "null":
        return Constant(None)
    return Constant(_Reader(text, scan(text), type_, (), quotes=True).whole_value())


def _is_value(tokens: list[Token], type_: FieldType, reader: _Reader) -> bool:
    """Tell whether an output cell is meant as a written value, so that mistakes in it are told as such."""
    first = tokens[0]
    if type_ is FieldType.TEXT and first.sort is not Sort.TEXT:
        return reader.bare_to_end()
    if len(tokens) == 2:
        return first.sort is not Sort.WORD or first.text in ("true", "false")
    if first.text == "-" and len(tokens) == 3:
        return tokens[1].sort is Sort.NUMBER
    return type_ in MOMENTS and first.text in MOMENT_WORDS and len(tokens) == 5


def _is_expression(tokens: list[Token], type_: FieldType, names: Collection[str]) -> bool:
    texts = [token.text for token in tokens if token.sort is not Sort.END]
    symbols = {token.text for token in tokens if token.sort is Sort.SYMBOL}
    if symbols & _SYMBOLS or (type_ is not FieldType.TEXT and symbols & _ARITHMETIC):
        return True
    named = [token for token in tokens if token.sort is Sort.WORD and token.text in names]
    if named and (type_ is not FieldType.TEXT or symbols & _ARITHMETIC):
        return True
    return any(_calls(tokens[n : n + 2]) or _compares(texts[:n], token) for n, token in enumerate(tokens))


def _calls(pair: list[Token]) -> bool:
    """Tell whether a word is called as a function or taken apart, other than the words of cells."""
    word, follower = pair[0], pair[-1]
    return word.sort is Sort.WORD and (
        (follower.text == "(" and word.text not in _WORDS) or (word.text == "record" and follower.text == "[")
    )


def _compares(before: list[str], token: Token) -> bool:
    """Tell whether a comparison has something on its left side, which alternatives never have."""
    if token.sort is Sort.WORD and token.text == "in":
        return bool(before)
    return token.text in _COMPARISONS and bool(before) and before[-1] not in (",", "(")


class _Reader:
    """Reads the tokens of one cell; with `quotes`, texts have to stand in quotes."""

    def __init__(
        self, text: str, tokens: list[Token], type_: FieldType, names: Collection[str], *, quotes: bool = False
    ) -> None:
        self._quotes = quotes
        self._text = text
        self._tokens = tokens
        self._type = type_
        self._names = names
        self._at = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _accept(self, *texts: str) -> Token | None:
        token = self._token
        return self._next() if token.text in texts and token.sort in (Sort.SYMBOL, Sort.WORD) else None

    def _expect(self, text: str) -> Token:
        found = self._accept(text)
        if found is None:
            raise CellError(msg("'{wanted}' is missing here.", wanted=text), self._token.start + 1)
        return found

    def tests(self) -> Tests:
        """Read the whole cell as alternatives."""
        self._refuse_thousands()
        if self._token.text == "!=" and all(token.text != "," for token in self._tokens):
            return self._unlike()
        or_null = self._null_before_not()
        negated = or_null or self._inverts(self._at)
        if negated:
            self._at += 2
        items = self._items()
        if negated:
            self._expect(")")
            items = [item for item in items if isinstance(item, Range)] or [Null()]
        self._end()
        return Tests(tuple(dict.fromkeys(items)), negated, or_null)

    def _unlike(self) -> Tests:
        """Read a cell that is nothing but `!= value`."""
        self._next()
        value = self._value()
        self._end()
        return Tests((Range(value, value, low_closed=True, high_closed=True),), negated=True)

    def _inverts(self, at: int) -> bool:
        return self._tokens[at].text == "not" and self._tokens[at + 1].text == "("

    def _null_before_not(self) -> bool:
        """Read `null,` in front of `not(...)`."""
        texts = [token.text for token in self._tokens[:2]]
        found = texts == ["null", ","] and self._inverts(2)
        self._at = 2 if found else 0
        return found

    def _items(self) -> list[Test]:
        items = self._test()
        while self._accept(","):
            items += self._test()
        return items

    def whole_value(self) -> Value:
        """Read the whole cell as one value."""
        value = self._value()
        if self._type is FieldType.INTEGER and not isinstance(value, int):
            raise CellError(needed(self._type, self._text.strip()))
        self._end()
        return value

    def bare_to_end(self) -> bool:
        """Tell whether the whole cell is a text without quotes that names no field."""
        words = {token.text for token in self._tokens if token.sort is Sort.WORD}
        return bool(_BARE.fullmatch(self._text.strip())) and not words & set(self._names)

    def _end(self) -> None:
        token = self._token
        if token.sort is not Sort.END:
            text = N_("'{found}' is not expected here. Separate alternatives with a comma.")
            raise CellError(msg(text, found=token.text), token.start + 1)

    def _refuse_thousands(self) -> None:
        found = _THOUSANDS.search(self._text) if self._type is not FieldType.TEXT else None
        if found is not None:
            text = N_("'{found}' can be one number or several. Write {number} for one, or a space behind each comma.")
            words = msg(text, found=found[0], number=found[0].replace(",", ""))
            raise CellError(words, found.start() + 1)

    def _test(self) -> list[Test]:
        token = self._token
        if token.sort is Sort.SYMBOL and token.text in _COMPARISONS:
            return self._comparison(self._next().text)
        if token.sort is Sort.SYMBOL and token.text in _OPENERS:
            return [self._range(self._next())]
        if token.sort is Sort.WORD and token.text == "null":
            self._next()
            return [Null()]
        value = self._value()
        return [Range(value, value, low_closed=True, high_closed=True)]

    def _comparison(self, symbol: str) -> list[Test]:
        """Read what stands behind a comparison; everything but a value is what lies below and above it."""
        value = self._value()
        point = Range(value, value, low_closed=True, high_closed=True)
        made: dict[str, list[Test]] = {
            "<": [Range(high=value)],
            "<=": [Range(high=value, high_closed=True)],
            ">": [Range(low=value)],
            ">=": [Range(low=value, low_closed=True)],
            "!=": [Range(high=value), Range(low=value)],
        }
        return made.get(symbol, [point])

    def _range(self, opener: Token) -> Range:
        low = self._value()
        self._expect("..")
        high = self._value()
        closer = self._next()
        if closer.text not in _CLOSERS:
            text = N_("The range has no end. Close it with ] (including the last value) or [ or ) (without it).")
            raise CellError(msg(text), closer.start + 1)
        found = Range(low, high, low_closed=_OPENERS[opener.text], high_closed=_CLOSERS[closer.text])
        if low > high or (low == high and not found.point):  # type: ignore[operator]
            raise CellError(msg("No value lies in this range: its ends are in the wrong order."), opener.start + 1)
        return found

    def _value(self) -> Value:
        token = self._token
        if token.sort is Sort.WORD and token.text in MOMENT_WORDS and self._tokens[self._at + 1].text == "(":
            return self._moment()
        if self._type is FieldType.TEXT and token.sort is not Sort.TEXT:
            return self._bare()
        negative = self._accept("-") is not None
        return value_of(self._next(), self._type, negative=negative)

    def _moment(self) -> Value:
        """Read date("2024-01-31") and its like."""
        word = self._next()
        self._expect("(")
        token = self._next()
        if self._type not in MOMENT_WORDS[word.text] or token.sort is not Sort.TEXT:
            raise CellError(needed(self._type, self._text[word.start : token.end]), word.start + 1)
        self._expect(")")
        inside = scan(unquoted(token))
        if len(inside) != 2:
            raise CellError(needed(self._type, token.text), token.start + 1)
        plain = Token(inside[0].sort, inside[0].text, token.start, token.end)
        return value_of(plain, self._type)

    def _bare(self) -> str:
        """Read a text without quotes."""
        start = self._token.start
        while self._token.sort is not Sort.END and self._token.text not in _STOPS:
            token = self._next()
            if token.sort is Sort.WORD and token.text in self._names:
                text = N_("'{name}' is also a field. Put it in quotes if the text is meant.")
                raise CellError(msg(text, name=token.text), token.start + 1)
        text = self._text[start : self._tokens[self._at - 1].end] if self._token.start > start else ""
        if self._quotes or not _BARE.fullmatch(text):
            raise CellError(needed(self._type, text or self._token.text), start + 1)
        return text
