"""WS-Security of outgoing messages: user name tokens, time stamps and signatures (OASIS WSS 1.0 and 1.1).

Signatures are XML Signature with exclusive canonicalisation over the body and the time stamp; the certificate goes
along as a binary security token.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from connectors.builtin.soap_options import SoapOptions
from connectors.builtin.soap_shipped import DSIG, WSSE, WSU
from connectors.errors import Misconfigured
from rules.text import msg

Node = Any
VALID = dt.timedelta(minutes=5)
_TOKENS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
_X509 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_RSA = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


class Security:
    """What a connection's messages carry to show who sends them."""

    def __init__(self, options: SoapOptions) -> None:
        self.options = options
        self.needed = bool(
            options.authentication.startswith("username_") or options.timestamp or options.signature_certificate
        )
        self._signer = None
        if options.signature_certificate:
            self._signer = Signer(options.signature_certificate, options.signature_key)

    def apply(self, envelope: Node, now: dt.datetime, nonce: bytes) -> None:
        """Add the security header to a message.

        Args:
            envelope: The message; its body must not change afterwards.
            now: The moment, in UTC.
            nonce: Random bytes that no other message has.
        """
        if not self.needed:
            return
        space = etree.QName(envelope).namespace
        header = envelope.find(f"{{{space}}}Header")
        security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"wsse": WSSE, "wsu": WSU})
        security.set(f"{{{space}}}mustUnderstand", "true" if "2003/05" in str(space) else "1")
        signed = [envelope.find(f"{{{space}}}Body")]
        if self.options.timestamp:
            stamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
            etree.SubElement(stamp, f"{{{WSU}}}Created").text = _moment(now)
            etree.SubElement(stamp, f"{{{WSU}}}Expires").text = _moment(now + VALID)
            signed.append(stamp)
        if self.options.authentication.startswith("username_"):
            self._user(security, now, nonce)
        if self._signer is not None:
            self._signer.sign(security, signed)

    def _user(self, security: Node, now: dt.datetime, nonce: bytes) -> None:
        token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
        etree.SubElement(token, f"{{{WSSE}}}Username").text = self.options.user
        password = etree.SubElement(token, f"{{{WSSE}}}Password")
        if self.options.authentication == "username_text":
            password.set("Type", f"{_TOKENS}#PasswordText")
            password.text = self.options.password
        else:
            secret = nonce + _moment(now).encode() + self.options.password.encode()
            password.set("Type", f"{_TOKENS}#PasswordDigest")
            password.text = base64.b64encode(hashlib.sha1(secret, usedforsecurity=False).digest()).decode()
        given = etree.SubElement(token, f"{{{WSSE}}}Nonce")
        given.set("EncodingType", _BASE64)
        given.text = base64.b64encode(nonce).decode()
        etree.SubElement(token, f"{{{WSU}}}Created").text = _moment(now)


class Signer:
    """Signs parts of messages with a private key."""

    def __init__(self, certificate: str, key: str) -> None:
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate.encode())
            self._key = serialization.load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError) as error:
            raise Misconfigured(
                msg("The certificate or the key to sign with cannot be read."),
                msg("Paste both in PEM form, with their BEGIN and END lines, and the key without a password."),
            ) from error
        if not isinstance(self._key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
            raise Misconfigured(msg("The key to sign with is neither an RSA nor an EC key."), msg("Use another one."))
        if self._key.public_key() != self._certificate.public_key():
            raise Misconfigured(
                msg("The key to sign with does not belong to the certificate."), msg("Paste those of one pair.")
            )

    def sign(self, security: Node, parts: Sequence[Node]) -> None:
        """Add the certificate and a signature of some elements to a security header."""
        token = etree.SubElement(security, f"{{{WSSE}}}BinarySecurityToken")
        token.set("EncodingType", _BASE64)
        token.set("ValueType", _X509)
        token.set(f"{{{WSU}}}Id", "certificate")
        token.text = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        signature = etree.SubElement(security, f"{{{DSIG}}}Signature", nsmap={"ds": DSIG})
        info = etree.SubElement(signature, f"{{{DSIG}}}SignedInfo")
        etree.SubElement(info, f"{{{DSIG}}}CanonicalizationMethod").set("Algorithm", _C14N)
        method = _RSA if isinstance(self._key, rsa.RSAPrivateKey) else _ECDSA
        etree.SubElement(info, f"{{{DSIG}}}SignatureMethod").set("Algorithm", method)
        for number, part in enumerate(parts):
            part.set(f"{{{WSU}}}Id", f"signed-{number}")
            _refer(info, f"#signed-{number}", part)
        etree.SubElement(signature, f"{{{DSIG}}}SignatureValue").text = self._signed(_canonical(info))
        about = etree.SubElement(etree.SubElement(signature, f"{{{DSIG}}}KeyInfo"), f"{{{WSSE}}}SecurityTokenReference")
        reference = etree.SubElement(about, f"{{{WSSE}}}Reference")
        reference.set("URI", "#certificate")
        reference.set("ValueType", _X509)

    def _signed(self, data: bytes) -> str:
        if isinstance(self._key, rsa.RSAPrivateKey):
            value = self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        else:
            key = self._key
            assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - checked when it was read
            size = (key.curve.key_size + 7) // 8
            value = b"".join(
                part.to_bytes(size, "big") for part in decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
            )
        return base64.b64encode(value).decode()


def _refer(info: Node, uri: str, part: Node) -> None:
    reference = etree.SubElement(info, f"{{{DSIG}}}Reference")
    reference.set("URI", uri)
    transforms = etree.SubElement(reference, f"{{{DSIG}}}Transforms")
    etree.SubElement(transforms, f"{{{DSIG}}}Transform").set("Algorithm", _C14N)
    etree.SubElement(reference, f"{{{DSIG}}}DigestMethod").set("Algorithm", _SHA256)
    digest = hashlib.sha256(_canonical(part)).digest()
    etree.SubElement(reference, f"{{{DSIG}}}DigestValue").text = base64.b64encode(digest).decode()


def _canonical(element: Node) -> bytes:
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_comments=False))


def _moment(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
