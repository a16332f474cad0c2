"""What is asked of a passkey, and whether its answer is right (Web Authentication, level 3). No database.

A passkey belongs to one address: that of the console. An answer counts for the challenge that was kept for it, with
this address, signed by the key, by a device whose counter has not gone back.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from config import Settings

NAME = "Syncline"
_PORTS = {"https": 443, "http": 80}
_PATIENCE = 120_000
"""Milliseconds for which the browser waits for a finger."""
_TRANSPORTS = {one.value for one in AuthenticatorTransport}


@dataclass(frozen=True)
class Place:
    """The address to which passkeys belong: the name that they are bound to, and where pages are asked for."""

    name: str
    origin: str


@dataclass(frozen=True)
class Made:
    """A new passkey."""

    credential: str
    public_key: str
    sign_count: int
    transports: list[str]
    synced: bool
    verified: bool


class WrongAnswer(Exception):
    """An answer that does not count; the text says why, for the log."""


def place(settings: Settings) -> Place | None:
    """Return where passkeys work; None where browsers do not allow them: without a name, or without encryption."""
    parts = urlsplit(settings.console_url)
    host = parts.hostname or ""
    if host in ("127.0.0.1", "::1"):
        host = "localhost"
    if not _named(host) or (parts.scheme != "https" and host != "localhost"):
        return None
    port = f":{parts.port}" if parts.port and parts.port != _PORTS[parts.scheme] else ""
    return Place(host, f"{parts.scheme}://{host}{port}")


def _named(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host)
    return False


def to_make(
    where: Place, user: tuple[str, str, str], known: Sequence[str], verification: str, *, alone: bool
) -> tuple[str, str]:
    """Return what the browser is asked for a new passkey, and the challenge to be kept.

    Args:
        where: The console's address.
        user: How the passkeys call the user, the user's name and full name.
        known: The passkeys that the user has, so that no device makes a second one.
        verification: `required`, `preferred` or `discouraged`.
        alone: Whether it lets in without a password: then it has to lie on the device, and to ask for PIN or finger.
    """
    handle, username, name = user
    kept = ResidentKeyRequirement.REQUIRED if alone else ResidentKeyRequirement.DISCOURAGED
    asked = webauthn.generate_registration_options(
        rp_id=where.name,
        rp_name=NAME,
        user_id=handle.encode(),
        user_name=username,
        user_display_name=name,
        timeout=_PATIENCE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=kept, user_verification=_wanted(verification, alone=alone)
        ),
        exclude_credentials=[_described(credential, ()) for credential in known],
    )
    return webauthn.options_to_json(asked), bytes_to_base64url(asked.challenge)


def to_answer(
    where: Place, known: Sequence[tuple[str, Sequence[str]]], verification: str, *, alone: bool = False
) -> tuple[str, str]:
    """Return what the browser is asked to have signed, by one of these passkeys or any, and the challenge."""
    asked = webauthn.generate_authentication_options(
        rp_id=where.name,
        timeout=_PATIENCE,
        allow_credentials=[_described(credential, transports) for credential, transports in known] or None,
        user_verification=_wanted(verification, alone=alone),
    )
    return webauthn.options_to_json(asked), bytes_to_base64url(asked.challenge)


def made(where: Place, challenge: str, answer: str, *, verified: bool) -> Made:
    """Return the new passkey of an answer; raises `WrongAnswer`."""
    told = read(answer)
    try:
        found = webauthn.verify_registration_response(
            credential=told,
            expected_challenge=webauthn.base64url_to_bytes(challenge),
            expected_rp_id=where.name,
            expected_origin=where.origin,
            require_user_verification=verified,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WrongAnswer(str(error)[:200]) from None
    given = told["response"].get("transports")
    transports = sorted(_TRANSPORTS & {str(one) for one in given}) if isinstance(given, list) else []
    return Made(
        bytes_to_base64url(found.credential_id),
        bytes_to_base64url(found.credential_public_key),
        found.sign_count,
        transports,
        found.credential_device_type.value == "multi_device",
        found.user_verified,
    )


def counted(where: Place, challenge: str, answer: Mapping[str, Any], key: tuple[str, int], *, verified: bool) -> int:
    """Return how often a passkey says that it was used, for a right answer; raises `WrongAnswer`.

    Args:
        where: The console's address.
        challenge: What was kept.
        answer: What the browser sends.
        key: The public key and the count of before.
        verified: Whether the device has to have asked for PIN or finger.
    """
    public_key, before = key
    try:
        found = webauthn.verify_authentication_response(
            credential=dict(answer),
            expected_challenge=webauthn.base64url_to_bytes(challenge),
            expected_rp_id=where.name,
            expected_origin=where.origin,
            credential_public_key=webauthn.base64url_to_bytes(public_key),
            credential_current_sign_count=before,
            require_user_verification=verified,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WrongAnswer(str(error)[:200]) from None
    return found.new_sign_count


def read(answer: str) -> dict[str, Any]:
    """Return an answer as the browser writes it down; raises `WrongAnswer`."""
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("response"), dict) or not _is_number(told.get("id")):
        raise WrongAnswer("The answer is no answer of a passkey.")
    return told


def _is_number(told: object) -> bool:
    """Tell whether this can be what a device calls a passkey, in base64url."""
    return isinstance(told, str) and told.isascii()


def handle_of(told: object) -> str:
    """Return how a passkey calls its user; an empty text where that cannot be read."""
    try:
        return webauthn.base64url_to_bytes(str(told)).decode()
    except ValueError:
        return ""


def _wanted(verification: str, *, alone: bool) -> UserVerificationRequirement:
    return UserVerificationRequirement("required" if alone else verification)


def _described(credential: str, transports: Sequence[str]) -> PublicKeyCredentialDescriptor:
    ways = [AuthenticatorTransport(one) for one in transports if one in _TRANSPORTS]
    return PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(credential), transports=ways or None)
