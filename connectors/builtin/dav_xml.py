"""Questions to WebDAV servers, and their answers for several resources. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import httpx
from lxml import etree

from connectors.builtin.safe_xml import parser
from connectors.errors import ConnectorError, Misconfigured, Unavailable
from connectors.http_client import shown
from connectors.http_reply import Reply
from rules.text import msg

DAV, CALENDAR, CARD = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}", "{urn:ietf:params:xml:ns:carddav}"
_SPACES = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:A="urn:ietf:params:xml:ns:carddav"'
_XML = "".join(map(chr, (0x9, 0xA, 0xD)))


@dataclass(frozen=True)
class Answer:
    """What a server says of one resource: its status, and its properties that are there."""

    url: httpx.URL
    path: str
    status: int
    properties: dict[str, Any]

    def text(self, name: str) -> str:
        """Return a property's text, empty where there is none."""
        found = self.properties.get(name)
        return "" if found is None else (found.text or "").strip()

    def raw(self, name: str) -> str | None:
        """Return a property's text as it is, None where there is none."""
        found = self.properties.get(name)
        return None if found is None else "".join(found.itertext())

    def hrefs(self, name: str) -> list[str]:
        """Return where a property leads to."""
        found = self.properties.get(name)
        return [] if found is None else [(e.text or "").strip() for e in found.iter(f"{DAV}href") if e.text]

    def href(self, name: str) -> str:
        """Return the first place that a property leads to, empty where it leads nowhere."""
        return next(iter(self.hrefs(name)), "")

    def inner(self, name: str) -> set[str]:
        """Return the names of the elements in a property."""
        found = self.properties.get(name)
        return set() if found is None else {str(element.tag) for element in found.iter()}

    def names(self, name: str) -> list[str]:
        """Return the attributes `name` of the elements in a property."""
        found = self.properties.get(name)
        return [] if found is None else [e.get("name") or "" for e in found]


def propfind(*names: str) -> bytes:
    """Return the question for properties."""
    return _body("D:propfind", f"<D:prop>{_empty(names)}</D:prop>")


def multiget(prefix: str, paths: Iterable[str]) -> bytes:
    """Return the question for entries by their paths; `prefix` is C for calendars and A for address books."""
    report, data = _report(prefix, "multiget")
    hrefs = "".join(f"<D:href>{escape(path)}</D:href>" for path in paths)
    return _body(report, f"<D:prop><D:getetag/><{data}/></D:prop>{hrefs}")


def query(prefix: str, component: str, uid: str | None = None) -> bytes:
    """Return the question for the entries of a kind, perhaps only those with a UID; only their paths are told."""
    report, _ = _report(prefix, "query")
    match = "" if uid is None else _match(prefix, uid)
    if prefix == "C":
        wanted = (
            f'<C:comp-filter name="VCALENDAR"><C:comp-filter name="{component}">{match}</C:comp-filter></C:comp-filter>'
        )
    else:
        wanted = match
    return _body(report, f"<D:prop><D:getetag/></D:prop><{prefix}:filter>{wanted}</{prefix}:filter>")


def sync(token: str) -> bytes:
    """Return the question for what changed since a token."""
    return _body(
        "D:sync-collection",
        f"<D:sync-token>{escape(token)}</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop>",
    )


def writable(text: str) -> bool:
    """Tell whether a text can stand in XML."""
    return all(character >= " " or character in _XML for character in text)


def answers_of(reply: Reply, url: httpx.URL) -> list[Answer]:
    """Return what a server says of several resources; raises `Misconfigured` or `Unavailable`."""
    return told_of(reply, url)[0]


def told_of(reply: Reply, url: httpx.URL) -> tuple[list[Answer], str]:
    """Return what a server says of several resources, and the token of its list of changes, empty where it has none.

    Raises:
        Misconfigured: It is no answer of such a server.
        Unavailable: It breaks off.
    """
    try:
        root = etree.fromstring(reply.content, parser())
    except etree.XMLSyntaxError as error:
        raise _broken(reply, url, error) from error
    if root is None or root.tag != f"{DAV}multistatus":
        raise _broken(reply, url, "-")
    answers = [_answer(element, url) for element in root.iter(f"{DAV}response")]
    return answers, (root.findtext(f"{DAV}sync-token") or "").strip()


def _answer(element: Any, url: httpx.URL) -> Answer:
    path = (element.findtext(f"{DAV}href") or "").strip()
    status, properties = _code(element.findtext(f"{DAV}status")), dict[str, Any]()
    for part in element.findall(f"{DAV}propstat"):
        if _code(part.findtext(f"{DAV}status")) in (0, 200):
            properties |= {str(found.tag): found for prop in part.findall(f"{DAV}prop") for found in prop}
    return Answer(url, path, status or 200, properties)


def _code(text: str | None) -> int:
    parts = (text or "").split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 0


def _broken(reply: Reply, url: httpx.URL, problem: object) -> ConnectorError:
    kind = reply.headers.get("Content-Type", "")
    if "xml" in kind:
        return Unavailable(
            msg("The {kind} of {url} is broken or breaks off: {problem}.", kind="XML", url=shown(url),
                problem=str(problem)[:200]),
            msg("Try again; if it happens always, ask the operator of the service."),
        )  # fmt: skip
    return Misconfigured(
        msg("{url} is no calendar or address book server.", url=shown(url)),
        msg("Enter the address that the server's operator names for CalDAV or CardDAV."),
    )


def _match(prefix: str, uid: str) -> str:
    return (
        f'<{prefix}:prop-filter name="UID"><{prefix}:text-match collation="i;octet">{escape(uid)}'
        f"</{prefix}:text-match></{prefix}:prop-filter>"
    )


def _report(prefix: str, name: str) -> tuple[str, str]:
    kind = "calendar" if prefix == "C" else "addressbook"
    return f"{prefix}:{kind}-{name}", f"{prefix}:{'calendar' if prefix == 'C' else 'address'}-data"


def _body(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="utf-8"?><{name} {_SPACES}>{inner}</{name}>'.encode()


def _empty(names: Iterable[str]) -> str:
    return "".join(f"<{name}/>" for name in names)
