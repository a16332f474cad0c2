"""Avro over Kafka: a real broker (Tansu), and a schema registry of our own that answers as Confluent's does."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from typing import Any

import fastavro
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin.kafka_avro import Avro
from connectors.builtin.kafka_broker import TopicObject
from connectors.builtin.queue_options import objects_of
from connectors.builtin.queue_payload import Unreadable
from connectors.errors import AuthFailed, Fatal, Misconfigured, Unavailable
from connectors.spi import Context, ReadRequest
from rules.schema import Change, FieldType, Op
from tests import brokers
from tests.connectors.test_kafka import connect, make, produce, settings_of

USER = "Basic " + base64.b64encode(b"sync:secret").decode()
ADDRESS = {"type": "record", "name": "Address", "namespace": "shop", "fields": [{"name": "city", "type": "string"}]}
CUSTOMER: dict[str, Any] = {
    "type": "record", "name": "Customer", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"], "default": None},
        {"name": "credit", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}]},
        {"name": "since", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "seen", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": None},
        {"name": "score", "type": ["null", "double"], "default": None},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "counts", "type": {"type": "map", "values": "int"}, "default": {}},
        {"name": "address", "type": ["null", "shop.Address"], "default": None},
    ],
}  # fmt: skip
RECORD = {
    "id": 1, "name": "客户", "credit": Decimal("1234567890123456.7891"), "since": dt.date(2024, 2, 29),
    "seen": dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=dt.UTC), "score": 0.5, "tags": ["a"],
    "counts": {"x": 1}, "address": {"city": "Köln"},
}  # fmt: skip
REFERENCE = {"name": "shop.Address", "subject": "address", "version": 3}
ANSWERS: dict[str, tuple[int, Any]] = {
    "/schemas/ids/7": (200, {"schema": json.dumps(CUSTOMER), "references": [REFERENCE]}),
    "/subjects/address/versions/3": (200, {"schema": json.dumps(ADDRESS), "id": 6, "version": 3}),
    "/subjects/customers-value/versions/latest": (200, {"id": 7, "version": 2, "schema": json.dumps(CUSTOMER)}),
    "/schemas/ids/8": (200, {"schemaType": "PROTOBUF", "schema": "message X {}"}),
    "/schemas/ids/9": (200, {"schema": '{"type": "recor"}'}),
    "/schemas/ids/10": (500, {}),
    "/schemas/ids/11": (418, {}),
    "/schemas/ids/12": (200, "no json"),
}


class Registry(BaseHTTPRequestHandler):
    """Answers what a registry with these schemas answers, and to nobody else."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == USER and "schemaregistry" in (self.headers["Accept"] or "")
        self.say(*(ANSWERS.get(self.path, (404, {"error_code": 40403})) if known else (401, {})))

    def say(self, status: int, body: Any) -> None:
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def registry() -> Iterator[dict[str, Any]]:
    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {
            "format": "avro", "registry_url": f"http://127.0.0.1:{server.server_port}/", "registry_user": "sync",
            "registry_password": "secret",
        }  # fmt: skip
        server.shutdown()
        thread.join()


class Growing(Registry):
    """Keeps what is registered, and takes a new schema only where readers with it can read what was written before."""

    kept: list[dict[str, Any]]

    def do_GET(self) -> None:
        if self.path.startswith("/schemas/ids/"):
            self.say(200, self.kept[int(self.path.rsplit("/", 1)[1]) - 1])
        elif self.kept:
            self.say(200, {"id": len(self.kept), "version": len(self.kept), **self.kept[-1]})
        else:
            self.say(404, {"error_code": 40401})

    def do_POST(self) -> None:
        new = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            before = self.kept[-1:] and json.loads(self.kept[-1]["schema"])
            if before:
                empty = {field["name"]: 1 if field["type"] == "long" else None for field in before["fields"]}
                body = BytesIO()
                fastavro.schemaless_writer(body, before, empty)
                fastavro.schemaless_reader(BytesIO(body.getvalue()), before, json.loads(new["schema"]))
        except Exception as error:  # noqa: BLE001 - the library has no errors of its own
            self.say(409, {"error_code": 409, "message": f"Schema being registered is incompatible: {error}"})
            return
        self.kept.append(new)
        self.say(200, {"id": len(self.kept)})


@pytest.fixture
def growing() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    kept: list[dict[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), type("Handler", (Growing,), {"kept": kept})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"format": "avro", "registry_url": f"http://127.0.0.1:{server.server_port}", "register": True}, kept
        server.shutdown()
        thread.join()


@pytest.fixture
def avro(registry: dict[str, Any]) -> Iterator[Avro]:
    with contextlib.closing(Avro(registry, Context(timeout=5))) as found:
        yield found


@pytest.fixture
def tansu() -> Iterator[brokers.Broker]:
    yield from brokers.or_skip(brokers.kafka)


def message(record: dict[str, Any], number: int = 7) -> bytes:
    """Return a record as other programs write it."""
    out, named = BytesIO(), dict[str, Any]()
    fastavro.parse_schema(ADDRESS, named)
    fastavro.schemaless_writer(out, fastavro.parse_schema(CUSTOMER, named), record)
    return b"\0" + number.to_bytes(4) + out.getvalue()


