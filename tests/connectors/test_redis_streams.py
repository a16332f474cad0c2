"""The connector `redis_streams` against Valkey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest
import redis

from connectors.builtin.redis_streams import RedisStreams
from connectors.testing import ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Schema
from tests import servers
from tests.connectors.databases import closed_port
from tests.connectors.test_amqp import bodies, described


def client_of(settings: Mapping[str, Any]) -> redis.Redis:
    return redis.Redis(host=settings["host"], port=settings["port"])


class TestConformance(ConnectorConformance):
    """Valkey passes the suite with JSON messages."""

    connector = RedisStreams

    @pytest.fixture
    def settings(self, valkey_server: servers.Server, sample: Schema) -> Iterator[Settings]:
        """Return the settings of a connection to an empty server."""
        settings = {
            "host": valkey_server.host, "port": valkey_server.port, "key": "id", "objects": [described(sample)]
        }  # fmt: skip
        yield settings
        with client_of(settings) as client:
            client.flushall()

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        """Fill the stream anew."""
        with client_of(settings) as client:
            client.delete("sample")
            client.xgroup_create("sample", "syncline", "0", mkstream=True)
            for body in bodies(schema, records):
                client.xadd("sample", {"payload": body})

    def poison(self, settings: Settings) -> None:
        """Send what is no record."""
        with client_of(settings) as client:
            client.xadd("sample", {"payload": POISON})

    def broken(self, settings: Settings) -> Sequence[Settings]:
        """Return what a person may get wrong."""
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.1.2.3"},
            {**settings, "port": closed_port()},
            {**settings, "password": "wrong"},
            {**settings, "database": 999},
            {**settings, "tls": "verify"},
        ]

    def refused(self) -> Mapping[str, Any]:
        """Say that a title may be too long."""
        return {"title": "x" * 41}
