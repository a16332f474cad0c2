"""A calendar and address book server as a connection sees it: its collections, found as RFC 6764 says, and calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

import httpx

from connectors.builtin.dav_fields import COMPONENTS, EXTENSIONS, Column, columns_of
from connectors.builtin.dav_options import DavObject, DavOptions
from connectors.builtin.dav_xml import CALENDAR, CARD, DAV, Answer, answers_of, propfind
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_options import RestOptions
from connectors.errors import ConnectorError, Forbidden, Misconfigured, ObjectMissing
from connectors.http_client import same_origin, shown
from connectors.http_reply import Reply
from connectors.spi import Context
from rules.text import msg

_REDIRECTS = (301, 302, 303, 307, 308)
_HOPS = 5
_XML = "application/xml; charset=utf-8"
_HOMES = (f"{CALENDAR}calendar-home-set", f"{CARD}addressbook-home-set")
_PRINCIPAL = propfind("D:current-user-principal", "D:resourcetype", "C:calendar-home-set", "A:addressbook-home-set")
_COLLECTION = propfind(
    "D:resourcetype", "D:displayname", "D:sync-token", "D:supported-report-set", "C:supported-calendar-component-set"
)


@dataclass(frozen=True)
class Collection:
    """A calendar or an address book."""

    url: httpx.URL
    name: str
    label: str
    kinds: tuple[str, ...]
    token: str
    syncs: bool


@dataclass(frozen=True)
class Subject:
    """An object: the entries of one kind in a collection, and their fields."""

    described: DavObject
    collection: Collection
    kind: str
    columns: Mapping[str, Column] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the object's name."""
        return self.described.name

    @property
    def component(self) -> str:
        """Return what an entry is called in its text."""
        return COMPONENTS[self.kind]

    @property
    def prefix(self) -> str:
        """Return the space of names of the collection's reports."""
        return "A" if self.kind == "contacts" else "C"

    def name_of(self, path: str) -> str:
        """Return the name of an entry, which is the last part of its address."""
        return file_of(path).removesuffix(EXTENSIONS[self.kind])

    def paths(self, name: str) -> list[str]:
        """Return where an entry may lie: with the usual extension, or without it."""
        # the name with its extension is where another entry lies: the one whose name lacks it
        return [self.path(name), *([] if name.endswith(EXTENSIONS[self.kind]) else [self.path(name, bare=True)])]

    def path(self, name: str, *, bare: bool = False) -> str:
        """Return the path of an entry; `bare` leaves out the usual extension, as some servers do."""
        above = self.collection.url.raw_path.decode("ascii").partition("?")[0].rstrip("/")
        return f"{above}/{quote(name, safe='')}{'' if bare else EXTENSIONS[self.kind]}"


def file_of(path: str) -> str:
    """Return the last part of an address."""
    return unquote(path.rstrip("/").rpartition("/")[2])


