"""Calls of a web service: at the allowed pace, repeated where that is safe, and with errors that say what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

from connectors.builtin.rest_options import RestOptions
from connectors.casting import short
from connectors.errors import AuthFailed, ConnectorError, Fatal, Misconfigured, ObjectMissing, RateLimited, Unavailable
from connectors.http_client import client, shown, trust_store
from connectors.json_records import decode
from connectors.spi import Context
from rules.text import msg

ATTEMPTS = 4
PATIENCE = 20.0
"""Seconds for which a call is worth waiting for, here; longer waits are the caller's business."""

_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_MESSAGE_MEMBERS = ("message", "error_description", "detail", "title", "error", "errors", "msg", "reason")


class BrokenJson(Unavailable):
    """An answer that breaks off, or whose JSON is wrong."""


@dataclass(frozen=True)
class Answer:
    """What the service answered: the JSON value, and where it came from."""

    value: Any
    response: httpx.Response


@dataclass(frozen=True)
class Request:
    """One call: `url` is a path below the base address or a whole address of the same service."""

    url: str
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    object_name: str | None = None
    repeatable: bool = False


class Calls:
    """Makes the calls of one connection."""

    def __init__(self, options: RestOptions, context: Context) -> None:
        self.options = options
        self._next = 0.0
        self._http = client(
            replaced(context, timeout=options.timeout),
            headers=options.headers,
            private=options.private,
            auth=options.auth,
            trust=trust_store(options.certificate, verify=options.verify),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def answer(self, request: Request) -> Answer:
        """Return the JSON answer of a call that only reads; raises by what the caller should do."""
        for attempt in range(ATTEMPTS):
            response = self.response(request)
            if not response.is_success:
                raise refused(response, request)
            try:
                return Answer(json_of(response, request), response)
            except BrokenJson:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(_backoff(attempt))
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def response(self, request: Request) -> httpx.Response:
        """Return the response of a call, waiting and repeating where that is safe.

        Raises:
            RateLimited: The service asks to wait longer than is worth waiting here.
            Unavailable: No answer or a server error, also after repeating.
        """
        repeatable = request.method in _REPEATABLE or request.repeatable
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                response = self._once(request)
            except Unavailable:
                if last or not repeatable:
                    raise
                time.sleep(_backoff(attempt))
                continue
            if response.status_code == 429:
                self._wait(response, request, last=last)
            elif response.status_code >= 500 and repeatable and not last:
                time.sleep(_backoff(attempt))
            elif response.status_code >= 500:
                raise _server_error(response, request)
            else:
                return response
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _once(self, request: Request) -> httpx.Response:
        pause = self._next - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        if self.options.rate:
            self._next = max(self._next, time.monotonic()) + 1 / self.options.rate
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url = httpx.URL(absolute(self.options.base_url, request.url))
        url = url.copy_merge_params({**request.query, **self.options.query})
        return self._http.request(request.method, url, content=request.body, headers=headers)

    def _wait(self, response: httpx.Response, request: Request, *, last: bool) -> None:
        after = retry_after(response.headers.get("Retry-After", ""))
        if last or after > PATIENCE:
            raise RateLimited(
                msg("{url} asks to wait {seconds} seconds.", url=shown(response.url), seconds=round(after)),
                after=after,
                object_name=request.object_name,
            )
        time.sleep(after)


def absolute(base: str, path: str) -> str:
    """Return the whole address of a path below the base address."""
    return path if re.match(r"^https?://", path) else f"{base}/{path.lstrip('/')}"


def retry_after(text: str) -> float:
    """Return the seconds that a Retry-After header asks for; 1 if it says nothing."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 1.0


def refused(response: httpx.Response, request: Request) -> ConnectorError:
    """Return the error for a response that is no success."""
    url, status, said = shown(response.url), response.status_code, said_by(response)
    if status in (401, 403):
        return AuthFailed(
            msg("{url} refuses our credentials ({status}): {said}", url=url, status=status, said=said),
            msg("Check user, password, token or key of the connection, and what they may do."),
            object_name=request.object_name,
        )
    if status in (404, 410):
        return ObjectMissing(
            msg("{url} does not exist ({status}): {said}", url=url, status=status, said=said),
            msg("Check the address of the connection and the path of the object."),
            object_name=request.object_name,
        )
    if 300 <= status < 400:
        return Misconfigured(
            msg("{url} has moved to {target}.", url=url, target=_target(response)),
            msg("Enter the new address."),
            object_name=request.object_name,
        )
    return Fatal(
        msg("{url} refuses the request ({status}): {said}", url=url, status=status, said=said),
        msg("Check the path and the parameters of the object."),
        object_name=request.object_name,
    )


def said_by(response: httpx.Response) -> str:
    """Return the service's own words about what is wrong, short."""
    try:
        found = _words(decode(response.content))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = re.sub(r"<[^>]*>", " ", response.text)
    text = " ".join((found or response.reason_phrase or "-").split())
    return short(text, 200)


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value[:3])))
    if isinstance(value, dict):
        named = [_words(value[name]) for name in _MESSAGE_MEMBERS if value.get(name)]
        if any(named):
            return next(filter(None, named))
        return "; ".join(f"{name}: {_words(item)}" for name, item in list(value.items())[:3] if _words(item))
    return ""


def json_of(response: httpx.Response, request: Request) -> Any:
    """Return the JSON value of a response, None for an empty one; raises `BrokenJson` or `Misconfigured`."""
    if not response.content.strip():
        return None
    try:
        return decode(response.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "")
        if "json" in kind:
            raise BrokenJson(
                msg(
                    "The JSON of {url} is broken or breaks off: {problem}.", url=shown(response.url), problem=str(error)
                ),
                msg("Try again; if it happens always, ask the operator of the service."),
                object_name=request.object_name,
            ) from error
        raise Misconfigured(
            msg("{url} does not answer with JSON but with {kind}: {said}",
                url=shown(response.url), kind=kind or "-", said=said_by(response)),
            msg("Check the address; perhaps it leads to a page for people."),
            object_name=request.object_name,
        ) from error  # fmt: skip


def _server_error(response: httpx.Response, request: Request) -> Unavailable:
    return Unavailable(
        msg("{url} reports an error of its own ({status}): {said}",
            url=shown(response.url), status=response.status_code, said=said_by(response)),
        msg("Try again later."),
        object_name=request.object_name,
    )  # fmt: skip


def _target(response: httpx.Response) -> str:
    return shown(response.next_request.url) if response.next_request else response.headers.get("Location", "-")


def _backoff(attempt: int) -> float:
    return float(0.25 * 2**attempt)
