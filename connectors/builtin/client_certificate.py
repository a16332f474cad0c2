"""A certificate of our own, by which a server knows who connects: its settings, and how connections get it."""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Mapping
from typing import Any

from connectors.errors import Misconfigured
from connectors.spi import Setting, SettingKind
from rules.text import N_, msg

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END \1-----", re.DOTALL)
_WIDTH = 64


def settings(when: tuple[str, tuple[str, ...]]) -> tuple[Setting, ...]:
    """Return the settings of a client certificate; `when` says with which encryption."""
    return (
        Setting("client_certificate", N_("Client certificate"), SettingKind.MULTILINE, advanced=True, when=when,
                placeholder="-----BEGIN CERTIFICATE-----",
                help=N_("For servers that know their clients by certificates: ours in PEM form.")),
        Setting("client_key", N_("Key of the client certificate"), SettingKind.SECRET, advanced=True, when=when,
                help=N_("The private key in PEM form.")),
    )  # fmt: skip


def of(given: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the certificate and the key of a connection's settings, None if it has no certificate."""
    certificate = given.get("client_certificate") or ""
    return (_lines(certificate), _lines(given.get("client_key") or "")) if certificate.strip() else None


def load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let connections of a context show a certificate; raises `Misconfigured`."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # only its owner may read it; ssl reads only files
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        try:
            # a password is never asked for at a terminal
            context.load_cert_chain(file.name, password="")
        except (ssl.SSLError, OSError) as error:
            raise Misconfigured(
                msg("The client certificate or its key cannot be read."),
                msg("Paste both in PEM form, with their BEGIN and END lines, and the key without a password."),
            ) from error


def _lines(text: str) -> str:
    """Return PEM text with its lines, which a field of one line takes away."""
    blocks = [(name, "".join(content.split())) for name, content in _BLOCK.findall(text)]
    made = [
        "\n".join((
            f"-----BEGIN {name}-----",
            *(content[at : at + _WIDTH] for at in range(0, len(content), _WIDTH)),
            f"-----END {name}-----",
        )) for name, content in blocks
    ]  # fmt: skip
    return "\n".join(made) + "\n" if made else text
