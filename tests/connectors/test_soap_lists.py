"""The connector `soap` against a strict hand-made service: paging, types, and answers that are wrong."""

# ruff: noqa: E501 - elements of XML that belong together
from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from connectors.builtin import soap_paging
from connectors.builtin.soap import Soap
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    RecordRejected,
    Unavailable,
)
from connectors.spi import Context, Cursor, ReadRequest
from rules.schema import FieldType
from tests.soap_servers import Sent, element, enveloped, fault, wsdl

pytestmark = pytest.mark.usefixtures("waits")

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
LEAF = '<xs:element name="{}" type="xs:{}" minOccurs="0"/>'


def leaves(**types: str) -> str:
    return "".join(LEAF.format(name, kind) for name, kind in types.items())


PERSON = f'<xs:complexType name="Person"><xs:sequence>{leaves(id="long", name="string")}</xs:sequence></xs:complexType>'
MANY = '<xs:element name="Person" type="t:Person" minOccurs="0" maxOccurs="unbounded"/>'
LISTS = (
    PERSON
    + element("List", leaves(page="int", size="int", token="string", since="string", query="string"))
    + element("ListResponse", leaves(total="int", next="string", more="boolean", done="boolean", search="string") + MANY)
    + element("More", leaves(search="string", page="int"))
    + element("MoreResponse", '<xs:element name="result"><xs:complexType><xs:sequence>' + MANY
              + "</xs:sequence></xs:complexType></xs:element>")
    + element("Get", leaves(id="long"))
    + element("GetResponse", '<xs:element name="Person" type="t:Person" minOccurs="0"/>')
)  # fmt: skip


def service(web: Any, schema: str = LISTS, read: Mapping[str, Any] | None = None, **more: Any) -> Soap:
    """Return a connector to the web server with one object called people."""
    settings = {k: more.pop(k) for k in list(more) if k in {s.name for s in Soap.spec.settings}}
    names = [n for n in ("List", "More", "Get") if f'name="{n}"' in schema]
    described = {"name": "people", "key": "id", **more,
                 "read": {"operation": "List", "records": "Person", **(read or {})}}  # fmt: skip
    given = {"wsdl_text": wsdl(f"{web.url if web else ''}/soap", schema, names), "objects": [described], **settings}
    return Soap({**{s.name: s.default for s in Soap.spec.settings}, **given}, HERE)


def ids(soap: Soap, size: int = 100, **request: Any) -> list[int]:
    schema = soap.schema("people")
    return [
        i for page in soap.read(ReadRequest("people", schema, page_size=size, **request)) for i in page.records["id"]
    ]


def people(*numbers: int, more: str = "", name: str = "ListResponse") -> str:
    rows = "".join(f"<Person><id>{n}</id><name>n{n}</name></Person>" for n in numbers)
    return f"<{name}>{more}{rows}</{name}>"


def answering(reply: Any, do: Callable[[Sent], str], **more: Any) -> Callable[[Any], Any]:
    """Return a service's answers in their envelopes; `do` gets what was asked."""
    return lambda r: reply(body=enveloped(do(Sent(r.body))), headers={"Content-Type": "text/xml", **more})


PAGES: dict[int, list[int]] = {0: [1, 2], 1: [3], 2: [4, 5]}


@pytest.mark.parametrize(
    ("paging", "answer"),
    [
        ({"by": "page", "parameter": "page", "start": 0}, lambda s: people(*PAGES.get(int(s.text("page")), []))),
        ({"by": "offset", "parameter": "page"}, lambda s: people(*list(range(1, 6))[int(s.text("page")) :][:2])),
    ],
)
def test_counting_pages_end_with_an_empty_one(web: Any, reply: Any, paging: Any, answer: Any) -> None:
    """A short page is not the last one: only an empty page is, because services cap the size they are asked for."""
    web.answer = answering(reply, answer)
    with service(web, read={"paging": paging}) as soap:
        assert ids(soap) == [1, 2, 3, 4, 5]
    assert len(web.received) == 4


