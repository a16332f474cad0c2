"""The connector `soap` against a strict hand-made service: writes, attachments, and remote procedure calls."""

# ruff: noqa: E501 - elements of XML that belong together
from __future__ import annotations

import datetime as dt
from email import message_from_bytes
from typing import Any

import polars as pl
import pytest
from lxml import etree

from connectors.builtin import soap_calls
from connectors.builtin.soap import Soap
from connectors.builtin.soap_message import Unfit, lexical
from connectors.errors import AuthFailed, Fatal, Misconfigured, RateLimited, Unavailable
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_soap_lists import answering, leaves, service
from tests.soap_servers import SPACE, Sent, element, enveloped, fault, wsdl

pytestmark = pytest.mark.usefixtures("waits")

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)


WRITES = (
    '<xs:complexType name="Item"><xs:sequence><xs:element name="id" type="xs:long" minOccurs="0"/>'
    '<xs:element name="name" type="xs:string" nillable="true" minOccurs="0"/>'
    '<xs:element name="note" type="xs:string" minOccurs="0"/><xs:element name="rate" type="xs:double" minOccurs="0"/>'
    '<xs:element name="tags" minOccurs="0"><xs:complexType><xs:sequence>'
    '<xs:element name="tag" type="xs:string" minOccurs="0" maxOccurs="unbounded" nillable="true"/>'
    '</xs:sequence></xs:complexType></xs:element><xs:element name="sum" minOccurs="0"><xs:complexType>'
    '<xs:simpleContent><xs:extension base="xs:decimal"><xs:attribute name="currency" type="xs:string"/></xs:extension>'
    '</xs:simpleContent></xs:complexType></xs:element><xs:element name="hex" type="xs:hexBinary" minOccurs="0"/>'
    '<xs:element name="raw" type="xs:base64Binary" minOccurs="0"/></xs:sequence>'
    '<xs:attribute name="rev" type="xs:int"/></xs:complexType>'
    '<xs:complexType name="Special"><xs:complexContent><xs:extension base="t:Item"><xs:sequence>'
    '<xs:element name="extra" type="xs:string"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>'
    + element("List", "") + element("ListResponse", '<xs:element name="Item" type="t:Item" minOccurs="0" maxOccurs="unbounded"/>'
                                    '<xs:element name="made" type="xs:dateTime" minOccurs="0"/>')
    + element("Get", leaves(id="long")) + element("GetResponse", '<xs:element name="Item" type="t:Item" minOccurs="0"/>')
    + element("Put", '<xs:element name="item" type="t:Item" maxOccurs="unbounded"/>' + leaves(id="long", rev="int"))
    + element("PutResponse", '<xs:element name="result" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>'
              + leaves(message="string", id="long") + '</xs:sequence><xs:attribute name="ok" type="xs:boolean"/>'
              "</xs:complexType></xs:element>")
    + element("Flat", leaves(id="long", name="string")) + element("FlatResponse", leaves(id="long"))
    + element("Drop", '<xs:element name="id" type="xs:long" maxOccurs="unbounded"/>') + element("DropResponse", "")
)  # fmt: skip
GET = {"operation": "Get", "key": "id", "record": "Item"}
ITEMS = Schema(
    (Field("id", FieldType.INTEGER, nullable=False), Field("name"), Field("note"), Field("tags", FieldType.JSON),
     Field("rate", FieldType.FLOAT), Field("hex", FieldType.BINARY), Field("raw", FieldType.BINARY)), ("id",)
)  # fmt: skip


def items(web: Any, **more: Any) -> Soap:
    """Return a connector to the web server with one object called items."""
    settings = {k: more.pop(k) for k in list(more) if k in {s.name for s in Soap.spec.settings}}
    described = {"name": "items", "key": "id", "read": {"operation": "List", "records": "Item"}, **more}
    text = wsdl(f"{web.url}/soap", WRITES, ["List", "Get", "Put", "Flat", "Drop"])
    given = {"wsdl_text": text, "objects": [described], **settings}
    return Soap({**{s.name: s.default for s in Soap.spec.settings}, **given}, HERE)


