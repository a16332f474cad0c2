"""The connector `redis_streams` against Valkey."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest
import redis

from connectors.builtin.redis_streams import RedisStreams
from connectors.errors import Fatal, Forbidden, ObjectMissing, Unavailable
from connectors.spi import Context, ReadRequest
from connectors.testing import ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import servers
from tests.connectors.databases import closed_port
from tests.connectors.test_amqp import bodies, described


def client_of(settings: Mapping[str, Any]) -> redis.Redis:
    return redis.Redis(host=settings["host"], port=settings["port"])


class TestConformance(ConnectorConformance):
    """Valkey passes the suite with JSON messages."""

    connector = RedisStreams

    @pytest.fixture
    def context(self) -> Context:
        """Wait less long for what does not answer."""
        return Context(timeout=4.0)

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


PEOPLE = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name")), ("id",))


def connect(settings: Mapping[str, Any], **more: Any) -> RedisStreams:
    defaults = {setting.name: setting.default for setting in RedisStreams.spec.settings}
    return RedisStreams({**defaults, **settings, **more}, Context(timeout=5))


@pytest.fixture
def plain(valkey_server: servers.Server) -> Iterator[dict[str, Any]]:
    """Return the settings of a connection that describes nothing."""
    settings = {"host": valkey_server.host, "port": valkey_server.port, "key": "id"}
    yield settings
    with client_of(settings) as client:
        client.flushall()


def request(after: Any = None, size: int = 100, *, consume: bool = True) -> ReadRequest:
    return ReadRequest("people", PEOPLE, after=after, page_size=size, consume=consume)


def ids(pages: Sequence[Any]) -> list[int]:
    return [number for page in pages for number in page.records["id"]]


def test_entries_may_be_records_themselves(plain: dict[str, Any]):
    """Of an entry without a message, the fields are the record; its key may stand in a field of its own."""
    with client_of(plain) as client, connect(plain) as source:
        client.xadd("people", {"id": "1", "name": "Ada"})
        client.xadd("people", {"payload": '{"name": "Bea"}', "key": "2", "by": "crm"})
        client.set("other", "no stream")
        assert [(info.name, info.records) for info in source.objects()] == [("people", 2)]
        assert source.schema("people").names == ("id", "name")
        page = next(source.read(request()))
        assert page.records.rows() == [(1, "Ada"), (2, "Bea")]
        assert source.objects()[0].records == 2
        with pytest.raises(ObjectMissing, match="gone"):
            list(source.read(ReadRequest("gone", PEOPLE)))


def test_entries_that_others_took_are_taken_over(plain: dict[str, Any]):
    """What another consumer of the group has left for long is read with the rest; what was deleted is given up."""
    with client_of(plain) as client:
        for number in range(1, 6):
            client.xadd("people", {"payload": json.dumps({"id": number})}, id=f"{number}-0")
        client.xgroup_create("people", "syncline", "0")
        client.xreadgroup("syncline", "crashed", {"people": ">"}, count=3)
        time.sleep(1.1)
        client.xdel("people", "2-0")
        with connect(plain, claim_after=1) as source:
            pages = list(source.read(request(size=2)))
            assert ids(pages) == [1, 3, 4, 5]
            client.xdel("people", "3-0")
        with connect(plain) as source:
            pages = list(source.read(request()))
            assert ids(pages) == [1, 4, 5]
            source.acknowledge("people", pages[-1].position)
        assert client.xpending("people", "syncline")["pending"] == 0


def test_what_was_durable_is_given_up_by_the_next_worker(plain: dict[str, Any]):
    """A read behind a position acknowledges what lies before it, and what is looked at begins behind it, too."""
    with client_of(plain) as client:
        for number in range(1, 7):
            client.xadd("people", {"payload": json.dumps({"id": number})}, id=f"{number}-0")
        with connect(plain) as source:
            pages = list(source.read(request(size=2)))
        with connect(plain) as source:
            assert ids(list(source.read(request(pages[0].position, consume=False)))) == [3, 4, 5, 6]
            assert ids(list(source.read(request(pages[1].position)))) == [5, 6]
            assert client.xpending("people", "syncline")["pending"] == 2
        with connect(plain, group="another") as source:
            assert ids(list(source.read(request(consume=False)))) == [1, 2, 3, 4, 5, 6]


def test_streams_are_kept_short(plain: dict[str, Any]):
    """Where a length is given, old entries are given up."""
    objects = [{"name": "people", "max_length": 10, "fields": [{"name": "id", "type": "integer"}, {"name": "name"}]}]
    with client_of(plain) as client, connect({**plain, "objects": objects}) as target:
        records = pl.DataFrame({"id": list(range(5000)), "name": ["x"] * 5000})
        assert not target.write("people", PEOPLE, [Change(Op.CREATE, "id", records)]).failures
        assert client.xlen("people") < 1000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis.exceptions.NoPermissionError("NOPERM"), Forbidden),
        (redis.exceptions.ResponseError("OOM command not allowed"), Unavailable),
        (redis.exceptions.ResponseError("WRONGTYPE"), Fatal),
        (redis.exceptions.TimeoutError("slow"), Unavailable),
    ],
)
def test_errors_are_told_by_their_kind(plain: dict[str, Any], error: Exception, kind: type[Exception]):
    """Each kind of error of the server is told as what it is."""
    with connect(plain) as source, pytest.raises(kind), source.broker.told("people"):
        raise error


def test_a_stream_that_is_none(plain: dict[str, Any]):
    """A name that holds something else is told."""
    with client_of(plain) as client, connect({**plain, "objects": ["people"]}) as source:
        client.set("people", "text")
        with pytest.raises(Fatal):
            list(source.read(request()))
        with pytest.raises(redis.exceptions.ResponseError):
            source.broker._join("people")
