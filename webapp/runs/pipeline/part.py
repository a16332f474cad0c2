"""A part of a source: the records that meet a condition, and whose field lies in a range.

What the source can do itself is pushed down to it; everything is looked at again here. Records outside the part are no
part of the run: they are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from connectors.spi import Connector, Page, ReadRequest
from rules.language.library import EMPTY, Library
from rules.language.problems import ExpressionError, Problem
from rules.language.program import Program, compile_expression
from rules.language.sql import push_down
from rules.predicate import Compare, Every, Predicate, Test
from rules.schema import FieldType, Schema
from rules.text import msg
from webapp.runs.pipeline.codec import typed_value
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.retry import Retry

PUSHED = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.TEXT, FieldType.DATE, FieldType.DATETIME)


class Part:
    """A part of the records of `schema`, as a run's parameters describe it; `name` is what messages call the object.

    Raises `ExpressionError` for a wrong condition or a field that is not there, ValueError for a wrong range.
    """

    def __init__(
        self, parameters: Mapping[str, Any], schema: Schema, library: Library = EMPTY, name: str | None = None
    ) -> None:
        self.schema, self.library = schema, library
        self.where: str | None = parameters.get("where")
        self.program: Program | None = None
        if self.where:
            self.program = compile_expression(
                self.where, schema, expect=FieldType.BOOLEAN, object_name=name, library=library
            )
        span = parameters.get("range") or {}
        self.field: str | None = span.get("field")
        if self.field is not None and self.field not in schema:
            raise ExpressionError([Problem(msg("There is no field '{field}'.", field=self.field))])
        self.start = self._bound(span.get("from"))
        self.end = self._bound(span.get("to"))

    def _bound(self, text: str | None) -> Any:
        """Return a bound in the type of the field; raises for one that does not fit."""
        return typed_value(self.schema, self.field, text) if self.field is not None and text else None

    def request(self, reader: Connector, request: ReadRequest) -> ReadRequest:
        """Return the request with what the source can leave out itself."""
        predicate = self._predicate()
        if predicate is None or not reader.spec.capabilities.filter:
            return request
        done = reader.filterable(replace(request, filter=predicate))
        return request if done is None else replace(request, filter=done)

    def _predicate(self) -> Predicate | None:
        parts: list[Predicate] = []
        if self.where:
            pushed = push_down(self.where, self.schema, self.library).filter
            parts += [pushed] if pushed is not None else []
        if self.field is not None and self.schema[self.field].type in PUSHED:
            bounds = ((Test.AT_LEAST, self.start), (Test.LESS, self.end))
            parts += [Compare(self.field, test, _plain(value)) for test, value in bounds if value is not None]
        return Every(tuple(parts)) if parts else None

    def mask(self, records: pl.DataFrame) -> tuple[pl.Series, int]:
        """Return which records belong to the part, and of how many that cannot be said; these do not."""
        mask, unclear = pl.repeat(value=True, n=records.height, dtype=pl.Boolean, eager=True), 0
        if self.program is not None:
            evaluated = self.program.evaluate(records)
            mask, unclear = evaluated.values.fill_null(value=False), len(evaluated.errors)
        if self.field is not None:
            values = records[self.field]
            mask &= _holds(values.is_not_null())
            mask &= _holds(values >= self.start) if self.start is not None else True
            mask &= _holds(values < self.end) if self.end is not None else True
        return mask, unclear

    def pages(
        self, reader: Connector, request: ReadRequest, retry: Retry, tell: Callable[[int], None]
    ) -> Iterator[Page]:
        """Yield the pages of the part; `tell` is given the number of records of which it cannot be said."""
        unsure = 0
        for page in pages(reader, self.request(reader, request), retry):
            mask, unclear = self.mask(page.records)
            unsure += unclear
            yield Page(page.records.filter(mask), page.position)
        if unsure:
            tell(unsure)


def _holds(mask: pl.Series) -> pl.Series:
    return mask.fill_null(value=False)


def _plain(value: Any) -> Any:
    """Return a bound as predicates hold it: instants without zone, in UTC."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
