"""The text of messages: JSON, XML and CSV, taken apart and put together, and what is no record."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from connectors.builtin.queue_message import Message
from connectors.builtin.queue_options import PayloadOptions, QueueObject, objects_of
from connectors.builtin.queue_payload import Payload, Unreadable
from connectors.builtin.queue_read import Reading
from connectors.builtin.queue_write import Writing
from connectors.errors import Misconfigured
from connectors.sampling import schema_of
from connectors.spi import Fence
from connectors.testing_sample import EXTREMES, name_of
from rules.schema import Change, Field, FieldType, Op, Schema

TYPED = Schema(tuple(Field(name_of(k), k, precision=20, scale=4) if k is FieldType.DECIMAL else Field(name_of(k), k)
                     for k in FieldType))  # fmt: skip
PEOPLE = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name")), ("id",))


def options(**settings: Any) -> PayloadOptions:
    return PayloadOptions.of(settings)


def pages(given: PayloadOptions, schema: Schema, *messages: Message, key: str = "id", size: int = 100) -> list[Any]:
    return list(Reading(given, key).pages(messages, schema, size, ({}, {"mark": 1})))


@pytest.mark.parametrize("format_", ["json", "xml", "csv"])
def test_extreme_values_survive(format_: str):
    """Every value of every type that the format can hold is read as it was written."""
    given = options(format=format_)
    for kind in FieldType:
        for value in [*EXTREMES[kind], None]:
            if format_ == "xml" and isinstance(value, str) and any(c in value for c in "\t\n\r"):
                continue
            schema = Schema((Field("id", FieldType.INTEGER), TYPED[name_of(kind)]))
            body = Payload(given).body({"id": 1, name_of(kind): value}, schema)
            page = pages(given, schema, Message("m", body))[0]
            assert not page.rejects, (kind, value, body, [str(r.message) for r in page.rejects])
            assert page.records.to_dicts() == [{"id": 1, name_of(kind): value}], (kind, value, body)


@pytest.mark.parametrize(
    ("settings", "body", "expected"),
    [
        ({}, b'{"id": 1, "name": "Ada"}', [(1, "Ada")]),
        ({}, b'[{"id": 1}, {"id": 2, "name": "Bea"}]', [(1, None), (2, "Bea")]),
        ({"records_path": "data.items"}, b'{"data": {"items": [{"id": 3}]}}', [(3, None)]),
        ({"records_path": "after"}, b'{"after": {"id": 4, "name": "Dan"}}', [(4, "Dan")]),
        ({"format": "xml"}, b'<p id="9"><id>1</id><name>Ada</name></p>', [(1, "Ada")]),
        ({"format": "xml", "records_path": "all/p"}, b"<all><p><id>1</id></p><x/><p><id>2</id></p></all>",
         [(1, None), (2, None)]),
        ({"format": "csv"}, "id,name\n1,Ada\n2,\"B, \"\"é\"\"\"\n".encode(), [(1, "Ada"), (2, 'B, "é"')]),
        ({"format": "csv"}, "id,name\r\n1,a\u2028b\x85c\x0bd\r2,e\n".encode(), [(1, "a\u2028b\x85c\x0bd"), (2, "e")]),
        ({"format": "csv", "delimiter": "tab"}, b"\xef\xbb\xbfid\tname\r\n1\tAda\r\n", [(1, "Ada")]),
    ],
)  # fmt: skip
def test_records_are_found(settings: Any, body: bytes, expected: Any):
    """One or several records are found where the settings say."""
    assert pages(options(**settings), PEOPLE, Message("m", body))[0].records.rows() == expected


def test_lines_without_names():
    """CSV without names has fields called by their number."""
    given = options(format="csv", header=False)
    assert Payload(given).records(b"1,Ada\n") == [{"column_1": "1", "column_2": "Ada"}]
    assert Payload(given).body({"id": 1, "name": None}, PEOPLE) == b"1,\n"


@pytest.mark.parametrize(
    ("settings", "body", "words"),
    [
        ({}, b"{", "not valid JSON"),
        ({}, b"7", "not a JSON object"),
        ({}, b'[{"id": 1}, 2]', "not a JSON object"),
        ({"records_path": "data"}, b'{"id": 1}', "no record at 'data'"),
        ({"records_path": "data"}, b'{"data": 1}', "no record at 'data'"),
        ({"format": "xml"}, b"<p>", "not well-formed XML"),
        ({"format": "xml"}, b'<!DOCTYPE p [<!ENTITY a "b">]><p>&a;</p>', "entities"),
        ({"format": "csv"}, b"id,name\n1,\xff\n", "not UTF-8"),
        ({"format": "csv"}, b'id,name\n1,"open\n', "never closed"),
        ({"format": "csv"}, b"id,name\n1\n", "same number"),
    ],
)
def test_what_is_no_record_says_why(settings: Any, body: bytes, words: str):
    """A message that cannot be read is told with its whole text."""
    with pytest.raises(Unreadable, match=words):
        Payload(options(**settings)).records(body)
    page = pages(options(**settings), PEOPLE, Message("m7", body))[0]
    assert [(r.place, r.raw) for r in page.rejects] == [("message m7", body.decode("utf-8", "backslashreplace"))]
    assert words in str(page.rejects[0].message)


def test_xml_keeps_to_itself():
    """Neither a document type nor a network is followed."""
    bomb = b'<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    with pytest.raises(Unreadable):
        Payload(options(format="xml")).records(bomb)
    assert Payload(options(format="xml")).records(b'<!DOCTYPE a SYSTEM "http://10.0.0.1/x.dtd"><a><id>1</id></a>') == [
        {"id": "1"}
    ]


def test_records_of_xml_and_json_are_judged_by_their_values():
    """A sample of XML tells numbers by their writing; nested values are JSON."""
    xml = Payload(options(format="xml"))
    record = xml.records(b"<p><id>1</id><tags><t>a</t></tags></p>")[0]
    assert [f.type for f in schema_of(xml.sample([record])).fields] == [FieldType.INTEGER, FieldType.JSON]
    json = Payload(options())
    assert [f.type for f in schema_of(json.sample([{"id": "1"}])).fields] == [FieldType.TEXT]


def test_a_large_message_fills_several_pages():
    """Only the page with its last record is behind a message: before, it must not be given up."""
    body = b"[" + b",".join(b'{"id": %d}' % n for n in range(5)) + b"]"
    found = pages(options(), PEOPLE, Message("m", body), Message("n", b'{"id": 9}'), size=2)
    assert [page.records.height for page in found] == [2, 2, 2]
    assert [page.position for page in found] == [{}, {}, {"mark": 1}]


def test_the_key_may_be_the_message_s_own():
    """A message that does not hold its key is known by its own, and by its id where that is the key."""
    assert pages(options(), PEOPLE, Message("m", b'{"name": "Ada"}', key="5"))[0].records.rows() == [(5, "Ada")]
    schema = Schema((Field("message_id"), Field("name"), Field("message_time", FieldType.DATETIME)), ("message_id",))
    found = pages(options(), schema, Message("m", b'{"name": "Ada"}'), key="message_id")[0]
    assert found.records.rows() == [("m", "Ada", None)]


def test_records_that_are_gone():
    """They are named by their key, whatever else a message says or leaves out."""
    given = options(deleted_field="state")
    schema = Schema((*PEOPLE.fields, Field("state", nullable=False)), ("id",))
    page = pages(
        given, schema, Message("a", b'{"id": 1, "state": "Deleted"}'), Message("b", b"", key="2"),
        Message("c", b"null", key="3"), Message("d", b'{"id": 4, "state": "no"}'), Message("e", b""),
        Message("f", b'{"state": "d"}'), Message("g", b'{"id": 3, "state": ""}'),
    )[0]  # fmt: skip
    assert page.deleted["id"].to_list() == [1, 2]
    assert page.records["id"].to_list() == [4, 3]
    assert [r.place for r in page.rejects] == ["message e", "message f"]
    assert page.left_out == 0


def test_without_a_key_every_message_stands_for_itself():
    """Where nothing tells records apart, none takes the place of another."""
    schema = Schema((Field("name"),))
    page = pages(options(), schema, Message("a", b'{"name": "x"}'), Message("b", b'{"name": "x"}'), key="")[0]
    assert (page.records.height, page.left_out) == (2, 0)


def change(op: Op, **values: Any) -> Change:
    return Change(op, "id", pl.DataFrame({name: [value] for name, value in values.items()}))


def test_what_is_sent():
    """A message has its record's key, an id that stays the same, and says what is gone in the form that was chosen."""
    fence = Fence("rule", 1, 2, 3)
    changes = [change(Op.CREATE, id=1, name="Ada"), change(Op.DELETE, id=2)]
    for settings, gone in (
        ({}, b""),
        ({"deleted_field": "gone"}, b'{"gone":true,"id":2}'),
        ({"deleted_field": "name"}, b'{"id":2,"name":"true"}'),
        ({"deleted_field": "gone", "format": "xml"}, b"<record><id>2</id><gone>true</gone></record>"),
        ({"deleted_field": "gone", "format": "csv"}, b"id,gone\n2,true\n"),
    ):  # fmt: skip
        sent, failures = Writing(options(**settings), PEOPLE, fence).messages(changes)
        assert [(m.id, m.key, m.op) for m in sent] == [("rule:2:3:0:0", "1", "create"), ("rule:2:3:1:0", "2", "delete")]
        assert (sent[1].body, failures) == (gone, [])
    first, second = (Writing(options(), PEOPLE, None).messages(changes)[0][0].id for _ in range(2))
    assert first != second


