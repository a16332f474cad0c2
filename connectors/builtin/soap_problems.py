"""What is wrong with a response that is no SOAP answer, as errors that say what to do."""

from __future__ import annotations

import re

import httpx

from connectors.casting import short
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    Unavailable,
)
from connectors.http_client import shown
from rules.text import Message, msg

_SHOWN = 200


class SoapProblems:
    """The errors for one response."""

    def __init__(self, response: httpx.Response, object_name: str | None) -> None:
        self.response = response
        self.object_name = object_name
        self.url, self.status = shown(response.url), response.status_code

    def limited(self, after: float) -> RateLimited:
        """Return the error for a service that asks to wait."""
        return RateLimited(
            msg("{url} asks to wait {seconds} seconds.", url=self.url, seconds=round(after)),
            after=after,
            object_name=self.object_name,
        )

    def refused(self) -> ConnectorError:
        """Return the error for a status that is no success."""
        told = {"url": self.url, "status": self.status, "said": self._said()}
        if self.status in (401, 403):
            return AuthFailed(
                msg("{url} refuses our credentials ({status}): {said}", **told),
                msg("Check the user, the password and the certificates of the connection, and what they may do."),
                object_name=self.object_name,
            )
        if self.status in (404, 410):
            return ObjectMissing(
                msg("{url} does not exist ({status}): {said}", **told),
                msg("Check the address of the WSDL and of the service."),
                object_name=self.object_name,
            )
        if 300 <= self.status < 400:
            return Misconfigured(
                msg("{url} has moved to {target}.", url=self.url, target=self.response.headers.get("Location", "-")),
                msg("Enter the new address."),
                object_name=self.object_name,
            )
        if self.status >= 500:
            return Unavailable(
                msg("{url} reports an error of its own ({status}): {said}", **told),
                msg("Try again later."),
                object_name=self.object_name,
            )
        return Fatal(
            msg("{url} refuses the call ({status}): {said}", **told),
            msg("Check the address of the service and the operation of the object."),
            object_name=self.object_name,
        )

    def broken(self, error: Exception) -> ConnectorError:
        """Return the error for an answer that is no XML, or no whole one."""
        kind = self.response.headers.get("Content-Type", "")
        if "html" in kind or self.response.content.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
            return self.no_envelope("html")
        if "xml" not in kind and "multipart/related" not in kind:
            return Misconfigured(
                msg("{url} does not answer with XML but with {kind}: {said}",
                    url=self.url, kind=kind or "-", said=self._said()),
                msg("Check the address; perhaps it leads to a page for people."),
                object_name=self.object_name,
            )  # fmt: skip
        return Unavailable(
            msg("The XML of {url} is broken or breaks off: {problem}.", url=self.url, problem=str(error).rstrip(".")),
            msg("Try again; if it happens always, ask the operator of the service."),
            object_name=self.object_name,
        )

    def unsigned(self, problem: Message, operation: str) -> Forbidden:
        """Return the error for an answer that is not signed as the connection asks for."""
        return Forbidden(
            msg("The answer of {url} to the operation '{operation}' is refused: {problem}.",
                url=self.url, operation=operation, problem=problem),
            msg("Check the certificate that signs the answers in the connection's settings and the clocks of both"
                " sides, and ask the operator of the service whether body and time stamp are signed."),
            object_name=self.object_name,
        )  # fmt: skip

    def no_envelope(self, name: str) -> ConnectorError:
        """Return the error for XML that is no SOAP message."""
        if self.status >= 400:
            return self.refused()
        return Misconfigured(
            msg("{url} does not answer with a SOAP message but with '{name}'.", url=self.url, name=name),
            msg("Check the address of the service; perhaps it leads to a page for people."),
            object_name=self.object_name,
        )

    def _said(self) -> str:
        text = re.sub(r"<[^>]*>", " ", self.response.text[:10_000])
        return short(" ".join(text.split()) or self.response.reason_phrase or "-", _SHOWN)