def written(soap: Soap, op: Op, **values: Any) -> Any:
    schema = {name: ITEMS[name].dtype for name in values}
    return soap.write("items", ITEMS, [Change(op, "id", pl.DataFrame(values, schema=schema))])


def bodies(web: Any) -> list[str]:
    """Return the calls that the service got, without their namespaces."""
    found = []
    for request in web.received:
        call = Sent(request.body).call
        etree.cleanup_namespaces(call)
        text = etree.tostring(call, encoding="unicode").replace("ns0:", "")
        found.append(text[text.index(">") + 1 :] if "<" in text[1:] else text)
    return found


PUT = {"operation": "Put", "record": "item"}
RESULT = "<result ok='{}'><message>{}</message><id>{}</id></result>"


def test_created_records_come_back_with_their_keys(web: Any, reply: Any) -> None:
    """Batches are one call, each record has its own result, and a batch that is refused as a whole is sent singly."""
    calls = [
        "<PutResponse>" + RESULT.format("true", "", 70) + RESULT.format("0", "name is  taken", "") + "</PutResponse>",
        "<PutResponse>" + RESULT.format("true", "", 72) + "</PutResponse>",
    ]
    web.answer = answering(reply, lambda _: calls[len(web.received) - 1])
    create = {**PUT, "batch": 2, "results": "result", "ok": "@ok", "message": "message", "key": "id"}
    with items(web, create=create) as soap:
        result = written(soap, Op.CREATE, id=[None, None, 5], name=["a", "b", None])
    assert result.keys[0].to_list() == [70, None, 72]
    (failure,) = result.failures
    assert (failure.row, "name is taken" in str(failure.message)) == (1, True)
    assert [s.count("item>") // 2 for s in bodies(web)] == [2, 1]
    assert "<id>5</id>" in bodies(web)[1]
    answers = [reply(500, fault("Client.Bad", "one is bad"), {"Content-Type": "text/xml"}),
               reply(200, enveloped(calls[1]), {"Content-Type": "text/xml"}),
               reply(500, fault("Server", "bad <b/>", "<Rule>name</Rule>"), {"Content-Type": "text/xml"})]  # fmt: skip
    web.received.clear()
    web.answer = lambda _: answers[len(web.received) - 1]
    with items(web, create=create) as soap:
        result = written(soap, Op.CREATE, name=["a", "b"])
    assert result.keys[0].to_list() == [72, None]
    assert "Server" in str(result.failures[0].message)
    assert "name" in str(result.failures[0].message)


def test_a_wrong_count_of_results_is_told(web: Any, reply: Any) -> None:
    """It must be known what became of each record; an answer without anything has no results."""
    web.answer = answering(reply, lambda _: "<PutResponse/>")
    with items(web, create={**PUT, "results": "result"}) as soap:
        with pytest.raises(Misconfigured, match="0 results"):
            written(soap, Op.CREATE, name=["a"])
        web.answer = lambda _: reply(202, "")
        with pytest.raises(Misconfigured, match="0 results"):
            written(soap, Op.CREATE, name=["a"])
    with items(web, create={**PUT, "ok": "@ok"}) as soap:
        assert len(written(soap, Op.CREATE, name=["a"]).failures) == 1


def test_updates_set_only_what_is_given(web: Any, reply: Any) -> None:
    """An emptied field is sent as nil, or the record is refused where the service has no way to say it."""
    web.answer = answering(reply, lambda _: "<PutResponse/>")
    with items(web, update={**PUT, "key_parameter": "id"}) as soap:
        result = written(soap, Op.UPDATE, id=[1], name=[None], tags=['{"tag": ["x", null]}'], rate=[float("inf")])
        assert not result.failures
        assert bodies(web) == [
            '<item><id>1</id><name xsi:nil="true"/><rate>INF</rate><tags><tag>x</tag><tag xsi:nil="true"/></tags></item>'
            "<id>1</id></Put>"
        ]
        result = written(
            soap, Op.UPDATE, id=[1, 2, 3, 4], note=[None, "a\x00b", "ok", "c"], tags=["{}", "{}", "[", "{}"]
        )
    assert [(f.row, str(f.message).partition(".")[0]) for f in result.failures] == [
        (0, "The service has no way to empty the field 'note'"),
        (1, "'note' has a character that XML does not have"),
        (2, "Field 'tags' holds '[', which is not JSON"),
    ]
    assert len(web.received) == 2


def test_a_record_is_sent_whole_with_its_version(web: Any, reply: Any) -> None:
    """Where a service replaces records, the other fields are read first, and its version is sent back."""
    found = '<GetResponse><Item rev="7"><id>1</id><name>old</name><note>n</note><sum currency="EUR">1.50</sum><hex>0A</hex></Item></GetResponse>'

    def answer(sent: Sent) -> str:
        if sent.operation == "Get":
            return {"1": found, "2": "<GetResponse/>", "3": "<GetResponse><Item><id>x</id></Item></GetResponse>"}[
                str(sent.text("id"))
            ]
        return "<PutResponse/>"

    web.answer = answering(reply, answer)
    update = {**PUT, "whole": True, "version": "@rev", "version_parameter": "rev"}
    with items(web, get=GET, update=update) as soap:
        result = written(soap, Op.UPDATE, id=[1, 2, 3], name=[None, "b", "c"])
    assert bodies(web)[1] == (
        '<item rev="7"><id>1</id><note>n</note><sum currency="EUR">1.5</sum><hex>0A</hex></item><rev>7</rev></Put>'
    )
    assert [f.row for f in result.failures] == [1, 2]
    assert "no such record" in str(result.failures[0].message)


def test_parameters_themselves_can_be_the_record(web: Any, reply: Any) -> None:
    """Without a parameter for the record its fields are parameters; deletions can be a list of keys, or a record."""
    web.answer = answering(reply, lambda s: f"<{s.operation}Response/>")
    with items(
        web, upsert={"operation": "Flat"}, delete={"operation": "Drop", "key_parameter": "id", "batch": 2}
    ) as soap:
        assert not written(soap, Op.CREATE, id=[1], name=["a"]).failures
        assert not written(soap, Op.UPDATE, id=[1], name=["b"]).failures
        assert not written(soap, Op.DELETE, id=[1, 2, 3]).failures
        assert soap.schema("items")["note"].generated
    assert bodies(web) == [
        "<id>1</id><name>a</name></Flat>", "<id>1</id><name>b</name></Flat>", "<id>1</id><id>2</id></Drop>", "<id>3</id></Drop>",
    ]  # fmt: skip
    web.received.clear()
    with items(web, delete={"operation": "Put", "record": "item"}) as soap:
        written(soap, Op.DELETE, id=[4])
        with pytest.raises(Misconfigured, match="create"):
            written(soap, Op.CREATE, name=["a"])
    assert bodies(web) == ["<item><id>4</id></item></Put>"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((500, fault("Client.InvalidLogin", "who")), AuthFailed),
        ((500, fault("ServerBusy", "wait")), RateLimited),
        ((500, fault("MustUnderstand", "header")), Fatal),
        ((503, "<x/>"), Unavailable),
    ],
)
def test_what_is_wrong_with_all_records_stops_a_write(web: Any, reply: Any, answer: Any, error: Any) -> None:
    """Wrong credentials or an outage are no failures of single records, and a write is not sent twice."""
    web.answer = lambda _: reply(answer[0], answer[1], {"Content-Type": "text/xml"})
    with items(web, create=PUT) as soap, pytest.raises(error):
        written(soap, Op.CREATE, name=["a"])
    assert len(web.received) == (4 if error is RateLimited else 1)
    if error is Unavailable:
        with items(web, create={**PUT, "repeatable": True}) as soap, pytest.raises(error):
            written(soap, Op.CREATE, name=["a"])
        assert len(web.received) == 5


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"item": {"nope": 1}}, "has no member 'nope'; it has: id"),
        ({"item": "text"}, "takes an object"),
        ({"item": {"name": {"a": 1}}}, "single value"),
        ({"item": {"rate": object()}}, "no single value"),
        ({"item": {"@xsi:type": "Unknown"}}, "no type 'Unknown'"),
    ],
)
def test_values_that_do_not_fit(web: Any, values: Any, told: str) -> None:
    """A value without a place or form in the message is told."""
    with items(web) as soap, pytest.raises((Unfit, Misconfigured), match=told):
        soap.calls.answer(soap_calls.Call("Put", values), soap_calls.Records("", None))
    assert not web.received


