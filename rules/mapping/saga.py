"""The steps of a saga, compiled: what each writes for a record, and what takes it back. Pure functions over columns.

A step's expressions see the fields of the source, and of every earlier step the key of its record as `NAME_key`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rules.documents.flows import Entry, flows, object_name
from rules.documents.problems import DocumentProblem
from rules.documents.saga import KEY, RECORD, Compensation, CreatedBack, Saga, SagaStep, SetField, UpdatedBack
from rules.documents.sync import On, Strength, SyncRule
from rules.language.library import EMPTY, Library
from rules.mapping.results import Cause
from rules.mapping.steps import Step, Surroundings, build_step, no_field
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg

Schemas = Callable[[str, str], Schema | None]
_BOTH = (On.CREATE, On.UPDATE)


@dataclass(frozen=True)
class SagaPlan:
    """The saga of a rule: the steps in their order, and what takes its own record back."""

    steps: tuple[StepPlan, ...]
    compensation: Compensation
    undo: tuple[Step, ...] = ()


@dataclass(frozen=True)
class StepPlan:
    """One step: where it writes, which field is the key there, and the values of its fields."""

    step: SagaStep
    schema: Schema
    key: str
    values: tuple[Step, ...]
    undo: tuple[Step, ...] = ()

    @property
    def key_name(self) -> str:
        """Return the name under which later steps know the key of this step's record."""
        return f"{self.step.name}{KEY}"

    @property
    def written(self) -> Schema:
        """Return the fields that the step looks at and writes."""
        names = {self.key, self.step.match, *(one.target.name for one in (*self.values, *self.undo))}
        return self.schema.select(tuple(name for name in self.schema.names if name in names))


def values_of(steps: Sequence[Step], batch: pl.DataFrame) -> tuple[pl.DataFrame, dict[int, tuple[str, Message]]]:
    """Return the values of fields for a batch, and for each record without one the field and what is wrong."""
    columns, wrong = list[pl.Series](), dict[int, tuple[str, Message]]()
    for step in steps:
        values, errors = step.values(batch)
        columns.append(values.alias(step.target.name))
        wrong |= {row: (step.target.name, _why(cause)) for row, cause in errors.items() if row not in wrong}
    return pl.DataFrame(columns), wrong


def _why(cause: Cause) -> Message:
    return cause.message


def compile_saga(
    rule: SyncRule, source: Schema, target: Schema, schemas: Schemas, library: Library = EMPTY
) -> tuple[SagaPlan, list[DocumentProblem]]:
    """Return the saga of a rule and what is wrong with it.

    Args:
        rule: A rule that flows one way and has a saga.
        source: The fields of its source.
        target: The fields of its target.
        schemas: Gives the fields of an object of a connection; None where they are not known: then what comes behind is
            not looked at.
        library: The tables that expressions ask.
    """
    return _Compiler(rule, rule.saga or Saga(()), source, target, library).compile(schemas)


