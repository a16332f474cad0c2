"""The connector `soap` against a strict hand-made service: writes, security, sessions, attachments, and its WSDL."""

# ruff: noqa: E501 - elements of XML that belong together
from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import ssl
import time
from collections.abc import Mapping
from email import message_from_bytes
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from connectors.builtin import soap_calls, soap_wsdl
from connectors.builtin.soap import Soap
from connectors.builtin.soap_message import Unfit, lexical
from connectors.builtin.soap_propose import proposed
from connectors.builtin.soap_shipped import SCHEMAS
from connectors.errors import AuthFailed, Fatal, Forbidden, Misconfigured, RateLimited, Unavailable
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_soap_lists import LEAF, LISTS, answering, ids, leaves, people, service
from tests.servers import certify
from tests.soap_servers import SPACE, Sent, element, enveloped, fault, wsdl

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits instead of doing them."""
    noted: list[float] = []
    monkeypatch.setattr(soap_calls.time, "sleep", noted.append)
    return noted


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


def security(web: Any) -> Any:
    return Sent(web.received[-1].body).head.find(f"{{{WSSE}}}Security")


@pytest.mark.parametrize("kind", ["username_text", "username_digest"])
@pytest.mark.parametrize("soap12", [False, True])
def test_user_names_in_the_header(web: Any, reply: Any, kind: str, soap12: bool) -> None:
    """WS-Security's user name token has the password or its digest over nonce and time; no nonce is used twice."""
    web.answer = lambda _: reply(200, enveloped(people(1), soap12=soap12), {"Content-Type": "text/xml"})
    text = wsdl(web.url, LISTS, ["List"], soap12=soap12)
    with service(web, wsdl_text=text, authentication=kind, user="ann", password="s3cret", timestamp=True) as soap:
        ids(soap)
        ids(soap)
    header = security(web)
    assert header.get(
        f"{{http://{'www.w3.org/2003/05/soap-envelope' if soap12 else 'schemas.xmlsoap.org/soap/envelope/'}}}mustUnderstand"
    )
    token = {etree.QName(e).localname: e for e in header.find(f"{{{WSSE}}}UsernameToken")}
    nonce, created = base64.b64decode(token["Nonce"].text), token["Created"].text
    digest = base64.b64encode(
        hashlib.sha1(nonce + created.encode() + b"s3cret", usedforsecurity=False).digest()
    ).decode()
    assert token["Username"].text == "ann"
    assert token["Password"].text == ("s3cret" if kind == "username_text" else digest)
    stamp = [dt.datetime.fromisoformat(e.text) for e in header.find(f"{{{WSU}}}Timestamp")]
    assert stamp[1] - stamp[0] == dt.timedelta(minutes=5)
    assert abs(stamp[0] - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert len({r.body for r in web.received}) == 2


def pair(key: Any) -> tuple[str, str]:
    """Return a certificate and its private key in PEM form."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncline")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(dt.datetime(2020, 1, 1)).not_valid_after(dt.datetime(2040, 1, 1))
    certificate = made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), text.decode()


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("mtom", [False, True])
def test_signatures_are_valid(web: Any, reply: Any, kind: str, mtom: bool) -> None:
    """The signature of body and time stamp is good to libxmlsec1, as text and as MTOM, and not if the body is changed."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    certificate, private = pair(key)
    web.answer = lambda _: reply(200, enveloped(people(1)), {"Content-Type": "text/xml"})
    with service(
        web, signature_certificate=certificate, signature_key=private, timestamp=not mtom, attachments=mtom
    ) as soap:
        ids(soap)
    body = web.received[0].body
    if mtom:
        body = body[body.index(b"<?xml") : body.rindex(b"\r\n--")]
    for changed in (False, True):
        root = etree.fromstring(body.replace(b"List", b"Lost") if changed else body)
        node = xmlsec.tree.find_node(root, xmlsec.Node.SIGNATURE)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_PEM)
        signed = [e for e in root.iter() if e.get(f"{{{WSU}}}Id", "").startswith("signed")]
        assert [etree.QName(e).localname for e in signed] == ["Timestamp", "Body"][int(mtom) :]
        for part in signed:
            context.register_id(part, "Id", WSU)
        if changed:
            with pytest.raises(xmlsec.Error):
                context.verify(node)
        else:
            context.verify(node)


def test_keys_that_cannot_sign(web: Any) -> None:
    """Broken keys, keys of another kind and keys of another certificate are told without showing them."""
    good = pair(ec.generate_private_key(ec.SECP256R1()))
    other = pair(ec.generate_private_key(ec.SECP256R1()))
    odd = pair(ed25519.Ed25519PrivateKey.generate())
    for (certificate, key), told in (
        ((good[0], "canary"), "cannot be read"), ((good[0], other[1]), "does not belong"), (odd, "neither"),
    ):  # fmt: skip
        with (
            service(web, signature_certificate=certificate, signature_key=key) as soap,
            pytest.raises(Misconfigured, match=told) as caught,
        ):
            soap.objects()
        assert "canary" not in str(caught.value)


LOGIN = (
    element("Login", leaves(user="string", password="string"))
    + element("LoginResponse", leaves(session="string", url="string"))
    + element("Logout", "") + element("LogoutResponse", "") + element("SessionHeader", leaves(id="string"))
    + element("Options", '<xs:element name="client" type="xs:string"/>')
)  # fmt: skip
SESSION = {"operation": "Login", "parameters": {"user": "{user}", "password": "{password}"}, "token": "session",
           "header": {"SessionHeader": {"id": "{token}"}}, "logout": "Logout", "address": "url"}  # fmt: skip


