"""The expressions of a table, compiled; and whether its inputs fit the fields that they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rules.decisions.cells import Expression, Null, Tests
from rules.decisions.literals import NUMBERS
from rules.decisions.placeholders import Filled
from rules.decisions.table_cells import TableCells
from rules.documents.decision_table import DecisionTable, Input
from rules.documents.problems import DocumentProblem
from rules.language import ExpressionError, Problem, Program, Severity, compile_expression
from rules.language.library import Library
from rules.language.problems import nearest
from rules.schema import Field, FieldType, Schema
from rules.text import N_, msg


def schema_of(table: DecisionTable) -> Schema:
    """Return the fields that a table reads by itself: those of its inputs without an expression."""
    return Schema(tuple(Field(column.name, column.type) for column in table.inputs if column.expression is None))


def _may_be_empty(allowed: Sequence[Tests]) -> bool:
    """Tell whether conditions see empty values of an input, which are errors beforehand if they are not allowed."""
    return not allowed or any(cell.or_null or (Null() in cell.items and not cell.negated) for cell in allowed)


class Programs:
    """Compiles the expressions of one table and notes what is wrong with them."""

    def __init__(self, table: DecisionTable, schema: Schema | None, library: Library, cells: TableCells) -> None:
        self.problems: list[DocumentProblem] = []
        self.warnings: list[DocumentProblem] = []
        self.record = self._schema = schema_of(table) if schema is None else schema
        self._library = library
        self._known: dict[tuple[str, Field, bool], Program | ExpressionError] = {}
        made = [self._input(number, column) for number, column in enumerate(table.inputs)]
        self.sources = tuple(program for program, _ in made)
        self.fields = tuple(field for _, field in made)
        inputs = {
            field.name: replace(field, nullable=field.nullable and _may_be_empty(allowed))
            for field, allowed in zip(self.fields, cells.allowed, strict=True)
        }
        others = (field for field in self._schema.fields if field.name not in inputs)
        self.scope = Schema((*others, *inputs.values()))

    def condition(self, path: str, filled: Filled) -> Program | None:
        """Return the condition that a cell states; None if it is wrong."""
        return self._compiled(path, filled.text, Field("", FieldType.BOOLEAN), self.scope, filled)

    def value(self, path: str, cell: Expression, field: Field) -> Program | None:
        """Return the value that an output cell computes; None if it is wrong."""
        return self._compiled(path, cell.text, Field("", field.type, scale=field.scale), self.scope)

    def _input(self, number: int, column: Input) -> tuple[Program | None, Field]:
        path, wanted = f"inputs/{number}", Field(column.name, column.type)
        if column.expression is not None:
            plain = Field("", column.type)
            program = self._compiled(f"{path}/expression", column.expression, plain, self._schema)
            if program is None:
                return None, wanted
            self._fits(f"{path}/type", program.type, column)
            return program, Field(column.name, program.type, scale=program.scale)
        if column.name not in self._schema:
            self._unknown(f"{path}/name", column.name)
            return None, wanted
        field = self._schema[column.name]
        self._fits(f"{path}/type", field.type, column)
        return None, field

    def _fits(self, path: str, found: FieldType, column: Input) -> None:
        if found is not column.type and not {found, column.type} <= NUMBERS:
            text = N_("'{name}' is {found}, but the column says {type}.")
            words = msg(text, name=column.name, found=found.value, type=column.type.value)
            self.problems.append(DocumentProblem(path, words, suggestion=found.value))

    def _unknown(self, path: str, name: str) -> None:
        close = nearest(name, self._schema.names)
        if close is None:
            words = msg("There is no field '{name}'. Write an expression, or choose a field.", name=name)
        else:
            words = msg("There is no field '{name}'. Did you mean '{close}'?", name=name, close=close)
        self.problems.append(DocumentProblem(path, words, suggestion=close))

    def _compiled(
        self, path: str, text: str, expect: Field, schema: Schema, filled: Filled | None = None
    ) -> Program | None:
        key = (text, expect, schema is self._schema)
        if key not in self._known:
            try:
                self._known[key] = compile_expression(text, schema, expect=expect, library=self._library)
            except ExpressionError as error:
                self._known[key] = error
        found = self._known[key]
        problems = found.problems if isinstance(found, ExpressionError) else found.warnings
        for problem in problems:
            self._note(path, problem, filled)
        return None if isinstance(found, ExpressionError) else found

    def _note(self, path: str, problem: Problem, filled: Filled | None) -> None:
        made = DocumentProblem.of(path, problem)
        if filled is not None and problem.line == 1:
            column, end = (filled.column(place) for place in (problem.column, problem.column + problem.length))
            made = replace(made, column=column, length=max(end - column, 0))
        (self.problems if problem.severity is Severity.ERROR else self.warnings).append(made)
