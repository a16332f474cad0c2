"""The SQLite connector against real files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.sqlite import SQLite
from connectors.builtin.sqlite_flavor import SQLiteFlavor
from connectors.spi import Connector
from connectors.testing import EXTREMES, ConnectorConformance, Settings
from rules.schema import FieldType, Schema
from tests.connectors.databases import run

NATIVE: Mapping[FieldType, str] = {
    FieldType.TEXT: "TEXT",
    FieldType.INTEGER: "INTEGER",
    FieldType.DECIMAL: "DECIMAL(20, 4)",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.TIME: "TIME",
    FieldType.DATETIME: "TIMESTAMPTZ",
    FieldType.LOCAL_DATETIME: "DATETIME",
    FieldType.BINARY: "BLOB",
    FieldType.JSON: "JSON",
}


class TestConformance(ConnectorConformance):
    """SQLite keeps every promise of a connector."""

    connector: type[Connector] = SQLite

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        self.folder = tmp_path
        path = tmp_path / "shop #1%.db"
        path.touch()
        (tmp_path / "other.db").write_text("This is not a database, but a text that is long enough to be read. " * 20)
        return {"path": "shop #1%.db"}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        url = f"sqlite:///{self.folder / settings['path']}"
        names = [f"{f.name} {NATIVE[f.type]}{f'({f.length})' if f.length else ''}" for f in schema.fields]
        run(
            url,
            f"CREATE TABLE {self.object_name} ({', '.join(names)}, PRIMARY KEY ({', '.join(schema.key)}))".replace(
                "title TEXT(40)", "title VARCHAR(40) NOT NULL"
            ),
        )
        import sqlite3

        with sqlite3.connect(self.folder / settings["path"]) as connection:
            for row in records.iter_rows():
                values = [_plain(value) for value in row]
                connection.execute(f"INSERT INTO {self.object_name} VALUES ({', '.join('?' * len(row))})", values)
        connection.close()

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """SQLite's decimals are floats, exact up to 15 digits."""
        decimals = tuple(map(Decimal, ("0", "0.1", "-0.0001", "99999999999.9999", "12345.6")))
        json = ("[]", '{"a":[1,2.5,true,null,"ü𠮷"],"b":{}}', '"text"', '{"n":12345678901234567890.125}', "12.5", "7")
        return {**EXTREMES, FieldType.DECIMAL: decimals, FieldType.JSON: json}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [{"path": "no such file.db"}, {"path": "/etc/passwd"}, {"path": "other.db"}, {"path": " "}]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str, bytes)) else str(value)
