"""Lists of web services as they are met in the wild: paged in any way, wrong, endless, nested, in XML."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_json_schema import fields_of
from connectors.builtin.rest_objects import Since
from connectors.builtin.rest_since import written
from connectors.errors import Fatal, Forbidden, Misconfigured, Unavailable
from connectors.spi import Cursor, ReadRequest
from rules.schema import Field, FieldType, Schema
from tests.connectors.rest_service import PEOPLE, ids, objects, people, service

PAGES: dict[Any, list[int]] = {1: [1, 2], 2: [3, 4], 3: [5]}


def test_keyset_paging(web: Any, reply: Any) -> None:
    """The last record's key asks for the next page, until a page is empty."""

    def answer(request: Any) -> Any:
        behind = int(request.query.get("filter", ["id gt 0"])[0].removeprefix("id gt "))
        return reply(body=people(*[n for n in range(1, 6) if n > behind][:2]))

    web.answer = answer
    paging = {"by": "keyset", "parameter": "filter", "template": "id gt {value}", "size": 2}
    with service(web.url, paging=paging) as rest:
        assert ids(rest) == [1, 2, 3, 4, 5]
    assert len(web.received) == 4
    with service(web.url, paging={**paging, "ends": "short"}) as rest:
        assert ids(rest) == [1, 2, 3, 4, 5]
    assert len(web.received) == 7
    with service(web.url, paging={**paging, "field": "nope"}) as rest, pytest.raises(Misconfigured, match="nope"):
        ids(rest)


def test_searches_with_a_body(web: Any, reply: Any) -> None:
    """A search puts what is asked, the page and the moment into the body of a POST, which is safe to repeat."""
    calls: list[Any] = []

    def answer(request: Any) -> Any:
        calls.append(request.json())
        if len(calls) == 1:
            return reply(503)
        number = request.json()["page"]["number"]
        return reply(body={"rows": people(*PAGES[number]), "has_more": number < 3})

    web.answer = answer
    described = {
        "method": "POST", "body": {"kind": "person", "page": {"size": 2}}, "records": "rows", "headers": {"X-A": "b"},
        "paging": {"by": "page", "parameter": "page.number", "place": "body", "more": "has_more"},
    }  # fmt: skip
    with service(web.url, **described) as rest:
        assert ids(rest) == [1, 2, 3, 4, 5]
    assert calls[1] == {"kind": "person", "page": {"size": 2, "number": 1}}
    assert web.received[0].headers["x-a"] == "b"
    described["paging"]["more"] = "more"
    calls[:] = [0]
    with service(web.url, **described) as rest, pytest.raises(Misconfigured, match="'more'"):
        ids(rest)


def test_totals_in_headers_and_next_addresses_with_dots(web: Any, reply: Any) -> None:
    """A total may stand in a header, and the next address in a member whose own name has dots."""
    web.answer = lambda r: reply(
        body={"value": people(*PAGES[int(r.query["p"][0])])}, headers={"X-Total": "3" if "t" in r.query else "9"}
    )
    paging = {"by": "page", "parameter": "p", "total": "header:X-Total"}
    with service(web.url, paging=paging, records="value", query={"t": "1"}) as rest:
        assert ids(rest) == [1, 2, 3, 4]
    web.answer = lambda r: reply(
        body={"value": people(1), "@odata.nextLink": "/people?n=2"} if "n" not in r.query else {"value": people(2)}
    )
    with service(web.url, paging={"by": "next_url", "next": "@odata.nextLink"}, records="value") as rest:
        assert ids(rest) == [1, 2]


def test_a_cursor_that_goes_back(web: Any, reply: Any) -> None:
    """An offset in the answer that goes back would read records again and again: it is an error."""
    targets = {None: 10, "10": 20, "20": 15, "15": 25}
    web.answer = lambda r: reply(
        body={"items": people(len(web.received)), "next": targets[r.query.get("at", [None])[0]]}
    )
    paging = {"by": "cursor", "parameter": "at", "next": "next"}
    with service(web.url, paging=paging, records="items") as rest, pytest.raises(Fatal, match="does not end"):
        ids(rest)


