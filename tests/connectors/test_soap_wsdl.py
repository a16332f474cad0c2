"""The connector `soap` against a strict hand-made service: its WSDL, what it imports and suggests, and settings."""

# ruff: noqa: E501 - elements of XML that belong together
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from lxml import etree

from connectors.builtin import soap_calls, soap_wsdl
from connectors.builtin.soap import Soap
from connectors.builtin.soap_message import Unfit
from connectors.builtin.soap_propose import proposed
from connectors.builtin.soap_shipped import SCHEMAS
from connectors.errors import Fatal, Forbidden, Misconfigured, Unavailable
from connectors.spi import Context
from tests.connectors.test_soap_lists import LEAF, LISTS, answering, ids, leaves, people, service
from tests.soap_servers import Sent, element, enveloped, wsdl

pytestmark = pytest.mark.usefixtures("waits")

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)


def served(web: Any, reply: Any, documents: Mapping[str, str]) -> None:
    """Let the web server give out documents, and answer all calls with one record."""
    web.answer = lambda r: (
        reply(200, enveloped(people(1)), {"Content-Type": "text/xml"}) if r.method == "POST"
        else reply(200, documents[r.path], {"Content-Type": "text/xml"}) if r.path in documents else reply(404, "")
    )  # fmt: skip


IMPORT = '<xs:import xmlns:xs="http://www.w3.org/2001/XMLSchema" namespace="{}" schemaLocation="{}"/>'


def test_a_wsdl_that_imports_what_does_not_answer(web: Any, second_web: Any, reply: Any) -> None:
    """Well-known schemas are built in, wherever they are said to be; others are pasted, or told by their address."""
    imports = "".join(IMPORT.format(space, f"http://no-such-host.invalid/{n}.xsd") for n, space in enumerate(SCHEMAS))
    imports = imports.replace(' schemaLocation="http://no-such-host.invalid/1.xsd"', "")
    used = '<xs:attribute xmlns:xml="http://www.w3.org/XML/1998/namespace" ref="xml:lang"/>'
    schema = LISTS.replace("</xs:sequence></xs:complexType>", f"</xs:sequence>{used}</xs:complexType>", 1)
    served(web, reply, {"/x": wsdl(f"{web.url}/soap", imports + schema, ["List"])})
    with service(web, wsdl_text="", wsdl=f"{web.url}/x") as soap:
        assert ids(soap) == [1]
        assert "@lang" in soap.schema("people")
    own = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:own"/>'
    dead = {"/x": wsdl(f"{web.url}/soap", IMPORT.format("urn:own", f"{second_web.url}/own.xsd") + LISTS, ["List"])}
    served(web, reply, dead)
    second_web.close()
    with (
        service(web, wsdl_text="", wsdl=f"{web.url}/x?1") as soap,
        pytest.raises(Unavailable, match=r"own\.xsd") as caught,
    ):
        soap.objects()
    assert "Schemas" in str(caught.value.remedy)
    for name in ("own.xsd", f"{second_web.url}/own.xsd"):
        with service(web, wsdl_text="", wsdl=f"{web.url}/x?1", schemas={name: own}) as soap:
            assert ids(soap) == [1]
    pasted = wsdl(f"{web.url}/soap", IMPORT.format("urn:own", "own.xsd") + LISTS, ["List"])
    with service(web, wsdl_text=pasted) as soap, pytest.raises(Misconfigured, match=r"needs the schema 'own\.xsd'"):
        soap.objects()
    with service(web, wsdl_text=pasted, schemas={"own.xsd": own}) as soap:
        assert ids(soap) == [1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<html><body>Log in<br></body></html>", "no WSDL or schema"),
        ("<html><body>Log in</body></html>", "describes no service"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "document type"),
        (wsdl("", LISTS, ["List"]), "no address"),
        (wsdl("", LISTS, ["List"]).replace('<soap:address location=""/>', ""), "no address"),
        (wsdl("http://[::1", LISTS, ["List"]), "no address"),
        (wsdl("http://x.example", LISTS.replace("t:Person", "t:Nobody"), ["List"]), "cannot be understood"),
        (
            wsdl("http://x.example", '<xs:include schemaLocation="file:///etc/passwd"/>', []),
            "needs the schema 'passwd'",
        ),
    ],
)
def test_a_wsdl_that_is_wrong(web: Any, text: str, told: str) -> None:
    """A WSDL that cannot be used is told in one sentence, and no file of this machine is read for it."""
    with service(web, wsdl_text=text) as soap, pytest.raises((Misconfigured, Forbidden), match=told):
        soap.objects()
    assert not web.received


