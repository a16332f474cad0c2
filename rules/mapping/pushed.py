"""A compiled mapping as formulas, for a database that carries it out; or what of it has no SQL form, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.sync import On, Strength
from rules.formula import Copy, Deed, Done, Formula, Own, PushedCheck, PushedField, PushedRule, Sort, Value
from rules.language.problems import problem_at
from rules.language.program import Program
from rules.language.sql.formulas import NoForm, condition, formula
from rules.mapping.compile import Mapping
from rules.mapping.steps import Step
from rules.schema import FieldType, Schema
from rules.text import Message, msg
from rules.validations.compile import PATH, Compiled

T = TypeVar("T")
_TYPES = {
    Sort.TEXT: FieldType.TEXT,
    Sort.INTEGER: FieldType.INTEGER,
    Sort.FLOAT: FieldType.FLOAT,
    Sort.BOOLEAN: FieldType.BOOLEAN,
}


@dataclass
class _Pushing:
    source: Schema
    problems: list[DocumentProblem] = field(default_factory=list)

    def made(self, path: str, program: Program, make: Callable[[Program, Schema], T]) -> T | None:
        """Return what is made of a program; None, and a problem at its place, where it has no SQL form."""
        try:
            return make(program, self.source)
        except NoForm as error:
            text = msg("{reason} A rule that is carried out inside the database cannot use it.", reason=error.message)
            self.problems.append(DocumentProblem.of(path, problem_at(program.text, error.at, text)))
            return None

    def refuse(self, path: str, message: Message) -> None:
        """Note what is wrong at a place of the document."""
        self.problems.append(DocumentProblem(path, message))


def pushed(mapping: Mapping, validations: Sequence[Compiled], source: Schema, where: str) -> PushedRule:
    """Return the formulas of a mapping and its validations; `where` is the place of its condition in the document.

    Raises:
        DocumentError: A part has no SQL form; it names every such part.
    """
    pushing = _Pushing(source)
    fields = tuple(_fields(pushing, mapping.steps))
    scope = None if mapping.scope is None else pushing.made(where, mapping.scope, condition)
    checks = tuple(_checks(pushing, validations))
    if pushing.problems:
        raise DocumentError(pushing.problems)
    return PushedRule(fields, scope, checks)


def _fields(pushing: _Pushing, steps: Sequence[Step]) -> Iterator[PushedField]:
    for step in steps:
        entry = step.entry
        if step.reference is not None:
            text = msg("Keys of records that other rules link are known to Syncline only, not to the database.")
            pushing.refuse(f"{entry.path}/reference", text)
            continue
        value = _value(pushing, step)
        when = None if step.when is None else pushing.made(entry.when_path, step.when, condition)
        if value is not None:
            on = On.CREATE in entry.on, On.UPDATE in entry.on
            yield PushedField(step.target.name, value, when, *on, weak=entry.strength is Strength.WEAK)


def _value(pushing: _Pushing, step: Step) -> Value | None:
    entry, target = step.entry, step.target
    path = entry.path if step.program is None else entry.expression_path
    program = step.program
    value: Value | None = Copy(step.source.name) if program is None else pushing.made(path, program, formula)
    if value is None:
        return None
    fitting = _fitting(value, step)
    if fitting is None:
        kind = step.source.type.value
        text = msg(
            "A {source} value becomes {target} in Syncline only. Inside the database '{field}' takes values of its own "
            "type, as they are or worked out.",
            source=kind,
            target=target.type.value,
            field=target.name,
        )
        pushing.refuse(path, text)
    return fitting


def _fitting(value: Value, step: Step) -> Value | None:
    """Return a value in the type of its field, None where only Syncline can bring it there."""
    target = step.target.type
    if isinstance(value, Copy):
        if step.source.type is target:
            return value
        whole = (step.source.type, target) == (FieldType.INTEGER, FieldType.FLOAT)
        return _real(Own(value.field, Sort.INTEGER)) if whole else None
    if value.sort is Sort.NOTHING or _TYPES[value.sort] is target:
        return value
    return _real(value) if (value.sort, target) == (Sort.INTEGER, FieldType.FLOAT) else None


def _real(value: Formula) -> Formula:
    return Done(Deed.REAL, (value,), Sort.FLOAT)


def _checks(pushing: _Pushing, validations: Sequence[Compiled]) -> Iterator[PushedCheck]:
    for number, item in enumerate(validations):
        path = f"{PATH}/{number}"
        if item.check is None:
            kind = "unique" if item.validation.unique else "reference"
            text = msg("Validations that look at other records are asked by Syncline only, not by the database.")
            pushing.refuse(f"{path}/{kind}", text)
            continue
        check = pushing.made(f"{path}/check", item.check, condition)
        when = None if item.when is None else pushing.made(f"{path}/when", item.when, condition)
        if check is not None:
            yield PushedCheck(item.validation.name, check, when)
