"""The connector `rest` against a real web server that is strict about what it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin import rest_calls
from connectors.builtin.rest import Rest
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    Unavailable,
)
from connectors.spi import Context, Fence, ReadRequest
from connectors.testing import TITLE, ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files import encoded

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
PEOPLE = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name")), ("id",))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits instead of doing them."""
    waits: list[float] = []
    monkeypatch.setattr(rest_calls.time, "sleep", waits.append)
    return waits


class Api:
    """A small service with one list, paged by page number, that refuses what it does not know."""

    def __init__(self, reply: Callable[..., Any]) -> None:
        self.reply = reply
        self.rows: dict[int, dict[str, str]] = {}

    def __call__(self, request: Any) -> Any:
        if request.headers.get("authorization") != "Bearer good-token":
            return self.reply(401, {"message": "who are you"})
        if request.path == "/api/samples":
            return {"GET": self.list, "POST": self.create}[request.method](request)
        key = int(request.path.removeprefix("/api/samples/"))
        if key not in self.rows:
            return self.reply(404, {"error": {"message": "gone"}})
        return {"GET": self.show, "PATCH": self.update, "DELETE": self.remove}[request.method](key, request)

    def list(self, request: Any) -> Any:
        size, page = int(request.query["size"][0]), int(request.query["page"][0])
        rows = list(self.rows.values())[(page - 1) * size : page * size]
        return self.reply(body='{"data": {"items": [' + ",".join(map(text, rows)) + "]}}")

    def create(self, request: Any) -> Any:
        row = members(request.body)
        key = int(row["id"])
        if key in self.rows:
            return self.reply(409, {"errors": ["id is taken"]})
        if row[TITLE] == "null":
            return self.reply(422, {"title": ["must not be empty"]})
        self.rows[key] = row
        return self.reply(201, '{"id": %d}' % key)

    def update(self, key: int, request: Any) -> Any:
        row = members(request.body)
        if row.get(TITLE) == "null":
            return self.reply(422, {"title": ["must not be empty"]})
        self.rows[key].update(row)
        return self.reply(204)

    def remove(self, key: int, request: Any) -> Any:
        del self.rows[key]
        return self.reply(204)

    def show(self, key: int, request: Any) -> Any:
        return self.reply(body=text(self.rows[key]))


def members(body: bytes | str) -> dict[str, str]:
    """Return a JSON object's members as their texts, so that no number changes."""
    import msgspec

    return {k: bytes(v).decode() for k, v in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def text(row: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in row.items()) + "}"


class TestRest(ConnectorConformance):
    connector = Rest
    object_name = "samples"

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, web: Any, reply: Any, sample: Schema) -> Settings:
        web.answer = Api(reply)
        self.api = web.answer
        fields = [
            {"name": f.name, "type": f.type.value, "scale": f.scale, "required": not f.nullable} for f in sample.fields
        ]
        described = {
            "name": "samples",
            "path": "/samples",
            "records": "data.items",
            "key": "id",
            "paging": {"by": "page", "parameter": "page", "size": 4, "size_parameter": "size"},
            "item": "/samples/{key}",
            "create": {"path": "/samples"},
            "update": {"method": "PATCH", "path": "/samples/{key}"},
            "delete": {"method": "DELETE", "path": "/samples/{key}"},
            "fields": fields,
        }
        return {
            "base_url": web.url + "/api",
            "authentication": "bearer",
            "token": "good-token",
            "objects": [described],
        }

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.api.rows = {r["id"]: members(encoded(r, schema)) for r in records.iter_rows(named=True)}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "base_url": "ftp://example.com"},
            {**settings, "token": ""},
            {**settings, "token": "two\nlines"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": [{"name": "x", "path": "/x", "paging": {"by": "page"}}]},
            {**settings, "headers": "[]"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}
