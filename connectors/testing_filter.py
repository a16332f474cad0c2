"""Laws of leaving out records, and what a predicate means: the plain reading that systems are held against."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl
import pytest

from connectors.spi import Connector, ReadRequest
from connectors.testing_read import ReadLaws
from connectors.testing_sample import KEY, joined, same
from rules.predicate import Compare, Empty, Every, Has, Place, Predicate, Some, Test, Within
from rules.schema import Field, FieldType, Schema

SMALL = 10
_TESTS: Mapping[Test, Callable[[Any, Any], bool]] = {
    Test.EQUAL: operator.eq,
    Test.DIFFERENT: operator.ne,
    Test.LESS: operator.lt,
    Test.AT_MOST: operator.le,
    Test.MORE: operator.gt,
    Test.AT_LEAST: operator.ge,
}
_PLACES: Mapping[Place, Callable[[str, str], bool]] = {
    Place.START: str.startswith,
    Place.END: str.endswith,
    Place.ANYWHERE: str.__contains__,
}
_COMPARED = (
    FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN,
    FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME,
)  # fmt: skip


def meets(predicate: Predicate, record: Mapping[str, Any]) -> bool:
    """Tell whether a record meets a predicate."""
    match predicate:
        case Every(parts=parts):
            return all(meets(part, record) for part in parts)
        case Some(parts=parts):
            return any(meets(part, record) for part in parts)
        case Empty(field=field, is_empty=is_empty):
            return (record[field] is None) == is_empty
        case _:
            value = record[predicate.field]
            return predicate.empty if value is None else _fits(predicate, value)


def sent(predicate: Predicate, batch: pl.DataFrame) -> list[bool]:
    """Return which records meet a predicate."""
    return [meets(predicate, record) for record in batch.iter_rows(named=True)]


def _fits(test: Compare | Within | Has, value: Any) -> bool:
    if (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and "\x00" in value):
        return True
    value = value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
    match test:
        case Compare(value=other):
            return _TESTS[test.test](value, other)
        case Within(values=values, inside=inside):
            return (value in values) == inside
        case Has(place=place, text=text, there=there):
            return _PLACES[place](value, text) == there


class FilterLaws(ReadLaws):
    """Leaving out records."""

    @pytest.fixture(autouse=True)
    def _needs_filter(self, request: pytest.FixtureRequest) -> None:
        if "filter" in request.node.name and not self.connector.spec.capabilities.filter:
            pytest.skip("the connector leaves nothing out")

    @pytest.mark.parametrize("size", [2, 1000])
    def test_filter_loses_nothing(self, source: Connector, seeded: pl.DataFrame, sample: Schema, size: int) -> None:
        """Every record that meets a filter is sent, in the order of a read without it; all others are counted.

        There are hundreds of filters: one in three is asked for in large pages, one in eleven in pages of two, so that
        all kinds of tests come with other values each.
        """
        whole = joined(self.pages(source, sample))
        for wanted in itertools.islice(_predicates(seeded, sample), 0, None, 11 if size < SMALL else 3):
            request = ReadRequest(self.object_name, sample, page_size=size, filter=wanted)
            asked = source.filterable(request)
            if asked is None:
                continue
            pages = list(source.read(ReadRequest(self.object_name, sample, page_size=size, filter=asked)))
            found = joined(pages)
            assert same(found, whole.filter(pl.col(KEY).is_in(found[KEY].implode())))
            assert found.height + sum(page.left_out for page in pages) == whole.height, asked
            lost = set(whole.filter(pl.Series(sent(wanted, whole), dtype=pl.Boolean))[KEY]) - set(found[KEY])
            assert not lost, asked

    def test_filter_leaves_out(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """A filter by the key sends few records; those that it left out can be asked for by key."""
        most = max(seeded[KEY])
        asked = source.filterable(
            ReadRequest(self.object_name, sample, filter=Compare(KEY, Test.AT_LEAST, most, empty=False))
        )
        assert asked is not None
        request = ReadRequest(self.object_name, sample, filter=asked)
        found = joined(list(source.read(request)))
        assert found.height < seeded.height
        rest = source.left_out(request, KEY, seeded[KEY]).sort(KEY)
        assert same(rest, seeded.filter(~pl.col(KEY).is_in(found[KEY].implode())).sort(KEY))


def _predicates(records: pl.DataFrame, schema: Schema) -> Iterator[Predicate]:
    """Yield a test of each kind for each value of each field."""
    for field in schema.fields:
        yield Empty(field.name)
        yield Empty(field.name, is_empty=False)
        if field.type in _COMPARED:
            for value in records[field.name].drop_nulls().unique(maintain_order=True):
                plain = value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
                yield from _tests(field, plain)


def _tests(field: Field, value: Any) -> Iterator[Predicate]:
    orders = (Test.EQUAL, Test.DIFFERENT) if field.type is FieldType.BOOLEAN else tuple(Test)
    for test in orders:
        yield Compare(field.name, test, value, empty=test is not Test.EQUAL)
    if field.type in (FieldType.TEXT, FieldType.INTEGER):
        yield Within(field.name, (value,))
        yield Every((Within(field.name, (value,), inside=False), Empty(field.name, is_empty=False)))
    if field.type is FieldType.TEXT:
        for place in Place:
            yield Has(field.name, place, value[:3])
            yield Some((Has(field.name, place, value[-2:], there=False), Compare(field.name, Test.EQUAL, value)))
