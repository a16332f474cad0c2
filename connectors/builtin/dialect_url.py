"""What a database URL may say: where it leads is checked, so nothing of it may lead elsewhere, or run what it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from connectors.errors import Misconfigured
from rules.text import msg

_REFUSED = (
    *("host", "sock", "addr", "dsn", "service", "server", "connect", "attach", "url"),  # lead to another server
    *("proxy", "partner", "failover", "tns", "endpoint", "tunnel"),
    *("file", "dir", "config"),  # name files that say where to connect to, or that a server may ask for
    *("lib", "plugin", "extension", "external"),  # load code
    *("init", "command", "client_flag"),  # are statements, or let one text be several
)
"""What the name of a part of a URL's query must not hold."""
_SIGNS = re.compile(r"[;{}\x00-\x1f\x7f]|://")
"""Signs that end a part of a connection string, and addresses."""
_FILES = frozenset({"sqlite", "duckdb"})
"""Dialects of files only; they pass over a host."""
_EMBEDDED = _FILES | {"firebird"}
_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {"duckdb": {"config": {"enable_external_access": False}}}


def check_url(url: sa.URL) -> None:
    """Raise `Misconfigured` for a URL that may lead to another place than the one that it shows."""
    if url.password:
        raise Misconfigured(msg("The database URL must not hold the password; enter it below."))
    for name, value in _parts(url):
        if any(part in name.lower() for part in _REFUSED) or _SIGNS.search(name):
            raise Misconfigured(msg("The database URL must not hold '{name}'.", name=name))
        # a driver of ODBC is named; a path would load whatever lies there
        if _SIGNS.search(value) or ("driver" in name.lower() and re.search(r"[/\\]", value)):
            raise Misconfigured(
                msg("The database URL has a sign in '{name}' that is not allowed.", name=name),
                msg("Leave out semicolons, braces, line breaks and addresses."),
            )
    if bool(url.host) == (url.get_backend_name() in (_FILES if url.host else _EMBEDDED)):
        raise Misconfigured(
            msg("The host in the database URL does not fit its kind of database."),
            msg("Check the URL: databases of a file have no host, all others need one."),
        )


def file_of(text: str) -> str | None:
    """Return the file that a URL names, None if it leads to a server or is no URL."""
    try:
        url = sa.make_url(text.strip())
    except (sa.exc.ArgumentError, ValueError):
        return None
    return None if url.host else url.database or None


def check_password(dialect: sa.Dialect, url: sa.URL) -> None:
    """Raise `Misconfigured` for a password that would add to the text that the driver connects by."""
    given, _named = dialect.create_connect_args(url)
    as_text = any(isinstance(one, str) and ";" in one for one in given)
    if as_text and _SIGNS.search(str(url.password or "")):
        raise Misconfigured(
            msg("This dialect cannot take a password with semicolons or braces."), msg("Choose another password.")
        )


def arguments(url: sa.URL) -> dict[str, Any]:
    """Return what a driver is told beside the URL, so that its SQL reaches no files and networks of this machine."""
    return dict(_ARGUMENTS.get(url.get_backend_name(), {}))


def _parts(url: sa.URL) -> Iterator[tuple[str, str]]:
    """Yield the parts of a URL by their names."""
    yield from (("user", url.username or ""), ("database", url.database or ""))
    for name, value in url.query.items():
        yield from ((name, one) for one in ([value] if isinstance(value, str) else value))
