"""The connector `mqtt` against Mosquitto."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.mqtt import Mqtt
from connectors.builtin.mqtt_session import Session
from connectors.builtin.queue_network import Place
from connectors.errors import Forbidden, Misconfigured, Unavailable
from connectors.spi import Context, ReadRequest
from connectors.testing import ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import brokers
from tests.connectors.databases import closed_port
from tests.connectors.test_amqp import bodies, described

NUMBERS = Schema((Field("id", FieldType.INTEGER, nullable=False),), ("id",))


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[brokers.Broker]:
    """Return the module's Mosquitto."""
    yield from brokers.or_skip(brokers.mosquitto)


def settings_of(broker: brokers.Broker, *objects: Any, **more: Any) -> dict[str, Any]:
    own = {"host": broker.host, "port": broker.port, "user": broker.user, "password": broker.password, "key": "id"}
    return {**own, "client_id": f"c{secrets.token_hex(4)}", "quiet": 1, "objects": list(objects), **more}


def connect(settings: Mapping[str, Any]) -> Mqtt:
    defaults = {setting.name: setting.default for setting in Mqtt.spec.settings}
    return Mqtt({**defaults, **settings}, Context(timeout=5))


def publish(settings: Mapping[str, Any], topic: str, *messages: bytes) -> None:
    session = Session(Place(settings, Context(), "MQTT"), "")
    numbers = [session.publish(topic, body) for body in messages]
    assert not any(session.answer(number).is_failure for number in numbers)
    session.close()


def listening(settings: Mapping[str, Any]) -> None:
    """Let the broker keep messages from now on."""
    with connect(settings) as source:
        assert all(step.ok for step in source.check())


def emptied(settings: Mapping[str, Any]) -> None:
    """End the sessions of all objects, and begin them anew."""
    with connect(settings) as source:
        for found in source.named.values():
            Session(source.broker.place, source.broker.session_id(found)).close()
    listening(settings)


def request(name: str, after: Any = None, size: int = 5) -> ReadRequest:
    return ReadRequest(name, NUMBERS, after=after, page_size=size, consume=True)


def ids(pages: Sequence[Any]) -> list[int]:
    return [number for page in pages for number in page.records["id"]]


class TestConformance(ConnectorConformance):
    """Mosquitto passes the suite with JSON messages."""

    connector = Mqtt

    @pytest.fixture
    def settings(self, mosquitto: brokers.Broker, sample: Schema) -> Settings:
        """Return the settings of a connection with one topic."""
        return settings_of(mosquitto, described(sample))

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        """Fill the topic anew."""
        emptied(settings)
        publish(settings, "sample", *bodies(schema, records))

    def poison(self, settings: Settings) -> None:
        """Send what is no record."""
        publish(settings, "sample", POISON.encode())

    def broken(self, settings: Settings) -> Sequence[Settings]:
        """Return what a person may get wrong."""
        return [
            {**settings, "host": "nowhere.invalid"},
            {**settings, "host": "10.1.2.3"},
            {**settings, "port": closed_port()},
            {**settings, "password": "wrong"},
            {**settings, "tls": "verify"},
        ]

    def refused(self) -> Mapping[str, Any]:
        """Say that a title may be too long."""
        return {"title": "x" * 41}


def test_messages_wait_for_the_next_run(mosquitto: brokers.Broker):
    """What is published while nobody reads is kept, far more than is in flight at a time, and read in its order."""
    settings = settings_of(mosquitto, "people")
    listening(settings)
    publish(settings, "people", *(b'{"id": %d}' % n for n in range(100)))
    with connect(settings) as source:
        met = []
        for page in source.read(request("people", size=1000)):
            met += ids([page])
            source.acknowledge("people", page.position)
    assert met == list(range(100))
    with connect(settings) as source:
        assert ids(list(source.read(request("people")))) == []


def test_a_broker_that_is_killed(mosquitto: brokers.Broker):
    """All that was not acknowledged is read again after a crash of the broker."""
    settings = settings_of(mosquitto, "people")
    listening(settings)
    publish(settings, "people", *(b'{"id": %d}' % n for n in range(10)))
    with connect(settings) as source:
        reading = source.read(request("people"))
        first = next(reading)
        mosquitto.stop()
        with pytest.raises(Unavailable):
            source.acknowledge("people", first.position)
        with pytest.raises(Unavailable):
            list(source.read(request("people")))
        mosquitto.start()
        assert ids(list(source.read(request("people")))) == list(range(10))
    time.sleep(1.5)  # the broker keeps what it has every second
    mosquitto.stop(signal.SIGKILL)
    mosquitto.start()
    with connect(settings) as source:
        assert ids(list(source.read(request("people")))) == list(range(10))


