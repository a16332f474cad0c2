"""The connector `soap` with what is odd in WSDLs: several parts, anything allowed, encoded arrays, simple records."""

# ruff: noqa: E501 - elements of XML that belong together
from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from lxml import etree

from connectors.builtin.soap_answer import Records
from connectors.builtin.soap_calls import Call
from connectors.builtin.soap_message import Unfit
from connectors.builtin.soap_propose import proposed
from connectors.errors import Misconfigured
from connectors.spi import ReadRequest
from rules.schema import Change, FieldType, Op
from tests.connectors.test_memory import COUNT, WIDE, check
from tests.connectors.test_soap_lists import MANY, PERSON, answering, ids, leaves, people, service
from tests.connectors.test_soap_messages import RPC
from tests.soap_servers import SPACE, Sent, element, enveloped, wsdl


def test_several_parts_stand_in_the_body(web: Any, reply: Any) -> None:
    """Bare messages of several parts have an element each; an operation without parts takes no parameters."""
    schema = PERSON + element("One", leaves(a="int")) + element("Two", leaves(b="int")) + element("ListResponse", MANY)
    text = wsdl(web.url, schema + element("List", ""), ["List"])
    two = '<part name="one" element="t:One"/><part name="two" element="t:Two"/>'
    part = '<part name="parameters" element="t:List"/>'
    web.answer = answering(reply, lambda _: people(1))
    with service(
        web, wsdl_text=text.replace(part, two), read={"parameters": {"One": {"a": 1}, "Two": {"b": 2}}}
    ) as soap:
        assert ids(soap) == [1]
    body = Sent(web.received[0].body).body
    assert [etree.QName(e).localname for e in body] == ["One", "Two"]
    with service(web, wsdl_text=text.replace(part, "")) as soap:
        assert soap.schema("people").names == ("id", "name")
        with pytest.raises(Unfit, match="takes no parameters"):
            soap.calls.answer(Call("List", {"a": 1}), Records("", None))


ANYTHING = (
    PERSON + element("List", "") + element("ListResponse", MANY)
    + element("Put", '<xs:element name="doc" type="xs:anyType"/><xs:any minOccurs="0" maxOccurs="9" processContents="lax"/>')
    + element("PutResponse", "")
)  # fmt: skip


def test_anything_is_written_as_it_is_nested(web: Any, reply: Any) -> None:
    """Where the WSDL allows anything, members are elements, attributes and texts by their names."""
    web.answer = answering(reply, lambda s: people(1) if s.operation == "List" else "<PutResponse/>")
    create = {"operation": "Put", "record": "doc", "parameters": {"more": [{"@k": "v", "#text": "t"}, "x"]}}
    text = wsdl(web.url, ANYTHING, ["List", "Put"])
    with service(web, wsdl_text=text, create=create) as soap:
        schema = soap.schema("people")
        assert not any(f.generated for f in schema.fields)
        change = Change(Op.CREATE, "id", pl.DataFrame({"id": [1], "name": ["a"]}))
        assert not soap.write("people", schema, [change]).failures
    call = Sent(web.received[0].body).call
    assert [(e.tag, e.text, dict(e.attrib)) for e in call][1:] == [("more", "t", {"k": "v"}), ("more", "x", {})]
    assert [(e.tag, e.text) for e in call[0]] == [("id", "1"), ("name", "a")]