def test_forms_of_values(web: Any, reply: Any) -> None:
    """Derived types are named, attributes and texts beside them are set, floats and binaries written as XML does."""
    assert [lexical(v) for v in (True, -float("inf"), float("nan"), dt.date(2024, 1, 2), None)] == [
        "true", "-INF", "NaN", "2024-01-02", None,
    ]  # fmt: skip
    web.answer = answering(reply, lambda _: "<PutResponse/>")
    item = {
        "@xsi:type": "Special",
        "@rev": 2,
        "id": 1,
        "hex": b"\x0a",
        "extra": "e",
        "sum": {"#text": 1.5, "@currency": "CNY"},
    }
    with items(web) as soap:
        soap.calls.answer(soap_calls.Call("Put", {"item": [item, {"sum": 2}]}), soap_calls.Records("", None))
        with pytest.raises(Misconfigured, match="no operation 'Nothing'"):
            soap.calls.answer(soap_calls.Call("Nothing"), soap_calls.Records("", None))
    (body,) = bodies(web)
    assert 'type="' in body
    assert 'Special"' in body
    assert '<sum currency="CNY">1.5</sum><hex>0A</hex><extra>e</extra></item><item><sum>2</sum></item>' in body


def parts(*bodies: tuple[str, bytes, str]) -> bytes:
    """Return a multipart message of (id, content, transfer encoding)."""
    made = b""
    for name, body, encoding in bodies:
        head = f"Content-Type: application/octet-stream;\r\n type=x\r\nContent-ID: <{name}>\r\n"
        made += (
            b"--mark\r\n" + head.encode() + f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body + b"\r\n"
        )
    return b"preamble\r\n" + made + b"--mark--\r\n"


