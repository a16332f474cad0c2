"""The settings of a web service, declared for the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from connectors.builtin.rest_objects import RestObject, objects_of
from connectors.errors import Misconfigured
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_, msg

SPEC = ConnectorSpec(
    name="rest",
    label=N_("REST with JSON"),
    category=N_("Web services"),
    summary=N_("Reads and writes records of a web service that speaks JSON over HTTP."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True),
    settings=(
        Setting("base_url", N_("Address"), SettingKind.URL, required=True, placeholder="https://api.example.com/v1",
                help=N_("The address that all paths begin with.")),
        Setting("authentication", N_("Authentication"), SettingKind.CHOICE, default="none",
                choices=(("none", N_("None")), ("basic", N_("User and password")), ("bearer", N_("Bearer token")),
                         ("key_header", N_("Key in a header")), ("key_query", N_("Key in the address")))),
        Setting("user", N_("User"), when=("authentication", ("basic",))),
        Setting("password", N_("Password"), SettingKind.SECRET, when=("authentication", ("basic",))),
        Setting("token", N_("Token"), SettingKind.SECRET, when=("authentication", ("bearer",))),
        Setting("key_name", N_("Name of the key"), placeholder="X-Api-Key",
                when=("authentication", ("key_header", "key_query")),
                help=N_("The header, or the parameter in the address, that carries the key.")),
        Setting("key", N_("Access key"), SettingKind.SECRET, when=("authentication", ("key_header", "key_query"))),
        Setting("objects", N_("Objects"), SettingKind.JSON, required=True,
                placeholder='[{"name": "customers", "path": "/customers", "records": "items", "key": "id"}]',
                help=N_("A list that describes each object: its name, path, paging and how to write it.")),
        Setting("headers", N_("Further headers"), SettingKind.JSON, advanced=True,
                placeholder='{"Accept-Language": "en"}'),
        Setting("rate", N_("Calls per second at most"), SettingKind.INTEGER, default=0, minimum=0, maximum=1000,
                advanced=True, help=N_("0 means no limit.")),
        Setting("timeout", N_("Seconds to wait for an answer"), SettingKind.INTEGER, default=30, minimum=1,
                maximum=600, advanced=True),
        Setting("idempotency_header", N_("Header against double writing"), advanced=True,
                placeholder="Idempotency-Key",
                help=N_("If the service knows such a header, a repeated write is recognised by it.")),
        Setting("certificate", N_("Trusted certificate"), SettingKind.MULTILINE, advanced=True,
                help=N_("The certificate of your own authority in PEM form.")),
        Setting("verify", N_("Check the certificate"), SettingKind.BOOLEAN, default=True, advanced=True),
    ),
)  # fmt: skip


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
