"""Requests as a manifest describes them: address, parameters, headers and body, and values put into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from connectors.builtin.airbyte_components import HttpRequester, RequestOption
from connectors.builtin.airbyte_words import text_value, value_of
from connectors.errors import Forbidden, Misconfigured
from connectors.http_client import same_origin, shown, web_address
from connectors.json_records import encode
from rules.text import msg

Known = Mapping[str, Any]


@dataclass
class Draft:
    """A request that is being put together."""

    method: str
    url: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body_json: Any = None
    body_data: Any = None

    @classmethod
    def of(cls, requester: HttpRequester, known: Known, onward: str = "") -> Draft:
        """Return the request that a requester describes; `onward` is the address of a next page."""
        known = {**known, "parameters": requester.parameters}
        own = _address(requester, known)
        draft = cls(requester.http_method.upper(), _onward(own, onward) if onward else own)
        draft.query = _texts(requester.request_parameters, known)
        draft.headers = _texts(requester.request_headers, known)
        draft.body_json = _json(requester.request_body_json, known)
        draft.body_data = _data(requester.request_body_data, known)
        if onward:
            there = {name for name, _ in parse_qsl(httpx.URL(draft.url).query.decode(), keep_blank_values=True)}
            draft.query = {name: value for name, value in draft.query.items() if name not in there}
        return draft

    def put(self, option: RequestOption | None, value: Any, known: Known) -> None:
        """Put a value where an option says; nothing where there is no value."""
        if option is None or value in (None, ""):
            return
        name = text_value(option.field_name, known)
        if option.inject_into == "request_parameter":
            self.query[name] = text_value(value, known)
        elif option.inject_into == "header":
            self.headers[name] = text_value(value, known)
        elif option.inject_into == "body_data":
            data = self.body_data if isinstance(self.body_data, dict) else {}
            self.body_data = {**data, name: text_value(value, known)}
        else:
            path = [text_value(part, known) for part in option.field_path] or [name]
            self.body_json = _placed(self.body_json, path, value)

    def request(self, http: httpx.Client) -> httpx.Request:
        """Return the request as it is sent."""
        content: bytes | None = None
        headers = dict(self.headers)
        if self.body_json not in (None, {}, ""):
            content = encode(self.body_json)
            headers.setdefault("Content-Type", "application/json")
        elif self.body_data:
            text = self.body_data if isinstance(self.body_data, str) else urlencode(self.body_data)
            content = text.encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        url = httpx.URL(self.url).copy_merge_params(self.query) if self.query else httpx.URL(self.url)
        return http.build_request(self.method, url, headers=headers, content=content)


def address_of(requester: HttpRequester, known: Known) -> httpx.URL:
    """Return the address that a requester's calls begin with; raises `Misconfigured`."""
    text = text_value(requester.url or requester.url_base, {**known, "parameters": requester.parameters}).strip()
    url = web_address(text)
    if url is None:
        raise Misconfigured(
            msg("'{address}' is not a web address.", address=text[:200]),
            msg("Correct 'url_base' in the manifest, or what the configuration says of it."),
        )
    return url


def _address(requester: HttpRequester, known: Known) -> str:
    base, path = str(address_of(requester, known)), text_value(requester.path, known).strip()
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base


def _onward(own: str, onward: str) -> str:
    target = httpx.URL(own).join(onward)
    if not same_origin(httpx.URL(own), target):
        raise Forbidden(
            msg("The next page is said to be at {url}, which is another service.", url=shown(target)),
            msg("Credentials are not sent there. Check the paging in the manifest."),
        )
    return str(target)


def _texts(values: Any, known: Known) -> dict[str, str]:
    found = value_of(values, known)
    if isinstance(found, str):
        return dict(parse_qsl(found.lstrip("?"), keep_blank_values=True))
    texts = {str(name): text_value(value, known) for name, value in (found or {}).items()}
    return {name: value for name, value in texts.items() if value != ""}


def _json(values: Any, known: Known) -> Any:
    found = value_of(values, known)
    if not isinstance(found, str):
        return found or None
    try:
        return json.loads(found or "null")
    except ValueError as error:
        raise Misconfigured(
            msg("The body of a request is not JSON: {problem}.", problem=str(error)),
            msg("Correct 'request_body_json' in the manifest."),
        ) from None


def _data(values: Any, known: Known) -> Any:
    found = value_of(values, known)
    return found if isinstance(found, str) else {name: text_value(v, known) for name, v in (found or {}).items()}


def _placed(value: Any, path: list[str], inner: Any) -> dict[str, Any]:
    below = dict(value) if isinstance(value, Mapping) else {}
    return {**below, path[0]: _placed(below.get(path[0]), path[1:], inner) if path[1:] else inner}