INCLUDED = '<raw><x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:{}"/></raw>'


@pytest.mark.parametrize("start", ["", '; start="<root>"'])
def test_attachments_are_read(web: Any, reply: Any, start: str) -> None:
    """Values that came as attachments (MTOM) are those values, in each transfer encoding, wherever the XML stands."""
    cells = [
        ("a%40b", "a@b", bytes(range(256)) + b"\r\n--mar", "binary"),
        ("c", "c", b"AP8=\r\n", "base64"),
        ("d", "d", b"=41=\r\nB", "quoted-printable"),
    ]
    rows = "".join(f"<Item><id>{n}</id>{INCLUDED.format(href)}</Item>" for n, (href, *_) in enumerate(cells))
    xml = (
        "root",
        enveloped(f"<ListResponse>{rows}<Item><id>9</id><raw>AP8=</raw></Item></ListResponse>").encode(),
        "8bit",
    )
    attached = [(name, body, encoding) for _, name, body, encoding in cells]
    content = parts(*([*attached, xml] if start else [xml, *attached]))
    kind = f'multipart/related; type="application/xop+xml"; boundary="mark"{start}'
    web.answer = lambda _: reply(200, content, {"Content-Type": kind})
    with items(web) as soap:
        (page,) = soap.read(ReadRequest("items", ITEMS))
        assert page.records["raw"].to_list() == [cells[0][2], b"\x00\xff", b"AB", b"\x00\xff"]
        for broken in (
            parts(*attached, xml).replace(b"<d>", b"<e>"),
            parts(("c", b"A", "base64")),
            b"--mark\r\nx\r\n--mark--",
        ):
            web.answer = lambda _, b=broken: reply(200, b, {"Content-Type": kind})
            with pytest.raises(Unavailable, match="breaks off"):
                list(soap.read(ReadRequest("items", ITEMS)))