@pytest.mark.parametrize(
    ("paging", "told"),
    [
        ({"total": "total"}, lambda _: "<total>3</total>"),
        ({"more": "more"}, lambda page: f"<more>{str(page < 2).lower()}</more>"),
        ({"done": "done"}, lambda page: f"<done>{int(page == 2)}</done>"),
    ],
)
def test_a_list_ends_where_the_answer_says_so(web: Any, reply: Any, paging: Any, told: Any) -> None:
    """A total, a flag for more and a flag for the end save the empty page; without the promised one it is an error."""
    rows = {1: [1, 2], 2: [3]}
    web.answer = answering(reply, lambda s: people(*rows[int(s.text("page"))], more=told(int(s.text("page")))))
    read = {"paging": {"by": "page", "parameter": "page", **paging}}
    with service(web, read=read) as soap:
        assert ids(soap) == [1, 2, 3]
        assert len(web.received) == 2
        web.answer = answering(reply, lambda _: people(1))
        with pytest.raises(Misconfigured, match=next(iter(paging))):
            ids(soap)


def test_a_list_that_ends_too_early_is_an_error(web: Any, reply: Any) -> None:
    """A list with fewer records than its total is not complete, whatever way it is paged."""
    answers = {1: people(1, 2, more="<total>5</total>"), 2: people(more="<total>5</total>")}
    web.answer = answering(reply, lambda s: answers[int(s.text("page"))])
    with (
        service(web, read={"paging": {"by": "page", "parameter": "page", "total": "total"}}) as soap,
        pytest.raises(Fatal, match="ended after 2 of 5"),
    ):
        ids(soap)
    paging = {"by": "token", "parameter": "token", "next": "next", "total": "total"}
    web.answer = answering(reply, lambda _: people(1, 2, more="<total>5</total>"))
    with service(web, read={"paging": paging}) as soap, pytest.raises(Fatal, match="ended after 2 of 5"):
        ids(soap)


def test_token_paging_and_sizes(web: Any, reply: Any) -> None:
    """The token of an answer is sent with the next request until there is none, and the size with each."""

    def answer(sent: Sent) -> str:
        assert sent.text("size") == "7"
        assert sent.text("query") == "all"
        return {None: people(1, more="<next>a &lt;b</next>"), "a <b": people(2, more="<next/>")}[sent.text("token")]

    web.answer = answering(reply, answer)
    paging = {"by": "token", "parameter": "token", "next": "next", "size": 7, "size_parameter": "size"}
    with service(web, read={"paging": paging, "parameters": {"query": "all"}}) as soap:
        assert ids(soap) == [1, 2]


def test_the_pages_behind_the_first_can_have_an_operation_of_their_own(web: Any, reply: Any) -> None:
    """A search that goes on by its id: what the first answer gives out is sent along, and a read resumes in there."""

    def answer(sent: Sent) -> str:
        if sent.operation == "List":
            return people(1, 2, more="<total>5</total><search>s-1</search>")
        assert sent.text("search") == "s-1"
        rows = {"2": [3, 4], "3": [5]}[str(sent.text("page"))]
        inside = people(*rows, name="result")
        return f"<MoreResponse>{inside}</MoreResponse>"

    web.answer = answering(reply, answer)
    paging = {"by": "page", "parameter": "page", "operation": "More", "records": "result/Person",
              "carry": {"search": "search"}, "done": ""}  # fmt: skip
    with service(web, read={"paging": paging}) as soap:
        schema = soap.schema("people")
        pages = soap.read(ReadRequest("people", schema))
        first, second = next(pages), next(pages)
        assert [*first.records["id"], *second.records["id"]] == [1, 2, 3, 4]
        again = soap.read(ReadRequest("people", schema, after=first.position))
        assert next(again).records["id"].to_list() == [3, 4]
    web.answer = answering(reply, lambda _: people(1))
    with service(web, read={"paging": paging}) as soap, pytest.raises(Misconfigured, match="'search'"):
        ids(soap)


