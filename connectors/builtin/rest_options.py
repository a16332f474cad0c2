"""The settings of a connection to a web service, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from connectors.builtin.rest_objects import RestObject, objects_of
from connectors.builtin.rest_settings import SPEC
from connectors.errors import Misconfigured
from rules.text import msg


@dataclass(frozen=True)
class RestOptions:
    """The settings of a connection, parsed. Secrets are not part of its printed form."""

    base_url: str
    objects: Mapping[str, RestObject]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: tuple[str, ...] = ()
    auth: httpx.Auth | None = field(default=None, repr=False)
    rate: int = 0
    timeout: float = 30.0
    idempotency_header: str = ""
    certificate: str = field(default="", repr=False)
    verify: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> RestOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        headers = {"Accept": "application/json", **_headers(settings.get("headers"))}
        query: dict[str, str] = {}
        private = tuple(headers)  # nobody knows which of them are secret, so no other host sees any
        auth: httpx.Auth | None = None
        kind = settings.get("authentication") or "none"
        if kind == "basic":
            auth = httpx.BasicAuth(settings.get("user") or "", settings.get("password") or "")
        elif kind == "bearer":
            headers["Authorization"] = f"Bearer {_given(settings, 'token')}"
        elif kind == "key_header":
            headers[_given(settings, "key_name")] = _given(settings, "key")
            private = (*private, _given(settings, "key_name"))
        elif kind == "key_query":
            query[_given(settings, "key_name")] = _given(settings, "key")
        return cls(
            _base(settings.get("base_url")), objects_of(settings.get("objects") or []), headers, query, private, auth,
            int(settings.get("rate") or 0), float(settings.get("timeout") or 30),
            settings.get("idempotency_header") or "", settings.get("certificate") or "",
            bool(settings.get("verify", True)),
        )  # fmt: skip


def _base(text: Any) -> str:
    address = str(text or "").strip().rstrip("/")
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise Misconfigured(
            msg("'{address}' is not a web address.", address=address), msg("Begin it with https:// or http://.")
        )
    if url.userinfo:
        raise Misconfigured(
            msg("The address must not hold a user or a password."), msg("Enter them in their own fields.")
        )
    return address


def _headers(given: Any) -> dict[str, str]:
    try:
        if isinstance(given, (str, bytes)):
            given = msgspec.json.decode(given or "{}")
        headers = msgspec.convert({} if given is None else given, dict[str, str])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(
            msg("The further headers are not a JSON object of texts."),
            msg("Write them as {example}.", example='{"name": "value"}'),
        ) from error
    return {_sendable(name, "headers"): _sendable(value, "headers") for name, value in headers.items()}


def _sendable(text: str, name: str) -> str:
    """Return a text that can stand in a header."""
    if not (text.isascii() and text.isprintable()):
        raise Misconfigured(
            msg("The setting '{setting}' has a character that cannot be sent.", setting=_label(name)),
            msg("Look for line breaks, blanks at the ends and characters that are not ASCII."),
        )
    return text


def _label(name: str) -> str:
    return next(setting.label for setting in SPEC.settings if setting.name == name)


def _given(settings: Mapping[str, Any], name: str) -> str:
    value = str(settings.get(name) or "").strip()
    if not value:
        raise Misconfigured(
            msg("The authentication needs the setting '{setting}'.", setting=_label(name)),
            msg("Enter it and try again."),
        )
    return _sendable(value, name)
