"""A connector that tells of deletions keeps the promises of the suite, which finds one that does not."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.spi import Context, Page, ReadRequest
from connectors.testing import KEY, VERSION, Settings
from rules.schema import Field, FieldType, Schema
from tests.connectors import test_sqlite
from tests.logged import ENDING, Logged


class TestConformance(test_sqlite.TestConformance):
    """SQLite with a log of deletions keeps every promise, those about deletions too."""

    connector = Logged
    test_filter_loses_nothing: Any = None  # filters are those of SQLite, and shown there

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        super().seed(settings, schema, records)
        with contextlib.closing(sqlite3.connect(self.folder / settings["path"])) as connection, connection:
            fields = f"{KEY} INTEGER PRIMARY KEY, {VERSION} INTEGER"
            connection.execute(f"CREATE TABLE {self.object_name}{ENDING} ({fields})")

    def delete(self, settings: Settings, keys: pl.Series, version: int) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / settings["path"])) as connection, connection:
            for key in keys:
                connection.execute(f"DELETE FROM {self.object_name} WHERE {KEY} = ?", (key,))
                connection.execute(f"INSERT INTO {self.object_name}{ENDING} VALUES (?, ?)", (key, version))


class Forgetful(Logged):
    """Goes on behind a page without the deletions that are still to be told."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        for page in super().read(request):
            yield replace(page, deleted=None) if request.after else page


class Vague(Logged):
    """Still sends the records that were deleted."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        for page in super().read(request):
            yield page if page.deleted is None else replace(page, records=page.deleted)


SCHEMA = Schema((Field(KEY, FieldType.INTEGER, nullable=False), Field(VERSION, FieldType.INTEGER)), (KEY,))
RECORDS = pl.DataFrame({KEY: [1, 2, 3, 4], VERSION: [1, 2, 3, 4]}, schema=SCHEMA.dtypes())


@pytest.fixture
def suite(tmp_path: Path) -> TestConformance:
    found = TestConformance()
    found.folder = tmp_path
    (tmp_path / "a.db").touch()
    found.seed({"path": "a.db"}, SCHEMA, RECORDS)
    return found


def test_a_connector_that_loses_deletions_is_found(suite: TestConformance, tmp_path: Path) -> None:
    """The suite fails for a connector that does not go on with the deletions behind a page."""
    suite.connector = Forgetful
    with pytest.raises(AssertionError, match="resumed behind page"):
        suite.test_deletions_behind_every_page({"path": "a.db"}, Context((tmp_path,)), RECORDS, SCHEMA)


def test_a_connector_that_sends_deleted_records_is_found(suite: TestConformance, tmp_path: Path) -> None:
    """The suite fails for a connector that names a key as deleted and as a record."""
    with Vague({"path": "a.db"}, Context((tmp_path,))) as source, pytest.raises(AssertionError):
        suite.test_deletions_are_named({"path": "a.db"}, source, RECORDS, SCHEMA, 1000)
