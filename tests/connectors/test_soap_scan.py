"""Records of a regular form are matched by a pattern: what is read is what the parser reads, or left to it."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from connectors.builtin import soap_answer
from connectors.builtin.soap_answer import Columns, Message, Records
from connectors.builtin.soap_scan import scanned
from rules.schema import FieldType
from tests.connectors.test_soap_lists import MANY, leaves, service
from tests.soap_servers import SPACE, element, wsdl

NAMES = ("id", "name", "note", "at")
TYPES = {"id": "long", "name": "string", "note": "string", "at": "dateTime"}
PERSON = f'<xs:complexType name="Person"><xs:sequence>{leaves(**TYPES)}</xs:sequence></xs:complexType>'
SCHEMA = PERSON + element("List", "") + element("ListResponse", leaves(total="int") + MANY)
XSI = "http://www.w3.org/2001/XMLSchema-instance"


@pytest.fixture(scope="module")
def columns() -> Columns:
    """What takes three of the four fields, in another order than the WSDL's."""
    with service(None, SCHEMA, wsdl_text=wsdl("http://127.0.0.1:1", SCHEMA, ["List"])) as soap:
        record = soap.calls.service.types.named("Person")
        wanted = [("note", FieldType.TEXT), ("id", FieldType.INTEGER), ("name", FieldType.TEXT)]
        return Columns(soap.calls.service.types, record, wanted)


def answer(records: str, *, head: str = "", space: str = f'xmlns="{SPACE}"', xsi: str = XSI) -> bytes:
    """Return an answer whose records stand behind a total."""
    return (
        f'{head}<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:i="{xsi}" xmlns:p="{SPACE}"'
        f" {space}><s:Body><ListResponse><total>9</total>{records}</ListResponse>\n</s:Body></s:Envelope>"
    ).encode()


def read(columns: Columns, content: bytes, *, parse: bool = False) -> Any:
    """Return the rows and the total that an answer holds, or the kind of its error."""
    with pytest.MonkeyPatch.context() as patch:
        if parse:
            patch.setattr(soap_answer, "scanned", lambda *_: None)
        try:
            found = Records("Person", columns).of(Message(content))
        except etree.XMLSyntaxError:
            return "broken"
    assert isinstance(found.rows, pl.DataFrame)
    assert set(found.rows.dtypes) == {pl.String}
    return found.rows.rows(), found.text("total")


TEXT = st.text(st.sampled_from("a 客😀\n\t>]'\"&<\x00\r/x:nil="), max_size=6)
ESCAPED = {"&": "&amp;", "<": "&lt;"}


@st.composite
def cells(draw: st.DrawFn, name: str, prefix: str) -> str:
    """Return an element as services write it, sometimes an odd one."""
    tag = prefix + name
    text = draw(TEXT)
    plain = "".join(ESCAPED.get(c, c) for c in text)
    forms = [f"<{tag}>{plain}</{tag}>"] * 6 + [
        f"<{tag}/>", f"<{tag} />", "", f'<{tag} i:nil="true"/>', f'<{tag} i:nil="1"></{tag}>', f"<{tag}></{tag}>",
        f"<{tag}>&#x4f60;&#65;&quot;&apos;&gt;</{tag}>", f"<{tag}>{text}</{tag}>", f"<{tag}>a<!-- c -->b</{tag}>",
        f"<{tag}><![CDATA[<x>]]></{tag}>", f'<{tag} k="v">a</{tag}>', f"<{tag}><deep>1</deep></{tag}>",
        f"<{tag}>&other;</{tag}>", f"<{tag}>&#0;</{tag}>", f"<{tag}>", f'<{tag} p:nil="true"/>',
    ]  # fmt: skip
    return draw(st.sampled_from(forms))


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Return the records of an answer."""
    prefix = draw(st.sampled_from(["", "p:"]))
    space = draw(st.sampled_from(["", "\n  "]))
    made = []
    for _ in range(draw(st.integers(0, 4))):
        names = draw(st.sampled_from([NAMES] * 8 + [NAMES[::-1], ("id", "id", "other")]))
        inside = space.join(draw(cells(name, prefix)) for name in names)
        attribute = draw(st.sampled_from([""] * 8 + [' i:type="p:Person"', ' k="v"', ' i:nil="true"']))
        made.append(f"<{prefix}Person{attribute}>{inside}</{prefix}Person>")
    return draw(st.sampled_from(["", space, "<more/>"])).join(made)


@settings(max_examples=150, deadline=None)
@given(bodies())
def test_the_pattern_reads_what_the_parser_reads(columns: Columns, records: str) -> None:
    """Whatever stands in an answer, both ways give the same rows, or the same refusal."""
    content = answer(records)
    assert read(columns, content) == read(columns, content, parse=True)


ROW = "<Person><id>1</id><name>a</name><note>n&amp;m</note></Person>"


def test_a_regular_answer_is_matched(columns: Columns) -> None:
    """Plain records are read by the pattern, in the order that is asked for."""
    found = columns.scanned(answer(ROW * 3), "Person")
    assert found is not None
    assert len(found.rows) == 3
    assert read(columns, answer(ROW * 2)) == ([("n&m", "1", "a")] * 2, "9")
    marked = ROW.replace(">a<", ">&#20320;&#x1F600;&#13;&lt;<")
    assert read(columns, answer(marked)) == ([("n&m", "1", "你😀\r<")], "9")
    assert read(columns, answer(ROW.replace(">a<", ">&#xFFFF;<"))) == "broken"


@pytest.mark.parametrize(
    "content",
    [
        answer(ROW, head='<?xml version="1.0" encoding="GB18030"?>'),
        answer(ROW.replace(">a<", ">a\r\nb<")),
        answer(ROW.replace(">a<", "><![CDATA[a]]><")),
        answer(""),
        answer(ROW[:-9]),
        answer(ROW.replace("<note>", "<note k='v'>")),
        answer(ROW + "<!-- c -->" + ROW),
        answer(f"{ROW}<x/>{ROW}"),
    ],
)
def test_what_is_not_regular_is_left_to_the_parser(columns: Columns, content: bytes) -> None:
    """Other encodings, line ends, CDATA, attributes, comments and gaps are no business of a pattern."""
    assert columns.scanned(content, "Person") is None
    assert read(columns, content) == read(columns, content, parse=True)


@pytest.mark.parametrize(
    "content",
    [
        answer(f"<box>{ROW}</box>"),
        answer(ROW.replace(">1<", ">&nbsp;<")),
        answer(ROW).replace(b">a<", b">\xff<"),
        answer(ROW.replace("<name>a</name>", '<name i:nil="true"/>'), xsi="urn:other"),
        answer(ROW.replace("Person>", "q:Person>")),
        answer(ROW).replace(b"</s:Envelope>", b""),
    ],
)
def test_what_stands_around_the_records_counts(columns: Columns, content: bytes) -> None:
    """Records at another place, unknown entities and prefixes, bytes that are no text, broken answers are noticed."""
    assert columns.scanned(content, "Person") is not None
    assert read(columns, content) == read(columns, content, parse=True)


def test_records_without_anything_plain(columns: Columns) -> None:
    """Where more than plain values is wanted, the parser reads them."""
    types = columns.types
    record = types.named("Person")
    assert Columns(types, record, [("@a", FieldType.TEXT)]).scanned(answer(ROW), "Person") is None
    assert scanned(answer(ROW), "Nobody", ["id"], ["id"]) is None
