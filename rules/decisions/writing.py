"""The canonical text of cells; reading it gives the same cell."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rules.decisions.cells import (
    AnyValue,
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
from rules.decisions.literals import literal
from rules.decisions.reading import read_output
from rules.schema import FieldType


def write_input(cell: InputCell, type_: FieldType) -> str:
    """Return the text of an input cell."""
    if isinstance(cell, AnyValue):
        return "-"
    if isinstance(cell, Expression):
        return cell.text
    items = ", ".join(write_test(item, type_) for item in cell.items)
    inverse = f"not({items})" if cell.negated else items
    return f"null, {inverse}" if cell.or_null else inverse


def write_tests(cells: Iterable[Tests], type_: FieldType) -> str:
    """Return the text of several cells of alternatives."""
    return ", ".join(write_input(cell, type_) for cell in cells)


def write_test(test: Test, type_: FieldType) -> str:
    """Return the text of one alternative."""
    if isinstance(test, Null):
        return "null"
    if test.low is not None and test.high is not None:
        return literal(test.low, type_) if test.point else _between(test, test.low, test.high, type_)
    if test.low is not None:
        return f"{'>=' if test.low_closed else '>'} {literal(test.low, type_)}"
    assert test.high is not None  # noqa: S101 - a range has an end
    return f"{'<=' if test.high_closed else '<'} {literal(test.high, type_)}"


def _between(test: Range, low: Value, high: Value, type_: FieldType) -> str:
    opener, closer = "[" if test.low_closed else "(", "]" if test.high_closed else ")"
    return f"{opener}{literal(low, type_)}..{literal(high, type_)}{closer}"


def write_output(cell: OutputCell, type_: FieldType, names: Collection[str] = ()) -> str:
    """Return the text of an output cell; an expression gets its `=` where it could be taken for a value."""
    if isinstance(cell, Constant):
        return "null" if cell.value is None else literal(cell.value, type_)
    try:
        plain = read_output(cell.text, type_, names) == cell
    except CellError:
        plain = False
    return cell.text if plain else f"= {cell.text}"
