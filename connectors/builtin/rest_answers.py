"""Answers of a web service: their values, what they mean, and the errors that say what to do about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from connectors.builtin.rest_errors import Meaning
from connectors.builtin.rest_words import said_by, said_of
from connectors.builtin.rest_xml import NotXml, xml_value
from connectors.errors import AuthFailed, ConnectorError, Fatal, Misconfigured, ObjectMissing, Unavailable
from connectors.http_client import shown
from connectors.http_reply import Reply
from connectors.json_records import decode, member
from rules.text import msg

if TYPE_CHECKING:
    from connectors.builtin.rest_calls import Request


class BrokenAnswer(Unavailable):
    """An answer that breaks off, or whose JSON or XML is wrong."""


@dataclass(frozen=True)
class Told:
    """What an answer means: by its status, or by the connection's error map where an entry fits."""

    response: Reply
    request: Request
    meaning: Meaning | None
    hide: Callable[[str], str]

    @property
    def then(self) -> str:
        """Return what the error map says, empty where nothing fits."""
        return self.meaning.then if self.meaning else ""

    @property
    def good(self) -> bool:
        """Tell whether it is a success."""
        return self.then == "fine" if self.meaning else self.response.is_success

    @property
    def expired(self) -> bool:
        """Tell whether the credentials are said not to be valid any more."""
        return self.then == "renew" if self.meaning else self.response.status_code == 401

    @property
    def asks_to_wait(self) -> bool:
        """Tell whether the service asks to be left alone for a while."""
        return self.then == "wait" if self.meaning else self.response.status_code == 429

    @property
    def failed(self) -> bool:
        """Tell whether the service had an error of its own, so that it may be asked again."""
        return self.then == "retry" if self.meaning else self.response.status_code >= 500

    @property
    def missing(self) -> bool:
        """Tell whether there is no such record."""
        return self.then == "missing" if self.meaning else self.response.status_code in (404, 410)

    @property
    def refuses_record(self) -> bool:
        """Tell whether only this record is refused."""
        if self.meaning:
            return self.then in ("quarantine", "already_there")
        return 400 <= self.response.status_code < 500 and self.response.status_code != 401

    @property
    def url(self) -> str:
        """Return the address without what may be secret."""
        return shown(self.response.url)

    @property
    def said(self) -> str:
        """Return the service's own words."""
        if self.meaning and self.meaning.message.startswith("header:"):
            return self.hide(self.response.headers.get(self.meaning.message.removeprefix("header:"), "-")[:200])
        if self.meaning and self.meaning.message:
            try:
                found = said_of(member(decode(self.response.content), self.meaning.message))
            except (KeyError, msgspec.DecodeError, UnicodeError, RecursionError):
                found = ""
            if found:
                return self.hide(found)
        return self.hide(said_by(self.response))

    def error(self) -> ConnectorError:
        """Return the error for an answer that is no success."""
        makes = {"stop": self._fatal, "renew": self._unauthorised, "missing": self._not_found, "retry": self._own,
                 "quarantine": self._fatal, "already_there": self._fatal}  # fmt: skip
        if self.meaning and self.then in makes:
            return makes[self.then]()
        status = self.response.status_code
        if status in (401, 403):
            return self._unauthorised()
        if status in (404, 410):
            return self._not_found()
        if status >= 500:
            return self._own()
        return self._moved() if 300 <= status < 400 else self._fatal()

    def _unauthorised(self) -> ConnectorError:
        return AuthFailed(
            msg("{url} refuses our credentials ({status}): {said}", **self._parts()),
            msg("Check user, password, token or key of the connection, and what they may do."),
            object_name=self.request.object_name,
        )

    def _not_found(self) -> ConnectorError:
        return ObjectMissing(
            msg("{url} does not exist ({status}): {said}", **self._parts()),
            msg("Check the address of the connection and the path of the object."),
            object_name=self.request.object_name,
        )

    def _own(self) -> ConnectorError:
        return Unavailable(
            msg("{url} reports an error of its own ({status}): {said}", **self._parts()),
            msg("Try again later."),
            object_name=self.request.object_name,
        )

    def _moved(self) -> ConnectorError:
        return Misconfigured(
            msg("{url} has moved to {target}.", url=self.url, target=_target(self.response)),
            msg("Enter the new address."),
            object_name=self.request.object_name,
        )

    def _fatal(self) -> ConnectorError:
        return Fatal(
            msg("{url} refuses the request ({status}): {said}", **self._parts()),
            msg("Check the path and the parameters of the object."),
            object_name=self.request.object_name,
        )

    def _parts(self) -> dict[str, Any]:
        return {"url": self.url, "status": self.response.status_code, "said": self.said}


def value_of(response: Reply, request: Request) -> Any:
    """Return the value of a response, None for an empty one; raises `BrokenAnswer` or `Misconfigured`."""
    if not response.content.strip():
        return None
    try:
        return xml_value(response.content) if request.xml else decode(response.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError, NotXml) as error:
        raise broken(response, request, str(error)) from error


def broken(response: Reply, request: Request, problem: str) -> ConnectorError:
    """Return the error for an answer that is not what it should be: it breaks off, or is a page for people."""
    kind = response.headers.get("Content-Type", "")
    promised = "XML" if request.xml else "JSON"
    if promised.lower() in kind:
        return BrokenAnswer(
            msg("The {kind} of {url} is broken or breaks off: {problem}.",
                kind=promised, url=shown(response.url), problem=problem),
            msg("Try again; if it happens always, ask the operator of the service."),
            object_name=request.object_name,
        )  # fmt: skip
    return Misconfigured(
        msg("{url} does not answer with {promised} but with {kind}: {said}",
            url=shown(response.url), promised=promised, kind=kind or "-", said=said_by(response)),
        msg("Check the address; perhaps it leads to a page for people."),
        object_name=request.object_name,
    )  # fmt: skip


def retry_after(text: str) -> float:
    """Return the seconds that a Retry-After header asks for; 1 if it says nothing. Of several the first counts."""
    first = text.partition(",")[0].strip()
    if first.isdigit():
        return float(first)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 1.0


def _target(response: Reply) -> str:
    location = response.headers.get("location")
    return "-" if location is None else shown(response.url.join(httpx.URL(location)))
