"""Opening a connection: its secrets in clear, its folders and networks, and a connector that knows them.

Secrets leave this module in the connector's settings only. What an error or a step says is searched for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from connectors.builtin.dialect_url import file_of
from connectors.errors import ConnectorError, Forbidden, Misconfigured
from connectors.spi import Connector, ConnectorSpec, Context, SettingKind, Step
from rules.text import Message, msg
from webapp.connections.catalogue import connector_class
from webapp.connections.documents import owner
from webapp.connections.errors import ConnectionMissing
from webapp.connections.kept import KeptSecrets
from webapp.connections.shared_budget import SharedBudget
from webapp.connections.store import ConnectionRow, get_connection
from webapp.connections.traced import calls, traced
from webapp.connections.validation import with_defaults
from webapp.extensions import House
from webapp.vault import references
from webapp.vault.errors import VaultError

HIDDEN = "•••"
SHORTEST = 4
"""Secrets shorter than this are not searched for: every text would be full of them."""


@contextmanager
def open_connector(house: House, name: str) -> Iterator[Connector]:
    """Open the connection called `name` for this thread and close it afterwards.

    Raises:
        ConnectorError: Also for a connection that does not exist and for a secret that cannot be read.
    """
    row = stored(house, name)
    with opened(row, clear_settings(house, row), context(house, row)) as connector:
        yield connector


def stored(house: House, name: str) -> ConnectionRow:
    """Return the connection called `name`; raises `Misconfigured` where there is none."""
    with house.db.read() as tx:
        try:
            return get_connection(tx, name)
        except ConnectionMissing as error:
            raise Misconfigured(error.message, msg("Create it, or choose another connection.")) from None


@contextmanager
def opened(row: ConnectionRow, settings: Mapping[str, Any], allowed: Context) -> Iterator[Connector]:
    """Open a connector with settings in clear; its errors are cleaned of secrets."""
    cls = connector_class(row.connector)
    secrets = secret_values(cls.spec, settings)
    try:
        with traced(cls, row.name)(with_defaults(cls.spec, settings), allowed) as connector:
            yield connector
    except ConnectorError as error:
        error.message = redacted(error.message, secrets)
        error.remedy = redacted(error.remedy, secrets) if error.remedy else None
        error.args = (str(error.message),)
        raise


def clear_settings(house: House, row: ConnectionRow) -> dict[str, Any]:
    """Return the settings with the secrets in clear, and refuse paths that lead into Syncline's own files."""
    spec = connector_class(row.connector).spec
    refuse_own_files(house, row, spec)
    settings = dict(row.settings)
    for name in spec.secrets:
        text = settings.get(name)
        if isinstance(text, str) and references.is_reference(text):
            settings[name] = _secret(house, row, text)
    return settings


def context(house: House, row: ConnectionRow, timeout: float = Context.timeout) -> Context:
    """Return what the connection may do."""
    return Context(
        roots(house, row), house.settings.egress_allow, timeout, house.settings.data / "singer",
        secrets=KeptSecrets(house, row.name), budget=SharedBudget(house.settings.redis, row.name),
        calls=calls(),
    )  # fmt: skip


def roots(house: House, row: ConnectionRow) -> tuple[Path, ...]:
    """Return the permitted folders; a relative path means the configuration file's own folder first."""
    return tuple(dict.fromkeys((*row.granted_roots, *house.settings.file_roots)))


def refuse_own_files(house: House, row: ConnectionRow, spec: ConnectorSpec) -> None:
    """Refuse a path into Syncline's own files: keys, secrets and database lie in the data folder, too."""
    texts = [row.settings.get(setting.name) for setting in spec.settings if setting.kind is SettingKind.PATH]
    if spec.name == "sqlalchemy":  # a file stands in its URL
        texts.append(file_of(str(row.settings.get("url") or "")))
    for text in texts:
        if isinstance(text, str):
            _refuse_own(house, text, meant(text, roots(house, row)))


def meant(text: str, permitted: Sequence[Path]) -> list[Path]:
    """Return the paths that a setting can mean, links followed; a connector takes the first that exists."""
    found = []
    for root in permitted or (Path("/"),):
        with suppress(OSError, ValueError):
            found.append((root / text).resolve())
    return found


def _refuse_own(house: House, text: str, paths: Sequence[Path]) -> None:
    if any(references.own_file(house.settings, path) for path in paths):
        raise Forbidden(
            msg("The path '{path}' leads to Syncline's own files.", path=text),
            msg("Choose another folder or file."),
        )
    taken = next((path for path in paths if path.exists()), None)
    if taken and taken.is_dir() and references.holds_own_files(house.settings, taken):
        raise Forbidden(
            msg("The folder '{path}' holds Syncline's own files.", path=text),
            msg("Choose a folder below it, such as {folder}.", folder=str(house.settings.data / "files")),
        )


def secret_values(spec: ConnectorSpec, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the secrets in clear that must not be shown, longest first."""
    found = {str(settings[name]) for name in spec.secrets if settings.get(name)}
    return tuple(sorted((s for s in found if len(s) >= SHORTEST), key=len, reverse=True))


def redacted(message: Message, secrets: Sequence[str]) -> Message:
    """Return the message without the secrets, should a system have repeated one."""
    if not any(secret in str(message) for secret in secrets):
        return message
    return Message(_without(message.template, secrets), {k: _without(v, secrets) for k, v in message.values.items()})


def redacted_step(step: Step, secrets: Sequence[str]) -> Step:
    """Return the step without the secrets."""
    return Step(step.name, step.ok, redacted(step.detail, secrets))


def _without(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, Message):  # stays one, or only a half of a sentence would be translated
        return redacted(value, secrets)
    text = str(value)
    if not any(secret in text for secret in secrets):
        return value
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _secret(house: House, row: ConnectionRow, text: str) -> str:
    try:
        return references.resolve(house, text, owner(row.name))
    except VaultError as error:
        raise Misconfigured(error.message, error.remedy) from error
