"""Sign-in by the company's identity provider with SAML 2.0: the web browser profile, begun here.

The browser takes a request there and posts the answer back. The answer is judged in `saml_answer`.
"""

from __future__ import annotations

import base64
import secrets
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

from lxml import etree

from config import Settings
from connectors.builtin import safe_xml
from connectors.errors import ConnectorError
from connectors.http_client import Limits, client
from connectors.spi import Context
from rules.text import msg
from webapp.access.identities import NotAdmitted
from webapp.extensions import House
from webapp.setting_values import is_private

PROTOCOL, ASSERTION = "urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:2.0:assertion"
METADATA, SIGNATURE = "urn:oasis:names:tc:SAML:2.0:metadata", "http://www.w3.org/2000/09/xmldsig#"
NAMES = {"p": PROTOCOL, "a": ASSERTION, "m": METADATA, "s": SIGNATURE}
_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
_KEPT = 600.0
"""Seconds for which the provider's metadata are kept where they are fetched."""
_LIMITS = Limits(size=2**21, seconds=10.0)
_SECONDS = 5.0


@dataclass(frozen=True)
class Provider:
    """The provider: what it calls itself, where people sign in, the certificates of its signatures as PEM."""

    name: str
    address: str
    certificates: tuple[str, ...]


@dataclass(frozen=True)
class Begun:
    """What the browser is sent to, and the number of the request, which is kept until it comes back."""

    url: str
    number: str


_known: dict[str, tuple[float, Provider]] = {}
_lock = Lock()


def parsed(data: bytes) -> Any:
    """Return the root of a document; raises `ValueError` for what is none, or brings definitions of its own."""
    try:
        root: Any = etree.fromstring(data, safe_xml.parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from None
    if root is None or root.getroottree().docinfo.doctype:
        raise ValueError("There is a document type definition.")
    return root


def plain(element: Any) -> str:
    """Return all text of an element."""
    return "".join(element.itertext()).strip()


def entity(settings: Settings) -> str:
    """Return what this installation is called there."""
    return settings.saml_entity or f"{settings.console_url}/login/saml/metadata"


def callback(settings: Settings) -> str:
    """Return where answers are posted to."""
    return f"{settings.console_url}/login/saml/back"


def metadata(settings: Settings) -> str:
    """Return what the provider has to know of this installation, as XML."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<EntityDescriptor xmlns="{METADATA}" entityID={quoteattr(entity(settings))}>'
        f'<SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true"'
        f' protocolSupportEnumeration="{PROTOCOL}">'
        f'<AssertionConsumerService Binding="{_POST}" Location={quoteattr(callback(settings))} index="0"'
        ' isDefault="true"/></SPSSODescriptor></EntityDescriptor>\n'
    )


def begin(house: House, *, anew: bool = False) -> Begun:
    """Return where to send the browser; raises `NotAdmitted` where the provider's metadata cannot be read.

    Args:
        house: The house.
        anew: Whether the provider has to ask again who somebody is, even where they are signed in there.
    """
    settings, found = house.settings, provider(house)
    number = f"_{secrets.token_hex(20)}"
    again = ' ForceAuthn="true"' if anew else ""
    asked = (
        f'<p:AuthnRequest xmlns:p="{PROTOCOL}" xmlns:a="{ASSERTION}" ID="{number}" Version="2.0"'
        f' IssueInstant="{house.clock().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" Destination={quoteattr(found.address)}'
        f' AssertionConsumerServiceURL={quoteattr(callback(settings))} ProtocolBinding="{_POST}"{again}>'
        f'<a:Issuer>{_text(entity(settings))}</a:Issuer><p:NameIDPolicy AllowCreate="true"/></p:AuthnRequest>'
    )
    packer = zlib.compressobj(wbits=-15)  # no header: SAML bindings, 3.4.4.1
    packed = base64.b64encode(packer.compress(asked.encode()) + packer.flush()).decode()
    joined = "&" if "?" in found.address else "?"
    return Begun(f"{found.address}{joined}{urlencode({'SAMLRequest': packed})}", number)


def _text(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def provider(house: House, *, anew: bool = False) -> Provider:
    """Return the provider of the settings; raises `NotAdmitted`."""
    place = house.settings.saml_metadata
    with _lock:
        at, found = _known.get(place, (0.0, None))
    if found is not None and not anew and time.monotonic() - at < _KEPT:
        return found
    data = _fetched(house, place) if "://" in place else _read(place)
    try:
        found = _provider(parsed(data))
    except ValueError as error:
        text = msg("The metadata of the identity provider cannot be read: {text}", text=str(error)[:200])
        raise NotAdmitted(text) from None
    with _lock:
        _known[place] = (time.monotonic(), found)
    return found


def _read(place: str) -> bytes:
    try:
        return Path(place).read_bytes()
    except OSError as error:
        said = error.strerror or str(error)
        raise NotAdmitted(msg("The file of SYNCLINE_SAML_METADATA cannot be read: {problem}.", problem=said)) from None


def _fetched(house: House, address: str) -> bytes:
    context = Context(egress_allow=house.settings.egress_allow, timeout=_SECONDS)
    try:
        with client(context, limits=_LIMITS) as http:
            answer = http.request("GET", address)
    except ConnectorError as error:
        raise NotAdmitted(msg("The identity provider cannot be reached. {text}", text=error.message)) from None
    if answer.status_code != 200:
        raise NotAdmitted(msg("The identity provider answers with status {status}.", status=answer.status_code))
    return bytes(answer.content)


def _provider(root: Any) -> Provider:
    """Return the one provider that metadata describe; raises `ValueError`."""
    found = root.xpath("descendant-or-self::m:EntityDescriptor[m:IDPSSODescriptor]", namespaces=NAMES)
    if len(found) != 1:
        raise ValueError("They do not describe one identity provider.")
    one = found[0].find("m:IDPSSODescriptor", NAMES)
    ways = one.findall("m:SingleSignOnService", NAMES)
    address = next((str(way.get("Location")) for way in ways if way.get("Binding") == _REDIRECT), "")
    if not is_private(address):
        raise ValueError("They name no encrypted address for sign-in by redirect.")
    keys = [key for key in one.findall("m:KeyDescriptor", NAMES) if key.get("use") != "encryption"]
    texts = [plain(part) for key in keys for part in key.findall(".//s:X509Certificate", NAMES)]
    if not texts:
        raise ValueError("They hold no certificate of its signatures.")
    return Provider(str(found[0].get("entityID")), address, tuple(_pem(text) for text in texts))


def _pem(text: str) -> str:
    packed = "".join(text.split())
    lines = "\n".join(packed[at : at + 64] for at in range(0, len(packed), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def moment(text: str | None) -> datetime | None:
    """Return a time of SAML, or None; raises `ValueError` for what is none."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
