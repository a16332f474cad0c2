"""All cells of a table, read; and the table with its cells in their canonical text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from rules.decisions.cells import ANY, CellError, Constant, InputCell, OutputCell, Tests, Value
from rules.decisions.reading import cell_text, read_allowed, read_constant, read_input, read_output
from rules.decisions.writing import write_input, write_output
from rules.documents.decision_table import DecisionTable, Input, Output, Row
from rules.documents.problems import DocumentProblem
from rules.schema import FieldType
from rules.text import N_, msg

T = TypeVar("T")


@dataclass(frozen=True)
class TableCells:
    """The cells of a table: `when` and `then` by row, `allowed` by input, `choices` and `defaults` by output."""

    when: tuple[tuple[InputCell, ...], ...]
    then: tuple[tuple[OutputCell, ...], ...]
    allowed: tuple[tuple[Tests, ...], ...]
    choices: tuple[tuple[Value | None, ...], ...]
    defaults: tuple[Value | None, ...]


def names_of(table: DecisionTable, fields: Iterable[str] = ()) -> frozenset[str]:
    """Return the names that expressions of a table may use."""
    return frozenset([*fields, *(column.name for column in table.inputs)])


def read_cells(table: DecisionTable, fields: Iterable[str] = ()) -> tuple[TableCells, list[DocumentProblem]]:
    """Return the cells of a table, and what is wrong with those that cannot be read (they count as `-` or null)."""
    reader = _Reader(names_of(table, fields))
    when = [reader.row(f"rows/{n}/when", row.when, table.inputs, read_input) for n, row in enumerate(table.rows)]
    then = [reader.row(f"rows/{n}/then", row.then, table.outputs, read_output) for n, row in enumerate(table.rows)]
    allowed = [
        reader.row(f"inputs/{n}/allowed", column.allowed, [column] * len(column.allowed), _allowed)
        for n, column in enumerate(table.inputs)
    ]
    choices = [
        reader.row(f"outputs/{n}/allowed", column.allowed, [column] * len(column.allowed), _constant)
        for n, column in enumerate(table.outputs)
    ]
    defaults = [reader.default(f"outputs/{n}/default", column) for n, column in enumerate(table.outputs)]
    made = TableCells(_rows(when), _rows(then), _rows(allowed), _values(choices), tuple(defaults))
    return made, [*reader.problems, *_lonely(made)]


def _rows(rows: list[list[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _values(rows: list[list[Constant]]) -> tuple[tuple[Value | None, ...], ...]:
    return tuple(tuple(cell.value for cell in row) for row in rows)


def _allowed(text: str, type_: FieldType, _names: Collection[str]) -> Tests:
    return read_allowed(text, type_)


def _constant(text: str, type_: FieldType, _names: Collection[str]) -> Constant:
    return read_constant(text, type_)


_INSTEAD: Mapping[Callable[..., Any], Any] = {
    read_input: ANY,
    read_output: Constant(None),
    _allowed: Tests(()),
    _constant: Constant(None),
}


class _Reader:
    """Reads cells, each distinct one once, and notes what is wrong."""

    def __init__(self, names: frozenset[str]) -> None:
        self.problems: list[DocumentProblem] = []
        self._names = names
        self._known: dict[tuple[Any, FieldType, str], Any] = {}

    def row(
        self, path: str, cells: Iterable[Any], columns: Iterable[Any], read: Callable[[str, FieldType, Any], T]
    ) -> list[T]:
        """Return the cells of one row or list."""
        return [
            self._cell(f"{path}/{n}", cell_text(cell), column.type, read)
            for n, (cell, column) in enumerate(zip(cells, columns, strict=True))
        ]

    def default(self, path: str, column: Output) -> Value | None:
        """Return the default of an output."""
        return self._cell(path, cell_text(column.default), column.type, _constant).value

    def _cell(self, path: str, text: str, type_: FieldType, read: Callable[[str, FieldType, Any], T]) -> T:
        key = (read, type_, text)
        if key not in self._known:
            try:
                self._known[key] = read(text, type_, self._names)
            except CellError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, CellError):
            self.problems.append(DocumentProblem(path, found.message, 1, found.column))
            return cast(T, _INSTEAD[read])
        return cast(T, found)


def _lonely(cells: TableCells) -> Iterator[DocumentProblem]:
    """Yield where not(...) stands among other entries, of which it would make nonsense."""
    for number, entries in enumerate(cells.allowed):
        for position, entry in enumerate(entries):
            if entry.negated and len(entries) > 1:
                text = N_("not(...) has to be the only entry here.")
                yield DocumentProblem(f"inputs/{number}/allowed/{position}", msg(text))


def canonical_table(table: DecisionTable, fields: Iterable[str] = ()) -> DecisionTable:
    """Return a table whose cells have their canonical text; cells that cannot be read stay as they are."""
    cells, problems = read_cells(table, fields)
    broken = {problem.path for problem in problems}
    names = names_of(table, fields)
    rows = tuple(_row(table, number, cells, broken, names) for number in range(len(table.rows)))
    inputs = tuple(_input(table, number, cells, broken) for number in range(len(table.inputs)))
    outputs = tuple(_output(table, number, cells, broken) for number in range(len(table.outputs)))
    return replace(table, inputs=inputs, outputs=outputs, rows=rows)


def _output(table: DecisionTable, number: int, cells: TableCells, broken: set[str]) -> Output:
    """Return an output whose values are written as cells write them."""
    column = table.outputs[number]
    if any(path.startswith(f"outputs/{number}/") for path in broken):
        return column
    allowed = tuple(write_output(Constant(value), column.type) for value in cells.choices[number])
    default = cells.defaults[number]
    text = None if default is None else write_output(Constant(default), column.type)
    return replace(column, allowed=allowed, default=text)


def _input(table: DecisionTable, number: int, cells: TableCells, broken: set[str]) -> Input:
    """Return an input whose allowed values are one entry each."""
    column = table.inputs[number]
    if any(path.startswith(f"inputs/{number}/allowed/") for path in broken):
        return column
    entries = [entry for cell in cells.allowed[number] for entry in _entries(cell)]
    return replace(column, allowed=tuple(write_input(entry, column.type) for entry in entries))


def _entries(cell: Tests) -> list[Tests]:
    return [cell] if cell.negated else [Tests((item,)) for item in cell.items]


def _row(table: DecisionTable, number: int, cells: TableCells, broken: set[str], names: frozenset[str]) -> Row:
    row = table.rows[number]
    when = (write_input(c, i.type) for c, i in zip(cells.when[number], table.inputs, strict=True))
    then = (write_output(c, o.type, names) for c, o in zip(cells.then[number], table.outputs, strict=True))
    return replace(
        row,
        when=tuple(_kept(f"rows/{number}/when", row.when, when, broken)),
        then=tuple(_kept(f"rows/{number}/then", row.then, then, broken)),
    )


def _kept(path: str, before: Iterable[Any], after: Iterable[str], broken: set[str]) -> Iterator[Any]:
    for position, (old, new) in enumerate(zip(before, after, strict=True)):
        yield old if f"{path}/{position}" in broken else new