class _Compiler:
    def __init__(self, rule: SyncRule, saga: Saga, source: Schema, target: Schema, library: Library) -> None:
        flow = flows(rule)[0]
        self.saga, self.target, self.library = saga, target, library
        self.names = (object_name(rule, flow.source), object_name(rule, flow.target))
        self.own_key = str(getattr(rule.key, flow.target.value))
        self.known = source
        self.problems: list[DocumentProblem] = []

    def compile(self, schemas: Schemas) -> tuple[SagaPlan, list[DocumentProblem]]:
        """Return the plan, and what is wrong."""
        around = Surroundings(self.known, self.target, self.names, self.library)
        undo = self._values("saga/compensate/fields", self.saga.compensate.fields, around)
        self._compensation("saga/compensate", self.saga.compensate)
        own = self.target[self.own_key] if self.own_key in self.target else Field(self.own_key)
        self._know("saga", f"{RECORD}{KEY}", own)
        steps = []
        for number, step in enumerate(self.saga.steps):
            schema = schemas(step.connection, step.object)
            if schema is None:
                break
            steps.append(self._step(f"saga/steps/{number}", step, schema))
        return SagaPlan(tuple(steps), self.saga.compensate, undo), self.problems

    def _step(self, path: str, step: SagaStep, schema: Schema) -> StepPlan:
        name = f"{step.connection} {step.object}"
        around = Surroundings(self.known, schema, (self.names[0], name), self.library)
        key = step.key or (schema.key[0] if len(schema.key) == 1 else step.match)
        self.problems += _places(path, step, schema, (key, name))
        values = self._values(f"{path}/fields", step.fields, around)
        self.problems += _needed(path, step, schema, name)
        undo = self._values(f"{path}/compensate/fields", step.compensate.fields, around)
        self._compensation(f"{path}/compensate", step.compensate)
        self._know(f"{path}/name", f"{step.name}{KEY}", schema[key] if key in schema else Field(key))
        return StepPlan(step, schema, key, values, undo)

    def _know(self, path: str, name: str, like: Field) -> None:
        """Let later expressions name the key of a step's record."""
        if name in self.known:
            text = N_(
                "'{name}' is the name of a field already, or of the key of another step. Give the step another name."
            )
            self.problems.append(DocumentProblem(path, msg(text, name=name)))
            return
        known = Field(name, like.type, nullable=True, scale=like.scale)
        self.known = replace(self.known, fields=(*self.known.fields, known))

    def _values(self, path: str, fields: Sequence[SetField], around: Surroundings) -> tuple[Step, ...]:
        made: list[Step] = []
        for number, one in enumerate(fields):
            place = f"{path}/{number}"
            if any(known.target.name == one.field for known in made):
                text = N_("'{field}' gets its value here and further up.")
                self.problems.append(DocumentProblem(f"{place}/field", msg(text, field=one.field)))
                continue
            entry = Entry(f"{place}/field", one.field, None, one.value, f"{place}/value", None, _BOTH, Strength.NORMAL)
            found = build_step(entry, around)
            if isinstance(found, list):
                self.problems += found
                continue
            made.append(found)
            self.problems += _noted(found, place)
        return tuple(made)

    def _compensation(self, path: str, said: Compensation) -> None:
        updates = CreatedBack.UPDATE in (said.created,) or UpdatedBack.UPDATE in (said.updated,)
        if updates and not said.fields:
            text = N_("Say which fields are written when the step is taken back.")
            self.problems.append(DocumentProblem(f"{path}/fields", msg(text)))


def _noted(step: Step, place: str) -> Iterator[DocumentProblem]:
    if step.target.generated:
        text = N_("'{field}' is filled in by the system itself and cannot be written.")
        yield DocumentProblem(f"{place}/field", msg(text, field=step.target.name))
    for problem in step.program.warnings if step.program else ():
        yield DocumentProblem.of(f"{place}/value", problem)


def _places(path: str, step: SagaStep, schema: Schema, found: tuple[str, str]) -> Iterator[DocumentProblem]:
    """Yield what is wrong with the fields by which the step's record is found."""
    key, name = found
    if key not in schema:
        yield no_field(f"{path}/key" if step.key else f"{path}/match", key, schema, name)
    if not any(one.field == step.match for one in step.fields):
        text = N_("The step finds its record by '{field}', so it has to write it: add it to its fields.")
        yield DocumentProblem(f"{path}/match", msg(text, field=step.match))
    elif step.match in schema and schema[step.match].type in (FieldType.JSON, FieldType.BINARY, FieldType.FLOAT):
        text = N_("Records cannot be found by '{field}', which is {type}.")
        kind = schema[step.match].type.value
        yield DocumentProblem(f"{path}/match", msg(text, field=step.match, type=kind))


def _needed(path: str, step: SagaStep, schema: Schema, name: str) -> Iterator[DocumentProblem]:
    """Yield the fields without which the step cannot create a record."""
    filled = {one.field for one in step.fields}
    for field in schema.fields:
        if not (field.nullable or field.has_default or field.generated) and field.name not in filled:
            text = N_("'{field}' of {object} must not be empty, but the step does not fill it.")
            yield DocumentProblem(f"{path}/fields", msg(text, field=field.name, object=name))
