"""The connector `kafka` against Tansu, a broker that speaks Kafka's protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.builtin.kafka import Kafka
from connectors.errors import AuthFailed, Fatal, Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Context, ReadRequest
from connectors.testing import ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import brokers, kafka_sign_in, servers
from tests.connectors.databases import closed_port
from tests.connectors.test_amqp import bodies, described
from tests.connectors.tls_proxy import encrypted

NUMBERS = Schema((Field("id", FieldType.INTEGER, nullable=False),), ("id",))


@pytest.fixture
def tansu() -> Iterator[brokers.Broker]:
    """Return a fresh broker."""
    yield from brokers.or_skip(brokers.kafka)


def make(settings: Mapping[str, Any], topic: str, partitions: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": f"{settings['host']}:{settings['port']}"})
    for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        made.result(10)


def produce(settings: Mapping[str, Any], topic: str, *messages: tuple[str | None, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": f"{settings['host']}:{settings['port']}", "enable.idempotence": True})
    for key, body in messages:
        producer.produce(topic, body, key=key)
    assert producer.flush(10) == 0


def settings_of(broker: brokers.Broker, *objects: Any, **more: Any) -> dict[str, Any]:
    return {"host": broker.host, "port": broker.port, "key": "id", "objects": list(objects), **more}


def connect(settings: Mapping[str, Any], timeout: float = 5) -> Kafka:
    defaults = {setting.name: setting.default for setting in Kafka.spec.settings}
    return Kafka({**defaults, **settings}, Context(timeout=timeout))


def ids(pages: Sequence[Any]) -> list[int]:
    return [number for page in pages for number in page.records["id"]]


class TestConformance(ConnectorConformance):
    """Tansu passes the suite with JSON messages in one partition."""

    connector = Kafka

    @pytest.fixture
    def context(self) -> Context:
        """Wait less long for what does not answer."""
        return Context(timeout=4.0)

    @pytest.fixture
    def settings(self, tansu: brokers.Broker, sample: Schema) -> Settings:
        """Return the settings of a connection to an empty broker."""
        return settings_of(tansu, described(sample))

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        """Fill a topic."""
        make(settings, "sample")
        produce(settings, "sample", *((None, body) for body in bodies(schema, records)))

    def poison(self, settings: Settings) -> None:
        """Send what is no record."""
        produce(settings, "sample", (None, POISON.encode()))

    def broken(self, settings: Settings) -> Sequence[Settings]:
        """Return what a person may get wrong."""
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.1.2.3"},
            {**settings, "port": closed_port()},
            {**settings, "tls": "verify", "tls_ca": "nonsense"},
        ]

    def refused(self) -> Mapping[str, Any]:
        """Say that a title may be too long."""
        return {"title": "x" * 41}


def test_the_order_of_each_key_is_kept_over_partitions(tansu: brokers.Broker):
    """Messages of one key come in their order, whichever partition holds them, and are acknowledged as they are met."""
    settings = settings_of(tansu)
    make(settings, "people", 3)
    produce(settings, "people", *((str(n % 7), b'{"id": %d}' % n) for n in range(300)))
    met: list[int] = []
    with connect(settings) as source:
        for page in source.read(ReadRequest("people", NUMBERS, page_size=40, consume=True)):
            met += ids([page])
            source.acknowledge("people", page.position)
    assert sorted(met) == list(range(300))
    for key in range(7):
        assert [n for n in met if n % 7 == key] == list(range(key, 300, 7))
    with connect(settings) as source:
        assert ids(list(source.read(ReadRequest("people", NUMBERS, consume=True)))) == []
    with connect({**settings, "group": "another"}) as source:
        assert len(ids(list(source.read(ReadRequest("people", NUMBERS, consume=True))))) == 300


def test_what_is_written(tansu: brokers.Broker):
    """A record becomes a message with its key, a deletion one without a value, by which logs are compacted."""
    settings = settings_of(tansu, {"name": "people", "fields": [{"name": "id", "type": "integer"}]})
    make(settings, "people")
    with connect(settings) as target:
        changes = [
            Change(Op.CREATE, "id", pl.DataFrame({"id": [1, 2]})),
            Change(Op.DELETE, "id", pl.DataFrame({"id": [1]})),
        ]
        assert not target.write("people", NUMBERS, changes).failures
        found = target.broker.sample(target.named["people"], 10)
        assert [(m.key, m.body, m.headers["operation"]) for m in found] == [
            ("1", b'{"id":1}', "create"), ("2", b'{"id":2}', "create"), ("1", b"", "delete")
        ]  # fmt: skip
        assert len({m.headers["id"] for m in found}) == 3
        assert found[0].time is not None
        page = next(target.read(ReadRequest("people", NUMBERS)))
        assert (page.records["id"].to_list(), page.deleted["id"].to_list(), page.left_out) == ([2], [1], 1)


def test_topics_are_found(tansu: brokers.Broker):
    """Topics are listed with those that are only described; one that is not there is told when it is read."""
    settings = settings_of(tansu, "later")
    make(settings, "people")
    produce(settings, "people", ("7", json.dumps({"name": "Ada"}).encode()))
    with connect(settings) as source:
        assert [info.name for info in source.objects()] == ["later", "people"]
        assert source.schema("people").names == ("name", "id")
        with pytest.raises(ObjectMissing, match="later"):
            list(source.read(ReadRequest("later", NUMBERS)))


def test_a_broker_that_is_gone(tansu: brokers.Broker):
    """Reading, acknowledging and writing say that the broker cannot be reached."""
    settings = settings_of(tansu, {"name": "people", "fields": [{"name": "id", "type": "integer"}]})
    make(settings, "people")
    produce(settings, "people", *((str(n), b'{"id": %d}' % n) for n in range(4)))
    defaults = {setting.name: setting.default for setting in Kafka.spec.settings}
    with Kafka({**defaults, **settings}, Context(timeout=1)) as source:
        reading = source.read(ReadRequest("people", NUMBERS, page_size=2, consume=True))
        page = next(reading)
        tansu.stop()
        with pytest.raises(Unavailable):
            source.acknowledge("people", page.position)
        with pytest.raises(Unavailable):
            source.write("people", NUMBERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTHENTICATION, AuthFailed),
        (KafkaError._SSL, Misconfigured),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, Forbidden),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ObjectMissing),
        (KafkaError._TRANSPORT, Unavailable),
    ],
)
def test_errors_are_told_by_their_kind(tansu: brokers.Broker, code: int, kind: type[Exception]):
    """Each kind of error of the client is told as what it is."""
    with connect(settings_of(tansu)) as source, pytest.raises(kind), source.broker.told("people"):
        raise KafkaException(KafkaError(code))
    with connect(settings_of(tansu)) as source, pytest.raises(Fatal), source.broker.told("people"):
        raise KafkaException(KafkaError(KafkaError._FATAL, "it is over", fatal=True))


def test_how_clients_sign_in(tansu: brokers.Broker):
    """User and encryption decide about the protocol; certificates are checked where it is asked for."""
    with connect(settings_of(tansu, user="ada", password="x", mechanism="SCRAM-SHA-512", tls="verify")) as source:
        found = source.broker.configuration()
        assert (found["security.protocol"], found["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
        assert found["ssl.endpoint.identification.algorithm"] == "https"
    with connect(settings_of(tansu, tls="require")) as source:
        found = source.broker.configuration()
        assert (found["security.protocol"], found["enable.ssl.certificate.verification"]) == ("SSL", False)


def test_encrypted(tmp_path: Path):
    """Messages go over an encrypted connection, of which the certificate is checked where it is asked for."""
    port = servers.free_port()
    for broker in brokers.or_skip(lambda: brokers.kafka(advertised=f"localhost:{port}")):
        with encrypted(broker.port, port, tmp_path) as certificate:
            place = {"host": "localhost", "port": port}
            settings = {**settings_of(broker), **place, "tls": "verify", "tls_ca": certificate}
            admin = AdminClient({
                "bootstrap.servers": f"localhost:{port}", "security.protocol": "SSL",
                "ssl.ca.pem": certificate,
            })  # fmt: skip
            for made in admin.create_topics([NewTopic("secret", 1, 1)]).values():
                made.result(10)
            with connect(settings) as source:
                assert all(step.ok for step in source.check())
                records = pl.DataFrame({"id": [1, 2]})
                assert not source.write("secret", NUMBERS, [Change(Op.CREATE, "id", records)]).failures
                assert ids(list(source.read(ReadRequest("secret", NUMBERS)))) == [1, 2]
            with connect({**settings, "tls_ca": ""}) as wrong:
                assert not list(wrong.check())[-1].ok
            with connect({**settings, "tls": "require"}) as trusting:
                assert ids(list(trusting.read(ReadRequest("secret", NUMBERS)))) == [1, 2]


def round_trip(settings: Mapping[str, Any], number: int) -> None:
    """Write a message and read it as this user."""
    with connect(settings) as source:
        assert all(step.ok for step in source.check())
        if not source.objects():
            admin = AdminClient(source.broker.configuration())
            for made in admin.create_topics([NewTopic("people", 1, 1)]).values():
                made.result(10)
        change = Change(Op.CREATE, "id", pl.DataFrame({"id": [number]}))
        assert not source.write("people", NUMBERS, [change]).failures
        assert number in ids(list(source.read(ReadRequest("people", NUMBERS))))


def test_users_sign_in(tmp_path: Path):
    """By PLAIN and by SCRAM of both hashes users come in; with a wrong password, or without any, they do not."""
    with kafka_sign_in.kafka(tmp_path, encrypted=False) as gate:
        settings = {**settings_of(gate.broker), "host": gate.host, "port": gate.port, "user": gate.user}
        for number, mechanism in enumerate(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")):
            signed = {**settings, "mechanism": mechanism, "password": gate.password}
            round_trip(signed, number)
            assert mechanism in gate.come_in
            with connect({**signed, "password": "wrong"}) as wrong, pytest.raises(AuthFailed, match="'ada'"):
                wrong.objects()
        with connect({**settings, "user": ""}, 1) as guest, pytest.raises(Unavailable):
            guest.objects()


def test_clients_show_certificates(tmp_path: Path):
    """A server that wants certificates of clients gets ours; without one, or with a broken one, nobody is let in."""
    with kafka_sign_in.kafka(tmp_path, encrypted=True) as gate:
        signed = {"user": gate.user, "password": gate.password, "mechanism": "SCRAM-SHA-512", "tls": "verify"}
        place = {"host": gate.host, "port": gate.port, "tls_ca": gate.certificate}
        shown = {"client_certificate": gate.certificate, "client_key": gate.key}
        settings = {**settings_of(gate.broker), **signed, **place}
        round_trip({**settings, **shown}, 1)
        with connect(settings, 1) as unknown, pytest.raises((Misconfigured, Unavailable)):
            unknown.objects()
        with connect({**settings, **shown, "client_key": "x"}) as wrong, pytest.raises(Misconfigured, match="key"):
            wrong.objects()
