"""The CEL expressions of a definition: compiled once a definition, run over whole batches.

What reads an empty field has no result: the computed field is empty, the validation is taken as met. Whether a value
must be there is what `required` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from rules.documents.problems import DocumentProblem
from rules.language.problems import ExpressionError
from rules.language.program import Program, RowError, compile_expression
from rules.schema import Field, FieldType
from rules.text import N_, Message, msg
from webapp.entities.lookups import NONE, Published, compiled
from webapp.entities.model import NUMBER_KINDS, Entity, EntityField
from webapp.entities.refusals import Refusal, rows

_WORD = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Computed:
    """A computed field with its program."""

    field: EntityField
    program: Program


@dataclass(frozen=True)
class Demand:
    """A validation with its program and the fields it speaks of."""

    field: EntityField
    program: Program
    names: frozenset[str]


@dataclass(frozen=True)
class Programs:
    """The compiled expressions of one definition; computed fields stand in the order of their dependence."""

    computed: tuple[Computed, ...]
    demands: tuple[Demand, ...]


def check_expressions(entity: Entity, asked: Published = NONE) -> Iterator[DocumentProblem]:
    """Yield what is wrong with the expressions of a definition, at the place of the mistake."""
    for number, field in enumerate(entity.fields):
        for key, text, expect in _expressions(field):
            try:
                compile_expression(text, entity.schema, expect=expect, object_name=entity.name, library=asked.library)
            except ExpressionError as error:
                yield from (DocumentProblem.of(f"fields/{number}/{key}", p) for p in error.problems)
    yield from _circles(entity)


@lru_cache(maxsize=500)
def programs(entity: Entity, asked: Published = NONE) -> Programs:
    """Return the compiled expressions; the definition has been checked."""
    computed = tuple(Computed(f, compiled(f.computed, entity, f.fields[0], asked)) for f in _ordered(entity))
    return Programs(computed, tuple(_demand(entity, f, asked) for f in entity.fields if f.validation))


def _demand(entity: Entity, field: EntityField, asked: Published) -> Demand:
    text = field.validation.expression if field.validation else ""
    program = compiled(text, entity, FieldType.BOOLEAN, asked)
    return Demand(field, program, program.fields | {field.name})


def compute(entity: Entity, frame: pl.DataFrame, asked: Published = NONE) -> tuple[pl.DataFrame, list[Refusal]]:
    """Return the batch with its computed fields filled in, and the rows whose expression failed."""
    refusals: list[Refusal] = []
    for step in programs(entity, asked).computed:
        result = step.program.evaluate(frame)
        frame = frame.with_columns(_fitting(step.field, result.values))
        refusals += _failed(step.field, result.errors, _complete(step.program, frame))
    return frame, refusals


def demands(entity: Entity, frame: pl.DataFrame, changed: Sequence[str], asked: Published = NONE) -> list[Refusal]:
    """Return the rows that break a validation which speaks of a changed field."""
    refusals: list[Refusal] = []
    for demand in programs(entity, asked).demands:
        if demand.names.isdisjoint(changed):
            continue
        filled = frame.with_row_index("row ").filter(pl.col(demand.field.name).is_not_null())
        result = demand.program.evaluate(filled)
        places = filled["row "].to_list()
        refusals += [
            r.at(places[r.row]) for r in _failed(demand.field, result.errors, _complete(demand.program, filled))
        ]
        broken = rows(result.values.eq_missing(other=False))
        refusals += [Refusal(places[row], sentence(demand.field), demand.field.name) for row in broken]
    return refusals


def sentence(field: EntityField) -> Message:
    """Return what to tell who breaks a field's validation: the admin's own words in the reader's language.

    The Chinese catalogue translates the template to `{in_chinese}`.
    """
    validation = field.validation
    if validation is None or not validation.message.en:
        return msg("The condition of this field is not met.")
    words = validation.message
    return Message(N_("{in_english}"), {"in_english": words.en, "in_chinese": words.zh or words.en})


def mentioned(expression: str) -> frozenset[str]:
    """Return the words of an expression outside its texts."""
    return frozenset(word for word in _WORD.findall(expression) if word)


def _expressions(field: EntityField) -> Iterator[tuple[str, str, Field | FieldType]]:
    if field.computed:
        yield "computed", field.computed, field.fields[0]
    if field.validation:
        yield "validation/expression", field.validation.expression, FieldType.BOOLEAN


def _ordered(entity: Entity) -> list[EntityField]:
    """Return the computed fields so that each comes behind those it uses; members of a circle are left out."""
    waiting = {f.name: f for f in entity.fields if f.computed}
    ordered: list[EntityField] = []
    while True:
        ready = [f for f in waiting.values() if not mentioned(f.computed) & set(waiting)]
        if not ready:
            return ordered
        ordered += ready
        for field in ready:
            del waiting[field.name]


def _circles(entity: Entity) -> Iterator[DocumentProblem]:
    ordered = set(_ordered(entity))
    for number, field in enumerate(entity.fields):
        if field.computed and field not in ordered:
            yield DocumentProblem(
                f"fields/{number}/computed", msg("The field depends on itself through other computed fields.")
            )


def _fitting(field: EntityField, values: pl.Series) -> pl.Series:
    """Numbers come with the widest scale among what they were made of; the field's own is what is stored."""
    wanted = field.fields[0].dtype
    if field.kind in NUMBER_KINDS and isinstance(values.dtype, pl.Decimal) and values.dtype.scale > field.scale:
        values = values.round(field.scale)
    return values.cast(wanted, strict=False).alias(field.name)


def _complete(program: Program, frame: pl.DataFrame) -> pl.Series:
    """Return which records have a value in every field that an expression reads."""
    names = sorted(program.fields)
    if not names:
        return pl.repeat(value=True, n=frame.height, eager=True, dtype=pl.Boolean)
    return frame.select(pl.all_horizontal(pl.col(names).is_not_null())).to_series()


def _failed(field: EntityField, errors: Iterable[RowError], complete: pl.Series) -> list[Refusal]:
    sentence = N_("This value cannot be worked out: {detail}")
    veiled = msg("This value cannot be worked out.")
    told = ((e.row, Message(sentence, {"detail": e.message})) for e in errors if complete[e.row])
    return [Refusal(row, message, field.name, veiled=veiled) for row, message in told]