def test_a_list_that_turns_in_a_circle_ends(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same page, the same token again, or pages for ever are errors and no endless reads."""
    web.answer = answering(reply, lambda _: people(1))
    with (
        service(web, read={"paging": {"by": "page", "parameter": "page"}}) as soap,
        pytest.raises(Fatal, match="not end"),
    ):
        ids(soap)
    web.answer = answering(reply, lambda _: people(more="<next>x</next>"))
    token = {"by": "token", "parameter": "token", "next": "next"}
    with service(web, read={"paging": token}) as soap, pytest.raises(Fatal, match="not end"):
        ids(soap)
    monkeypatch.setattr(soap_paging, "_MOST_PAGES", 3)
    web.answer = answering(reply, lambda s: people(int(s.text("page") or 0)))
    with (
        service(web, read={"paging": {"by": "page", "parameter": "page"}}) as soap,
        pytest.raises(Fatal, match="not end"),
    ):
        ids(soap)


@pytest.mark.parametrize(
    ("form", "zone", "sent"),
    [
        ("moment", "", "2024-03-01T16:30:00Z"),
        ("local", "Asia/Shanghai", "2024-03-02T00:30:00"),
        ("date", "Asia/Shanghai", "2024-03-02"),
        ("seconds", "", "1709310600"),
    ],
)
def test_what_changed_is_asked_for(web: Any, reply: Any, form: str, zone: str, sent: str) -> None:
    """The cursor's value is sent in the form that the service knows; what it sends too much is left out."""
    schema = LISTS.replace(PERSON, PERSON.replace("</xs:sequence>", LEAF.format("at", "dateTime") + "</xs:sequence>"))
    rows = "".join(f"<Person><id>{n}</id><at>2024-03-0{n}T20:00:00Z</at></Person>" for n in (2, 1))
    asked: list[str | None] = []
    web.answer = answering(reply, lambda s: asked.append(s.text("query")) or f"<ListResponse>{rows}</ListResponse>")
    since = {"parameter": "query", "format": form, "text": "at >= {since}"}
    with service(web, schema, {"since": since}, zone=zone) as soap:
        moment = dt.datetime(2024, 3, 1, 16, 30, tzinfo=dt.UTC)
        assert ids(soap, cursor=Cursor("at", "id", None)) == [1, 2]
        assert ids(soap, cursor=Cursor("at", "id", moment)) == [1, 2]
        assert ids(soap, cursor=Cursor("at", "id", dt.datetime(2024, 3, 2, tzinfo=dt.UTC))) == [2]
        later = Cursor("at", "id", dt.datetime(2024, 3, 5, tzinfo=dt.UTC))
        (page,) = soap.read(ReadRequest("people", soap.schema("people"), later))
        assert (page.records.height, [note.values["count"] for note in page.notes]) == (0, [2])
        with pytest.raises(Misconfigured, match="'nope'"):
            ids(soap, cursor=Cursor("nope", "id"))
    assert asked[:2] == [None, f"at >= {sent}"]


TYPES = (
    '<xs:simpleType name="Code"><xs:restriction base="xs:string"><xs:maxLength value="8"/></xs:restriction></xs:simpleType>'
    '<xs:simpleType name="Kind"><xs:restriction base="xs:string"><xs:enumeration value="A"/></xs:restriction></xs:simpleType>'
    '<xs:simpleType name="Sum"><xs:restriction base="xs:decimal"><xs:totalDigits value="12"/>'
    '<xs:fractionDigits value="2"/></xs:restriction></xs:simpleType>'
    '<xs:simpleType name="Words"><xs:list itemType="xs:string"/></xs:simpleType>'
    '<xs:simpleType name="Either"><xs:union memberTypes="xs:int xs:string"/></xs:simpleType>'
    '<xs:complexType name="Money"><xs:simpleContent><xs:extension base="t:Sum">'
    '<xs:attribute name="currency" type="xs:string"/></xs:extension></xs:simpleContent></xs:complexType>'
    '<xs:complexType name="Line"><xs:sequence>'
    + leaves(no="int", price="decimal", ok="boolean", rate="double")
    + '</xs:sequence><xs:attribute name="at" type="xs:int"/></xs:complexType>'
    '<xs:complexType name="Base" abstract="true"><xs:sequence><xs:element name="id" type="xs:long"/></xs:sequence>'
    '<xs:attribute name="rev" type="xs:int" use="required"/></xs:complexType>'
    '<xs:group name="Dates"><xs:sequence>'
    + leaves(day="date", at="dateTime", clock="time")
    + "</xs:sequence></xs:group>"
    '<xs:complexType name="Order"><xs:complexContent><xs:extension base="t:Base"><xs:sequence>'
    '<xs:element name="code" type="t:Code"/><xs:element name="kind" type="t:Kind" nillable="true"/>'
    '<xs:element name="sum" type="t:Money" minOccurs="0"/><xs:element name="words" type="t:Words" minOccurs="0"/>'
    '<xs:element name="either" type="t:Either" minOccurs="0"/><xs:group ref="t:Dates"/>'
    '<xs:choice><xs:element name="mail" type="xs:string"/><xs:element name="phone" type="xs:string"/></xs:choice>'
    '<xs:element name="line" type="t:Line" minOccurs="0" maxOccurs="unbounded"/>'
    '<xs:element name="tag" type="xs:int" minOccurs="0" maxOccurs="9"/>'
    + leaves(hex="hexBinary", raw="base64Binary", free="anyType", big="unsignedLong")
    + "</xs:sequence></xs:extension></xs:complexContent></xs:complexType>"
    + element("List", "")
    + element("ListResponse", '<xs:element name="item" type="t:Base" minOccurs="0" maxOccurs="unbounded"/>')
)
ORDER = """<item xsi:type="Order" rev="3"><id>1</id><code>ab</code><kind xsi:nil="true"/><sum currency="CNY">12.50</sum>
<words>x y</words><either>7</either><day>2024-02-29+08:00</day><at>2024-02-29T23:00:00</at><clock>12:30:00</clock>
<phone>123</phone><line at="1"><no>1</no><price>1.10</price><ok>1</ok><rate>0.5</rate></line>
<line><no>x</no><price/><ok>maybe</ok><rate>INF</rate></line><tag>4</tag><hex>00fF</hex><raw>AP
8=</raw><free><a k="v">1</a><a>2</a></free><big>9223372036854775807</big></item>"""


def test_types_of_the_wsdl(web: Any, reply: Any) -> None:
    """Attributes, extensions, choices, groups, facets, lists, unions and nested types have their fields and values."""
    web.answer = answering(reply, lambda _: f"<ListResponse>{ORDER}</ListResponse>")
    fields = [{"name": "currency", "path": "sum/@currency"}, {"name": "amount", "path": "sum/#text"},
              {"name": "first", "path": "line/price", "label": "First"}, {"name": "extra", "path": "free/a"}]  # fmt: skip
    with service(web, TYPES, {"records": "item"}, type="Order", fields=fields, zone="Asia/Shanghai") as soap:
        schema = soap.schema("people")
        (page,) = soap.read(ReadRequest("people", schema))
    assert not page.rejects
    kinds = {f.name: f.type for f in schema.fields}
    assert kinds["sum"] is kinds["line"] is kinds["tag"] is kinds["free"] is FieldType.JSON
    assert (schema["code"].length, schema["amount"].scale, schema["amount"].precision) == (8, 2, 12)
    assert [f.name for f in schema.fields if not f.nullable] == ["id", "code", "@rev"]
    assert schema["first"].label == "First"
    (row,) = page.records.rows(named=True)
    assert row == {
        "id": 1, "code": "ab", "kind": None, "sum": '{"#text":12.50,"@currency":"CNY"}', "words": "x y", "either": "7",
        "day": dt.date(2024, 2, 29), "at": dt.datetime(2024, 2, 29, 15, tzinfo=dt.UTC), "clock": dt.time(12, 30),
        "mail": None, "phone": "123", "tag": "[4]", "hex": b"\x00\xff", "raw": b"\x00\xff",
        "line": '[{"@at":1,"no":1,"ok":true,"price":1.10,"rate":0.5},{"no":"x","ok":"maybe","price":"","rate":"INF"}]',
        "free": '{"a":[{"#text":"1","@k":"v"},"2"]}', "big": 2**63 - 1, "@rev": 3, "currency": "CNY",
        "amount": Decimal("12.50"), "first": Decimal("1.10"), "extra": "1",
    }  # fmt: skip


def test_types_that_are_named_wrong(web: Any) -> None:
    """A type that the WSDL does not have, or has several times, is told before anything is called."""
    with service(web, TYPES, {"records": "item"}, type="Ordr") as soap, pytest.raises(Misconfigured, match="'Ordr'"):
        soap.schema("people")
    double = PERSON + element("List", "") + element("ListResponse", MANY)
    more = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:other">{PERSON}</xs:schema>'
    text = wsdl(web.url, double, ["List"], more=more)
    with (
        service(web, double, {"records": "Person"}, type="Person", wsdl_text=text) as soap,
        pytest.raises(Misconfigured, match="several"),
    ):
        soap.schema("people")
    assert not web.received


def test_records_of_any_form_are_judged_by_a_sample(web: Any, reply: Any) -> None:
    """Where the WSDL allows anything, as for DataSets, the fields are those of the records."""
    schema = element("List", "") + element("ListResponse", '<xs:element name="data"><xs:complexType><xs:sequence>'
                                           '<xs:any processContents="lax"/></xs:sequence></xs:complexType></xs:element>')  # fmt: skip
    row = "<row><id>{0}</id><name>n{0}</name><tags><tag>1</tag></tags></row>"
    rows = "".join(row.format(n) for n in (1, 2))
    web.answer = answering(reply, lambda _: f"<ListResponse><data><set>{rows}</set></data></ListResponse>")
    with service(web, schema, {"records": "data/set/row"}) as soap:
        found = soap.schema("people")
        assert {f.name: f.type.value for f in found.fields} == {"id": "integer", "name": "text", "tags": "json"}
        (page,) = soap.read(ReadRequest("people", found))
    assert page.records.rows() == [(1, "n1", '{"tag":"1"}'), (2, "n2", '{"tag":"1"}')]
    many = "".join(row.format(n) for n in range(1100))
    web.answer = answering(reply, lambda _: f"<ListResponse><data><set>{many}</set></data></ListResponse>")
    with service(web, schema, {"records": "data/set/row", "paging": {"by": "none"}}) as soap:
        assert soap.schema("people").names == ("id", "name", "tags")


def test_a_broken_record_is_parked_and_the_others_are_read(web: Any, reply: Any) -> None:
    """A record whose values do not fit becomes a reject with its place; a record deeper inside is none of the list."""
    rows = (
        "<Person><id>1</id></Person><Person><id>two</id><Person><id>9</id></Person></Person><Person><id>3</id></Person>"
    )
    web.answer = answering(reply, lambda _: f"<ListResponse>{rows}</ListResponse>")
    with service(web) as soap:
        (page,) = soap.read(ReadRequest("people", soap.schema("people")))
    assert page.records["id"].to_list() == [1, 3]
    (reject,) = page.rejects
    assert (reject.place, reject.field) == ("record 2", "id")
    assert "'two'" in str(reject.message)


def test_lists_are_read_in_parts(web: Any, reply: Any) -> None:
    """A long answer is cut into pages, its memory given back, and a read resumes in the middle of it."""
    web.answer = answering(reply, lambda _: people(*range(500), more="<total>500</total>"))
    with service(web, read={"paging": {"by": "page", "parameter": "page", "total": "total"}}) as soap:
        schema = soap.schema("people")
        pages = list(soap.read(ReadRequest("people", schema, page_size=150)))
        assert [p.records.height for p in pages] == [150, 150, 150, 50]
        assert [p.first for p in pages] == [1, 151, 301, 451]
        (last,) = soap.read(ReadRequest("people", schema, page_size=150, after=pages[2].position))
        assert last.records["id"].to_list() == list(range(450, 500))
        (end,) = soap.read(ReadRequest("people", schema, after=pages[3].position))
        assert end.records.is_empty()


BOMB = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY c "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ((404, "text/html", "<html>Not here</html>"), ObjectMissing, "does not exist"),
        ((200, "text/html", "<!DOCTYPE html><html><body>Log in<br></body></html>"), Misconfigured, "not answer with a SOAP"),
        ((200, "text/xml", "<html><body>Log in</body></html>"), Misconfigured, "'html'"),
        ((200, "application/json", '{"a": 1}'), Misconfigured, "application/json"),
        ((200, "text/xml", enveloped(people(1))[:-30]), Unavailable, "breaks off"),
        ((200, "text/xml", BOMB + enveloped(people(1))), Forbidden, "document type"),
        ((200, "text/xml", BOMB + enveloped("<ListResponse/>")), Forbidden, "document type"),
        ((200, "text/xml", enveloped("<a>" * 400 + "</a>" * 400)), Unavailable, "broken"),
        ((200, "text/xml", "<e/>"), Misconfigured, "'e'"),
        ((500, "text/xml", "<e/>"), Unavailable, "error of its own"),
        ((503, "text/html", "Down"), Unavailable, "error of its own"),
        ((500, "text/xml", enveloped(people(1))), Unavailable, "error of its own"),
        ((500, "text/xml", fault("Client", "No such filter")), Fatal, "No such filter"),
        ((500, "text/xml", fault("Server", "Out of order")), Unavailable, "Out of order"),
        ((500, "text/xml", fault("Client.FailedAuthentication", "Who?")), AuthFailed, "Who?"),
        ((500, "text/xml", fault("Client.ServerBusy", "Wait")), RateLimited, "asks to wait"),
        ((500, "text/xml", fault("VersionMismatch", "1.2 only")), Fatal, "1.2 only"),
        ((401, "text/html", ""), AuthFailed, "credentials"),
        ((400, "text/plain", "What?"), Fatal, "refuses the call"),
        ((302, "text/html", ""), Misconfigured, "moved"),
        ((429, "text/html", ""), RateLimited, "asks to wait"),
        ((200, 'multipart/related; boundary="x"', "--x\r\n\r\nno end"), Unavailable, "breaks off"),
        ((200, "multipart/related", "x"), Unavailable, "breaks off"),
    ],
)  # fmt: skip
def test_answers_that_are_wrong(
    web: Any, reply: Any, answer: tuple[int, str, str], error: type[ConnectorError], told: str
) -> None:
    """Each wrong answer ends in one sentence that says what happened and what to do."""
    status, kind, body = answer
    web.answer = lambda _: reply(status, body, {"Content-Type": kind, "Location": "/x"})
    with service(web) as soap, pytest.raises(error, match=told) as caught:
        ids(soap)
    if error is not RateLimited:
        assert caught.value.remedy
    assert len(web.received) == (4 if issubclass(error, (Unavailable, RateLimited)) else 1)


