"""An OData service as a connection sees it: its model, its objects, and calls with the headers that it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx

from connectors.builtin.odata_expand import expanded
from connectors.builtin.odata_model import ENTITY_KEY, EntitySet, Model, model_of
from connectors.builtin.odata_options import ODataObject, ODataOptions
from connectors.builtin.odata_types import encoded
from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_errors import Meaning
from connectors.builtin.rest_options import RestOptions
from connectors.errors import AuthFailed, Misconfigured, ObjectMissing
from connectors.http_reply import Reply
from connectors.spi import Context
from rules.text import msg

_JSON_OLD = {"Accept": "application/json", "DataServiceVersion": "2.0", "MaxDataServiceVersion": "2.0"}
_JSON_NEW = {
    "Accept": "application/json;odata.metadata=minimal;IEEE754Compatible=true",
    "OData-Version": "4.0", "OData-MaxVersion": "4.0",
}  # fmt: skip
BODY_NEW = "application/json;IEEE754Compatible=true"
_REFUSAL = Meaning(then="quarantine", status=500, member="error")
"""Services refuse a record with the status of an error of their own; where they say why, it is the record's."""
_TOKEN = "X-CSRF-Token"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class Subject:
    """An object and the set that it is a part of."""

    described: ODataObject
    set: EntitySet

    @property
    def name(self) -> str:
        """Return the object's name."""
        return self.described.name

    def path(self, key: str, value: Any) -> str:
        """Return the path of the entity whose key field has a value."""
        if key == ENTITY_KEY and len(self.set.key) > 1:
            return f"{self.set.name}({encoded(str(value))})"
        return f"{self.set.name}({encoded(self.set.properties[key].kind.literal(value))})"

    def key_text(self, values: Mapping[str, Any]) -> str:
        """Return what stands for a key of several properties: as it is written in an address."""
        return ",".join(f"{name}={self.set.properties[name].kind.literal(values[name])}" for name in self.set.key)


class Service:
    """One service."""

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        self.options = ODataOptions.of(settings)
        rest = RestOptions.of({**settings, "objects": []})
        self.calls = Calls(rest, context)
        self.writes = Calls(replace(rest, errors=(_REFUSAL,)), context)
        self.writes.credentials = self.calls.credentials
        self._session: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self.calls.close()
        self.writes.close()

    @cached_property
    def model(self) -> Model:
        """Return what the service says of itself."""
        request = Request(self._query("$metadata", {}), headers={"Accept": "application/xml"})
        reply = self.calls.response(request)
        if not reply.is_success:
            raise self.calls.told(reply, request).error()
        return model_of(reply.content)

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """Return the objects by name: the described ones, or all sets."""
        sets = self.model.sets
        given = self.options.objects or tuple(ODataObject(name=name, set=name) for name in sets)
        found = {}
        for described in given:
            place = described.set or described.name
            if place not in sets:
                raise Misconfigured(
                    msg("The service has no entity set '{set}' with a key.", set=place),
                    msg("Correct the objects in the connection's settings; its sets are: {sets}.",
                        sets=", ".join(list(sets)[:20]) or "-"),
                )  # fmt: skip
            found[described.name] = Subject(described, expanded(self.model, sets[place], described.expand))
        return found

    def subject(self, name: str) -> Subject:
        """Return an object; raises `ObjectMissing`."""
        if name not in self.subjects:
            raise ObjectMissing(
                msg("The service has no object '{name}'.", name=name),
                msg("Check the address of the connection, or its objects."),
                object_name=name,
            )
        return self.subjects[name]

    def request(self, path: str, query: Mapping[str, str], name: str, prefer: str = "") -> Request:
        """Return a call that reads; the parameters are put into the address, where a blank is no plus."""
        return self.at(self._query(path, query), name, prefer)

    def at(self, address: str, name: str, prefer: str = "") -> Request:
        """Return a call that reads at an address with all of its parameters."""
        more = {"Prefer": prefer} if prefer else {}
        return Request(address, headers={**self.headers, **more}, object_name=name)

    @property
    def headers(self) -> Mapping[str, str]:
        """Return what every call says of the protocol."""
        return _JSON_OLD if self.model.old else _JSON_NEW

    def value(self, request: Request) -> Any:
        """Return the value that a call answers with, without the wrapping of version 2."""
        found = self.calls.answer(request).value
        return found["d"] if self.model.old and isinstance(found, dict) and "d" in found else found

    def found(self, request: Request) -> tuple[dict[str, Any], Reply] | None:
        """Return an entity and the answer that it came in, None if there is none."""
        reply = self.calls.response(request)
        told = self.calls.told(reply, request)
        if told.missing:
            return None
        if not told.good:
            raise told.error()
        value = value_of(reply, request)
        value = value.get("d", value) if isinstance(value, dict) else {}
        return value, reply

    def send(self, request: Request) -> Reply:
        """Return the answer of a call that writes, with the token that SAP wants against forged requests."""
        reply = self.writes.response(self._signed(request))
        if reply.status_code == 403 and reply.headers.get(_TOKEN, "").lower() == "required":
            self._fetch_token(request)
            reply = self.writes.response(self._signed(request))
        if reply.status_code == 401 or (reply.status_code == 403 and _TOKEN in reply.headers):
            raise self.calls.told(reply, request).error()
        return reply

    def _signed(self, request: Request) -> Request:
        headers = {**self.headers, **request.headers, **self._session}
        return replace(request, url=self._query(request.url, {}), headers=headers)

    def _fetch_token(self, request: Request) -> None:
        asked = Request(self._query("", {}), headers={**self.headers, _TOKEN: "Fetch"})
        reply = self.calls.response(asked)
        token = reply.headers.get(_TOKEN, "")
        if not token:
            raise AuthFailed(
                msg("The service wants a token against forged requests (x-csrf-token), but gives none."),
                msg("Check that the user may read the root of the service."),
                object_name=request.object_name,
            )
        self._session = {_TOKEN: token}
        cookies = [cookie.partition(";")[0] for cookie in reply.headers.all.get("set-cookie", ())]
        if cookies:
            self._session["Cookie"] = "; ".join(cookies)

    def following(self, path: str, link: str) -> str:
        """Return the address that a link to the next page means: its parameters, with the path that we know.

        Links often name a host behind a proxy; the path stays ours, so credentials go nowhere else.
        """
        query = httpx.URL(link).query.decode()
        given = {part.partition("=")[0] for part in query.split("&")}
        own = [
            f"{n}={_text(v)}" for n, v in self.options.parameters.items() if n not in given and _text(n) not in given
        ]
        return f"{path}?{'&'.join([*filter(None, [query]), *own])}"

    def _query(self, path: str, query: Mapping[str, str]) -> str:
        parts = [f"{name}={_text(value)}" for name, value in {**query, **self.options.parameters}.items()]
        return f"{path}?{'&'.join(parts)}" if parts else path


def _text(value: str) -> str:
    return quote(value, safe="'(),:$@!*~._-/")
