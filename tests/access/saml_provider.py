"""An identity provider that speaks SAML: it signs with xmlsec, an implementation of its own, and can be made to lie."""

from __future__ import annotations

import base64
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree

NAME = "https://idp.example.com/metadata"
P, A = "urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:2.0:assertion"
Q = {"p": P, "a": A, "s": "http://www.w3.org/2000/09/xmldsig#"}


def _certified() -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    built = built.not_valid_before(now - timedelta(days=9)).not_valid_after(now - timedelta(days=1))  # as many are
    certificate = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain), certificate


@dataclass
class SamlProvider:
    """What the provider says; each part can be changed before `answer`."""

    pair: tuple[bytes, bytes] = field(default_factory=_certified)
    console: str = "http://localhost"
    name: str = NAME
    number: str = ""
    destination: str = "http://localhost/login/saml/back"
    recipient: str = "http://localhost/login/saml/back"
    audience: str = "http://localhost/login/saml/metadata"
    status: str = "urn:oasis:names:tc:SAML:2.0:status:Success"
    subject: str = "u-1"
    form: str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
    minutes: float = 5
    begins: float = -1
    shown: datetime = field(default_factory=lambda: datetime.now(UTC))
    values: dict[str, list[str]] = field(
        default_factory=lambda: {
            "groups": ["crm-admins"], "givenName": ["娜"], "sn": ["李"], "mail": ["li.na@example.com"], "uid": ["li.na"]
        }
    )  # fmt: skip
    context: str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    signs: str = "assertion"
    method: str = xmlsec.Transform.RSA_SHA256

    @property
    def metadata(self) -> str:
        """Return the provider's metadata."""
        body = "".join(self.pair[1].decode().splitlines()[1:-1])
        return (
            f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{self.name}"><IDPSSODescriptor'
            f' protocolSupportEnumeration="{P}"><KeyDescriptor use="signing"><KeyInfo xmlns="{Q["s"]}"><X509Data>'
            f"<X509Certificate>{body}</X509Certificate></X509Data></KeyInfo></KeyDescriptor><SingleSignOnService"
            ' Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"'
            ' Location="https://idp.example.com/sso?tenant=1"/></IDPSSODescriptor></EntityDescriptor>'
        )

    def asked(self, url: str) -> etree._Element:
        """Return the request that a browser brings, and remember its number."""
        packed = parse_qs(urlsplit(url).query)["SAMLRequest"][0]
        root = etree.fromstring(zlib.decompress(base64.b64decode(packed), -15))
        self.number = str(root.get("ID"))
        return root

    def response(self) -> etree._Element:
        """Return an answer, signed."""
        root = etree.fromstring(self._text())
        assertion = root.find("a:Assertion", Q)
        assert assertion is not None
        if self.signs in ("assertion", "both"):
            self.sign(assertion)
        if self.signs in ("response", "both"):
            self.sign(root)
        return root

    def answer(self) -> str:
        """Return an answer as the browser posts it."""
        return packed(self.response())

    def sign(self, element: etree._Element) -> None:
        """Sign an element, within it."""
        place = xmlsec.template.create(element, xmlsec.Transform.EXCL_C14N, self.method, ns="ds")
        element.insert(1, place)
        reference = xmlsec.template.add_reference(place, xmlsec.Transform.SHA256, uri=f"#{element.get('ID')}")
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(place))
        xmlsec.tree.add_ids(element, ["ID"])
        signer = xmlsec.SignatureContext()
        signer.key = xmlsec.Key.from_memory(self.pair[0], xmlsec.KeyFormat.PEM)
        signer.key.load_cert_from_memory(self.pair[1], xmlsec.KeyFormat.PEM)
        signer.sign(place)

    def _text(self) -> str:
        now = datetime.now(UTC)
        end, begin = (f"{now + timedelta(minutes=m):%Y-%m-%dT%H:%M:%SZ}" for m in (self.minutes, self.begins))
        told = "".join(
            f'<a:Attribute Name="{name}">'
            + "".join(f"<a:AttributeValue>{value}</a:AttributeValue>" for value in given)
            + "</a:Attribute>"
            for name, given in self.values.items()
        )
        return (
            f'<p:Response xmlns:p="{P}" xmlns:a="{A}" ID="_{secrets.token_hex(16)}" Version="2.0"'
            f' Destination="{self.destination}" InResponseTo="{self.number}"><a:Issuer>{self.name}</a:Issuer>'
            f'<p:Status><p:StatusCode Value="{self.status}"/></p:Status>'
            f'<a:Assertion ID="_{secrets.token_hex(16)}" Version="2.0"><a:Issuer>{self.name}</a:Issuer><a:Subject>'
            f'<a:NameID Format="{self.form}">{self.subject}</a:NameID><a:SubjectConfirmation'
            ' Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><a:SubjectConfirmationData'
            f' NotOnOrAfter="{end}" Recipient="{self.recipient}" InResponseTo="{self.number}"/>'
            f'</a:SubjectConfirmation></a:Subject><a:Conditions NotBefore="{begin}" NotOnOrAfter="{end}">'
            f"<a:AudienceRestriction><a:Audience>{self.audience}</a:Audience></a:AudienceRestriction></a:Conditions>"
            f'<a:AuthnStatement AuthnInstant="{self.shown:%Y-%m-%dT%H:%M:%SZ}"><a:AuthnContext><a:AuthnContextClassRef>'
            f"{self.context}</a:AuthnContextClassRef></a:AuthnContext></a:AuthnStatement>"
            f"<a:AttributeStatement>{told}</a:AttributeStatement></a:Assertion></p:Response>"
        )


def packed(root: etree._Element) -> str:
    return base64.b64encode(etree.tostring(root)).decode()
