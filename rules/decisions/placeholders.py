"""The `?` of an expression cell, which stands for the value of its column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from rules.decisions.scan import Sort, Token, scan

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"}
    | {"namespace", "null", "package", "record", "return", "true", "var", "void", "while"}
)
_ENDS = frozenset({")", "]", "}"})


def is_name(text: str) -> bool:
    """Tell whether a text names a field in expressions as it is."""
    return bool(_IDENTIFIER.fullmatch(text)) and text not in _RESERVED


def reference(name: str) -> str:
    """Return how an expression names a field."""
    return name if is_name(name) else f"record[{json.dumps(name, ensure_ascii=False)}]"


class Filled:
    """An expression cell with `?` replaced by its input; `column` leads from the new text back to the cell's."""

    def __init__(self, cell: str, name: str) -> None:
        self.cell = cell
        self._shifts: list[tuple[int, int]] = []
        self.text = ""
        place, start = reference(name), 0
        for at in _placeholders(scan(cell)):
            self.text += cell[start:at] + place
            start = at + 1
            self._shifts.append((len(self.text), len(self.text) - start))
        self.text += cell[start:]

    def column(self, column: int) -> int:
        """Return the column in the cell for a column in the filled text."""
        shift = 0
        for behind, by in self._shifts:
            if column > behind:
                shift = by
        return max(column - shift, 1)


def _placeholders(tokens: list[Token]) -> Iterator[int]:
    """Yield where a `?` stands for the input: where a value is expected, unlike the `?` of `a ? b : c`."""
    before: Token | None = None
    for token in tokens:
        if token.text == "?" and not _ends_value(before):
            yield token.start
            before = Token(Sort.WORD, "?", token.start, token.end)
        else:
            before = token


def _ends_value(token: Token | None) -> bool:
    if token is None or (token.sort is Sort.WORD and token.text == "in"):
        return False
    return token.sort is not Sort.SYMBOL or token.text in _ENDS
