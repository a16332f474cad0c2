"""The published lookup tables, as the expressions of entities ask them; a room above hangs in where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl
import sqlalchemy as sa

from rules.language.columns.description import PlanDescription
from rules.language.library import EMPTY, Library
from rules.language.problems import ExpressionError
from rules.language.program import Evaluated, Program, RowError, compile_expression
from rules.schema import Field, FieldType
from rules.text import Message
from webapp.entities.model import Entity


@dataclass(frozen=True)
class Published:
    """Lookup tables; `versions` tells them from others, so that programs are kept as long as these are the same."""

    versions: tuple[str, ...] = ()
    library: Library = field(default=EMPTY, compare=False)


NONE = Published()
published: list[Callable[[sa.Connection], Published]] = []
"""The first is asked for what is published now; filled once a process."""


def tables(tx: sa.Connection, entity: Entity) -> Published:
    """Return the tables for the expressions of a definition; nothing is read where none of them asks one."""
    return next((ask(tx) for ask in published), NONE) if _asks(entity) else NONE


@lru_cache(maxsize=500)
def _asks(entity: Entity) -> bool:
    texts = [text for f in entity.fields for text in (f.computed, f.validation.expression if f.validation else None)]
    texts += [text for v in entity.validations for text in (v.check, v.when)]
    return any("lookup" in text for text in texts if text)


@dataclass(frozen=True)
class _Broken:
    """An expression that could be used when its definition was checked, and cannot now that a table has changed."""

    why: Message
    field: Field

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return for every record why there is no result."""
        values = pl.repeat(None, batch.height, dtype=self.field.dtype, eager=True)
        return Evaluated(values, tuple(RowError(row, self.why) for row in range(batch.height)))

    @property
    def description(self) -> PlanDescription:
        """Return that nothing is worked out."""
        return PlanDescription((), (self.why,))


def compiled(text: str, entity: Entity, expect: Field | FieldType, asked: Published) -> Program:
    """Return the program of an expression that has been checked; one whose table has gone fails for every record."""
    try:
        return compile_expression(text, entity.schema, expect=expect, object_name=entity.name, library=asked.library)
    except ExpressionError as error:
        wanted = expect if isinstance(expect, Field) else Field("", expect)
        broken = _Broken(error.problems[0].message, wanted)
        return Program(text, frozenset(), wanted.type, wanted.scale, broken)
