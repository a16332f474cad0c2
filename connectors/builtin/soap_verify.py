"""WS-Security of answers: body and time stamp must be signed with the certificate that the connection states.

What is checked is what is read: the signature must stand for the one body of the message and for the time stamp beside
the signature, by their places and not by their ids alone, so that nothing can be wrapped around or put beside them.
The key comes from the connection, never from the message.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from connectors.builtin.safe_xml import SAFE
from connectors.builtin.soap_message import ENVELOPES
from connectors.builtin.soap_parts import XOP
from connectors.builtin.soap_shipped import DSIG, WSSE, WSU
from connectors.errors import Misconfigured
from rules.text import Message, msg

Node = Any
SKEW = dt.timedelta(minutes=5)
"""How far the clocks of both sides may differ, and how old an answer may be whose time stamp has no end."""
_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
}  # fmt: skip
_DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    f"{_MORE}sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}


class Unsigned(Exception):
    """An answer is not signed as it has to be; the message says what is wrong with it."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class Verifier:
    """Checks that answers are signed with the key of one certificate."""

    def __init__(self, certificate: str) -> None:
        try:
            key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        except ValueError as error:
            raise Misconfigured(
                msg("The certificate that signs the answers cannot be read."),
                msg("Paste it in PEM form, with its BEGIN and END lines."),
            ) from error
        if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
            raise Misconfigured(
                msg("The certificate that signs the answers has neither an RSA nor an EC key."), msg("Use another one.")
            )
        self._key = key

    def check(self, content: bytes, now: dt.datetime) -> None:
        """Check an answer as it came; raises `Unsigned` and `etree.XMLSyntaxError`."""
        if not content.strip():
            raise Unsigned(msg("it is empty"))
        root = etree.fromstring(content, etree.XMLParser(**SAFE))
        body, security = _body(root), _security(root)
        stamp = _only(security, f"{{{WSU}}}Timestamp", msg("it has no single time stamp"))
        signature = _only(security, f"{{{DSIG}}}Signature", msg("it has no single signature"))
        info = _only(signature, f"{{{DSIG}}}SignedInfo", msg("its signature is incomplete"))
        self._signed(info, signature.findtext(f"{{{DSIG}}}SignatureValue"))
        found = [_referred(root, reference) for reference in info.iterfind(f"{{{DSIG}}}Reference")]
        for part, name in ((body, "Body"), (stamp, "Timestamp")):
            if not any(part is node for node in found):
                raise Unsigned(msg("its signature does not stand for the element '{name}'", name=name))
        _in_time(stamp, now)

    def _signed(self, info: Node, value: str | None) -> None:
        """Check the signature itself, by the key of the connection."""
        method = _algorithm(info, "SignatureMethod")
        kind, _, name = method.removeprefix(_MORE).partition("-")
        expected = "rsa" if isinstance(self._key, rsa.RSAPublicKey) else "ecdsa"
        if not method.startswith(_MORE) or kind != expected or name not in _HASHES:
            raise Unsigned(msg("it is signed by '{method}', which is not accepted", method=method))
        try:
            self._verify(_base64(value), _canonical(info, info.find(f"{{{DSIG}}}CanonicalizationMethod")), name)
        except InvalidSignature as error:
            raise Unsigned(msg("its signature is not of the certificate that the connection states")) from error

    def _verify(self, value: bytes, data: bytes, name: str) -> None:
        if isinstance(self._key, rsa.RSAPublicKey):
            self._key.verify(value, data, padding.PKCS1v15(), _HASHES[name])
            return
        half = (self._key.curve.key_size + 7) // 8
        if len(value) != 2 * half:
            raise InvalidSignature
        numbers = (int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
        self._key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(_HASHES[name]))


def _body(root: Node) -> Node:
    """Return the body; nothing but one header before it, no second one of any namespace, no parts kept elsewhere."""
    space = etree.QName(root).namespace
    tags = [child.tag for child in root]
    if root.tag not in {f"{{{known}}}Envelope" for known in ENVELOPES.values()} or tags != [
        f"{{{space}}}Header", f"{{{space}}}Body",
    ]:  # fmt: skip
        raise Unsigned(msg("it is not made of one header and one body"))
    if root.find(f".//{{{XOP}}}Include") is not None:
        raise Unsigned(msg("it has attachments, which a signature of the body does not protect"))
    return root[1]


def _security(root: Node) -> Node:
    return _only(root[0], f"{{{WSSE}}}Security", msg("it has no single security header"))


def _only(parent: Node, tag: str, problem: Message) -> Node:
    found = parent.findall(tag)
    if len(found) != 1:
        raise Unsigned(problem)
    return found[0]


def _referred(root: Node, reference: Node) -> Node:
    """Return the element that a reference means, its digest checked."""
    uri = reference.get("URI") or ""
    found = [node for node in root.iter(etree.Element) if uri[1:] in (node.get(f"{{{WSU}}}Id"), node.get("Id"))]
    if not uri.startswith("#") or len(uri) < 2 or len(found) != 1:
        raise Unsigned(msg("its signature refers to '{uri}', which is not one element", uri=uri))
    transforms = reference.findall(f"{{{DSIG}}}Transforms/{{{DSIG}}}Transform")
    if len(transforms) != 1:
        raise Unsigned(msg("its signature changes '{uri}' before it is signed", uri=uri))
    name = _DIGESTS.get(_algorithm(reference, "DigestMethod"))
    if name is None:
        raise Unsigned(msg("the digest of '{uri}' is of a kind that is not accepted", uri=uri))
    digest = hashlib.new(name, _canonical(found[0], transforms[0])).digest()
    if digest != _base64(reference.findtext(f"{{{DSIG}}}DigestValue")):
        raise Unsigned(msg("'{uri}' is not what was signed", uri=uri))
    return found[0]


def _canonical(element: Node, method: Node | None) -> bytes:
    """Return the exclusive canonical form; the only one that is accepted."""
    if method is None or method.get("Algorithm") != _C14N:
        raise Unsigned(msg("it is not signed in exclusive canonical form"))
    listed = method.find(f"{{{_C14N}}}InclusiveNamespaces")
    prefixes = (listed.get("PrefixList") or "").split() if listed is not None else None
    return bytes(
        etree.tostring(element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes)
    )


def _in_time(stamp: Node, now: dt.datetime) -> None:
    created = _moment(stamp.findtext(f"{{{WSU}}}Created"))
    ends = stamp.findtext(f"{{{WSU}}}Expires")
    expires = _moment(ends) if ends is not None else created
    if now > expires + SKEW:
        raise Unsigned(msg("it expired at {moment}", moment=expires.isoformat()))
    if now < created - SKEW:
        raise Unsigned(msg("it was made at {moment}, which is still to come", moment=created.isoformat()))


def _moment(text: str | None) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat((text or "").strip())
    except ValueError as error:
        raise Unsigned(msg("its time stamp '{text}' cannot be read", text=text or "")) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _algorithm(parent: Node, name: str) -> str:
    found = parent.find(f"{{{DSIG}}}{name}")
    return "" if found is None else str(found.get("Algorithm") or "")


def _base64(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "")
    except (binascii.Error, ValueError) as error:
        raise Unsigned(msg("its signature is no Base64 text")) from error