def test_faults_mean_what_the_connection_says(web: Any, reply: Any, waits: list[float]) -> None:
    """Rules by code, detail and text come before the well-known codes."""
    faults = [{"detail": "Empty", "do": "missing"}, {"code": "Odd", "text": "again", "do": "retry"},
              {"code": "Odd", "do": "stop"}]  # fmt: skip
    answers = [fault("Client", "x", "<Empty><b>nothing</b></Empty>"), fault("Client.Odd", "try again"),
               enveloped(people(7)), fault("Client.Odd", "no")]  # fmt: skip
    answers[3] = answers[3].replace("s:Client.Odd", "s:Odd")
    answers[1] = answers[1].replace("s:Client.Odd", "Odd")
    web.answer = lambda _: reply(500, answers[min(len(web.received), 4) - 1], {"Content-Type": "text/xml"})
    with service(web, faults=faults) as soap:
        assert ids(soap) == []
        web.answer = lambda _: reply(200, answers[min(len(web.received), 4) - 1], {"Content-Type": "text/xml"})
        assert ids(soap) == [7]
        with pytest.raises(Fatal, match="no"):
            ids(soap)
    assert len(waits) == 1


def test_faults_of_soap_1_2(web: Any, reply: Any) -> None:
    """Subcodes count before codes, and the reason and detail are told."""
    body = enveloped(
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>x:Limit</s:Value></s:Subcode></s:Code>"
        "<s:Reason><s:Text xml:lang='en'>Too many</s:Text></s:Reason><s:Detail><Why>today</Why></s:Detail></s:Fault>",
        soap12=True,
    ).replace("<s:Fault>", "<s:Fault xmlns:x='urn:x'>")
    web.answer = lambda _: reply(500, body, {"Content-Type": "application/soap+xml"})
    text = wsdl(web.url, LISTS, ["List"], soap12=True)
    with service(web, wsdl_text=text) as soap, pytest.raises(Unavailable, match=r"Limit\): Too many \(today\)"):
        ids(soap)
    assert web.received[0].headers["content-type"] == 'application/soap+xml; charset=utf-8; action="urn:List"'
    with service(web, wsdl_text=text, faults=[{"code": "Limit", "do": "wait"}]) as soap, pytest.raises(RateLimited):
        ids(soap)
    empty = enveloped("<s:Fault/>").replace('xmlns="', 'xmlns:q="')
    web.answer = lambda _: reply(500, empty, {"Content-Type": "text/xml"})
    with service(web) as soap, pytest.raises(Fatal, match=r"\(-\): -"):
        ids(soap)


