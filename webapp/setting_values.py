"""How the texts of settings become values; each raises `ValueError` with what to do. For `config`, which reads them."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHECKPOINT_TARGETS = ("file", "syslog", "syslog+tcp", "syslog+tls", "mailto", "http", "https")


@dataclass(frozen=True)
class Variable:
    """One environment variable: its name, default as text, meaning and how its text becomes a value."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any]


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number in a range."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"'{text}' is not a whole number from {low} to {high}; set one, or leave the setting out.")
        return int(text)

    return parse


def choice(*values: str) -> Callable[[str], str]:
    """Return what reads one of some words."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"'{text}' is not one of {', '.join(values)}.")
        return text

    return parse


def matching(pattern: str, said: str) -> Callable[[str], str]:
    """Return what reads a text that fits a pattern."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"'{text}' is not {said}.")
        return text

    return parse


def several(one: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Return what reads at least one of some words, separated by commas."""
    return lambda text: tuple(one(part) for part in names(text) or ("",))


def seconds(text: str) -> float:
    """Return a number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 1 <= value <= 3600:
        raise ValueError(f"'{text}' is not a number of seconds from 1 to 3600.")
    return value


def share(text: str) -> float:
    """Return a share of a whole."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ValueError(f"'{text}' is not a number from 0 to 1.")
    return value


def boolean(text: str) -> bool:
    """Return yes or no."""
    values = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in values:
        raise ValueError(f"'{text}' is not yes or no.")
    return values[text.lower()]


def names(text: str) -> tuple[str, ...]:
    """Return names, which are separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def networks(text: str) -> tuple[str, ...]:
    """Return networks, which are separated by commas."""
    found = names(text)
    for name in found:
        try:
            ipaddress.ip_network(name)
        except ValueError:
            raise ValueError(f"'{name}' is not a network such as 10.0.0.0/8; separate several by commas.") from None
    return found


def paths(text: str) -> tuple[Path, ...]:
    """Return paths, which are separated as the system does it."""
    return tuple(Path(part).expanduser().resolve() for part in text.split(os.pathsep) if part)


def url(*schemes: str) -> Callable[[str], str]:
    """Return what reads a URL of one of some schemes."""

    def parse(text: str) -> str:
        if text and urlsplit(text).scheme.split("+")[0] not in schemes:
            raise ValueError(f"'{text}' is not a URL that starts with one of {', '.join(schemes)}.")
        return text

    return parse


def issuer(text: str) -> str:
    """Return the address of a provider of identities."""
    if text and not is_private(text):
        raise ValueError(f"'{text}' is not an address that begins with https://.")
    return text


def is_private(address: str) -> bool:
    """Tell whether nobody on the way can read what is sent to an address: it is encrypted, or of this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1", "::1"}


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of names, which are separated by commas."""
    parts = [part.partition("=") for part in names(text)]
    if wrong := next((group for group, equals, role in parts if not (equals and group.strip() and role.strip())), None):
        raise ValueError(f"'{wrong}' is not a pair of names, such as crm-admins=Designer.")
    return tuple((group.strip(), role.strip()) for group, _, role in parts)


def targets(text: str) -> tuple[str, ...]:
    """Return addresses of targets for checkpoints."""
    for target in text.split():
        parts = urlsplit(target)
        whole = parts.path if parts.scheme in ("file", "mailto") else parts.hostname
        if parts.scheme not in CHECKPOINT_TARGETS or not whole:
            kinds = ", ".join(CHECKPOINT_TARGETS)
            raise ValueError(
                f"'{target}' is not an address that begins with one of {kinds}; separate several by blanks."
            )
    return tuple(text.split())


def timezone(text: str) -> str:
    """Return the name of a time zone."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - only needed here

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"'{text}' is not a time zone such as Asia/Shanghai.") from None
    return text
