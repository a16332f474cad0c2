"""Whether the validations of a document can be asked: by themselves, and of the objects that they speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rules.documents.problems import DocumentProblem
from rules.documents.validation import Reference, Validation
from rules.language.library import EMPTY, Library
from rules.mapping.convert import refusal
from rules.mapping.steps import no_field
from rules.schema import Schema
from rules.validations.compile import PATH, compiled

Others = Callable[[str, str], Schema | None]
"""Connection and object -> its fields, as far as they are known."""


def check_validations(
    validations: Sequence[Validation],
    schema: Schema,
    object_name: str = "",
    *,
    library: Library = EMPTY,
    others: Others | None = None,
    path: str = PATH,
) -> Iterator[DocumentProblem]:
    """Yield what keeps the validations from being asked of records of `schema`, and what to look at (warnings)."""
    for number, validation in enumerate(validations):
        place = f"{path}/{number}"
        made = compiled(validation, schema, library, object_name, place)
        if isinstance(made, list):
            yield from made
            continue
        for key, program in made.programs:
            yield from (DocumentProblem.of(f"{place}/{key}", problem) for problem in program.warnings)
        if validation.reference is not None and others is not None:
            yield from _reference(validation.reference, schema, others, f"{place}/reference")


def _reference(reference: Reference, schema: Schema, others: Others, place: str) -> Iterator[DocumentProblem]:
    other = others(reference.connection, reference.object)
    if other is None:
        return
    if reference.key not in other:
        yield no_field(f"{place}/key", reference.key, other, f"{reference.connection} {reference.object}")
        return
    refused = refusal(schema[reference.field], other[reference.key])
    if refused is not None:
        yield DocumentProblem(f"{place}/key", refused)
