"""What a conformance suite works on: the hooks that a plugin author fills in, and the sample records."""

from __future__ import annotations

import datetime as dt
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from connectors.spi import Connector, Context, Cursor, Page, Position, ReadRequest
from rules.schema import Field, FieldType, Schema

KEY, TITLE, VERSION = "id", "title", "version"
Settings = Mapping[str, Any]

EXTREMES: Mapping[FieldType, Sequence[Any]] = {
    FieldType.TEXT: (
        "",
        "plain",
        " spaces ",
        "客户 𠮷野家 😀",
        "quote ' \" \\ ; , \t\n%s :x",
        "NULL",
        "\\N",
        "0012",
        "1e5",
    ),
    FieldType.INTEGER: (0, -1, 2**53 + 1, 2**63 - 1, -(2**63)),
    FieldType.DECIMAL: tuple(map(Decimal, ("0", "0.1", "-0.0001", "9999999999999999.9999", "12345.6"))),
    FieldType.FLOAT: (0.0, 0.1, -1.5, 1e300, 5e-324, 1.7976931348623157e308),
    FieldType.BOOLEAN: (True, False),
    FieldType.DATE: (dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)),
    FieldType.TIME: (dt.time(), dt.time(12, 30, 15, 1), dt.time(23, 59, 59, 999999)),
    FieldType.DATETIME: (
        dt.datetime(1900, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=dt.UTC),
        dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    ),
    FieldType.LOCAL_DATETIME: (
        dt.datetime(1900, 1, 1),  # noqa: DTZ001 - a wall-clock time has no zone
        dt.datetime(2024, 2, 29, 23, 59, 59, 999999),  # noqa: DTZ001
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    ),
    FieldType.BINARY: (b"", b"\x00\xff", bytes(range(256))),
    FieldType.JSON: ("[]", '{"a":[1,2.5,true,null,"ü𠮷"],"b":{}}', '"text"', '{"n":12345678901234567890.125}'),
}
_VERSIONS = (None, 5, 3, 3, None, 5, 3, 1)


class ConformanceBase(ABC):
    """The hooks of the suite; those without a body must be filled in.

    `types` are the field types that the system can hold, `object_name` the object that `seed` fills. Set `infers_types`
    where the system stores no types, so that `schema` can only guess them.

    What the connector is tested against is a word and a version ("PostgreSQL 18"): `real_system` where it is the system
    itself, or one that real users run, `rebuilt_system` where the tests imitate it. `documented` is a page.
    """

    connector: ClassVar[type[Connector]]
    object_name: ClassVar[str] = "sample"
    types: ClassVar[tuple[FieldType, ...]] = tuple(FieldType)
    infers_types: ClassVar[bool] = False
    real_system: ClassVar[str] = ""
    rebuilt_system: ClassVar[str] = ""
    documented: ClassVar[str] = ""

    @pytest.fixture
    def settings(self) -> Settings:
        """Return the settings of a connection to a fresh, empty system."""
        raise NotImplementedError("Define a fixture 'settings'.")

    @abstractmethod
    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        """Create the object with these fields and records (perhaps none), by the system's own means."""

    @abstractmethod
    def broken(self, settings: Settings) -> Sequence[Settings]:
        """Return variants of the settings that cannot work, one for each thing that a person may get wrong."""

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """Return the extreme values of each type; override it where the system cannot hold some of them."""
        return EXTREMES

    def refused(self) -> Mapping[str, Any] | None:
        """Return values of a record that the system refuses (a title too long, say), or None if it refuses nothing."""
        return None

    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        """Return what the house allows."""
        return Context(file_roots=(tmp_path,), timeout=10.0)

    @pytest.fixture
    def sample(self) -> Schema:
        """Return the fields of the object: a key, a title, a version with ties and nulls, and one field a type."""
        fixed = (
            Field(KEY, FieldType.INTEGER, nullable=False),
            Field(TITLE, FieldType.TEXT, nullable=False, length=40),
            Field(VERSION, FieldType.INTEGER),
        )
        return Schema((*fixed, *(_field(kind) for kind in self.types)), (KEY,))

    @pytest.fixture
    def records(self, sample: Schema) -> pl.DataFrame:
        """Return records that hold every extreme value, and one without any; not in the order of the key."""
        values = self.values()
        count = max(len(values[kind]) for kind in self.types) + 1
        columns: dict[str, list[Any]] = {
            KEY: [3 * (count - i) for i in range(count)],
            TITLE: [f"记录 {i}" for i in range(count)],
            VERSION: [_VERSIONS[i % len(_VERSIONS)] for i in range(count)],
        }
        for kind in self.types:
            given = values[kind]
            columns[name_of(kind)] = [*(given[i % len(given)] for i in range(count - 1)), None]
        return pl.DataFrame(columns, schema=sample.dtypes())

    @pytest.fixture
    def seeded(self, settings: Settings, sample: Schema, records: pl.DataFrame) -> pl.DataFrame:
        """Return the sample records, which the system holds."""
        self.seed(settings, sample, records)
        return records

    @pytest.fixture
    def source(self, settings: Settings, context: Context) -> Iterator[Connector]:
        """Return a connector to the system."""
        with self.connect(settings, context) as connector:
            yield connector

    def connect(self, settings: Settings, context: Context) -> Connector:
        """Return a new connector with the defaults filled in."""
        defaults = {setting.name: setting.default for setting in self.connector.spec.settings}
        return self.connector({**defaults, **settings}, context)

    def pages(
        self,
        source: Connector,
        schema: Schema,
        cursor: Cursor | None = None,
        after: Position | None = None,
        size: int = 1000,
    ) -> list[Page]:
        """Read pages to the end, checking what holds for each: size, types, no rejects, a position of JSON values."""
        found = list(source.read(ReadRequest(self.object_name, schema, cursor, after, size)))
        assert found, "a read yields at least one page"
        for page in found:
            assert dict(page.records.schema) == schema.dtypes()
            assert page.records.height <= size
            assert not page.rejects, f"no record of the sample may be rejected: {page.rejects}"
            assert json.loads(json.dumps(page.position)) == page.position
        return found

    def content(self, settings: Settings, context: Context, schema: Schema) -> pl.DataFrame:
        """Return what a fresh connection reads, sorted by key."""
        with self.connect(settings, context) as source:
            return joined(self.pages(source, schema)).sort(KEY)


def name_of(kind: FieldType) -> str:
    """Return the name of the sample's field of a type."""
    return f"f_{kind}"


def joined(pages: Sequence[Page]) -> pl.DataFrame:
    """Return the records of all pages in order."""
    return pl.concat([page.records for page in pages])


def same(left: pl.DataFrame, right: pl.DataFrame) -> bool:
    """Tell whether two batches hold the same records, in the same order and with the same types."""
    return left.schema == right.schema and left.equals(right)


def _field(kind: FieldType) -> Field:
    if kind is FieldType.DECIMAL:
        return Field(name_of(kind), kind, precision=20, scale=4)
    return Field(name_of(kind), kind)
