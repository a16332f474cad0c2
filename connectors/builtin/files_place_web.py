"""Files behind web addresses: what S3, WebDAV and plain web servers share."""

from __future__ import annotations

import datetime as dt
import time
from abc import abstractmethod
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx
from lxml import etree

from connectors.builtin.files_place import Place, Stat, lost
from connectors.errors import AuthFailed, Fatal, Forbidden, RateLimited, Unavailable
from connectors.http_client import Client, Limits, client, shown, trust_store
from rules.text import msg

_HOURS = 6 * 3600.0
_LIST = 64 * 1024 * 1024
_BUSY = (408, 425, 500, 502, 503, 504)
MEGABYTE = 1024 * 1024
Headers = Mapping[str, str]


class WebPlace(Place):
    """A place whose files are reached by HTTP."""

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the address of a file or folder."""

    def close(self) -> None:
        """Give up the connections."""
        if "client" in self.__dict__:
            self.client.close()
            del self.__dict__["client"]

    @cached_property
    def client(self) -> Client:
        """Return the client of this connection; a file may take hours, a step of it only the usual time."""
        trust = trust_store(self.options.tls_ca)
        return client(self.context, auth=self.auth(), limits=Limits(size=_LIST, seconds=_HOURS), trust=trust)

    def auth(self) -> httpx.Auth | None:
        """Return what signs the requests."""
        if not self.options.user:
            return None
        return httpx.BasicAuth(self.options.user, self.options.password)

    def fetch(self, name: str, target: BinaryIO) -> None:
        """Write the bytes of a file to `target`."""
        request = self.request("GET", name, {"Accept-Encoding": "identity"})
        most = self.options.largest * MEGABYTE
        self._take_turn()
        self.judged(self.client.download(request, target, most), name)

    def request(self, method: str, name: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Request:
        """Return a request for a file or folder."""
        return self.client.build_request(method, self.url(name), headers=dict(headers or {}), **more)

    def ask(
        self, method: str, name: str, headers: Headers | None = None, *, good: tuple[int, ...] = (), **more: Any
    ) -> httpx.Response:
        """Send a request and return its answer, which is a success or has one of the `good` codes."""
        self._take_turn()
        answer = self.client.send(self.request(method, name, headers, **more))
        return answer if answer.status_code in good else self.judged(answer, name)

    def _take_turn(self) -> None:
        """Wait while the service has asked somebody who works with the connection to leave it alone."""
        if self.context.budget is not None:
            time.sleep(self.context.budget.turn(0))

    def upload(self, name: str, source: Path, headers: Mapping[str, str], *, good: tuple[int, ...]) -> httpx.Response:
        """Send a local file as the bytes of a file."""
        with source.open("rb") as file:
            return self.ask("PUT", name, headers, good=good, content=file)

    def judged(self, answer: httpx.Response, name: str) -> httpx.Response:
        """Return a good answer; raises what a bad one means."""
        code = answer.status_code
        if answer.is_success:
            return answer
        if code in (404, 410):
            raise FileNotFoundError(2, "no such file", name)
        if code in (401, 403, 405):
            raise self._denied(answer, name)
        if code == 429:
            if self.context.budget is not None:
                self.context.budget.asked_to_wait(_seconds(answer))
            raise RateLimited(msg("{url} asks to wait.", url=shown(answer.url)), after=_seconds(answer))
        reason = f"{code} {answer.reason_phrase}{self.told(answer)}"
        if code in _BUSY:
            raise lost(self.shown, reason)
        raise Fatal(
            msg("{place} refuses '{name}': {problem}.", place=self.shown, name=name or "/", problem=reason),
            msg("Check the address and the settings of the connection."),
        )

    def told(self, answer: httpx.Response) -> str:  # noqa: ARG002 - S3 says more
        """Return what an answer says about its reason, behind its code."""
        return ""

    def _denied(self, answer: httpx.Response, name: str) -> Exception:
        code = answer.status_code
        if code == 401:
            return AuthFailed(
                msg("{place} refuses the user '{user}' or the password.", place=self.shown, user=self.options.user),
                msg("Correct user and password in the connection's settings."),
            )
        return Forbidden(
            msg("'{name}' on {place} may not be read or changed: {problem}.",
                name=name or "/", place=self.shown, problem=f"{code}{self.told(answer)}"),
            msg("Give the user of the connection the right to do it."),
            object_name=name or None,
        )  # fmt: skip


def quoted(name: str) -> str:
    """Return a name as it stands in an address."""
    return quote(name, safe="/-_.~")


def stat_of(name: str, headers: Mapping[str, str]) -> Stat:
    """Return what the headers of an answer say about a file; the size is -1 where they do not tell."""
    size = headers.get("content-length", "")
    return Stat(name, int(size) if size.isdigit() else -1, moment(headers.get("last-modified", "")), _tag(headers))


def _tag(headers: Mapping[str, str]) -> str:
    return headers.get("etag", "").removesuffix("-gzip")


def moment(text: str) -> int:
    """Return nanoseconds since 1970 of a time as in mails or as in ISO 8601, 0 if it is none."""
    try:
        when = dt.datetime.fromisoformat(text) if "T" in text[8:12] else parsedate_to_datetime(text)
    except ValueError:
        return 0
    return int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1_000


def xml_of(answer: httpx.Response, place: str) -> Any:
    """Return the root of an XML answer, without looking at anything outside; raises `Unavailable`."""
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        return etree.fromstring(answer.content, parser)
    except etree.XMLSyntaxError as error:
        raise Unavailable(
            msg("{place} does not answer with a list of files.", place=place),
            msg("Check the address of the connection."),
        ) from error


def _seconds(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.isdigit() else 10.0
