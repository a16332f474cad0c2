"""How one target field gets its value: a converted column, or an expression and then a conversion."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rules.documents.flows import Entry
from rules.documents.problems import DocumentProblem
from rules.language.problems import ExpressionError, nearest
from rules.language.program import Program, RowError, compile_expression
from rules.mapping.convert import convert, refusal
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg


@dataclass(frozen=True)
class Cause:
    """Why a field has no value for a record, and where in its expression."""

    message: Message
    column: int | None = None


@dataclass(frozen=True)
class Step:
    """The value of one target field; `program` is None where the field `source` is copied."""

    entry: Entry
    target: Field
    source: Field
    program: Program | None = None
    when: Program | None = None

    def values(self, batch: pl.DataFrame) -> tuple[pl.Series, dict[int, Cause]]:
        """Return the target's values for a batch, null where there is an error (row -> why)."""
        column, errors = self._column(batch)
        converted = convert(column, self.source, self.target)
        errors |= {row: Cause(message) for row, message in converted.errors.items()}
        return converted.values.alias(self.target.name), errors

    def _column(self, batch: pl.DataFrame) -> tuple[pl.Series, dict[int, Cause]]:
        if self.program is None:
            return batch[self.source.name], {}
        evaluated = self.program.evaluate(batch)
        return evaluated.values, causes(evaluated.errors)


def causes(failures: tuple[RowError, ...]) -> dict[int, Cause]:
    """Return row -> why for the errors of an expression."""
    return {failure.row: Cause(failure.message, failure.column) for failure in failures}


def build_step(entry: Entry, source: Schema, target: Schema, names: tuple[str, str]) -> Step | list[DocumentProblem]:
    """Return the step of an entry, or what is wrong with it; `names` is how messages call the two objects."""
    missing = [*_missing(f"{entry.path}", entry.target, target, names[1])]
    if entry.expression is None and entry.source is not None:
        missing += _missing(f"{entry.path}", entry.source, source, names[0])
    when = None if entry.when is None else condition(f"{entry.path}/when", entry.when, source, names[0])
    problems = [*missing, *(when if isinstance(when, list) else [])]
    if missing or isinstance(when, list):
        return [*problems, *([] if missing else _value_problems(entry, source, target, names[0]))]
    made = _value(entry, source, target[entry.target], names[0])
    return made if isinstance(made, list) else Step(entry, target[entry.target], *made, when)


def _value_problems(entry: Entry, source: Schema, target: Schema, name: str) -> list[DocumentProblem]:
    made = _value(entry, source, target[entry.target], name)
    return made if isinstance(made, list) else []


def _value(
    entry: Entry, source: Schema, target: Field, name: str
) -> tuple[Field, Program | None] | list[DocumentProblem]:
    """Return the type of the value and the program that gives it, or what is wrong."""
    if entry.expression is None:
        field, program, path = source[str(entry.source)], None, entry.path
    else:
        path = entry.expression_path
        try:
            program = compile_expression(entry.expression, source, expect=target, convertible=True, object_name=name)
        except ExpressionError as error:
            return [DocumentProblem.of(path, problem) for problem in error.problems]
        field = Field(program.copies or "", program.type, scale=program.scale)
    refused = refusal(field, target)
    if refused is not None:
        return [DocumentProblem(path, refused, *((1, 1) if program else (None, None)))]
    return field, program


def condition(path: str, text: str, schema: Schema, name: str) -> Program | list[DocumentProblem]:
    """Return the program of a condition, or what is wrong with it."""
    try:
        return compile_expression(text, schema, expect=FieldType.BOOLEAN, object_name=name)
    except ExpressionError as error:
        return [DocumentProblem.of(path, problem) for problem in error.problems]


def _missing(path: str, name: str, schema: Schema, object_name: str) -> list[DocumentProblem]:
    return [] if name in schema else [no_field(path, name, schema, object_name)]


def no_field(path: str, name: str, schema: Schema, object_name: str) -> DocumentProblem:
    """Return the problem that an object has no field of that name."""
    close = nearest(name, schema.names)
    values = {"name": name, "object": object_name}
    if close is None:
        return DocumentProblem(path, msg("There is no field '{name}' in {object}.", **values))
    text = N_("There is no field '{name}' in {object}. Did you mean '{close}'?")
    return DocumentProblem(path, msg(text, **values, close=close), suggestion=close)