def test_simple_records_and_values_in_them(web: Any, reply: Any) -> None:
    """A list of plain values has one field; deeper fields of a value stand beside it, missing ones are empty."""
    schema = element("List", "") + element(
        "ListResponse", '<xs:element name="code" type="xs:int" minOccurs="0" maxOccurs="unbounded"/>'
    )
    web.answer = answering(
        reply, lambda _: "<ListResponse><code>1</code><code>2</code><code xsi:nil='true'/></ListResponse>"
    )
    with service(web, schema, {"records": "code"}, key="") as soap:
        found = soap.schema("people")
        assert [(f.name, f.type) for f in found.fields] == [("#text", FieldType.INTEGER)]
        (page,) = soap.read(ReadRequest("people", found))
    assert page.records["#text"].to_list() == [1, 2, None]
    fields = [{"name": "kind", "path": "name/@kind"}, {"name": "again", "path": "name"}, {"name": "gone", "path": "x/y"},
              {"name": "none", "path": "name/deep/@a"}]  # fmt: skip
    schema = PERSON + element("List", "") + element("ListResponse", MANY)
    web.answer = answering(
        reply, lambda _: '<ListResponse><Person><id>1</id><name kind="k">n</name><odd>1</odd></Person></ListResponse>'
    )
    with service(web, schema, fields=fields) as soap:
        (page,) = soap.read(ReadRequest("people", soap.schema("people")))
    assert page.records.rows() == [(1, "n", "k", "n", None, None)]


def test_encoded_arrays_of_plain_values(web: Any, reply: Any) -> None:
    """An array says its type with a prefix that is declared for it; answers have lists of typed values."""
    text = RPC.format(space=SPACE, use="encoded", url=web.url).replace("t:Person[]", "xs:int[]")
    text = text.replace('element name="name" type="xs:string"', 'element name="name" type="t:People"')
    text = text.replace('<part name="return" type="t:People"/>', '<part name="return" type="t:Person"/>')
    item = "<id>1</id><name><item>1</item><item>2</item></name>"
    web.answer = answering(
        reply, lambda _: f"<ListResponse xmlns=''><return xsi:type='No'>{item}</return></ListResponse>"
    )
    with service(web, wsdl_text=text, read={"records": "return", "parameters": {"known": [7]}}) as soap:
        (page,) = soap.read(ReadRequest("people", soap.schema("people")))
    assert page.records.rows() == [(1, "[1,2]")]
    known = Sent(web.received[0].body).call.find("known")
    prefix = known.get("{http://schemas.xmlsoap.org/soap/encoding/}arrayType").partition(":")[0]
    assert known.nsmap[prefix] == "http://www.w3.org/2001/XMLSchema"


def test_nested_types_know_themselves() -> None:
    """A type that holds itself ends somewhere, and lists inside of lists are no lists of records."""
    tree = (
        '<xs:complexType name="Node"><xs:sequence><xs:element name="node" type="t:Node" minOccurs="0"/>'
        '<xs:element name="tags" type="xs:int" maxOccurs="9"/></xs:sequence></xs:complexType>'
    )
    schema = (
        tree
        + element("ListNodes", leaves(page="int"))
        + element("ListNodesResponse", '<xs:element name="node" type="t:Node"/>')
    )
    with service(None, schema, wsdl_text=wsdl("http://127.0.0.1:1", schema, ["ListNodes"]), objects=[]) as soap:
        assert proposed(soap.calls.service) == {}


def test_odd_places(web: Any, reply: Any) -> None:
    """A proposal looks for the total in types that hold themselves; any attributes are no fields; texts have a path."""
    tree = (
        '<xs:complexType name="Node"><xs:sequence><xs:element name="node" type="t:Node" minOccurs="0"/></xs:sequence>'
        '<xs:anyAttribute processContents="lax"/></xs:complexType>'
    )
    answers = '<xs:element name="node" type="t:Node" minOccurs="0"/>' + leaves(total="int") + MANY
    schema = PERSON + tree + element("List", leaves(page="int")) + element("ListResponse", answers)
    schema += element("ListPeople", leaves(page="int")) + element("ListPeopleResponse", answers)
    text = wsdl(web.url, schema, ["List", "ListPeople"])
    with service(web, wsdl_text=text, objects=[]) as soap:
        (found,) = proposed(soap.calls.service).values()
        assert (found.name, found.read.paging.total) == ("People", "total")
        assert soap.calls.service.types.members(soap.calls.service.types.named("Node")).keys() == {"node"}
    web.answer = answering(reply, lambda _: people(1, more="<total>1</total>"))
    paging = {"by": "page", "parameter": "page", "total": "total/#text"}
    with service(web, wsdl_text=text, read={"paging": paging}) as soap:
        assert ids(soap) == [1]