def test_a_list_that_stops_at_its_cap(web: Any, reply: Any) -> None:
    """A directory that gives 500 entries and no more is read with an error, because it is not complete."""
    web.answer = lambda _: reply(body=people(*range(500)))
    with service(web.url, cap=500) as rest, pytest.raises(Fatal, match="probably incomplete"):
        ids(rest)
    with service(web.url, cap=501) as rest:
        assert len(ids(rest)) == 500


def test_a_filter_that_is_ignored(web: Any, reply: Any) -> None:
    """A service that ignores the moment sends everything; what is older is left out."""
    moments = [f"2024-01-{day:02}T00:00:00Z" for day in range(1, 31)]
    web.answer = lambda _: reply(body=[{"id": n, "at": at} for n, at in enumerate(moments)])
    schema = Schema((Field("id", FieldType.INTEGER), Field("at", FieldType.DATETIME)), ("id",))
    since = {"parameter": "where", "format": "template", "template": "at >= {iso}", "lookback": 60}
    with service(web.url, since=since) as rest:
        pages = list(rest.read(ReadRequest("people", schema, Cursor("at", "id", moments[27]), page_size=2)))
    assert [i for page in pages for i in page.records["id"]] == [27, 28, 29]
    assert web.received[0].query == {"where": ["at >= 2024-01-27T23:59:00Z"]}


@pytest.mark.parametrize(
    ("since", "value", "text"),
    [
        ({}, dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), "2024-01-02T03:00:00Z"),
        ({"format": "date"}, dt.datetime(2024, 1, 2, 3), "2024-01-02"),
        ({"format": "unix"}, dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "1704153600"),
        ({"format": "unix_ms"}, dt.date(2024, 1, 2), "1704153600000"),
        ({"seconds": True}, dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "1704153600"),
        ({"format": "template", "template": "v>{value}/{date}"}, dt.date(2024, 1, 2), "v>2024-01-02/2024-01-02"),
        ({"format": "unix"}, 17, "17"),
    ],
)
def test_moments_are_written_as_wanted(since: Any, value: Any, text: str) -> None:
    """Each format of the parameter, for moments, days and numbers."""
    assert written(Since("p", **since), value) == text


def test_sub_resources(web: Any, reply: Any) -> None:
    """A list is read once for each record of another one, gets its key, and goes on anywhere."""
    below = {"a/1": [1, 2], "b": [], "c": [3, 4, 5]}

    def answer(request: Any) -> Any:
        if request.path == "/groups":
            return reply(body=[{"no": name} for name in below])
        name = request.path.removeprefix("/groups/").removesuffix("/people").replace("%2F", "/")
        return reply(body=people(*below[name][(int(request.query["p"][0]) - 1) * 2 :][:2]))

    web.answer = answer
    described = objects(
        {"name": "groups", "path": "/groups", "key": "no"},
        {"name": "people", "path": "/groups/{parent}/people", "parent": {"object": "groups", "as": "group"},
         "paging": {"by": "page", "parameter": "p"}},
    )  # fmt: skip
    described[0]["key"] = "no"
    schema = Schema((*PEOPLE.fields, Field("group")), ("id",))
    with service(web.url, objects=described) as rest:
        assert "group" in rest.schema("people").names
        pages = list(rest.read(ReadRequest("people", schema, page_size=1)))
        found = pl.concat([page.records for page in pages])
        assert found["id"].to_list() == [1, 2, 3, 4, 5]
        assert found["group"].to_list() == ["a/1", "a/1", "c", "c", "c"]
    for number, page in enumerate(pages, 1):
        with service(web.url, objects=described) as rest:
            after = json.loads(json.dumps(page.position))
            left = list(rest.read(ReadRequest("people", schema, after=after, page_size=10)))
            assert [i for p in left for i in p.records["id"]] == [1, 2, 3, 4, 5][number:]
    position = pages[2].position
    del below["c"]
    with service(web.url, objects=described) as rest, pytest.raises(Fatal, match="any more"):
        list(rest.read(ReadRequest("people", schema, after=position)))
    described[1]["parent"]["most"] = 1
    with service(web.url, objects=described) as rest, pytest.raises(Fatal, match="more than 1 times"):
        ids(rest)
    described[1]["parent"] = {"object": "groups", "field": "nope"}
    with service(web.url, objects=described) as rest, pytest.raises(Misconfigured, match="nope"):
        ids(rest)
    below.clear()
    with service(web.url, objects=described) as rest:
        assert ids(rest) == []


