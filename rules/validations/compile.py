"""From the validations of a document to programs that are asked of batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.validation import Validation
from rules.language.library import EMPTY, Library
from rules.language.problems import ExpressionError
from rules.language.program import Program, compile_expression
from rules.mapping.steps import no_field
from rules.schema import FieldType, Schema

PATH = "validations"


@dataclass(frozen=True)
class Compiled:
    """A validation with the programs of its conditions."""

    validation: Validation
    check: Program | None = None
    when: Program | None = None

    @property
    def programs(self) -> tuple[tuple[str, Program], ...]:
        """Return (key, program) of each condition."""
        pairs = (("check", self.check), ("when", self.when))
        return tuple((name, program) for name, program in pairs if program is not None)


def compile_validations(
    validations: Sequence[Validation],
    schema: Schema,
    library: Library = EMPTY,
    object_name: str = "",
    path: str = PATH,
) -> tuple[Compiled, ...]:
    """Return the validations with their programs; raises `DocumentError` with every mistake."""
    made = [compiled(v, schema, library, object_name, f"{path}/{n}") for n, v in enumerate(validations)]
    problems = [problem for item in made if isinstance(item, list) for problem in item]
    if problems:
        raise DocumentError(problems)
    return tuple(item for item in made if isinstance(item, Compiled))


def compiled(
    validation: Validation, schema: Schema, library: Library, object_name: str, path: str
) -> Compiled | list[DocumentProblem]:
    """Return a validation with its programs, or what is wrong with it."""
    problems = list(_fields(validation, schema, object_name, path))
    programs: dict[str, Program] = {}
    for key, text in (("check", validation.check), ("when", validation.when)):
        if text is None:
            continue
        try:
            programs[key] = compile_expression(
                text, schema, expect=FieldType.BOOLEAN, object_name=object_name or None, library=library
            )
        except ExpressionError as error:
            problems += [DocumentProblem.of(f"{path}/{key}", problem) for problem in error.problems]
    return problems or Compiled(validation, **programs)


def _fields(validation: Validation, schema: Schema, object_name: str, path: str) -> Iterator[DocumentProblem]:
    for number, name in enumerate(validation.unique):
        if name not in schema:
            yield no_field(f"{path}/unique/{number}", name, schema, object_name)
    if validation.reference is not None and validation.reference.field not in schema:
        yield no_field(f"{path}/reference/field", validation.reference.field, schema, object_name)
