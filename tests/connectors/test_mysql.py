"""The MySQL connector against a real MariaDB."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.mysql import MySQL
from connectors.spi import Connector
from connectors.testing import EXTREMES, ConnectorConformance, Settings
from rules.schema import FieldType, Schema
from tests.connectors.databases import fill, settings_of

NATIVE: Mapping[FieldType, str] = {
    FieldType.TEXT: "longtext",
    FieldType.INTEGER: "bigint",
    FieldType.DECIMAL: "decimal(20, 4)",
    FieldType.FLOAT: "double",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIME: "time(6)",
    FieldType.DATETIME: "timestamp(6) NULL",
    FieldType.LOCAL_DATETIME: "datetime(6)",
    FieldType.BINARY: "longblob",
    FieldType.JSON: "json",
}


class TestConformance(ConnectorConformance):
    """MySQL keeps every promise of a connector."""

    connector: type[Connector] = MySQL

    @pytest.fixture
    def settings(self, mariadb_url: str) -> Settings:
        self.url = mariadb_url
        return settings_of(mariadb_url)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        fill(self.url, self.object_name, schema, records, NATIVE)

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """MySQL's dates begin in the year 1000 and its time stamps in 1970."""
        return {
            **EXTREMES,
            FieldType.DATE: (dt.date(1000, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)),
            FieldType.DATETIME: (
                dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC),
                dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=dt.UTC),
                dt.datetime(2038, 1, 19, 3, 14, 7, tzinfo=dt.UTC),
            ),
        }

    def broken(self, settings: Settings) -> Sequence[Settings]:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            closed = unused.getsockname()[1]
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.255.255.1"},
            {**settings, "port": closed},
            {**settings, "tls": "require"},
            {**settings, "password": "wrong"},
            {**settings, "database": "no_such_database"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}
