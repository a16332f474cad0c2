"""Signatures of SOAP answers, made by libxmlsec1: what it signs is taken, what is attacked is refused."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import xmlsec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from lxml import etree

from connectors.errors import Forbidden, Misconfigured
from tests.connectors.test_soap_lists import answering, ids, people, service
from tests.connectors.test_soap_security import WSSE, WSU, pair
from tests.soap_servers import enveloped, fault

pytestmark = pytest.mark.usefixtures("waits")

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
DSIG = "http://www.w3.org/2000/09/xmldsig#"


@cache
def peer(kind: str = "rsa") -> tuple[str, str]:
    """Return certificate and key of the service."""
    return pair(rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1()))


def signed(
    text: str, *, kind: str = "rsa", age: int = 0, parts: tuple[str, ...] = ("Body", "Timestamp"), **how: Any
) -> Any:
    """Return an envelope as a service signs it with xmlsec, made `age` minutes ago and valid for five."""
    root = etree.fromstring(text.encode())
    header = root.find(f"{{{SOAP}}}Header")
    if header is None:
        header = etree.Element(f"{{{SOAP}}}Header")
        root.insert(0, header)
    security = etree.SubElement(header, f"{{{WSSE}}}Security")
    stamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
    made = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=age)
    etree.SubElement(stamp, f"{{{WSU}}}Created").text = how.get("created") or made.isoformat()
    etree.SubElement(stamp, f"{{{WSU}}}Expires").text = (made + dt.timedelta(minutes=5)).isoformat()
    chosen = how.get("method") or (xmlsec.Transform.RSA_SHA256 if kind == "rsa" else xmlsec.Transform.ECDSA_SHA256)
    place = xmlsec.template.create(root, xmlsec.Transform.EXCL_C14N, chosen, ns="ds")
    security.append(place)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(peer(kind)[1], xmlsec.KeyFormat.PEM)
    nodes = {"Body": root.find(f"{{{SOAP}}}Body"), "Timestamp": stamp}
    for name in parts:
        nodes[name].set(f"{{{WSU}}}Id", f"the-{name}")
        context.register_id(nodes[name], "Id", WSU)
        reference = xmlsec.template.add_reference(place, how.get("digest", xmlsec.Transform.SHA256), uri=f"#the-{name}")
        for form in how.get("forms", (xmlsec.Transform.EXCL_C14N,)):
            xmlsec.template.add_transform(reference, form)
    context.sign(place)
    return root


def read(web: Any, reply: Any, root: Any, kind: str = "rsa") -> list[int]:
    """Return the ids that a connection takes from an answer; it expects the certificate of the service."""
    content = etree.tostring(root).decode() if not isinstance(root, str) else root
    web.answer = lambda _: reply(200, content, {"Content-Type": "text/xml"})
    with service(web, answer_certificate=peer(kind)[0]) as soap:
        return ids(soap)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_answers_that_are_signed(web: Any, reply: Any, kind: str) -> None:
    """An answer whose body and time stamp the stated certificate signs is read."""
    assert read(web, reply, signed(enveloped(people(1, 2)), kind=kind), kind) == [1, 2]


def changed(root: Any) -> None:
    """Change a value."""
    leaf = next(node for node in root[1].iter() if node.text == "1")
    leaf.text = "9"


def wrapped(root: Any) -> None:
    """Move the signed body into the header and put another one in its place."""
    evil = copy.deepcopy(root[1])
    evil.set(f"{{{WSU}}}Id", "evil")
    holder = etree.SubElement(root[0], "Wrapper")
    holder.append(root[1])
    root.append(evil)
    changed(root)


def twice(root: Any) -> None:
    """Keep the signed body's id on another body too."""
    wrapped(root)
    root[1].set(f"{{{WSU}}}Id", "the-Body")


def beside(root: Any) -> None:
    """Put a body of no namespace before the signed one."""
    evil = copy.deepcopy(root[1])
    evil.tag = "Body"
    evil.attrib.clear()
    root.insert(1, evil)
    changed(root)


def stamped(root: Any) -> None:
    """Hide the signed time stamp and show another one."""
    security = root[0].find(f"{{{WSSE}}}Security")
    stamp = security.find(f"{{{WSU}}}Timestamp")
    fresh = copy.deepcopy(stamp)
    fresh.set(f"{{{WSU}}}Id", "fresh")
    etree.SubElement(security, "Wrapper").append(stamp)
    security.insert(0, fresh)


