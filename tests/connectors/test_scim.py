"""The connector `scim` against a real, independent SCIM server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.scim import Scim
from connectors.spi import Context
from connectors.testing import TITLE, ConnectorConformance, Settings
from connectors.value_text import PLAIN
from rules.schema import FieldType, Schema
from tests.connectors.scim_servers import SAMPLE, TOKEN, ScimServer, scim_server

HERE = Context(timeout=10)
TYPES = (
    FieldType.TEXT, FieldType.INTEGER, FieldType.FLOAT, FieldType.DECIMAL, FieldType.BOOLEAN, FieldType.DATE,
    FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.JSON,
)  # fmt: skip
_KINDS = {"integer": "integer", "boolean": "boolean"}


def _attribute(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "multiValued": False, "description": name, "required": False, "caseExact": True,
            "mutability": "readWrite", "returned": "default", "uniqueness": "none", **more}  # fmt: skip


ATTRIBUTES = [
    _attribute("number", "integer", required=True, uniqueness="server"),
    _attribute("title", required=True),
    _attribute("version", "integer"),
    *(_attribute(f"f_{kind}", _KINDS.get(kind, "string")) for kind in TYPES),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ScimServer]:
    with scim_server(ATTRIBUTES) as found:
        yield found


def opened(server: ScimServer | str, **more: Any) -> Scim:
    defaults = {setting.name: setting.default for setting in Scim.spec.settings}
    address = server if isinstance(server, str) else server.url
    given = {"base_url": address, "authentication": "bearer", "token": TOKEN, **more}
    return Scim({**defaults, **given}, HERE)


class TestScim(ConnectorConformance):
    connector = Scim
    types = TYPES
    more: Mapping[str, Any] = {}

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, server: ScimServer, sample: Schema) -> Settings:
        self.server = server
        fields = [
            {"name": f.name, "attribute": "number" if f.name == "id" else f.name, "type": f.type.value,
             "scale": f.scale, "required": not f.nullable}
            for f in sample.fields
        ]  # fmt: skip
        described = {"name": "sample", "resource": "Samples", "key": "id", "fields": fields}
        return {"base_url": server.url, "authentication": "bearer", "token": TOKEN, "objects": [described],
                "page_size": 4, **self.more}  # fmt: skip

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.server.seed("Sample", [_resource(r) for r in records.iter_rows(named=True)])

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "token": "wrong"},
            {**settings, "token": ""},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": [{"name": "x", "resource": "Users", "fields": [{"name": "nothing"}]}]},
            {**settings, "objects": ["Users", "Users"]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


class TestScimByPut(TestScim):
    more: Mapping[str, Any] = {"updating": "put", "etag": False}


class TestScimInBulk(TestScim):
    more: Mapping[str, Any] = {"bulk": True}


def _resource(record: Mapping[str, Any]) -> dict[str, Any]:
    plain = {n: v if isinstance(v, (bool, int)) else PLAIN.text(v) for n, v in record.items() if v is not None}
    return {"schemas": [SAMPLE], "number": plain.pop("id"), **plain}
