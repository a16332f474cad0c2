"""The PostgreSQL connector against a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Connector
from connectors.testing import ConnectorConformance, Settings
from rules.schema import FieldType, Schema
from tests.connectors.databases import fill, settings_of

NATIVE: Mapping[FieldType, str] = {
    FieldType.TEXT: "text",
    FieldType.INTEGER: "bigint",
    FieldType.DECIMAL: "numeric(20, 4)",
    FieldType.FLOAT: "double precision",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIME: "time",
    FieldType.DATETIME: "timestamptz",
    FieldType.LOCAL_DATETIME: "timestamp",
    FieldType.BINARY: "bytea",
    FieldType.JSON: "jsonb",
}


class TestConformance(ConnectorConformance):
    """PostgreSQL keeps every promise of a connector."""

    connector: type[Connector] = PostgreSQL

    @pytest.fixture
    def settings(self, postgres_url: str) -> Settings:
        self.url = postgres_url
        return settings_of(postgres_url)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        fill(self.url, self.object_name, schema, records, NATIVE)

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
            {**settings, "schema": "no_such_schema"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {"title": "x" * 41}
