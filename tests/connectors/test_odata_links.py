"""The connector `odata`: what entities lead to ($expand), and links to what is changed later (delta links)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from connectors.builtin.odata_delta import ODataLog
from connectors.builtin.odata_model import ENTITY_KEY
from connectors.errors import Fatal, Misconfigured
from connectors.spi import Capture, Page, ReadRequest
from rules.schema import Change, FieldType, Op
from tests.connectors.odata_strict import Entities, Leads, ODataService
from tests.connectors.test_odata import opened, service

ORDERS = {"id": "integer", "title": "text"}
CUSTOMER = {"no": "text", "city": "text", "credit": "decimal"}


def orders(web: Any, reply: Any, *, old: bool, lines: Any) -> ODataService:
    """Let the web server be a service with orders that lead to a customer and to lines."""
    rows = {(n,): {"id": n, "title": f"t{n}"} for n in range(3)}
    customer = {"no": "C1", "city": "Köln", "credit": "12.5000", "__metadata": {"etag": "1"}}
    web.answer = ODataService(old, reply, {
        "Orders": Entities(ORDERS, ("id",), (), rows), "Customers": Entities(CUSTOMER, ("no",)),
        "Lines": Entities({"no": "integer"}, ("no",)),
    }, leads={"Orders": [
        Leads("Customer", "Customers", many=False, give=lambda row: customer if row["id"] else None),
        Leads("Lines", "Lines", many=True, give=lines),
    ]})  # fmt: skip
    found: ODataService = web.answer
    return found


def read(odata: Any, name: str = "Orders", **more: Any) -> list[Page]:
    return list(odata.read(ReadRequest(name, odata.schema(name), **more)))


@pytest.mark.parametrize("old", [True, False])
def test_what_entities_lead_to(web: Any, reply: Any, old: bool) -> None:
    """One entity becomes fields with dots, of which only those asked for are fetched; many become JSON."""
    parts = [{"no": 1, "__metadata": {}, "Order": {"__deferred": {}}, "x@odata.id": "y"}, "odd"]
    orders(web, reply, old=old, lines=lambda row: {"results": parts} if old else parts if row["id"] else None)
    with opened(web, objects=[{"name": "Orders", "expand": ["Customer", "Lines"]}]) as odata:
        schema = odata.schema("Orders")
        fields = {f.name: f for f in schema.fields}
        assert set(fields) == {"id", "title", "Customer.no", "Customer.city", "Customer.credit", "Lines"}
        assert (fields["Lines"].type, fields["Customer.credit"].type) == (FieldType.JSON, FieldType.DECIMAL)
        assert fields["Customer.no"].nullable
        assert fields["Customer.no"].generated
        (page,) = read(odata)
        assert page.records["Customer.city"].to_list() == [None, "Köln", "Köln"]
        assert json.loads(page.records["Lines"][1]) == [{"no": 1}, "odd"]
        some = schema.select(("id", "Customer.city"))
        (page,) = odata.read(ReadRequest("Orders", some))
        assert page.records["Customer.city"].to_list() == [None, "Köln", "Köln"]
        assert odata.lookup("Orders", schema, "id", pl.Series([2]))["Customer.no"].to_list() == ["C1"]
        row = pl.DataFrame({"id": [1], "title": ["new"], "Customer.city": ["Bonn"]})
        assert not odata.write("Orders", schema, [Change(Op.UPDATE, "id", row)]).failures
        assert web.answer.sets["Orders"].rows[1,] == {"id": 1, "title": "new"}


@pytest.mark.parametrize("old", [True, False])
def test_lists_that_are_cut_off_are_not_believed(web: Any, reply: Any, old: bool) -> None:
    """Where the service gives only the first lines of an order, the order is rejected, and the others are read."""
    strict = orders(web, reply, old=old, lines=lambda _: {"results": []} if old else [])
    expand = strict._expand

    def cut(name: str, query: Any, rows: Any, shown: Any) -> None:
        expand(name, query, rows, shown)
        if old:
            shown[1]["Lines"]["__next"] = "more"
        else:
            shown[1]["Lines@odata.nextLink"] = "more"

    strict._expand = cut  # type: ignore[method-assign]
    with opened(web, objects=[{"name": "Orders", "expand": ["Lines", "Customer"]}]) as odata:
        (page,) = read(odata)
        assert page.records["id"].to_list() == [0, 2]
        assert "first part of 'Lines'" in str(page.rejects[0].message)


@pytest.mark.parametrize("name", ["Nothing", "title"])
def test_an_unknown_navigation_is_told_with_those_that_exist(web: Any, reply: Any, name: str) -> None:
    """The names that could be meant stand in the error."""
    orders(web, reply, old=False, lines=lambda _: [])
    with opened(web, objects=[{"name": "Orders", "expand": [name]}]) as odata:
        with pytest.raises(Misconfigured, match=name) as caught:
            odata.schema("Orders")
        assert "Customer, Lines" in str(caught.value.remedy)


def captured(odata: Any, name: str, capture: Capture, size: int = 100) -> list[Page]:
    return list(odata.read(ReadRequest(name, odata.schema(name), page_size=size, capture=capture)))


@pytest.mark.parametrize("named", ["id", "@removed"])
def test_changes_by_keys_of_several_parts(web: Any, reply: Any, named: str) -> None:
    """Deletions are told as in 4.0 and as in 4.01; keys of several parts are one field, also with quotes in them."""
    strict = service(web, reply, rows=5, tracks=True, named=named)
    with opened(web, page_size=2) as odata:
        capture = Capture("me", ENTITY_KEY)
        pages = captured(odata, "Items", capture)
        assert [page.captured is None for page in pages] == [True, True, False]
        del strict.sets["Items"].rows["O'1", 1]
        strict.deltas["Items"].removed([("O'1", 1)])
        strict.deltas["Items"].changed([("O'2", 2)])
        since = replace(capture, since=pages[-1].captured)
        (page,) = captured(odata, "Items", since)
        assert page.records[ENTITY_KEY].to_list() == ["Order='O''2',Item=2"]
        assert page.deleted is not None
        assert page.deleted[ENTITY_KEY].to_list() == ["Order='O''1',Item=1"]


def test_services_that_do_not_track(web: Any, reply: Any) -> None:
    """Version 2, lists by $skip, and a service that ignores the preference say that they tell no changes."""
    for old, more in ((True, {}), (False, {"paging": "skip"}), (False, {})):
        service(web, reply, rows=2, old=old)
        with opened(web, **more) as odata:
            log = odata.change_log("Plain", Capture("me", "id"))
            assert "does not tell" in str(log.missing()[0])
    with opened(web) as odata, pytest.raises(Misconfigured, match="does not tell"):
        captured(odata, "Plain", Capture("me", "id"))


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"@removed": {}, "@id": "Plain(7)"}, "7"),
        ({"@odata.context": "x#Plain/$deletedEntity", "id": "4e0a0000-0000-0000-0000-0000000000f1"},
         "4e0a0000-0000-0000-0000-0000000000f1"),
        ({"@removed": {}, "@odata.id": "http://h/svc/Plain('a%20b''c')"}, "a b'c"),
        ({"@removed": {}, "@odata.id": "Plain(id=8)"}, "8"),
        ({"id": 9}, "9"),
        ({"@removed": {}, "@id": "http://h/svc/Plain('Smith (UK)')"}, "Smith (UK)"),
        ({"@removed": {}, "@id": "Plain('a/Plain(1)')"}, "a/Plain(1)"),
        ({"@removed": {}, "@id": "/svc/Parents('x (1)')/Plain(id='''')"}, "'"),
        ({"@removed": {}, "@id": "Plain(guid'4e0a')?x=(1)"}, "4e0a"),
        ({"@removed": {}, "@id": "http://h/svc/Plain('a%2Fb%27%27%3F')"}, "a/b'?"),
        ({"@removed": {}, "id": "a(b)"}, "a(b)"),
        ({"@removed": {}, "id": "50%20off"}, "50%20off"),
    ],
)  # fmt: skip
def test_ways_to_name_what_was_changed(web: Any, reply: Any, entry: Any, key: str) -> None:
    """Services write the key of a changed or deleted entity in different ways."""
    service(web, reply, rows=1).before = lambda request: (
        None if "metadata" in request.path else reply(200, {"value": [entry], "@odata.deltaLink": "?$deltatoken=1"})
    )
    with opened(web) as odata:
        log = ODataLog(odata.service, "Plain", Capture("me", "id"))
        assert list(log.part("x?$deltatoken=0").keys) == [key]


@pytest.mark.parametrize(
    ("body", "told"),
    [({"value": []}, "where its changes go on")],
)
def test_answers_that_cannot_be_followed(web: Any, reply: Any, body: Any, told: str) -> None:
    """An answer without a link is an error."""
    service(web, reply, rows=1).before = lambda r: None if "metadata" in r.path else reply(200, body)
    with opened(web) as odata:
        log = ODataLog(odata.service, "Plain", Capture("me", "id"))
        with pytest.raises(Fatal, match=told):
            log.part("x?$deltatoken=0")


@pytest.mark.parametrize("named", ["", "http://h/svc/Plain/7", "Plain('x'", "/svc/Plain(a b)(c)"])
def test_a_change_without_a_key_leads_to_a_full_comparison(web: Any, reply: Any, named: str) -> None:
    """The other records of the answer are read; behind it, changes are lost."""
    body = {"value": [{"id": 3}, {"@removed": {}, "@id": named}], "@odata.nextLink": "?$deltatoken=1"}
    service(web, reply, rows=1).before = lambda r: None if "metadata" in r.path else reply(200, body)
    with opened(web) as odata:
        log = ODataLog(odata.service, "Plain", Capture("me", "id"))
        since = {"link": "x?$deltatoken=0", "time": 0}
        (telling,) = log.tellings(since)
        assert (telling.keys, telling.last) == ({"3": False}, True)
        assert "without its key" in str(log.state(telling.behind).lost)
        assert log.pending(telling.behind)
        body["value"] = body["value"][1:]
        assert log.pending(since)


def test_a_place_that_is_forgotten_leads_to_a_full_comparison(web: Any, reply: Any) -> None:
    """410 says that changes were lost."""
    strict = service(web, reply, rows=2, tracks=True)
    with opened(web) as odata:
        capture = Capture("me", "id")
        mark = dict(captured(odata, "Plain", capture)[-1].captured or {})
        strict.deltas["Plain"].changed([(1,)])
        strict.deltas["Plain"].forgotten = 1
        assert odata.change_log("Plain", capture).state(mark).lost is not None