def test_the_key_may_stand_in_the_topic(mosquitto: brokers.Broker):
    """What stands for the last + of a topic is the key; an empty message there says that its record is gone."""
    fields = [{"name": "id", "type": "integer"}, {"name": "name"}]
    settings = settings_of(
        mosquitto, {"name": "people", "topic": "people/+", "send_to": "people/{key}", "fields": fields}
    )
    emptied(settings)
    publish(settings, "people/1", b'{"name": "Ada"}')
    publish(settings, "people/2", b'{"name": "Bea"}', b"")
    with connect(settings) as source:
        schema = source.schema("people")
        page = next(source.read(ReadRequest("people", schema)))
        assert (page.records.rows(), page.deleted["id"].to_list()) == ([(1, "Ada")], [2])
        source.write("people", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [7], "name": ["Gus"]}))])
        found = source.broker.sample(source.named["people"], 10)[-1]
        assert (found.key, found.headers["topic"], found.headers["operation"]) == ("7", "people/7", "create")
        assert json.loads(found.body) == {"id": 7, "name": "Gus"}


def test_a_topic_with_wildcards_is_not_published_to(mosquitto: brokers.Broker):
    """Where to publish has to be said."""
    settings = settings_of(mosquitto, "people/+")
    with connect(settings) as source:
        assert not source.objects()[0].writable
        with pytest.raises(Misconfigured, match="send_to"):
            source.write("people/+", NUMBERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1]}))])
    with connect(settings_of(mosquitto)) as source:
        assert [step.ok for step in source.check()] == [True, True, True, False]


def test_encrypted(mosquitto: brokers.Broker):
    """A trusted certificate is accepted, an unknown one is not."""
    secure = {"host": "localhost", "port": mosquitto.tls_port}
    for more in ({"tls": "verify", "tls_ca": mosquitto.certificate}, {"tls": "require"}):
        with connect(settings_of(mosquitto, "people", **secure, **more)) as source:
            assert all(step.ok for step in source.check())
    with connect(settings_of(mosquitto, "people", **secure, tls="verify")) as source, pytest.raises(Misconfigured):
        source.objects()


def test_topics_that_are_not_allowed(mosquitto: brokers.Broker, monkeypatch):
    """A topic that the broker refuses is told, for reading by name, for writing by record."""
    settings = settings_of(mosquitto, "secret")
    with connect(settings) as source:
        result = source.write("secret", NUMBERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1, 2]}))])
        assert [(f.row, "secret" in str(f.message)) for f in result.failures] == [(0, True), (1, True)]
        monkeypatch.setattr(Session, "subscribe", lambda *_: False)  # Mosquitto lets everybody subscribe
        with pytest.raises(Forbidden, match="secret"):
            list(source.read(request("secret")))


def test_a_read_ends_without_a_mark(mosquitto: brokers.Broker, monkeypatch):
    """Where the mark may not be published, a read ends when nothing has come for a while."""
    settings = settings_of(mosquitto, "people")
    emptied(settings)
    publish(settings, "people", b'{"id": 1}', b'{"id": 2}')
    subscribe = Session.subscribe
    monkeypatch.setattr(Session, "subscribe", lambda self, topic: "/end" not in topic and subscribe(self, topic))
    with connect(settings) as source:
        assert ids(list(source.read(request("people")))) == [1, 2]


def test_many_are_written_ahead(mosquitto: brokers.Broker):
    """More messages than are sent ahead of their answers arrive in their order; one of quality 0 needs no answer."""
    settings = settings_of(mosquitto, "people")
    emptied(settings)
    with connect(settings) as target:
        records = pl.DataFrame({"id": list(range(250))})
        assert not target.write("people", NUMBERS, [Change(Op.CREATE, "id", records)]).failures
        plain = Session(target.broker.place, "")
        plain._client.publish("people", b'{"id": 999}', qos=0)
        plain.subscribe("people")
        plain.close()
        met = []
        for page in target.read(request("people", size=100)):
            met += ids([page])
            target.acknowledge("people", page.position)
            target.acknowledge("people", {"mark": ["another scan", 1]})
        assert met[:250] == list(range(250))


def test_what_is_no_broker(mosquitto: brokers.Broker, web: Any):
    """A server that does not answer as a broker does is told, and so is a broker that does not answer in time."""
    with (
        Mqtt(settings_of(mosquitto, "people", port=web.port), Context(timeout=1)) as source,
        pytest.raises(Unavailable, match="MQTT"),
    ):
        source.objects()
    session = Session(Place(settings_of(mosquitto), Context(timeout=0.2), "MQTT"), "")
    with pytest.raises(Unavailable, match="nothing happens"):
        session.until(lambda: False, "nothing happens")
    session.close()