def test_a_record_type_without_its_key(web: Any) -> None:
    """A path that leads through a plain value is told with what there is."""
    schema = PERSON + element("List", "") + element("ListResponse", MANY)
    with service(web, schema, {"records": "Person/id/deep"}) as soap, pytest.raises(Misconfigured, match="there is: -"):
        soap.objects()


def test_nested_values_keep_their_types(web: Any, reply: Any) -> None:
    """A nested value of a derived type says so, repeated ones are lists, nil is none, and what is unknown stays."""
    box = (
        '<xs:complexType name="Part"><xs:sequence><xs:element name="n" type="xs:int" minOccurs="0" nillable="true"/>'
        '</xs:sequence><xs:attribute name="a" type="xs:int"/></xs:complexType>'
        '<xs:complexType name="Extra"><xs:complexContent><xs:extension base="t:Part"><xs:sequence>'
        '<xs:element name="more" type="xs:boolean"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>'
        '<xs:complexType name="Box"><xs:sequence><xs:element name="id" type="xs:long"/>'
        '<xs:element name="part" type="t:Part" minOccurs="0" nillable="true"/></xs:sequence></xs:complexType>'
    )
    schema = box + element("List", "") + element("ListResponse", '<xs:element name="Box" type="t:Box" maxOccurs="9"/>')
    boxes = (
        '<Box><id>1</id><part xsi:type="Extra" a="7" b="8"><n>1</n><more>true</more></part></Box>'
        '<Box><id>2</id><part xsi:type="Part"><n>1</n><n>2</n><n>3</n></part></Box>'
        '<Box><id>3</id><part xsi:nil="true"/></Box><Box><id>4</id><part xsi:type="Lost"><n xsi:nil="1"/><odd>x</odd></part></Box>'
    )
    web.answer = answering(reply, lambda _: f"<ListResponse>{boxes}</ListResponse>")
    fields = [
        {"name": "a", "path": "part/@a"},
        {"name": "self", "path": "part/n/#text"},
        {"name": "late", "path": "part/zz/@a"},
    ]
    with service(web, schema, {"records": "Box"}, fields=fields) as soap:
        (page,) = soap.read(ReadRequest("people", soap.schema("people")))
    assert page.records.rows() == [
        (1, '{"@a":7,"@xsi:type":"Extra","more":true,"n":1}', 7, 1, None),
        (2, '{"n":[1,2,3]}', None, 1, None),
        (3, None, None, None, None),
        (4, '{"n":null,"odd":"x"}', None, None, None),
    ]


def test_calls_without_a_body(web: Any, reply: Any) -> None:
    """An operation without parts is called with an empty body."""
    schema = PERSON + element("List", "") + element("ListResponse", MANY)
    text = wsdl(web.url, schema, ["List"]).replace('<part name="parameters" element="t:List"/>', "")
    web.answer = lambda _: reply(200, "", {"Content-Type": "text/xml"})
    with service(web, wsdl_text=text) as soap:
        assert ids(soap) == []
    assert len(Sent(web.received[0].body.replace(b"<soap:Body/>", b"<soap:Body><x/></soap:Body>")).call) == 0


def test_a_long_list_takes_little_memory(web: Any, reply: Any) -> None:
    """A list of 60 MB is read page by page."""
    schema = PERSON + element("List", leaves(page="int")) + element("ListResponse", MANY)
    wide = "x" * WIDE

    def answer(request: Any) -> Any:
        start = int(Sent(request.body).text("page") or 0)
        rows = (f"<Person><id>{n}</id><name>{wide}</name></Person>" for n in range(start, min(start + 1000, COUNT)))
        return reply(
            body=enveloped(f"<ListResponse>{''.join(rows)}</ListResponse>"), headers={"Content-Type": "text/xml"}
        )

    web.answer = answer
    check(service(web, schema, {"paging": {"by": "offset", "parameter": "page", "size": 1000}}), "people")
    web.received.clear()