def test_records_in_xml(web: Any, reply: Any) -> None:
    """Elements are members and attributes begin with @; one record or none is a list, too."""
    kind = {"Content-Type": "application/xml"}
    bodies = [
        '<r xmlns="urn:x"><total>4</total><rows><row id="1"><name>Ann</name></row><row id="2"><name/></row></rows></r>',
        '<r><total>4</total><rows><row id="3"><name>客</name></row></rows></r>',
        "<r><total>4</total><rows/></r>",
    ]
    web.answer = lambda r: reply(body=bodies[int(r.query["p"][0]) - 1], headers=kind)
    described = {"format": "xml", "records": "rows.row", "key": "@id"}
    schema = Schema((Field("@id", FieldType.INTEGER), Field("name")), ("@id",))
    with service(web.url, paging={"by": "page", "parameter": "p"}, **described) as rest:
        (page,) = rest.read(ReadRequest("people", schema))
        assert page.records.rows() == [(1, "Ann"), (2, ""), (3, "客")]
    assert "xml" in web.received[0].headers["accept"]
    paging = {"by": "page", "parameter": "p", "total": "total"}
    with service(web.url, paging=paging, **described) as rest, pytest.raises(Fatal, match="3 of 4"):
        ids(rest)
    web.answer = lambda _: reply(body=bodies[0], headers=kind)
    with (
        service(web.url, **{**described, "records": "rowz.row"}) as rest,
        pytest.raises(Misconfigured, match="no list"),
    ):
        ids(rest)
    web.answer = lambda _: reply(body="<r><a><row id='1'/></a><a/><t>x</t></r>", headers=kind)
    for path in ("a.row", "t"):
        with service(web.url, **{**described, "records": path}) as rest, pytest.raises(Misconfigured, match="no list"):
            ids(rest)
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r><rows><row id="1">&b;</row></rows></r>'
    for body, error in ((bomb, Forbidden), ("<r><rows>", Unavailable)):
        web.answer = lambda _, b=body: reply(body=b, headers=kind)
        with service(web.url, **described) as rest, pytest.raises(error):
            ids(rest)
    web.answer = lambda _: reply(body="<html><br></html>", headers={"Content-Type": "text/html"})
    with service(web.url, **described) as rest, pytest.raises(Misconfigured, match="XML"):
        ids(rest)


TYPED = [
    ({"$numberDecimal": "1.50"}, "1.50"),
    ({"type": "Decimal", "value": "1.50"}, "1.50"),
    ({"@type": "money", "$value": 1}, "1"),
    ({"$date": "2024-01-02T00:00:00Z"}, "2024-01-02T00:00:00Z"),
    ({"$date": {"$numberLong": "1704153600000"}}, "2024-01-02T00:00:00Z"),
    ("/Date(1704153600000+0000)/", "2024-01-02T00:00:00Z"),
    ("/Date(soon)/", "/Date(soon)/"),
    ({"value": "1", "currency": "EUR"}, '{"currency":"EUR","value":"1"}'),
    ({"other": 1}, '{"other":1}'),
]


@pytest.mark.parametrize(("value", "text"), TYPED)
def test_typed_objects(value: Any, text: str) -> None:
    """Decimals and dates that a service writes as objects are their values; other objects stay what they are."""
    page = Columns(Schema((Field("v"),))).page([msgspec.json.encode({"v": value})])
    assert page.records["v"].to_list() == [text]


def test_values_within_members(web: Any, reply: Any) -> None:
    """A field can stand deeper in the record, when it is read, paged by and written."""
    web.answer = lambda r: reply(body=[{"id": 1, "sum": {"value": 1.50}}] if r.method == "GET" else {"id": 1})
    fields = [{"name": "id", "type": "integer"}, {"name": "sum", "type": "decimal", "scale": 2, "path": "sum.value"}]
    with service(web.url, fields=fields, update={"method": "PATCH", "path": "/people/{key}"}) as rest:
        (page,) = rest.read(ReadRequest("people", rest.schema("people")))
        assert page.records.rows() == [(1, Decimal("1.50"))]