def test_what_cannot_be_sent():
    """Numbers that JSON does not have, names and characters that XML does not have, are refused record by record."""
    schema = Schema((Field("id", FieldType.INTEGER), Field("x", FieldType.FLOAT), Field("a b")), ("id",))
    _, failures = Writing(options(), schema, None).messages([change(Op.CREATE, id=1, x=float("nan"))])
    assert [(f.field, f.row) for f in failures] == [("x", 0)]
    _, failures = Writing(options(format="xml"), schema, None).messages([change(Op.CREATE, **{"id": 1, "a b": "c"})])
    assert [f.field for f in failures] == ["a b"]


def test_attributes_and_text_of_xml_are_written():
    """Fields that came from attributes and from an element's own text go back there."""
    schema = Schema((Field("@id"), Field("#text"), Field("name")))
    body = Payload(options(format="xml")).body({"@id": "7", "#text": "hello", "name": None}, schema)
    assert body.endswith(b'<record id="7">hello</record>')


@pytest.mark.parametrize("document", ["{", "[7]", '["a", "a"]', '[""]', '[{"nam": "a"}]', '{"name": "a"}'])
def test_wrong_descriptions_are_told(document: str):
    """A mistake in the list of objects is told with its place."""
    with pytest.raises(Misconfigured):
        objects_of(document, QueueObject)


def test_descriptions():
    """Names and descriptions may stand side by side; nothing at all is no object."""
    found = objects_of('["a", {"name": "b", "key": "no", "fields": [{"name": "no"}]}]', QueueObject)
    assert list(found) == ["a", "b"]
    assert found["b"].schema("id") == Schema((Field("no"),), ("no",))
    assert found["a"].schema("id") is None
    assert QueueObject(name="c", fields=found["b"].fields).schema("") == Schema((Field("no"),))
    assert objects_of(None, QueueObject) == objects_of("", QueueObject) == {}
