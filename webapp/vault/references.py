"""References to secrets, resolved when they are used: `env:NAME`, `file:PATH`, `vault:NAME`.

`vault:NAME` is a secret of our own vault that several connections may share; `vault:connection/erp/password` is one
that belongs to a connection, and only that connection may use it. Errors name the reference, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from config import SettingError, Settings, environment_secret
from rules.text import msg
from webapp.extensions import House
from webapp.vault import services
from webapp.vault.errors import ReferenceRefused, SecretMissing, VaultError
from webapp.vault.sealing import Owner

SHARED = "shared"
VALUE = "value"
"""A shared secret called `erp` is stored as shared/erp/value."""

_REFERENCE = re.compile(r"(env|file|vault):(.+)", re.DOTALL)
_INNER = ("keys", "run", "logs", "secrets", "redis", "singer")
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def is_reference(text: str) -> bool:
    """Tell whether a text is a reference to a secret rather than one."""
    return _REFERENCE.fullmatch(text) is not None


def own(owner: Owner, name: str) -> str:
    """Return the reference to an owner's own secret: `vault:connection/erp/password`."""
    return f"vault:{owner.path(name)}"


def problem(reference: str, owner: Owner | None = None) -> VaultError | None:
    """Return what is wrong with the form of a reference, or None; whether it leads anywhere shows when it is used."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        return _refused(reference, "it does not begin with env:, file: or vault:")
    kind, rest = match.groups()
    if kind != "vault" or _NAME.fullmatch(rest):
        return None
    if owner is not None and rest.startswith(f"{owner.kind}/{owner.name}/") and rest.count("/") == 2:
        return None
    return ReferenceRefused(
        msg("'{reference}' must not be used here.", reference=reference),
        msg("Use vault:NAME with the name of a shared secret: small letters, digits, dots, dashes."),
    )


def resolve(house: House, reference: str, owner: Owner | None = None) -> str:
    """Return what a reference stands for.

    Args:
        house: Its vault and its permitted folders.
        reference: `env:NAME`, `file:PATH` (relative to the data folder's `secrets`, or absolute) or `vault:...`.
        owner: Who asks; only it may read its own secrets.

    Raises:
        VaultError: The reference leads nowhere, or where it must not lead.
    """
    wrong = problem(reference, owner)
    if wrong is not None:
        raise wrong
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return _environment(reference, rest)
    if kind == "file":
        return _file(house.settings, reference, rest)
    with house.db.read() as tx:
        return from_vault(house, tx, rest)


def from_vault(house: House, tx: sa.Connection, path: str) -> str:
    """Return a secret of our vault: a shared one's name, or kind/name/setting."""
    kind, name, setting = path.split("/") if "/" in path else (SHARED, path, VALUE)
    try:
        return services.get(tx, services.keyring(house), Owner(kind, name), setting)
    except SecretMissing:
        if kind != SHARED:
            raise
        raise SecretMissing(
            msg("There is no shared secret '{name}' in the vault.", name=name),
            msg("Set it with: syncline secrets set {name}", name=name),
        ) from None


def _environment(reference: str, name: str) -> str:
    try:
        value = environment_secret(name)
    except SettingError as error:
        raise _refused(reference, str(error)) from None
    if not value:
        raise ReferenceRefused(
            msg("The environment variable {name} is not set.", name=name),
            msg("Set it for the console and the workers and start them again."),
        )
    return value


def _file(settings: Settings, reference: str, text: str) -> str:
    path = next((p for p in _candidates(settings, text) if p.is_file()), None)
    if path is None:
        raise ReferenceRefused(
            msg("'{reference}' is not a file in a permitted folder.", reference=reference),
            msg(
                "Put the file into {folder}, or into a folder of {setting}.",
                folder=str(secrets_folder(settings)),
                setting="SYNCLINE_FILE_ROOTS",
            ),
        )
    try:
        value = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise _refused(reference, "the file cannot be read as text") from None
    if not value.strip() or len(value) > services.LARGEST:
        raise _refused(reference, "the file is empty or too long")
    return value.rstrip("\r\n")


def _candidates(settings: Settings, text: str) -> Iterator[Path]:
    """Yield the permitted paths that a text can mean; links are followed before they are judged."""
    secrets, *roots = (secrets_folder(settings), *settings.file_roots)
    for base in (secrets, *roots):
        try:
            path = (base / text).resolve()
        except (OSError, ValueError):
            continue
        inside = path.is_relative_to(secrets.resolve())
        permitted = any(path.is_relative_to(r) for r in roots) and not own_file(settings, path)
        if inside or permitted:
            yield path


def secrets_folder(settings: Settings) -> Path:
    """Return the folder for secrets that are kept as files."""
    return settings.data / "secrets"


def own_file(settings: Settings, path: Path) -> bool:
    """Tell whether a path is one of Syncline's own: keys, database, sockets, logs. Nobody may reach them by a setting.

    In evaluation the data folder is a permitted folder; what the installation itself keeps there is not meant.
    """
    if any(path.is_relative_to(settings.data / name) for name in _INNER):
        return True
    return any(path.parent == own.parent and path.name.startswith(own.name) for own in _own_files(settings))


def holds_own_files(settings: Settings, path: Path) -> bool:
    """Tell whether a folder has files of Syncline's own somewhere below it."""
    inner = [settings.data / name for name in _INNER]
    return any(own.is_relative_to(path) for own in (*inner, *_own_files(settings)))


def _own_files(settings: Settings) -> list[Path]:
    url = sa.make_url(settings.database_url)
    database = [Path(url.database).resolve()] if url.get_backend_name() == "sqlite" and url.database else []
    return [settings.key_file, settings.data / "syncline.db", *database]


def _refused(reference: str, why: str) -> ReferenceRefused:
    return ReferenceRefused(
        msg("'{reference}' cannot be used: {why}.", reference=reference, why=why.rstrip(".")),
        msg("Use env:NAME, file:PATH or vault:NAME."),
    )
