"""Compile an expression once, evaluate it over batches of records.

`Backend` is the seam: what turns a checked tree into columns. That is `Columns` (rules/language/columns), or the column
itself where an expression merely names one (`Column`). `Rows` gives the same results record by record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import polars as pl

from rules.language.check import check
from rules.language.checked import Checked, field_of
from rules.language.columns.backend import Columns
from rules.language.columns.description import PlanDescription
from rules.language.explain import Explainer
from rules.language.library import EMPTY, Library
from rules.language.lower import lower
from rules.language.nodes import Call, Ident, Literal, Node, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError, Problem, Severity, place
from rules.language.qualified import qualified
from rules.language.rows import Evaluated, RowError
from rules.language.runtime import Failed, Runner, TooDeep, ensure_depth
from rules.language.types import NUMBERS, Kind, Type, of_field, to_field
from rules.schema import Field, FieldType, Schema
from rules.text import msg

__all__ = ["Backend", "Column", "Evaluated", "Program", "RowError", "compile_expression", "fits"]


class Backend(Protocol):
    """Evaluates one expression over batches."""

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return a value or an error for every record."""

    @property
    def description(self) -> PlanDescription:
        """Return what the evaluation does, in words."""


@dataclass(frozen=True)
class Program:
    """A compiled expression.

    `fields` are the fields it reads, `type` and `scale` what its values are, `copies` the field that it merely names.
    """

    text: str
    fields: frozenset[str]
    type: FieldType
    scale: int | None
    backend: Backend
    warnings: tuple[Problem, ...] = ()
    copies: str | None = None

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return a value or an error for every record of a batch that has at least the fields in `fields`."""
        return self.backend.evaluate(batch)

    @property
    def plan(self) -> PlanDescription:
        """Return how the expression is worked out, and what makes it slow."""
        return self.backend.description


def compile_expression(
    text: str,
    schema: Schema,
    *,
    expect: FieldType | Field | None = None,
    convertible: bool = False,
    object_name: str | None = None,
    library: Library = EMPTY,
) -> Program:
    """Return the program of an expression over records of `schema`; raises `ExpressionError`.

    Args:
        text: the expression.
        schema: the fields it may name.
        expect: what the result is used for. Another type is a problem; what only the record tells (JSON) is checked
            record by record; numbers are rounded half-even to the scale of a decimal `Field`.
        convertible: the caller converts the result itself, so that another type than `expect` is no problem.
        object_name: what messages call the object whose fields these are.
        library: the lookup tables it may use.
    """
    tree = qualified(parse(text), schema)
    checked = check(tree, text, schema, object_name, library)
    target = Field("", expect) if isinstance(expect, FieldType) else expect
    failures = [p for p in checked.problems if p.severity is Severity.ERROR]
    failures += [] if failures else _constants(tree, checked, text, schema)
    failures += [] if failures or convertible else _unfit(checked, target, text)
    if failures:
        raise ExpressionError(failures)
    result = _result(checked, target)
    copied = _copied(tree)
    if copied is not None:
        field = schema[copied]
        backend: Backend = Column(copied)
        return Program(text, frozenset({copied}), field.type, field.scale, backend, (), copied)
    lowered = lower(checked, schema, of_field(result.type))
    try:
        ensure_depth(lowered.tree)
    except TooDeep as error:
        raise ExpressionError([Problem(error.message)]) from None
    backend = Columns(text, lowered, schema, result)
    warnings = tuple(checked.problems)
    return Program(text, frozenset(checked.fields), result.type, backend.field.scale, backend, warnings)


def _copied(tree: Node) -> str | None:
    return tree.name if isinstance(tree, Ident) else field_of(tree)


def _result(checked: Checked, target: Field | None) -> Field:
    """Return the field that the values would fill."""
    type_ = checked.type(checked.tree)
    found = to_field(type_)
    if found is None:
        raise ExpressionError([Problem(msg("A time span cannot be a result. Compare it, or add it to a time."))])
    if target is None:
        return Field("", found)
    open_ = type_.kind in (Kind.ANY, Kind.NULL)
    if target.type is FieldType.TIME:
        return Field("", FieldType.TEXT if open_ else found)
    decimal = target.type is FieldType.DECIMAL and type_.kind in NUMBERS
    whole = target.type is FieldType.FLOAT and type_.kind is Kind.INTEGER
    return target if open_ or decimal or whole else Field("", found)


def _unfit(checked: Checked, target: Field | None, text: str) -> list[Problem]:
    if target is None or fits(checked.type(checked.tree), target.type):
        return []
    found = str(checked.type(checked.tree))
    message = msg("The result is {found}, but {wanted} is needed.", found=found, wanted=target.type.value)
    return [Problem(message, *place(text, checked.tree.at))]


def fits(type_: Type, wanted: FieldType) -> bool:
    """Tell whether values of a type can go into a field without a conversion that loses anything."""
    if type_.kind in (Kind.ANY, Kind.NULL) or wanted is FieldType.JSON:
        return type_.kind is not Kind.DURATION
    if wanted in (FieldType.FLOAT, FieldType.DECIMAL):
        return type_.kind in NUMBERS
    if wanted is FieldType.TIME:
        return type_.kind is Kind.TEXT
    return of_field(wanted).kind is type_.kind


def _constants(node: Node, checked: Checked, text: str, schema: Schema) -> list[Problem]:
    """Return what is wrong with calls whose arguments are all written out, like date('2024-02-30')."""
    if isinstance(node, Call) and node.args and all(isinstance(arg, Literal) for arg in node.args):
        plan = lower(replace(checked, tree=node), schema, of_field(FieldType.TEXT))
        if isinstance(Runner(plan.tree).one({}), Failed):
            at, message = Explainer(plan.tree).cause({})
            return [Problem(message, *place(text, at))]
    return [problem for child in children(node) for problem in _constants(child, checked, text, schema)]


@dataclass(frozen=True)
class Column:
    """An expression that merely names a field: its column as it is."""

    name: str

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return the column."""
        return Evaluated(batch[self.name])

    @property
    def description(self) -> PlanDescription:
        """Return that there is nothing to work out."""
        return PlanDescription((msg("The column '{field}' as it is.", field=self.name),))
