"""The settings of a connection to a web service, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from connectors.builtin.rest_address import entered
from connectors.builtin.rest_auth import Credentials
from connectors.builtin.rest_errors import Meaning, meanings_of
from connectors.builtin.rest_objects import RestObject, objects_of
from connectors.builtin.rest_signing_in import credentials_of, sendable
from connectors.builtin.rest_tokens import Desk
from connectors.errors import Misconfigured
from connectors.spi import Context
from rules.text import msg

_NOWHERE = Context(egress_allow=())


@dataclass(frozen=True)
class RestOptions:
    """The settings of a connection, parsed. Secrets are not part of its printed form."""

    base_url: str
    objects: Mapping[str, RestObject]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    errors: tuple[Meaning, ...] = ()
    rate: int = 0
    concurrency: int = 4
    timeout: float = 30.0
    idempotency_header: str = ""
    certificate: str = field(default="", repr=False)
    verify: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> RestOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        options = cls(
            entered(str(settings.get("base_url") or "").strip().rstrip("/")), objects_of(settings.get("objects") or []),
            {"Accept": "application/json", "User-Agent": "Syncline", **_headers(settings.get("headers"))},
            meanings_of(settings.get("errors")), int(settings.get("rate") or 0),
            int(settings.get("concurrency") or 4), float(settings.get("timeout") or 30),
            settings.get("idempotency_header") or "", settings.get("certificate") or "",
            bool(settings.get("verify", True)), settings,
        )  # fmt: skip
        options.credentials(_NOWHERE)  # what is missing is told before anything is called
        return options

    def credentials(self, context: Context) -> Credentials:
        """Return what says who we are; tokens are asked for as the context allows."""
        desk = Desk(replace(context, timeout=self.timeout), self.certificate, self.verify)
        return credentials_of(self.settings, desk)


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
    return {sendable(name, "headers"): sendable(value, "headers") for name, value in headers.items()}