def test_fields_by_json_schema(web: Any) -> None:
    """A JSON Schema gives the fields, through references and parts; what it does not say is text."""
    schema = {
        "$defs": {"Named": {"properties": {"name": {"type": "string", "maxLength": 9}}, "required": ["name"]}},
        "allOf": [{"$ref": "#/$defs/Named"}, {"properties": {"id": {"type": "integer", "readOnly": True}}}],
        "properties": {
            "at": {"type": ["string", "null"], "format": "date-time", "title": "When"},
            "sum": {"type": "number"}, "ratio": {"type": "number", "format": "double"}, "x": {},
            "tags": {"type": "array"}, "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "mixed": {"type": ["string", "object"]}, "two": {"type": ["string", "integer"]}, "bad": 7,
        },
        "required": ["id", "at", "either"],
    }  # fmt: skip
    found = {field.name: field for field in fields_of(schema)}
    kinds = {name: field.type.value for name, field in found.items()}
    assert kinds == {
        "name": "text", "id": "integer", "at": "datetime", "sum": "decimal", "ratio": "float", "x": "text",
        "tags": "json", "either": "boolean", "mixed": "json", "two": "text", "bad": "text",
    }  # fmt: skip
    assert (found["name"].nullable, found["id"].nullable, found["at"].nullable, found["either"].nullable) == (
        False, False, True, True,
    )  # fmt: skip
    assert found["id"].generated
    assert found["at"].label == "When"
    assert [f.name for f in fields_of({"$defs": schema["$defs"], "type": "array", "items": schema})] == list(found)
    assert fields_of({"$ref": "#/no/where"}) == ()
    with service(web.url, json_schema=schema) as rest:
        assert rest.schema("people").names == tuple(found)
    assert not web.received


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"paging": {"by": "keyset", "parameter": "a"}, "key": ""}, "field"),
        ({"paging": {"by": "next_url"}}, "next"),
        ({"paging": {"by": "page", "parameter": "p", "size": 0}}, "1 or more"),
        ({"paging": {"by": "page", "parameter": "p", "place": "body"}}, "POST"),
        ({"body": {}}, "POST"),
        ({"since": {"parameter": "s", "place": "body"}, "method": "POST", "body": []}, "object"),
        ({"since": {"parameter": "s", "format": "template"}}, "template"),
        ({"create": {"path": "/a", "batch": {"size": 0}}}, "1 or more"),
        ({"parent": {"object": "nobody"}}, "nobody"),
        ({"parent": {"object": "people"}}, "people"),
    ],
)
def test_descriptions_that_cannot_be(web: Any, described: Any, told: str) -> None:
    """What does not belong together is told with the object's name before anything is called."""
    with service(web.url, **described) as rest, pytest.raises(Misconfigured, match=told):
        rest.objects()


def test_lists_read_for_each_other_never_begin(web: Any) -> None:
    """A circle of parents is refused with a name; a chain that ends in a tree is none."""
    listed = [{"name": n, "path": f"/{n}/{{parent}}", "parent": {"object": p}} for n, p in ("ab", "bc", "ca")]
    described = objects(*listed)
    with service(web.url, objects=described) as rest, pytest.raises(Misconfigured, match="neither can begin"):
        rest.objects()
    described[2]["parent"] = {"object": "c", "also": ["root"]}
    with service(web.url, objects=described) as rest:
        assert [info.name for info in rest.objects()] == ["a", "b", "c"]


def test_paths_into_lists_and_nothing(web: Any, reply: Any) -> None:
    """A path can count into lists; what is no object inside, or has no key, is put aside."""
    below = {"rows": people(1), "more": {"x": {"rows": people(2)}}}
    web.answer = lambda _: reply(body={"a": [below], "b": {"c.d": [3]}})
    for path, found in (("a.0.rows", [1]), ("a.0.more.x.rows", [2])):
        with service(web.url, records=path) as rest:
            assert ids(rest) == found
    with service(web.url, records="b.c.d") as rest:
        (page,) = rest.read(ReadRequest("people", PEOPLE))
        assert len(page.rejects) == 1
    web.answer = lambda _: reply(body=[people(4)])
    with service(web.url, records="0") as rest:
        assert ids(rest) == [4]
    web.answer = lambda _: reply(body=[{"name": "no key"}, {"id": None}])
    with service(web.url) as rest:
        (page,) = rest.read(ReadRequest("people", PEOPLE))
        assert [r.field for r in page.rejects] == ["id", "id"]
