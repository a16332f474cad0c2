"""Cells in FEEL, the language of DMN, and back: ranges, lists, not(), dates, texts and numbers, not its functions.

FEEL's `not("CN")` applies to empty values too, ours does not: it is written `not("CN", null)` there, and read from
there as `null, not("CN")`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from rules.decisions.cells import ANY, AnyValue, CellError, Constant, InputCell, Null, Range, Test, Tests, Value
from rules.decisions.literals import literal
from rules.decisions.reading import read_plain, read_plain_constant
from rules.decisions.scan import Sort, Token, scan
from rules.schema import FieldType
from rules.text import N_, msg

_CALLS = {
    FieldType.DATE: "date",
    FieldType.TIME: "time",
    FieldType.DATETIME: "date and time",
    FieldType.LOCAL_DATETIME: "date and time",
}
_CLOCK = frozenset({"today", "now"})
_INSTANT = re.compile(r"""("(?:[^"\\]|\\.)*")|\bdate\s+and\s+time\s*\(""")
_ZONED = re.compile(r"(Z|[+-]\d{2}:\d{2})$")
TYPES = (
    FieldType.BOOLEAN,
    FieldType.DECIMAL,
    FieldType.DATE,
    FieldType.LOCAL_DATETIME,
    FieldType.DATETIME,
    FieldType.TIME,
    FieldType.TEXT,
)


def feel_value(value: Value | None, type_: FieldType) -> str:
    """Return a value in FEEL."""
    if value is None:
        return "null"
    text = literal(value, type_)
    return f'{_CALLS[type_]}("{text}")' if type_ in _CALLS else text


def feel_tests(cell: AnyValue | Tests, type_: FieldType) -> str:
    """Return an input cell in FEEL."""
    if isinstance(cell, AnyValue):
        return "-"
    if not cell.negated:
        return ", ".join(_test(item, type_) for item in cell.items)
    only_null = cell.items == (Null(),)
    items = cell.items if cell.or_null or only_null else (*cell.items, Null())
    return f"not({', '.join(_test(item, type_) for item in items)})"


def _test(test: Test, type_: FieldType) -> str:
    if isinstance(test, Null):
        return "null"
    if test.low is None:
        return f"{'<=' if test.high_closed else '<'} {feel_value(test.high, type_)}"
    if test.high is None:
        return f"{'>=' if test.low_closed else '>'} {feel_value(test.low, type_)}"
    if test.point:
        return feel_value(test.low, type_)
    opener, closer = "[" if test.low_closed else "(", "]" if test.high_closed else ")"
    return f"{opener}{feel_value(test.low, type_)}..{feel_value(test.high, type_)}{closer}"


def from_feel(text: str, type_: FieldType) -> InputCell:
    """Return what a FEEL input cell says; raises `CellError` for what has no counterpart."""
    if text.strip() in ("", "-"):
        return ANY
    found = read_plain(_ours(text, type_), type_)
    if not found.negated:
        return found
    inside = [item for item in found.items if isinstance(item, Range)]
    return replace(found, or_null=bool(inside) and not _names_null(text))


def _names_null(text: str) -> bool:
    return any(token.sort is Sort.WORD and token.text == "null" for token in scan(text))


def value_from_feel(text: str, type_: FieldType) -> Value | None:
    """Return the value that a FEEL output cell writes; raises `CellError` for everything that is computed."""
    found: Constant = read_plain_constant(_ours(text, type_), type_)
    return found.value


def _ours(text: str, type_: FieldType) -> str:
    """Return a FEEL cell with its moments and lists as our cells write them."""
    call = "time" if type_ is FieldType.TIME else "date" if type_ is FieldType.DATE else "timestamp"
    plain = _INSTANT.sub(lambda found: found[1] or "timestamp(", text)
    tokens = scan(plain)
    _refuse_clock(tokens)
    pieces: list[str] = []
    for number, token in enumerate(tokens):
        if token.text == "@" and tokens[number + 1].sort is Sort.TEXT:
            continue
        at_literal = number and tokens[number - 1].text == "@"
        pieces.append(f"{call}({token.text})" if at_literal else token.text)
    return _spaced(pieces)


def _spaced(pieces: list[str]) -> str:
    """Join tokens with spaces, so that `1,500`, a list in FEEL, is not taken for one number."""
    return "".join(piece if piece == "-" else f"{piece} " for piece in pieces).strip()


def _refuse_clock(tokens: list[Token]) -> None:
    for token in tokens:
        if token.sort is Sort.WORD and token.text in _CLOCK:
            text = N_("{name}() depends on the clock. Compare with a written day, or compute an input beforehand.")
            raise CellError(msg(text, name=token.text), token.start + 1)


def moments_type(texts: list[str], default: FieldType) -> FieldType:
    """Return whether moments written in cells have a zone; a column of days may hold moments in some programs."""
    found = [inside for text in texts for inside in re.findall(r'date\s+and\s+time\s*\(\s*"([^"]*)"', text)]
    if not found:
        return default
    return FieldType.DATETIME if any(_ZONED.search(inside) for inside in found) else FieldType.LOCAL_DATETIME


def guessed_type(inputs: list[str], outputs: list[str]) -> FieldType | None:
    """Return the first type as which all cells of a column can be read; None if there is none."""
    return next((type_ for type_ in TYPES if _reads(inputs, outputs, type_)), None)


def _reads(inputs: list[str], outputs: list[str], type_: FieldType) -> bool:
    try:
        for text in inputs:
            from_feel(text, type_)
        for text in outputs:
            value_from_feel(text, type_)
    except CellError:
        return False
    return True