def test_a_wsdl_that_imports_itself_for_ever(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of documents has an end."""
    monkeypatch.setattr(soap_wsdl, "_MOST", 3)
    imports = "".join(IMPORT.format(f"urn:{n}", f"{n}.xsd") for n in range(5))
    schema = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:{}"/>'
    documents = {f"/{n}.xsd": schema.format(n) for n in range(5)}
    served(web, reply, {**documents, "/x": wsdl(web.url, imports + LISTS, ["List"])})
    with service(web, wsdl_text="", wsdl=f"{web.url}/x?3") as soap, pytest.raises(Misconfigured, match="more than 3"):
        soap.objects()


def test_credentials_stay_with_their_host(web: Any, second_web: Any, reply: Any) -> None:
    """Schemas of other hosts are asked for without credentials, and calls go to another host only if a person said so."""
    own = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:own"/>'
    served(second_web, reply, {"/own.xsd": own})
    served(
        web,
        reply,
        {"/x": wsdl(f"{second_web.url}/soap", IMPORT.format("urn:own", f"{second_web.url}/own.xsd") + LISTS, ["List"])},
    )
    basic = {"wsdl_text": "", "wsdl": f"{web.url}/x", "authentication": "basic", "user": "ann", "password": "s3cret"}
    with service(web, **basic) as soap, pytest.raises(Misconfigured, match="another server"):
        soap.objects()
    assert "authorization" in web.received[0].headers
    assert ["authorization" in r.headers for r in second_web.received] == [False]
    with service(web, **basic, address=f"{second_web.url}/soap") as soap:
        assert ids(soap) == [1]
    assert "authorization" in second_web.received[-1].headers
    with service(web, **{**basic, "authentication": "none"}) as soap:
        assert ids(soap) == [1]


def test_a_wsdl_is_read_once_for_a_while(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections share what was read lately; a connection test reads it anew; the memory for it has an end."""
    served(web, reply, {"/x": wsdl(f"{web.url}/soap", LISTS, ["List"])})
    for _ in range(2):
        with service(web, wsdl_text="", wsdl=f"{web.url}/x?5") as soap:
            assert ids(soap) == [1]
    assert [r.method for r in web.received] == ["GET", "POST", "POST"]
    with service(web, wsdl_text="", wsdl=f"{web.url}/x?5") as soap:
        steps = list(soap.check())
    assert all(step.ok for step in steps)
    assert [r.method for r in web.received][3:] == ["GET", "POST"]
    monkeypatch.setattr(soap_wsdl, "_KEPT", 1)
    with service(web, wsdl_text="", wsdl=f"{web.url}/x?6") as soap:
        ids(soap)
    assert len(soap_wsdl._known) == 1
    with service(web, wsdl_text="", wsdl=f"{web.url}/missing") as soap, pytest.raises(Fatal, match="does not exist"):
        soap.objects()


def test_addressing_is_sent_where_the_wsdl_asks_for_it(web: Any, reply: Any) -> None:
    """WS-Addressing's action, message id and address are in the header if the WSDL names an action."""
    web.answer = answering(reply, lambda _: people(1))
    text = wsdl(web.url, LISTS, ["List"]).replace(
        '<input message="t:ListIn"/>',
        '<input message="t:ListIn" wsaw:Action="urn:act" xmlns:wsaw="http://www.w3.org/2006/05/addressing/wsdl"/>',
    )
    text = text.replace(
        '<input message="t:ListIn"',
        '<input xmlns:wsam="http://www.w3.org/2007/05/addressing/metadata" wsam:Action="urn:act" message="t:ListIn"',
    )
    with service(web, wsdl_text=text) as soap:
        assert ids(soap) == [1]
    found = {etree.QName(e).localname: e.text for e in Sent(web.received[0].body).head}
    assert found["Action"] == "urn:act"
    assert found["MessageID"].startswith("urn:uuid:")


def test_proposals_by_name() -> None:
    """Plurals, suffixes and single parameters are understood; what has no list or key gets no more than it can do."""

    def group(name: str, key: str) -> str:
        return f'<xs:complexType name="{name}"><xs:sequence>{leaves(**{key: "int"})}</xs:sequence></xs:complexType>'

    def many(name: str) -> str:
        inner = f'<xs:element name="rows"><xs:complexType><xs:sequence><xs:element name="{name}" type="t:{name}" maxOccurs="9"/></xs:sequence></xs:complexType></xs:element>'
        return inner + leaves(TotalCount="int", HasMore="boolean")

    schema = (
        group("Company", "companyId") + group("Box", "id") + group("Log", "line")
        + element("GetAllCompanies", leaves(offset="int", limit="int", modifiedSince="dateTime")) + element("GetAllCompaniesResponse", many("Company"))
        + element("GetCompanyById", leaves(x="int")) + element("GetCompanyByIdResponse", LEAF.format("r", "int"))
        + element("DeleteCompany", leaves(companyId="int", why="string")) + element("DeleteCompanyResponse", "")
        + element("CreateCompany", leaves(companyId="int")) + element("CreateCompanyResponse", leaves(made="int"))
        + element("ListBoxes", "") + element("ListBoxesResponse", many("Box"))
        + element("GetBox", leaves(a="int", b="int")) + element("GetBoxResponse", "")
        + element("UpdateBox", '<xs:element name="box" type="t:Box"/>' + leaves(id="int")) + element("UpdateBoxResponse", "")
        + element("SaveBox", leaves(q="int")) + element("SaveBoxResponse", "")
        + element("RemoveBox", leaves(a="int", b="int")) + element("RemoveBoxResponse", "")
        + element("SearchLogs", "") + element("SearchLogsResponse", many("Log"))
        + element("DeleteLog", leaves(line="int")) + element("DeleteLogResponse", "")
        + element("Ping", "") + element("PingResponse", "") + element("GetNews", "") + element("GetNewsResponse", "")
    )  # fmt: skip
    names = ["GetAllCompanies", "GetCompanyById", "DeleteCompany", "CreateCompany", "ListBoxes", "GetBox", "UpdateBox",
             "SaveBox", "RemoveBox", "SearchLogs", "DeleteLog", "Ping", "GetNews"]  # fmt: skip
    with Soap({"wsdl_text": wsdl("http://127.0.0.1:1", schema, names)}, HERE) as soap:
        found = proposed(soap.calls.service)
        assert [o.name for o in soap.objects()] == ["Box", "Company", "Log"]
    company, box, log = found["Company"], found["Box"], found["Log"]
    assert (company.key, company.read.records) == ("companyId", "rows/Company")
    paging = company.read.paging
    assert (paging.by, paging.parameter, paging.size_parameter, paging.total, paging.more) == (
        "offset", "offset", "limit", "TotalCount", "HasMore",
    )  # fmt: skip
    assert company.read.since is not None
    assert company.get is not None
    assert company.get.key == "x"
    assert company.delete is not None
    assert company.delete.key_parameter == "companyId"
    assert company.create is not None
    assert company.create.key == "made"
    assert (box.get, box.upsert, box.delete) == (None, None, None)
    assert box.update is not None
    assert (box.update.record, box.update.key_parameter) == ("box", "id")
    assert (log.key, log.delete) == ("", None)


def test_no_object_is_no_error(web: Any) -> None:
    """A WSDL that suggests nothing leaves the connection without objects."""
    text = wsdl(web.url, element("Ping", "") + element("PingResponse", ""), ["Ping"])
    with service(web, wsdl_text=text, objects=[]) as soap:
        assert [step.ok for step in soap.check()] == [True] * 4
        assert soap.objects() == []
        with pytest.raises(Unfit, match="no member 'a'"):
            soap.calls.answer(soap_calls.Call("Ping", {"a": 1}), soap_calls.Records("", None))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"wsdl": "https://user:secret@example.com/?wsdl"}, "must not hold"),
        ({"wsdl": "http://[::1"}, "is not a web address"),
        ({"authentication": "session", "user": "x"}, "How to log in"),
        ({"authentication": "username_text"}, "'User'"),
        ({"faults": '[{"do": "panic"}]'}, "faults"),
    ],
)
def test_settings_that_are_wrong(settings: Mapping[str, Any], told: str) -> None:
    """A wrong setting is told by its name, and without what is secret in it."""
    with Soap({"wsdl_text": "x", **settings}, HERE) as soap, pytest.raises(Misconfigured, match=told) as caught:
        soap.objects()
    assert "secret" not in str(caught.value)
