"""Checks of what surrounds an installation on this machine: settings, files, disk, time zones, certificate."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography import x509

import config
from config import Settings
from connectors.builtin import singer_apart
from connectors.builtin.singer_programs import installed
from webapp.doctor.findings import Finding, bad, ok, unless, warning

LITTLE, LEAST = 5 * 2**30, 2**30
"""Bytes that are free where a warning begins, and where it gets serious."""
SOON = 21
"""Days before its end from which on a certificate is told of."""


def settings(given: Settings) -> Iterator[Finding]:
    """Look for settings that are misspelt, or weak where the installation is meant for production."""
    found = [
        warning("settings", f"{name} is set, and is no setting of Syncline.", "Correct its name, or take it away.")
        for name in config.unknown_variables()
    ]
    if given.profile == "production":
        found += _weak(given)
    yield from unless(found, "settings", f"All settings are known; the profile is {given.profile}.")


def _weak(given: Settings) -> Iterator[Finding]:
    if not given.secure_cookies:
        yield bad("settings", "Cookies are sent without HTTPS.", "Set SYNCLINE_SECURE_COOKIES=yes.")
    if not given.console_url.startswith("https://"):
        yield warning(
            "settings", f"The console's address is {given.console_url}.", "Set SYNCLINE_CONSOLE_URL to https://."
        )
    if not given.checkpoints_to:
        todo = "Set SYNCLINE_CHECKPOINTS_TO to a place that who runs Syncline cannot change."
        yield warning("settings", "Checkpoints of the audit log are kept nowhere else.", todo)


def egress(given: Settings) -> Iterator[Finding]:
    """Look whether connections may reach everything."""
    wide = [text for text in given.egress_allow if text.endswith("/0")]
    if wide:
        todo = "Name the networks of your systems in SYNCLINE_EGRESS_ALLOW instead."
        yield bad("egress", f"Connections may reach any address ({', '.join(wide)}), your own services too.", todo)
    else:
        allowed = ", ".join(given.egress_allow) or "none beside the public ones"
        yield ok("egress", f"Networks that connections may reach: {allowed}.")


def files(given: Settings) -> Iterator[Finding]:
    """Look whether others may read keys and secrets."""
    folders = [given.data / name for name in ("keys", "secrets")]
    paths = [p for folder in folders if folder.is_dir() for p in (folder, *folder.rglob("*"))]
    open_ = [path for path in paths if not path.is_symlink() and path.stat().st_mode & 0o077]
    found = [
        bad(
            "files",
            f"Others may read {path} (mode {stat.S_IMODE(path.stat().st_mode):o}).",
            f"chmod {_mode(path)} {path}",
        )
        for path in open_
    ]
    yield from unless(found, "files", "Only this user reads keys and secrets.")


def _mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _mode(path: Path) -> str:
    return "700" if path.is_dir() else "600"


def disk(given: Settings) -> Iterator[Finding]:
    """Look how much room is left in the data folder."""
    free = shutil.disk_usage(given.data).free
    said, todo = f"{free / 2**30:.1f} GB are free in {given.data}.", "Make room, or move the data folder."
    if free < LEAST:
        yield bad("disk", said, todo)
    else:
        yield warning("disk", said, todo) if free < LITTLE else ok("disk", said)


def programs(given: Settings) -> Iterator[Finding]:
    """Look whether this machine keeps the Singer programs that are installed apart from what they must not reach."""
    names = [program.name for program in installed(given.data / "singer")]
    if not names:
        return
    version, said = singer_apart.apart(), f"Singer programs ({', '.join(names)})"
    if not version:
        todo = "Use a kernel with Landlock (Linux 5.13, with networks 6.7), or install only what you trust with them."
        yield bad("programs", f"{said} can read what this user can read, its keys included.", todo)
    elif version < singer_apart.NETWORKS:
        todo = "Use Linux 6.7 or newer, or install only what you trust there."
        yield warning("programs", f"{said} can reach any network.", todo)
    else:
        yield ok("programs", f"{said} are kept apart from files and networks.")


def time_zones(names: set[str]) -> Iterator[Finding]:
    """Look whether the time zones in use are known."""
    found = []
    for name in sorted(names):
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            todo = "Install the package tzdata, or name another time zone."
            found.append(bad("time zones", f"Nothing is known of the time zone {name}.", todo))
    yield from unless(found, "time zones", f"All {len(names)} time zones in use are known.")


def certificate(given: Settings) -> Iterator[Finding]:
    """Look how long the console's certificate is good for."""
    parts = urlsplit(given.console_url)
    if parts.scheme != "https":
        return
    try:
        text = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=5)
    except (OSError, socket.gaierror) as error:
        todo = "Start the proxy that offers HTTPS, or correct SYNCLINE_CONSOLE_URL."
        yield warning("certificate", f"{given.console_url} does not answer ({error}).", todo)
        return
    end = x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc
    days = (end - datetime.now(UTC)).days
    said = f"The certificate of {given.console_url} is good for {days} days."
    if days < 0:
        yield bad("certificate", f"The certificate of {given.console_url} has ended.", "Renew it.")
    else:
        yield warning("certificate", said, "Renew it.") if days < SOON else ok("certificate", said)