def unsigned(root: Any) -> None:
    """Take the signature away."""
    security = root[0].find(f"{{{WSSE}}}Security")
    security.remove(security.find(f"{{{DSIG}}}Signature"))


def bare(root: Any) -> None:
    """Take the security header away."""
    root[0].remove(root[0].find(f"{{{WSSE}}}Security"))


def no_header(root: Any) -> None:
    """Take the header away."""
    root.remove(root[0])


def included(root: Any) -> None:
    """Let a value come from an attachment."""
    etree.SubElement(root[1][0], "{http://www.w3.org/2004/08/xop/include}Include").set("href", "cid:1")


@pytest.mark.parametrize(
    ("attack", "told"),
    [
        (changed, "is not what was signed"), (wrapped, "does not stand for the element 'Body'"),
        (twice, "which is not one element"), (beside, "one header and one body"),
        (stamped, "does not stand for the element 'Timestamp'"), (unsigned, "no single signature"),
        (bare, "no single security header"), (no_header, "one header and one body"), (included, "attachments"),
    ],
)  # fmt: skip
def test_attacks(web: Any, reply: Any, attack: Callable[[Any], None], told: str) -> None:
    """Changed, wrapped, doubled, unsigned: refused in a sentence with operation and remedy; nothing is read."""
    root = signed(enveloped(people(1)))
    attack(root)
    with pytest.raises(Forbidden, match=told) as caught:
        read(web, reply, root)
    assert "'List'" in str(caught.value)
    assert "certificate" in str(caught.value)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"age": 60}, "expired at"), ({"age": -60}, "still to come"), ({"parts": ("Body",)}, "element 'Timestamp'"),
        ({"parts": ("Timestamp",)}, "element 'Body'"), ({"method": xmlsec.Transform.RSA_SHA1}, "not accepted"),
        ({"created": "soon"}, "cannot be read"), ({"digest": xmlsec.Transform.SHA1}, "not accepted"),
        ({"forms": ()}, "changes '#the-Body'"), ({"forms": (xmlsec.Transform.C14N,)}, "exclusive canonical form"),
    ],
)  # fmt: skip
def test_weak_signatures(web: Any, reply: Any, how: Any, told: str) -> None:
    """Old and future answers, half signed ones and weak algorithms are refused."""
    with pytest.raises(Forbidden, match=told):
        read(web, reply, signed(enveloped(people(1)), **how))


@pytest.mark.parametrize(("value", "told"), [("A", "no Base64"), ("AAAA", "not of the certificate")])
def test_broken_signatures(web: Any, reply: Any, value: str, told: str) -> None:
    """A signature that is no Base64 text or too short is refused."""
    root = signed(enveloped(people(1)), kind="ec")
    root.find(f".//{{{DSIG}}}SignatureValue").text = value
    with pytest.raises(Forbidden, match=told):
        read(web, reply, root, "ec")


def test_the_key_is_that_of_the_connection(web: Any, reply: Any) -> None:
    """A good signature of somebody else is refused, and so is an answer without any, an empty one, and a fault."""
    root = signed(enveloped(people(1)))
    own = peer()[0]
    web.answer = lambda _: reply(200, etree.tostring(root).decode(), {"Content-Type": "text/xml"})
    other = pair(rsa.generate_private_key(65537, 2048))[0]
    with service(web, answer_certificate=other) as soap, pytest.raises(Forbidden, match="not of the certificate"):
        ids(soap)
    for status, text in ((200, enveloped(people(1))), (200, ""), (500, fault("Client", "forged"))):
        web.answer = lambda _, s=status, t=text: reply(s, t, {"Content-Type": "text/xml"})
        with service(web, answer_certificate=own) as soap, pytest.raises(Forbidden):
            ids(soap)


def test_certificates_that_cannot_check(web: Any, reply: Any) -> None:
    """What is no certificate, or one of a key that cannot sign messages, is told before any call."""
    web.answer = answering(reply, lambda _: people(1))
    odd = pair(ed25519.Ed25519PrivateKey.generate())[0]
    for certificate, told in (("nothing", "cannot be read"), (odd, "neither")):
        with service(web, answer_certificate=certificate) as soap, pytest.raises(Misconfigured, match=told):
            ids(soap)
    assert web.received == []
