"""How one target field gets its value: a converted column, or an expression and then a conversion."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rules.documents.flows import Entry
from rules.documents.problems import DocumentProblem
from rules.language.library import EMPTY, Library
from rules.language.problems import ExpressionError, nearest
from rules.language.program import Program, RowError, compile_expression
from rules.mapping.convert import convert, refusal
from rules.mapping.policies import fallback
from rules.mapping.references import Reference, referring
from rules.mapping.results import Cause
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg


@dataclass(frozen=True)
class Step:
    """The value of one target field; `program` is None where the field `source` is copied, or refers to a record."""

    entry: Entry
    target: Field
    source: Field
    program: Program | None = None
    when: Program | None = None
    default: pl.Series | None = None
    reference: Reference | None = None

    def values(self, batch: pl.DataFrame) -> tuple[pl.Series, dict[int, Cause]]:
        """Return the target's values for a batch, null where there is an error (row -> why)."""
        if self.reference is not None:
            return self.reference.values(batch[self.source.name], self.source, self.target)
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


@dataclass(frozen=True)
class Surroundings:
    """What the fields of a mapping have in common: both sides' fields, their objects' names, the lookup tables.

    `ends` are the connections of both sides, for fields that refer to records of other rules.
    """

    source: Schema
    target: Schema
    names: tuple[str, str]
    library: Library = EMPTY
    ends: tuple[str, str] = ("", "")


def build_step(entry: Entry, around: Surroundings) -> Step | list[DocumentProblem]:
    """Return the step of an entry, or what is wrong with it."""
    source, target, names = around.source, around.target, around.names
    missing = [*_missing(f"{entry.path}", entry.target, target, names[1])]
    if entry.expression is None and entry.source is not None:
        missing += _missing(f"{entry.path}", entry.source, source, names[0])
    when = None if entry.when is None else condition(entry.when_path, entry.when, around)
    problems = [*missing, *(when if isinstance(when, list) else [])]
    if missing:
        return problems
    made = _value(entry, around) if entry.reference is None else _referred(entry, around)
    default = fallback(entry, target[entry.target])
    problems += made if isinstance(made, list) else []
    problems += [default] if isinstance(default, DocumentProblem) else []
    if isinstance(made, list) or isinstance(when, list) or isinstance(default, DocumentProblem):
        return problems
    field, program, reference = made
    return Step(entry, target[entry.target], field, program, when, default, reference)


def _referred(entry: Entry, around: Surroundings) -> tuple[Field, None, Reference] | list[DocumentProblem]:
    source = around.source[str(entry.source)]
    found = referring(str(entry.reference), around.library.links, around.ends, (source, around.target[entry.target]))
    if isinstance(found, Message):
        return [DocumentProblem(f"{entry.path}/reference", found)]
    return source, None, found


def _value(entry: Entry, around: Surroundings) -> tuple[Field, Program | None, None] | list[DocumentProblem]:
    """Return the type of the value and the program that gives it, or what is wrong."""
    source, target, name = around.source, around.target[entry.target], around.names[0]
    if entry.expression is None:
        field, program, path = source[str(entry.source)], None, entry.path
    else:
        path = entry.expression_path
        try:
            program = compile_expression(
                entry.expression, source, expect=target, convertible=True, object_name=name, library=around.library
            )
        except ExpressionError as error:
            return [DocumentProblem.of(path, problem) for problem in error.problems]
        field = Field(program.copies or "", program.type, scale=program.scale)
    refused = refusal(field, target)
    if refused is not None:
        return [DocumentProblem(path, refused, *((1, 1) if program else (None, None)))]
    return field, program, None


def condition(path: str, text: str, around: Surroundings) -> Program | list[DocumentProblem]:
    """Return the program of a condition over the source's records, or what is wrong with it."""
    name, library = around.names[0], around.library
    try:
        return compile_expression(text, around.source, expect=FieldType.BOOLEAN, object_name=name, library=library)
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