def test_records_are_read_and_written(tansu: brokers.Broker, registry: dict[str, Any]) -> None:
    """Values come with their types and digits and go back as they were; what is no Avro is put aside."""
    settings = settings_of(tansu, **registry)
    make(settings, "customers")
    produce(settings, "customers", ("1", message(RECORD)), ("2", b"{}"), ("3", message({**RECORD, "id": 3}, 99)))
    with connect(settings) as source:
        schema = source.schema("customers")
        (page,) = source.read(ReadRequest("customers", schema))
        assert (schema["id"].type, schema["since"].type) == (FieldType.INTEGER, FieldType.DATE)
        assert page.records["credit"].to_list() == [RECORD["credit"]]
        assert page.records["name"].to_list() == ["客户"]
        assert [str(reject.message) for reject in page.rejects] == [
            "The message is not Avro with the number of a schema.", "The schema registry has no schema 99.",
        ]  # fmt: skip
        twice = pl.concat([page.records, page.records.with_columns(id=pl.lit(2, dtype=pl.Int64))])
        bad = page.records.select(id=pl.lit(5, dtype=pl.Int64))
        changes = [Change(Op.CREATE, "id", twice), Change(Op.CREATE, "id", bad), Change(Op.DELETE, "id", bad)]
        failures = source.write("customers", schema, changes).failures
        assert [(one.change, one.row) for one in failures] == [(1, 0)], [str(one.message) for one in failures]
        assert "does not take it" in str(failures[0].message)
    with connect(settings) as again:
        (page,) = again.read(ReadRequest("customers", schema))
        assert page.records["credit"].to_list() == [RECORD["credit"]] * 2
        assert page.records["seen"].dtype == schema["seen"].dtype
        assert page.deleted is not None
        make(settings, "other")
        with pytest.raises(Misconfigured, match="no schema for 'other'"):
            again.write("other", schema, [Change(Op.CREATE, "id", twice)])


@pytest.mark.parametrize(
    ("number", "kind", "told"),
    [
        (8, Unreadable, "PROTOBUF"), (9, Unreadable, "that is none"), (10, Unavailable, "500"), (11, Fatal, "418"),
        (12, Fatal, "none"), (99, Unreadable, "no schema 99"),
    ],
)  # fmt: skip
def test_answers_of_the_registry(avro: Avro, number: int, kind: type[Exception], told: str) -> None:
    """Each answer ends in one sentence, which says whether it is about one message or about the registry."""
    with pytest.raises(kind, match=told):
        avro.as_json(message(RECORD, number))


def test_a_registry_that_does_not_let_in(registry: dict[str, Any]) -> None:
    """A wrong password is told as that; without an address there is nothing to ask."""
    with (
        contextlib.closing(Avro({**registry, "registry_user": ""}, Context(timeout=5))) as alone,
        pytest.raises(AuthFailed),
    ):
        alone.as_json(message(RECORD))
    with pytest.raises(Misconfigured, match="need the address"):
        Avro({}, Context())


def test_messages_cut_short(avro: Avro) -> None:
    """A message that ends too early is no record."""
    with pytest.raises(Unreadable, match="does not fit"):
        avro.as_json(message(RECORD)[:-8])


@given(
    st.fixed_dictionaries({
        "id": st.integers(-(2**63), 2**63 - 1), "name": st.none() | st.text(),
        "credit": st.none() | st.decimals(min_value=-(10**15), max_value=10**15, places=4),
        "since": st.none() | st.dates(min_value=dt.date(1900, 1, 1)),
        "seen": st.none() | st.datetimes(min_value=dt.datetime(1900, 1, 1), timezones=st.just(dt.UTC)),
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False), "tags": st.lists(st.text()),
        "counts": st.dictionaries(st.text(), st.integers(-(2**31), 2**31 - 1)),
        "address": st.none() | st.fixed_dictionaries({"city": st.text()}),
    })
)  # fmt: skip
def test_json_and_back(record: dict[str, Any]) -> None:
    """What is read as JSON is written as the same bytes."""
    codec = Avro.__new__(Avro)
    named: dict[str, Any] = {}
    fastavro.parse_schema(ADDRESS, named)
    codec._schemas, codec._latest = {7: fastavro.parse_schema(CUSTOMER, named)}, {"customers": 7}
    body = message(record)
    assert message_of(codec, codec.from_json("customers", codec.as_json(body))) == message_of(codec, body)