class Service:
    """One server."""

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        self.options = DavOptions.of(settings)
        rest = RestOptions.of({**settings, "objects": []})
        self.calls = Calls(rest, context)
        self.base = httpx.URL(rest.base_url + "/" if rest.base_url.count("/") < len("///") else rest.base_url)

    def close(self) -> None:
        """Close the connections."""
        self.calls.close()

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """Return the objects by name: the described ones, or all."""
        if not self.options.objects:
            found = [DavObject(name=name) for name in self.offered]
        else:
            found = list(self.options.objects)
        return {described.name: self._subject(described) for described in found}

    def subject(self, name: str) -> Subject:
        """Return an object; raises `ObjectMissing`."""
        if name not in self.subjects:
            raise ObjectMissing(
                msg("The server has no calendar or address book '{name}'.", name=name),
                msg("Check the address of the connection, or its objects."), object_name=name,
            )  # fmt: skip
        return self.subjects[name]

    @cached_property
    def offered(self) -> dict[str, tuple[Collection, str]]:
        """Return the collections by the names of their objects: one for each kind of entry that they hold."""
        found: dict[str, tuple[Collection, str]] = {}
        for collection in self.collections:
            for number, kind in enumerate(collection.kinds):
                short = collection.name if not number else f"{collection.name}/{kind}"
                long = collection.url.path.strip("/") if not number else f"{collection.url.path.strip('/')}/{kind}"
                found[long if short in found else short] = (collection, kind)
        return dict(sorted(found.items()))

    @cached_property
    def collections(self) -> list[Collection]:
        """Return the calendars and address books, found from the address of the connection on."""
        here = self._properties(self.base, _COLLECTION, missing_ok=True)
        own = [made for answer in here if (made := self._collection(answer)) is not None]
        return own or [made for home in self._homes() for made in self._at(home)]

    def _at(self, home: httpx.URL) -> Iterator[Collection]:
        for answer in self._properties(home, _COLLECTION, depth="1"):
            made = self._collection(answer)
            if made is not None:
                yield made

    def _homes(self) -> list[httpx.URL]:
        """Return where the collections of the user are: as the address says, or the places that are well known."""
        begin = (self.base, *(self.base.join(f"/.well-known/{name}") for name in ("caldav", "carddav")))
        found: dict[str, httpx.URL] = {}
        for url in begin:
            for answer in self._properties(url, _PRINCIPAL, missing_ok=True):
                principal = answer.href(f"{DAV}current-user-principal")
                told = self._properties(self.place(answer.url, principal), _PRINCIPAL) if principal else [answer]
                homes = [(a, path) for a in told for name in _HOMES for path in a.hrefs(name)]
                found |= {str(place): place for a, path in homes for place in (self.place(a.url, path),)}
            if found and url == self.base:
                break
        if not found:
            raise Misconfigured(
                msg("{url} leads to no calendar and no address book.", url=shown(self.base)),
                msg("Enter the address that the server's operator names for CalDAV or CardDAV."),
            )
        return list(found.values())

    def place(self, url: httpx.URL, path: str) -> httpx.URL:
        """Return where a link leads; raises `Forbidden` where our credentials must not be sent."""
        target = url.join(path)
        encrypted = target.scheme == "https" and target.host.lower() in self.options.hosts
        if not same_origin(self.base, target) and not encrypted:
            raise Forbidden(
                msg("A calendar or address book is said to be at {url}, which is another host.", url=shown(target)),
                msg("If it belongs to the service, add it to the further hosts in the connection's settings."),
            )
        return target

    def report(self, subject: Subject, body: bytes, method: str = "REPORT") -> list[Answer]:
        """Return the answers to a question to a collection; raises where the server refuses it."""
        url = subject.collection.url
        reply = self.reply(method, url, body, {"Depth": "1"}, subject.name)
        if not reply.is_success:
            raise self.refused(reply, method, url, subject.name)
        return answers_of(reply, url)

    def refused(self, reply: Reply, method: str, url: httpx.URL, name: str = "") -> ConnectorError:
        """Return the error of a call that the server refuses."""
        return self.calls.told(reply, Request(str(url), method, object_name=name or None)).error()

    def reply(
        self, method: str, url: httpx.URL, body: bytes | None, headers: Mapping[str, str], name: str = ""
    ) -> Reply:
        """Return the answer to a call; one that only asks is repeated where it gets lost."""
        kind = {"Content-Type": _XML} if body is not None else {}
        request = Request(
            str(url), method, body=body, headers={"Accept": "*/*", **kind, **headers}, object_name=name or None,
            repeatable=method in ("PROPFIND", "REPORT"),
        )  # fmt: skip
        return self.calls.response(request)

    def refreshed(self, subject: Subject) -> Collection:
        """Return a collection as the server tells of it now."""
        found = self._properties(subject.collection.url, _COLLECTION)
        return next((made for a in found if (made := self._collection(a)) is not None), subject.collection)

    def _properties(self, url: httpx.URL, body: bytes, *, depth: str = "0", missing_ok: bool = False) -> list[Answer]:
        for _ in range(_HOPS):
            reply = self.reply("PROPFIND", url, body, {"Depth": depth})
            target = reply.headers.get("location")
            if reply.status_code not in _REDIRECTS or not target:
                break
            url = self.place(url, target)
        else:
            raise Misconfigured(
                msg("{url} redirects again and again.", url=shown(url)), msg("Check the address of the connection.")
            )
        if missing_ok and reply.status_code in (403, 404, 405, 501):
            return []
        if reply.status_code != 207:
            raise self._no_dav(reply, url)
        return answers_of(reply, url)

    def _no_dav(self, reply: Reply, url: httpx.URL) -> ConnectorError:
        if reply.is_success or reply.status_code in (400, 405, 501):
            return Misconfigured(
                msg("{url} is no calendar or address book server.", url=shown(url)),
                msg("Enter the address that the server's operator names for CalDAV or CardDAV."),
            )
        return self.refused(reply, "PROPFIND", url)

    def _collection(self, answer: Answer) -> Collection | None:
        """Return a collection where an answer tells of one that we read."""
        types = answer.inner(f"{DAV}resourcetype")
        if f"{CARD}addressbook" in types:
            kinds: tuple[str, ...] = ("contacts",)
        elif f"{CALENDAR}calendar" in types:
            given = {name.upper() for name in answer.names(f"{CALENDAR}supported-calendar-component-set")}
            found = [kind for kind in ("events", "tasks") if COMPONENTS[kind] in given]
            kinds = tuple(found) if given else ("events", "tasks")
        else:
            return None
        url = self.place(answer.url, answer.path)
        name = unquote(url.path.rstrip("/").rpartition("/")[2]) or url.host
        syncs = f"{DAV}sync-collection" in answer.inner(f"{DAV}supported-report-set")
        token = answer.text(f"{DAV}sync-token")
        return Collection(url, name, answer.text(f"{DAV}displayname"), kinds, token, syncs and bool(token))

    def _subject(self, described: DavObject) -> Subject:
        place = described.collection or described.name
        collection, kind = self._found(place, described)
        if described.kind is not None:
            kind = described.kind
        if kind not in collection.kinds:
            raise Misconfigured(
                msg("'{collection}' holds no {kind}.", collection=place, kind=kind),
                msg("Correct the objects in the connection's settings."), object_name=described.name,
            )  # fmt: skip
        return Subject(described, collection, kind, columns_of(described, kind))

    def _found(self, place: str, described: DavObject) -> tuple[Collection, str]:
        same = [
            c for c in self.collections if place.rstrip("/") in (c.name, c.url.path.strip("/"), str(c.url).rstrip("/"))
        ]
        if place in self.offered:
            return self.offered[place]
        if not same:
            raise Misconfigured(
                msg("The server has no calendar or address book '{name}'.", name=place),
                msg("Correct the objects in the connection's settings; it has: {known}.",
                    known=", ".join(list(self.offered)[:20]) or "-"), object_name=described.name,
            )  # fmt: skip
        return same[0], same[0].kinds[0]
