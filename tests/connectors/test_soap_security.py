"""The connector `soap` against a strict hand-made service: security, sessions, certificates, and signed headers."""

# ruff: noqa: E501 - elements of XML that belong together
from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from connectors.builtin import soap_calls
from connectors.builtin.soap import Soap
from connectors.errors import AuthFailed, Forbidden, Misconfigured
from connectors.spi import Context
from tests.connectors.test_soap_lists import LISTS, answering, ids, leaves, people, service
from tests.connectors.tls_proxy import encrypted
from tests.servers import certify, free_port
from tests.soap_servers import Sent, element, enveloped, fault, wsdl

pytestmark = pytest.mark.usefixtures("waits")

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"


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


def test_a_session_does_not_give_up_encryption(web: Any, reply: Any, tmp_path: Path) -> None:
    """An address without encryption, given out behind a login with it, is refused; nothing more is sent."""
    told = enveloped("<LoginResponse><session>t</session><url>HTTP://127.0.0.1/next?s=t</url></LoginResponse>")
    web.answer = lambda _: reply(200, told, {"Content-Type": "text/xml"})
    port = free_port()
    text = wsdl(f"https://localhost:{port}/", LISTS + LOGIN, ["List", "Login", "Logout"])
    more = {"authentication": "session", "user": "ann", "session": {**SESSION, "logout": ""}}
    with (
        encrypted(int(web.url.rpartition(":")[2]), port, tmp_path),
        service(web, wsdl_text=text, verify=False, **more) as soap,
        pytest.raises(Forbidden, match="next, which is not encrypted"),
    ):
        ids(soap)
    assert [Sent(r.body).operation for r in web.received] == ["Login"]


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