def test_sessions(web: Any, second_web: Any, reply: Any) -> None:
    """It logs in once, sends the token and goes to the address given out, logs in again when told so, and logs out."""
    tokens: list[str] = []
    heard: list[tuple[str, str | None, str]] = []

    def answer(request: Any) -> Any:
        sent = Sent(request.body)
        token = sent.head.findtext("{*}SessionHeader/{*}id")
        heard.append((sent.operation, token, sent.head.findtext("{*}Options/{*}client") or ""))
        if sent.operation == "Login":
            assert (sent.text("user"), sent.text("password")) == ("ann", "s3cret")
            tokens.append(f"t{len(tokens)}")
            return reply(200, enveloped(f"<LoginResponse><session>{tokens[-1]}</session><url>{second_web.url}</url></LoginResponse>"), {"Content-Type": "text/xml"})  # fmt: skip
        if token == "t0" and len(heard) > 2:
            return reply(500, fault("INVALID_SESSION_ID", "expired"), {"Content-Type": "text/xml"})
        return reply(200, enveloped(people(1)), {"Content-Type": "text/xml"})

    web.answer = second_web.answer = answer
    text = wsdl(web.url, LISTS + LOGIN, ["List", "Login", "Logout"])
    more = {"authentication": "session", "user": "ann", "password": "s3cret", "session": SESSION,
            "headers": {"Options": {"client": "key-{secret}"}}, "secret": "abc"}  # fmt: skip
    with service(web, wsdl_text=text, **more) as soap:
        assert ids(soap) == ids(soap) == [1]
    assert [h[:2] for h in heard] == [
        ("Login", None), ("List", "t0"), ("List", "t0"), ("Login", None), ("List", "t1"), ("Logout", "t1"),
    ]  # fmt: skip
    assert {h[2] for h in heard} == {"key-abc"}
    assert [Sent(r.body).operation for r in web.received] == ["Login"]


@pytest.mark.parametrize(
    ("answer", "change", "told"),
    [
        ((500, fault("Client", "no such user")), {}, "no such user"),
        ((200, enveloped("<LoginResponse/>")), {}, "no token at 'session'"),
        ((200, ""), {"parameters": {"nope": 1}}, "no member 'nope'"),
    ],
)
def test_a_login_that_fails(web: Any, reply: Any, answer: Any, change: Any, told: str) -> None:
    """What is wrong with the login is told before anything else is called."""
    web.answer = lambda _: reply(answer[0], answer[1], {"Content-Type": "text/xml"})
    text = wsdl(web.url, LISTS + LOGIN, ["List", "Login", "Logout"])
    more = {"authentication": "session", "user": "ann", "session": {**SESSION, **change}}
    with service(web, wsdl_text=text, **more) as soap, pytest.raises((AuthFailed, Misconfigured), match=told):
        ids(soap)
    assert all(Sent(r.body).operation == "Login" for r in web.received)


def test_a_logout_that_fails_is_no_error(web: Any, reply: Any) -> None:
    """The session ends by itself; a session without an end that is told of is an error of the credentials."""

    def answer(request: Any) -> Any:
        operation = Sent(request.body).operation
        if operation == "Login":
            return reply(
                200, enveloped("<LoginResponse><session>t</session></LoginResponse>"), {"Content-Type": "text/xml"}
            )
        return reply(500, fault("SessionExpired", "over"), {"Content-Type": "text/xml"})

    web.answer = answer
    text = wsdl(web.url, LISTS + LOGIN, ["List", "Login", "Logout"])
    with (
        service(web, wsdl_text=text, authentication="session", user="ann", session={**SESSION, "address": ""}) as soap,
        pytest.raises(AuthFailed, match="over"),
    ):
        ids(soap)
    assert [Sent(r.body).operation for r in web.received] == ["Login", "List", "Login", "List", "Logout"]
    with service(web) as soap, pytest.raises(AuthFailed, match="over"):
        ids(soap)
    with service(web, headers={"Nope": 1}) as soap, pytest.raises(Misconfigured, match="'Nope'"):
        ids(soap)


def test_headers_can_be_signed(web: Any, reply: Any) -> None:
    """A nonce and the time are new for every call, and the text with them is signed with the secret."""
    web.answer = answering(reply, lambda _: people(1))
    given = {"headers": {"SessionHeader": {"id": "{nonce}|{timestamp}|{signature}"}}, "headers_text": "acme&{nonce}&{timestamp}",
             "secret": "abc"}  # fmt: skip
    with service(web, wsdl_text=wsdl(web.url, LISTS + LOGIN, ["List"]), **given) as soap:
        assert ids(soap) == ids(soap) == [1]
    nonces = set()
    for request in web.received:
        nonce, moment, signature = Sent(request.body).head.findtext("{*}SessionHeader/{*}id").split("|")
        digest = hmac.digest(b"abc", f"acme&{nonce}&{moment}".encode(), "sha256")
        assert base64.b64decode(signature) == digest
        assert abs(int(moment) - time.time()) < 60
        nonces.add(nonce)
    assert len(nonces) == 2


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


def test_client_certificates(tmp_path: Path) -> None:
    """Our own certificate is shown to a service that asks for one; one that cannot be read is told."""
    certificate, key = certify(tmp_path)
    settings = {"wsdl_text": "x", "client_certificate": certificate.read_text(), "client_key": key.read_text(),
                "certificate": certificate.read_text()}  # fmt: skip
    trust = soap_calls.trust_of(Soap(settings, HERE).options)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certificate)
    trust.check_hostname = False
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = trust.wrap_bio(here, there), server.wrap_bio(there, here, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert theirs.getpeercert(binary_form=True) is not None
    with pytest.raises(Misconfigured, match="client certificate"):
        soap_calls.trust_of(Soap({**settings, "client_key": ""}, HERE).options)


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
