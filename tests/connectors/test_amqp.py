"""The connector `amqp` against RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pika
import polars as pl
import pytest

from connectors.builtin.amqp import Amqp
from connectors.builtin.queue_options import PayloadOptions
from connectors.builtin.queue_payload import Payload
from connectors.testing import ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Schema
from tests import brokers
from tests.connectors.databases import closed_port


@pytest.fixture(scope="module")
def rabbit() -> Iterator[brokers.Broker]:
    """Return the module's RabbitMQ."""
    yield from brokers.or_skip(brokers.rabbitmq)


def channel_to(broker: brokers.Broker) -> pika.adapters.blocking_connection.BlockingChannel:
    """Return a channel over a connection of its own."""
    credentials = pika.PlainCredentials(broker.user, broker.password)
    connection = pika.BlockingConnection(pika.ConnectionParameters(broker.host, broker.port, credentials=credentials))
    return connection.channel()


def described(schema: Schema, name: str = "sample") -> dict[str, Any]:
    """Return an object that says its fields."""
    fields = [
        {"name": f.name, "type": f.type.value, "required": not f.nullable, "scale": f.scale, "length": f.length}
        for f in schema.fields
    ]
    return {"name": name, "key": schema.key[0], "fields": fields}


def bodies(schema: Schema, records: pl.DataFrame) -> list[bytes]:
    """Return records as JSON messages."""
    payload = Payload(PayloadOptions())
    return [payload.body(record, schema) for record in records.iter_rows(named=True)]


class TestConformance(ConnectorConformance):
    """RabbitMQ passes the suite with JSON messages."""

    connector = Amqp

    @pytest.fixture
    def settings(self, rabbit: brokers.Broker, sample: Schema) -> Iterator[Settings]:
        """Return the settings of a connection with one empty queue."""
        channel = channel_to(rabbit)
        channel.queue_declare("sample", durable=True)
        yield {
            "host": rabbit.host, "port": rabbit.port, "user": rabbit.user, "password": rabbit.password, "key": "id",
            "objects": [described(sample)],
        }  # fmt: skip
        channel.queue_delete("sample")
        channel.connection.close()

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        """Fill the queue anew."""
        credentials = pika.PlainCredentials(settings["user"], settings["password"])
        with pika.BlockingConnection(
            pika.ConnectionParameters(settings["host"], settings["port"], credentials=credentials)
        ) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_purge("sample")
            for body in bodies(schema, records):
                channel.basic_publish("", "sample", body)

    def poison(self, settings: Settings) -> None:
        """Send what is no record."""
        credentials = pika.PlainCredentials(settings["user"], settings["password"])
        with pika.BlockingConnection(
            pika.ConnectionParameters(settings["host"], settings["port"], credentials=credentials)
        ) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", "sample", POISON.encode())

    def broken(self, settings: Settings) -> Sequence[Settings]:
        """Return what a person may get wrong."""
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.1.2.3"},
            {**settings, "port": closed_port()},
            {**settings, "password": "wrong"},
            {**settings, "virtual_host": "nowhere"},
            {**settings, "objects": ["not_there"]},
            {**settings, "tls": "verify"},
        ]

    def refused(self) -> Mapping[str, Any]:
        """Say that a title may be too long."""
        return {"title": "x" * 41}