def test_a_slow_or_dead_service(web: Any, reply: Any, waits: list[float]) -> None:
    """A short wait is waited for, a long one is told; a service that is not there is tried a few times."""
    answers = [reply(429, "", {"Retry-After": "3"}), reply(200, enveloped(people(1)), {"Content-Type": "text/xml"}),
               reply(429, "", {"Retry-After": "900"})]  # fmt: skip
    web.answer = lambda _: answers[len(web.received) - 1]
    with service(web) as soap:
        assert ids(soap) == [1]
        with pytest.raises(RateLimited) as caught:
            ids(soap)
    assert (waits, caught.value.after) == ([3.0], 900.0)
    web.close()
    with service(web) as soap, pytest.raises(Unavailable, match="No answer"):
        ids(soap)


def test_the_pace_is_kept(web: Any, reply: Any, waits: list[float]) -> None:
    """With a rate, calls are spread over time."""
    web.answer = answering(reply, lambda _: people(1))
    with service(web, rate=2) as soap:
        for _ in range(3):
            ids(soap)
    assert len(waits) == 2
    assert all(0 < wait <= 1 for wait in waits)


def test_lookups(web: Any, reply: Any) -> None:
    """Few keys are asked for one by one, many by the list; missing ones are absent, wrong ones are told."""

    def answer(sent: Sent) -> str:
        if sent.operation == "List":
            return people(*range(100))
        key = int(sent.text("id") or 0)
        if key > 100:
            return {101: "<GetResponse/>", 102: "<GetResponse><Person xsi:nil='true'/></GetResponse>"}.get(key, "")
        return people(5 if key == 50 else key, name="GetResponse")

    web.answer = answering(reply, answer)
    get = {"operation": "Get", "key": "id", "record": "Person"}
    with service(web, get=get) as soap:
        schema = soap.schema("people")
        found = soap.lookup("people", schema, "id", pl.Series([3, 7, 101, 102, 103]))
        assert found["id"].to_list() == [3, 7]
        assert soap.lookup("people", schema, "id", pl.Series(range(99))).height == 99
        assert len(web.received) == 6
        with pytest.raises(RecordRejected, match="another record"):
            soap.lookup("people", schema, "id", pl.Series([50]))
        web.answer = answering(reply, lambda _: "<GetResponse><Person><id>x</id></Person></GetResponse>")
        with pytest.raises(RecordRejected, match="'x'"):
            soap.lookup("people", schema, "id", pl.Series([3]))
        web.answer = lambda _: reply(500, fault("Client.Gone", "no"), {"Content-Type": "text/xml"})
        with pytest.raises(Fatal, match="no"):
            soap.lookup("people", schema, "id", pl.Series([3]))
    with service(web, get=get, faults=[{"code": "Gone", "do": "missing"}]) as soap:
        assert soap.lookup("people", schema, "id", pl.Series([3])).is_empty()
    with service(web, get={**get, "key": "nope"}) as soap, pytest.raises(Misconfigured, match="'nope'"):
        soap.lookup("people", schema, "id", pl.Series([3]))


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"read": {"operation": "List", "parameters": {"nope": 1}}}, "no member 'nope'"),
        ({"read": {"operation": "List", "parameters": {"page": {"a": 1}}}}, "single value"),
        ({"read": {"operation": "List", "parameters": {"page": 1},
                   "paging": {"by": "page", "parameter": "page/deep"}}}, "leads through 'page'"),
    ],
)  # fmt: skip
def test_parameters_that_do_not_fit(web: Any, described: Any, told: str) -> None:
    """A parameter that the WSDL does not have is told with those that it has, before anything is called."""
    described["read"]["records"] = "Person"
    with (
        service(web, objects=[{"name": "people", "key": "id", **described}]) as soap,
        pytest.raises(Misconfigured, match=told),
    ):
        ids(soap)
    assert not web.received


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('[{"name": "a"}]', "read"),
        ('[{"name": "a", "read": {"operation": "List"}, "pagin": 1}]', "pagin"),
        ('[{"name": "a", "read": {"operation": "List"}}, {"name": "a", "read": {"operation": "List"}}]', "no other"),
        ('[{"name": "a", "read": {"operation": "List", "paging": {"by": "page"}}}]', "parameter"),
        ('[{"name": "a", "read": {"operation": "List", "paging": {"by": "token", "parameter": "x"}}}]', "next"),
        ('[{"name": "a", "read": {"operation": "List"}, "delete": {"operation": "List"}}]', "key"),
        ('[{"name": "a", "key": "id", "read": {"operation": "List"}, "update": {"operation": "L", "whole": true}}]', "get"),
        ('[{"name": "a", "key": "nope", "read": {"operation": "List", "records": "Person"}}]', "nope"),
        ('[{"name": "a", "read": {"operation": "List", "paging": {"by": "page", "parameter": "p", "total": "no"}}}]', "no"),
        ("[", "objects"),
    ],
)  # fmt: skip
def test_mistakes_in_the_description_are_shown(web: Any, document: str, told: str) -> None:
    """A mistake in the description of the objects is told with its place before anything is called."""
    with service(web, objects=document) as soap, pytest.raises(Misconfigured, match=told):
        soap.objects()
    assert not web.received