def test_attachments_are_written(web: Any, reply: Any) -> None:
    """Large binary values are sent as attachments and small ones as text; the parts are those of a mail."""
    web.answer = lambda _: reply(200, enveloped("<PutResponse/>"), {"Content-Type": "text/xml"})
    raw = bytes(range(256)) * 9 + b"\r\n--syncline-0"
    with items(web, create=PUT, attachments=True) as soap:
        written(soap, Op.CREATE, id=[1, 2], raw=[raw, b"tiny"])
    first, second = web.received
    mail = message_from_bytes(b"Content-Type: " + first.headers["content-type"].encode() + b"\r\n\r\n" + first.body)
    root, attached = mail.get_payload()
    assert attached.get_payload(decode=True) == raw
    assert mail.get_param("start") == root["Content-ID"]
    href = (
        etree.fromstring(root.get_payload(decode=True))
        .find(".//{http://www.w3.org/2004/08/xop/include}Include")
        .get("href")
    )
    assert f"<{href.removeprefix('cid:')}>" == attached["Content-ID"]
    assert b"<ns0:raw>dGlueQ==</ns0:raw>" in second.body


RPC = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="{space}"
 xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:e="http://schemas.xmlsoap.org/soap/encoding/" targetNamespace="{space}">
<types><xs:schema targetNamespace="{space}"><xs:import namespace="http://schemas.xmlsoap.org/soap/encoding/"/>
<xs:complexType name="Person"><xs:sequence><xs:element name="id" type="xs:int"/><xs:element name="name" type="xs:string" nillable="true"/></xs:sequence></xs:complexType>
<xs:complexType name="People"><xs:complexContent><xs:restriction base="e:Array"><xs:attribute ref="e:arrayType" w:arrayType="t:Person[]"/></xs:restriction></xs:complexContent></xs:complexType>
</xs:schema></types>
<message name="ListIn"><part name="page" type="xs:int"/><part name="known" type="t:People"/></message><message name="ListOut"><part name="return" type="t:People"/></message>
<portType name="P"><operation name="List"><input message="t:ListIn"/><output message="t:ListOut"/></operation></portType>
<binding name="B" type="t:P"><soap:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/><operation name="List"><soap:operation soapAction=""/>
<input><soap:body use="{use}" namespace="{space}"/></input><output><soap:body use="{use}" namespace="{space}"/></output></operation></binding>
<service name="S"><port name="Port" binding="t:B"><soap:address location="{url}"/></port></service></definitions>"""
MULTI = ('<r:ListResponse xmlns:r="urn:r"><return><item href="#i0"/><item href="#i1"/></return></r:ListResponse>'
         '<multiRef id="i0"><id>1</id><name>a</name></multiRef><multiRef id="i1"><id>2</id><name xsi:nil="true"/></multiRef>')  # fmt: skip


@pytest.mark.parametrize("use", ["literal", "encoded"])
def test_remote_procedure_calls(web: Any, reply: Any, use: str) -> None:
    """The rpc style has parts below the operation's name; encoded arrays and references (Axis) are followed."""
    plain = "<ListResponse><return xmlns=''><item><id>1</id><name>a</name></item><item><id>2</id><name xsi:nil='true'/></item></return></ListResponse>"
    web.answer = answering(reply, lambda _: MULTI.replace("<item", "<item xmlns=''") if use == "encoded" else plain)
    text = RPC.format(space=SPACE, use=use, url=web.url)
    read = {"records": "return/item", "parameters": {"page": 1, "known": [{"id": 5, "name": "x"}, None]}}
    with service(web, wsdl_text=text, read=read) as soap:
        schema = soap.schema("people")
        (page,) = soap.read(ReadRequest("people", schema))
    assert page.records.rows() == [(1, "a"), (2, None)]
    sent = Sent(web.received[0].body)
    assert sent.call.tag == f"{{{SPACE}}}List"
    known = sent.call.find("known")
    assert [i.findtext("id") for i in known] == ["5", None]
    kind = known.get("{http://schemas.xmlsoap.org/soap/encoding/}arrayType")
    assert (kind or "").endswith("Person[2]") is (use == "encoded")