def message_of(codec: Avro, body: bytes) -> Any:
    return fastavro.schemaless_reader(BytesIO(body[5:]), codec._schemas[7], None)


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ({"type": "int", "logicalType": "time-millis"}, "01:02:03", "01:02:03"), ("boolean", True, True),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, "2024-02-29T01:02:03", "2024-02-29T01:02:03"),
        ({"type": "fixed", "name": "f", "size": 2}, "AAE=", "AAE="), ("double", "x", None),
        (["null", "long"], "x", None), (["null", {"type": "int", "logicalType": "date"}], "x", None),
        (["long"], None, None), ({"type": "enum", "name": "e", "symbols": ["A"]}, "A", "A"), ("double", 3, 3.0),
    ],
)  # fmt: skip
def test_kinds_of_values(kind: Any, given: Any, read: Any) -> None:
    """Values are fitted to the type that the schema says; what does not fit is refused."""
    codec = Avro.__new__(Avro)
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}
    codec._schemas, codec._latest = {7: fastavro.parse_schema(schema)}, {"t": 7}
    body = json.dumps({"x": given}).encode()
    if read is None:
        with pytest.raises(Unreadable):
            codec.from_json("t", body)
    else:
        assert json.loads(codec.as_json(codec.from_json("t", body))) == {"x": read}


FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True}, {"name": "name"}, {"name": "since", "type": "date"},
    {"name": "credit", "type": "decimal", "scale": 2}, {"name": "at", "type": "time"},
    {"name": "seen", "type": "datetime"}, {"name": "local", "type": "local_datetime"},
    {"name": "raw", "type": "binary"}, {"name": "yes", "type": "boolean"}, {"name": "score", "type": "float"},
]  # fmt: skip
VALUES: dict[str, Any] = {
    "id": 1, "name": "客户", "since": dt.date(2024, 2, 29), "credit": Decimal("12.50"), "at": dt.time(1, 2, 3),
    "seen": dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC), "local": dt.datetime(2024, 2, 29, 1, 2, 3),
    "raw": b"\x00\xff", "yes": True, "score": 0.5,
}  # fmt: skip


def test_schemas_are_registered(tansu: brokers.Broker, growing: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """A topic without a schema gets that of its description, once; a new field is added, and all is read again."""
    registry, kept = growing

    def settings(*fields: dict[str, Any]) -> dict[str, Any]:
        return settings_of(tansu, objects=[{"name": "new-orders", "key": "id", "fields": list(fields)}], **registry)

    make(settings(*FIELDS), "new-orders")
    for number, fields in enumerate((FIELDS[:3], FIELDS[:3], FIELDS), 1):
        with connect(settings(*fields)) as target:
            schema = target.schema("new-orders")
            values = {**VALUES, "id": number}
            row = pl.DataFrame({f.name: [values[f.name]] for f in schema.fields}, schema=schema.dtypes())
            assert not target.write("new-orders", schema, [Change(Op.CREATE, "id", row)]).failures
            if fields is FIELDS:
                rows = pl.concat([page.records for page in target.read(ReadRequest("new-orders", schema))])
                assert rows.row(2, named=True) == {**VALUES, "id": 3}
                assert rows["credit"].to_list() == [None, None, Decimal("12.50")]
    assert [len(json.loads(one["schema"])["fields"]) for one in kept] == [3, 10]


def test_schemas_that_the_registry_does_not_take(growing: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """A field that old messages do not have is refused in the registry's own words; nothing is written."""
    registry, kept = growing

    def writing(*fields: dict[str, Any], body: bytes = b'{"id": 1}') -> bytes:
        named = objects_of([{"name": "t", "fields": list(fields)}], TopicObject)
        with contextlib.closing(Avro(registry, Context(timeout=5), named)) as codec:
            return codec.from_json("t", body)

    for field, told in (
        ({"name": "größe"}, "no field with the name"), ({"name": "x", "type": "json"}, "how Avro shall hold it"),
        ({"name": "x", "type": "decimal"}, "how Avro shall hold it"),
    ):  # fmt: skip
        with pytest.raises(Misconfigured, match=told):
            writing(FIELDS[0], field)
    with pytest.raises(Misconfigured, match="no schema for 't'") as caught:
        writing()
    assert "Describe the fields" in str(caught.value.advice)
    assert not kept
    assert writing(FIELDS[0]) == b"\0\0\0\0\x01\x02"
    with pytest.raises(Misconfigured, match="does not take the new schema of 't': Schema being registered"):
        writing(FIELDS[0], {"name": "more", "required": True})
    assert len(kept) == 1


def test_a_schema_that_has_more_stays(growing: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """Where the owner's schema has all described fields, it is written by it, and none is registered."""
    registry, kept = growing
    kept.append({"schema": json.dumps({"type": "record", "name": "t", "fields": [
        {"name": "id", "type": "long"}, {"name": "own", "type": "string", "default": "x"}]})})  # fmt: skip
    named = objects_of([{"name": "t", "fields": FIELDS[:1]}], TopicObject)
    with contextlib.closing(Avro(registry, Context(timeout=5), named)) as codec:
        assert json.loads(codec.as_json(codec.from_json("t", b'{"id": 5}'))) == {"id": 5, "own": "x"}
    assert len(kept) == 1


def test_fields_that_the_schema_has_not(avro: Avro) -> None:
    """A record with a field that its schema does not have is put aside: without it, it would be another record."""
    record = {"id": 1, "credit": None, "extra": 2}
    with pytest.raises(Unreadable, match="no field 'extra'"):
        avro.from_json("customers", json.dumps(record).encode())
    del record["extra"]
    assert avro.from_json("customers", json.dumps({**record, "message_key": "1"}).encode())
