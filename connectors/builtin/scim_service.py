"""A SCIM server as a connection sees it: what it offers, its lists, and single resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx

from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_options import RestOptions
from connectors.builtin.scim_model import Attribute, Kind, kinds_of, usual
from connectors.builtin.scim_options import ScimObject, ScimOptions
from connectors.errors import Fatal, Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.http_client import same_origin, shown
from connectors.http_reply import Reply
from connectors.json_records import encode
from connectors.spi import Context
from connectors.value_text import PLAIN
from rules.text import msg

HEADERS = {"Accept": "application/scim+json, application/json"}


class Service:
    """One service."""

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        self.options = ScimOptions.of(settings)
        self.calls = Calls(RestOptions.of({**settings, "objects": []}), context)

    def close(self) -> None:
        """Close the connections."""
        self.calls.close()

    @cached_property
    def offers(self) -> Mapping[str, Any]:
        """Return what the server can do, nothing where it does not tell."""
        found = self._told("ServiceProviderConfig")
        return found if isinstance(found, dict) else {}

    def supports(self, what: str) -> bool:
        """Tell whether the server says that it can do something (`patch`, `bulk`, `etag`)."""
        found = self.offers.get(what)
        return isinstance(found, dict) and bool(found.get("supported"))

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Return the objects by name: the described ones, or all kinds of resources."""
        types, schemas = (_resources(self._told(name)) for name in ("ResourceTypes", "Schemas"))
        own = kinds_of(types, schemas) if types and schemas else kinds_of(*usual())
        for kind in own.values():
            if "://" in kind.endpoint:
                self._check_place(kind)
        if not self.options.objects:
            return {name: kind.described(ScimObject(name=name)) for name, kind in own.items()}
        found = {}
        for given in self.options.objects:
            if (given.resource or given.name) not in own:
                raise Misconfigured(
                    msg("The service has no resources '{name}'.", name=given.resource or given.name),
                    msg("Correct the objects in the connection's settings; it has: {kinds}.", kinds=", ".join(own)),
                )
            found[given.name] = own[given.resource or given.name].described(given)
        return found

    def _check_place(self, kind: Kind) -> None:
        """Refuse resources that are said to be on another server."""
        base = httpx.URL(self.calls.options.base_url)
        target = base.join(kind.endpoint)
        if not same_origin(base, target):
            raise Forbidden(
                msg("'{name}' is said to be at {url}, which is another service.",
                    name=kind.label or kind.name, url=shown(target)),
                msg("Credentials are not sent there. Check the address of the connection."),
            )  # fmt: skip

    def kind(self, name: str) -> Kind:
        """Return an object; raises `ObjectMissing`."""
        if name not in self.kinds:
            raise ObjectMissing(
                msg("The service has no object '{name}'.", name=name),
                msg("Check the address of the connection, or its objects."),
                object_name=name,
            )
        return self.kinds[name]

    def _told(self, path: str) -> Any:
        """Return a document of the server's own, None where it has none; a refused sign-in is an error."""
        request = Request(path, headers=HEADERS)
        reply = self.calls.response(request)
        if reply.status_code in (401, 403) or 300 <= reply.status_code < 400:
            raise self.calls.told(reply, request).error()
        return value_of(reply, request) if reply.is_success else None

    def pages(self, kind: Kind, wanted: str = "", start: int = 1, total: int | None = None) -> Iterator[Any]:
        """Yield the pages of a list: (resources, number of the first, how many there are in all).

        Raises:
            Fatal: The list ends too early, or its pages are the same again and again.
            Unavailable: It has become shorter while it was read, so that something may have been passed over.
        """
        last: Any = None
        while True:
            value = self._page(kind, wanted, start)
            found, now = _resources(value), _whole(value)
            first = found[0].get("id") if found and isinstance(found[0], dict) else None
            if first is not None and first == last:
                raise Fatal(
                    msg("The service sends the same page of '{name}' again and again.", name=kind.name),
                    msg("Ask the operator of the service: it does not heed startIndex."),
                    object_name=kind.name,
                )
            if total is not None and now < total:
                raise Unavailable(
                    msg("'{name}' has become shorter while it was read, so something may be missing.", name=kind.name),
                    msg("It is read again."),
                    object_name=kind.name,
                )
            last, total = first, now
            yield found, start, now
            start += len(found)
            if start > now:
                return
            if not found:
                raise Fatal(
                    msg("'{name}' ended after {count} of {total} records, so it is not complete.",
                        name=kind.name, count=start - 1, total=now),
                    msg("Ask for smaller pages."),
                    object_name=kind.name,
                )  # fmt: skip

    def _page(self, kind: Kind, wanted: str, start: int) -> Any:
        filters = [f"({text})" if kind.filter and wanted else text for text in (kind.filter, wanted) if text]
        query = {"startIndex": str(start), "count": str(self.options.page_size)}
        if filters:
            query["filter"] = " and ".join(filters)
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        request = Request(f"{kind.endpoint}?{text}", headers=HEADERS, object_name=kind.name)
        return self.calls.answer(request).value

    def found(self, kind: Kind, number: str) -> tuple[dict[str, Any], Reply] | None:
        """Return a resource by its id and the answer that it came in, None if there is none."""
        request = Request(f"{kind.endpoint}/{quote(number, safe='')}", headers=HEADERS, object_name=kind.name)
        reply = self.calls.response(request)
        told = self.calls.told(reply, request)
        if told.missing:
            return None
        if not told.good:
            raise told.error()
        value = value_of(reply, request)
        return (value, reply) if isinstance(value, dict) else None

    def meeting(self, kind: Kind, key: Attribute, value: Any) -> list[dict[str, Any]]:
        """Return the resources with a value of an attribute."""
        text = PLAIN.text(value) or ""
        if key.parts == ("id",):
            found = self.found(kind, text)
            return [found[0]] if found else []
        wanted = f"{key.path} eq {literal(value)}"
        pages = self.pages(kind, wanted)
        all_of = [resource for page, _, _ in pages for resource in page if isinstance(resource, dict)]
        return [resource for resource in all_of if key.text(resource) == text]


def literal(value: Any) -> str:
    """Return a value as it stands in a filter."""
    plain = value if isinstance(value, (bool, int)) else PLAIN.text(value)
    return encode(plain).decode()


def _resources(value: Any) -> list[Any]:
    found = value.get("Resources") if isinstance(value, dict) else value
    return found if isinstance(found, list) else []


def _whole(value: Any) -> int:
    found = value.get("totalResults") if isinstance(value, dict) else None
    return found if isinstance(found, int) else len(_resources(value))
