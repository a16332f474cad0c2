"""The connector `amqp` against RabbitMQ."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pika
import polars as pl
import pytest

from connectors.builtin.amqp import Amqp
from connectors.builtin.amqp_broker import AmqpBroker
from connectors.builtin.amqp_confirms import Confirms
from connectors.builtin.amqp_errors import Opening, told
from connectors.builtin.queue_network import Place
from connectors.builtin.queue_options import PayloadOptions
from connectors.builtin.queue_payload import Payload
from connectors.errors import ConnectorError, Fatal, Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Context, Cursor, ReadRequest
from connectors.testing import ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import brokers
from tests.connectors.databases import closed_port
from tests.runs.conftest import ADMIN, World, open_world
from webapp.connections import services as connections
from webapp.runs.pipeline.journal import Journal


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


@pytest.fixture
def world(tmp_path: Path, metadata_url: str) -> Iterator[World]:
    """Return a house with two systems."""
    with open_world(tmp_path / "data", metadata_url) as found:
        yield found


@pytest.fixture
def queue(rabbit: brokers.Broker) -> Iterator[str]:
    """Return the name of a fresh, durable queue."""
    name = f"q{secrets.token_hex(4)}"
    channel = channel_to(rabbit)
    channel.queue_declare(name, durable=True)
    channel.connection.close()
    yield name
    channel = channel_to(rabbit)
    channel.queue_delete(name)
    channel.connection.close()


def settings_of(rabbit: brokers.Broker, *objects: Any, **more: Any) -> dict[str, Any]:
    own = {"host": rabbit.host, "port": rabbit.port, "user": rabbit.user, "password": rabbit.password, "key": "id"}
    defaults = {setting.name: setting.default for setting in Amqp.spec.settings}
    return {**defaults, **own, "objects": list(objects), **more}


def connect(rabbit: brokers.Broker, *objects: Any, **more: Any) -> Amqp:
    return Amqp(settings_of(rabbit, *objects, **more), Context(timeout=10))


def publish(rabbit: brokers.Broker, queue: str, *messages: bytes, **properties: Any) -> None:
    channel = channel_to(rabbit)
    channel.confirm_delivery()
    for body in messages:
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties))
    channel.connection.close()


def people(first: int, last: int) -> list[bytes]:
    return [b'{"id": %d}' % n for n in range(first, last + 1)]


def request(queue: str, after: Any = None, size: int = 5) -> ReadRequest:
    return ReadRequest(queue, NUMBERS, after=after, page_size=size, consume=True)


NUMBERS = Schema((Field("id", FieldType.INTEGER, nullable=False),), ("id",))


def ids(pages: Sequence[Any]) -> list[int]:
    return [number for page in pages for number in page.records["id"]]


def test_a_broker_that_is_killed_gives_all_again(rabbit: brokers.Broker, queue: str):
    """All that was not acknowledged is read again after a crash of the broker, in order."""
    publish(rabbit, queue, *people(1, 20))
    with connect(rabbit, queue) as source:
        reading = source.read(request(queue))
        first = next(reading)
        source.acknowledge(queue, first.position)
        next(reading)
        rabbit.stop(signal.SIGKILL)
        with pytest.raises(Unavailable):
            next(reading)
        with pytest.raises(Unavailable):
            list(source.read(request(queue, first.position)))
        rabbit.start()
        again = ids(list(source.read(request(queue, first.position))))
        assert again in (list(range(6, 21)), list(range(1, 21)))  # a broker may forget acknowledgements in a crash


def test_a_worker_that_is_killed_leaves_all_in_order(rabbit: brokers.Broker, queue: str, tmp_path: Path):
    """Messages that a killed process held come again, in their order, before those that it had not met."""
    publish(rabbit, queue, *people(1, 20))
    script = tmp_path / "victim.py"
    script.write_text(
        "import json, os, signal, sys\n"
        "from connectors.builtin.amqp import Amqp\nfrom connectors.spi import Context, ReadRequest\n"
        "from rules.schema import Field, FieldType, Schema\n"
        "source = Amqp(json.loads(sys.argv[1]), Context())\n"
        "schema = Schema((Field('id', FieldType.INTEGER),), ('id',))\n"
        "reading = source.read(ReadRequest(sys.argv[2], schema, page_size=4, consume=True))\n"
        "source.acknowledge(sys.argv[2], next(reading).position)\n"
        "next(reading)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, str(script), json.dumps(settings_of(rabbit, queue)), queue], check=False)
    assert done.returncode == -signal.SIGKILL
    with connect(rabbit, queue) as source:
        assert ids(list(source.read(request(queue)))) == list(range(5, 21))


def test_large_messages_are_read_in_small_parts(rabbit: brokers.Broker, queue: str):
    """A backlog of large messages is held a few at a time, whatever the size of a page."""
    publish(rabbit, queue, *(b'{"id": %d, "x": "%s"}' % (n, b"y" * 1024**2) for n in range(60)))
    with connect(rabbit, queue) as source:
        scan = source.broker.scan(source.named[queue], None, consume=True)
        sizes = []
        while (batch := scan.take(10_000)) is not None:
            sizes.append(len(batch.messages))
            scan.acknowledge(batch.mark)
        scan.close()
    assert sum(sizes) == 60
    assert max(sizes) <= 12, sizes


def test_a_backlog_is_read_at_speed(rabbit: brokers.Broker, queue: str):
    """Many small messages go through in large parts, each acknowledged as one."""
    channel = channel_to(rabbit)
    for body in people(1, 20_000):
        channel.basic_publish("", queue, body)
    channel.connection.close()
    with connect(rabbit, queue) as source:
        met = 0
        for page in source.read(request(queue, size=10_000)):
            met += page.records.height
            source.acknowledge(queue, page.position)
        assert met == 20_000
        assert source.objects()[0].records == 0


def test_messages_that_others_take_meanwhile_are_not_waited_for(rabbit: brokers.Broker, queue: str):
    """A read ends when nothing more is delivered."""
    publish(rabbit, queue, *people(1, 4))
    with connect(rabbit, queue) as source:
        reading = source.read(request(queue, size=2))
        assert ids([next(reading)]) == [1, 2]
        channel = channel_to(rabbit)
        channel.basic_get(queue, auto_ack=True)
        channel.connection.close()
        assert ids(list(reading)) == [4]
        assert ids(list(source.read(request(queue)))) == [1, 2, 4]


def test_quorum_queues(rabbit: brokers.Broker):
    """A queue that is not there is made as described; what a quorum queue gives again comes first."""
    described = {"name": "replicated", "declare": True, "type": "quorum", "dead_letter_exchange": "amq.fanout"}
    with connect(rabbit, described) as source:
        assert source.objects()[0].records == 0
        publish(rabbit, "replicated", *people(1, 6))
    for expected in ([1, 2, 3, 4, 5, 6], [3, 4, 5, 6]):
        with connect(rabbit, described) as source:
            pages = list(source.read(request("replicated", size=2)))
            assert ids(pages) == expected
            source.acknowledge("replicated", pages[0].position)
    channel = channel_to(rabbit)
    channel.queue_delete("replicated")
    channel.connection.close()


def test_messages_that_reach_no_queue_are_told(rabbit: brokers.Broker, queue: str):
    """A record that the exchange sends nowhere, or the queue does not take, is refused by name; the others arrive."""
    channel = channel_to(rabbit)
    channel.exchange_declare("people", durable=True)
    channel.queue_bind(queue, "people", "p.2")
    described = {"name": queue, "exchange": "people", "routing_key": "p.{key}"}
    records = pl.DataFrame({"id": [1, 2]})
    with connect(rabbit, described) as target:
        result = target.write(queue, NUMBERS, [Change(Op.CREATE, "id", records)])
        assert [(f.row, "'1'" in str(f.message), "people" in str(f.message)) for f in result.failures] == [
            (0, True, True)
        ]
        assert ids(list(target.read(request(queue)))) == [2]
    channel.queue_declare("small", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    with connect(rabbit, "small") as target:
        result = target.write("small", NUMBERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1, 2, 3]}))])
        assert [f.row for f in result.failures][-1:] == [2]
        assert "full" in str(result.failures[-1].message)
    with (
        connect(rabbit, {"name": queue, "exchange": "nowhere"}) as target,
        pytest.raises(ObjectMissing, match="nowhere"),
    ):
        target.write(queue, NUMBERS, [Change(Op.CREATE, "id", records)])
    channel.queue_delete("small")
    channel.exchange_delete("people")
    channel.connection.close()


def test_dead_letters(rabbit: brokers.Broker, queue: str):
    """What others reject in a queue that Syncline has made comes to its dead-letter queue, and is read from there."""
    channel = channel_to(rabbit)
    channel.exchange_declare("graves", exchange_type="direct", durable=True)
    channel.queue_declare("dead", durable=True)
    channel.queue_bind("dead", "graves", "people")
    described = {
        "name": "alive", "declare": True, "dead_letter_exchange": "graves", "dead_letter_routing_key": "people",
    }  # fmt: skip
    with connect(rabbit, described) as target:
        records = pl.DataFrame({"id": [1, 2, 3]})
        assert not target.write("alive", NUMBERS, [Change(Op.CREATE, "id", records)]).failures
    for _ in range(2):
        method, _, _ = channel.basic_get("alive")
        channel.basic_reject(method.delivery_tag, requeue=False)
    with connect(rabbit, "dead", message_fields=True) as source:
        (page,) = source.read(ReadRequest("dead", source.schema("dead")))
        assert page.records["id"].to_list() == [1, 2]
        assert "x-first-death-queue" in page.records["message_headers"][0]
        source.acknowledge("dead", page.position)
    with connect(rabbit, "alive") as source:
        assert ids(list(source.read(request("alive")))) == [3]
    for name in ("alive", "dead"):
        channel.queue_delete(name)
    channel.exchange_delete("graves")
    channel.connection.close()


def test_many_are_on_their_way_at_once(rabbit: brokers.Broker, queue: str):
    """Confirmations come in batches, so that many messages take seconds; each arrives once and in its order."""
    count = 2_000
    with connect(rabbit, queue) as target:
        records = pl.DataFrame({"id": range(count)})
        begun = time.monotonic()
        assert not target.write(queue, NUMBERS, [Change(Op.CREATE, "id", records)]).failures
        assert time.monotonic() - begun < 20
        assert ids(list(target.read(request(queue)))) == list(range(count))


def test_confirmations_that_do_not_come(rabbit: brokers.Broker, queue: str, monkeypatch: pytest.MonkeyPatch):
    """A broker that takes messages and never says so is given up; nothing counts as written."""
    monkeypatch.setattr(Confirms, "_told", lambda *_: None)
    with connect(rabbit, queue) as target:
        monkeypatch.setattr(target.broker.place, "context", Context(timeout=0.3))
        with pytest.raises(Unavailable, match="not confirmed"):
            target.write(queue, NUMBERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))])


def test_a_return_of_somebody_else() -> None:
    """A message that comes back and was not sent by this channel is no concern."""
    inner = SimpleNamespace(confirm_delivery=lambda _: None)
    channel = SimpleNamespace(add_on_return_callback=lambda _: None, _impl=inner)
    confirms = Confirms(channel, 1.0, Unavailable)
    confirms._returned(None, None, pika.BasicProperties(), b"")
    assert not confirms.unroutable


def test_what_a_message_says_of_itself(rabbit: brokers.Broker, queue: str):
    """Id, key, time and headers can be fields; a message without an id is known by what it holds."""
    publish(
        rabbit,
        queue,
        b'{"name": "Ada"}',
        headers={"key": "7", "raw": b"\xff"},
        timestamp=1_700_000_000,
        message_id="m1",
    )
    publish(rabbit, queue, b'{"name": "Bea"}', b'{"name": "Bea"}', b'{"name": "Cid"}')
    publish(rabbit, queue, b"", headers={"key": "8"})
    with connect(rabbit, queue, key="", message_fields=True) as source:
        schema = source.schema(queue)
        assert schema.names == ("name", "message_id", "message_key", "message_time", "message_headers")
        rows = next(source.read(ReadRequest(queue, schema))).records.to_dicts()
        assert rows[0]["message_key"] == "7"
        assert rows[0]["message_time"].isoformat() == "2023-11-14T22:13:20+00:00"
        assert rows[0]["message_headers"] == '{"key":"7","raw":"\\\\xff"}'
        assert len({row["message_id"] for row in rows}) == 3
    with connect(rabbit, queue, key="message_id") as source:
        found = source.schema(queue)
        assert (found.names, found.key) == (("name", "message_id"), ("message_id",))
        page = next(source.read(ReadRequest(queue, found)))
        assert (page.records.height, page.left_out, page.deleted.height) == (3, 1, 1)


def test_given_fields_stand(rabbit: brokers.Broker, queue: str):
    """Described fields need no messages, with those of the message itself where they are wanted."""
    described = {"name": queue, "fields": [{"name": "id", "type": "integer"}]}
    with connect(rabbit, described, message_fields=True) as source:
        found = source.schema(queue)
        assert found.names == ("id", "message_id", "message_key", "message_time", "message_headers")
        assert found.key == ("id",)


def test_encrypted(rabbit: brokers.Broker, queue: str):
    """A trusted certificate is accepted, an unknown one is not, and any is where it is not to be checked."""
    publish(rabbit, queue, *people(1, 2))
    secure = {"host": "localhost", "port": rabbit.tls_port}
    for more in ({"tls": "verify", "tls_ca": rabbit.certificate}, {"tls": "require"}):
        with connect(rabbit, queue, **secure, **more) as source:
            assert ids(list(source.read(request(queue)))) == [1, 2]
    for more in ({"tls": "verify"}, {"tls": "verify", "tls_ca": "nonsense"}):
        with connect(rabbit, queue, **secure, **more) as source, pytest.raises(Misconfigured):
            source.objects()


def test_what_goes_wrong_is_told(rabbit: brokers.Broker, queue: str, web: Any):
    """Each mistake has its own kind of error."""
    channel = channel_to(rabbit)
    channel.queue_declare(f"{queue}x", exclusive=True)
    with connect(rabbit, f"{queue}x") as source, pytest.raises(Unavailable, match="in use"):
        source.objects()
    channel.connection.close()
    with connect(rabbit, queue) as source:
        with pytest.raises(Misconfigured):
            list(source.read(ReadRequest(queue, NUMBERS, Cursor("id", "id"))))
        with pytest.raises(Misconfigured, match="looked up"):
            source.lookup(queue, NUMBERS, "id", pl.Series([1]))
    with connect(rabbit, {"name": queue, "exchange": "amq.gen"}) as source, pytest.raises(ConnectorError):
        source.write(queue, NUMBERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))])
    with connect(rabbit) as source:
        assert [step.ok for step in source.check()] == [True, True, True, False]
    with connect(rabbit, {"nam": 1}) as source:
        assert [step.ok for step in source.check()] == [False]
    with (
        Amqp(settings_of(rabbit, queue, port=web.port), Context(timeout=1)) as source,
        pytest.raises(ConnectorError, match="Timeout"),
    ):
        source.objects()


def test_a_rule_survives_a_crash_of_the_broker(rabbit: brokers.Broker, queue: str, world: World, monkeypatch):
    """The broker is killed in the middle of a run and comes back: every message is done, none twice, none is left."""
    publish(rabbit, queue, *(b'{"id": %d, "name": "N%d", "phone": "1"}' % (n, n) for n in range(1, 21)))
    described = {"name": queue, "fields": [{"name": "id", "type": "integer"}, {"name": "name"}, {"name": "phone"}]}
    plain = {n: v for n, v in settings_of(rabbit, described).items() if v is not None}
    connections.create(world.house, {"kind": "connection", "name": "mq", "connector": "amqp", "settings": plain}, ADMIN)
    world.pages_of(4)
    world.rule(left={"connection": "mq", "object": queue})
    check_in, calls = Journal.check_in, []

    def crash(self: Journal, *args: Any) -> None:
        check_in(self, *args)
        calls.append(1)
        if len(calls) == 2:
            rabbit.stop(signal.SIGKILL)
            rabbit.start()

    monkeypatch.setattr(Journal, "check_in", crash)
    run = world.run()
    assert (run.state, run.message) == ("succeeded", None)
    assert [row[0] for row in world.clients()] == list(range(1, 21))
    assert run.counts["created"] == 20
    with connect(rabbit, queue) as source:
        assert source.objects()[0].records == 0


def test_few_are_sampled(rabbit: brokers.Broker, queue: str):
    """A sample ends with the number that was asked for, and a mark of another read gives nothing up."""
    publish(rabbit, queue, *people(1, 5))
    with connect(rabbit, queue) as source:
        assert len(source.broker.sample(source.named[queue], 2)) == 2
        reading = source.read(request(queue))
        next(reading)
        source.acknowledge(queue, {"mark": ["another scan", 1]})
        reading.close()
    with connect(rabbit, queue) as source:
        assert ids(list(source.read(request(queue)))) == [1, 2, 3, 4, 5]


def test_deliveries_are_waited_for_so_long(rabbit: brokers.Broker, queue: str, monkeypatch):
    """A broker that has messages and delivers none is told."""
    monkeypatch.setattr(AmqpBroker, "ready", lambda *_: 1)
    with Amqp(settings_of(rabbit, queue), Context(timeout=0.5)) as source:
        source.broker.channel().close()
        with pytest.raises(Unavailable, match="delivered"):
            list(source.read(request(queue)))


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (403, "ACCESS_REFUSED", Forbidden),
        (406, "delivery acknowledgement on channel 1 timed out", Unavailable),
        (406, "PRECONDITION_FAILED", Fatal),
    ],
)
def test_closed_channels_are_told_by_their_kind(code: int, text: str, kind: type[Exception]):
    """Each reason for which the broker closes a channel is told as what it is."""
    place = Place({"host": "h", "port": 1}, Context(), "RabbitMQ")
    with pytest.raises(kind, match="people"), told(place, "people"):
        raise pika.exceptions.ChannelClosedByBroker(code, text)


def test_what_goes_wrong_when_connecting():
    """What answers something else, and mistakes of our own, are told as such."""
    place = Place({"host": "h", "port": 1}, Context(), "RabbitMQ")
    with pytest.raises(Misconfigured, match="not RabbitMQ"), Opening(place, "/"):
        raise pika.exceptions.IncompatibleProtocolError("x")
    with pytest.raises(KeyError), Opening(place, "/"):
        raise KeyError
