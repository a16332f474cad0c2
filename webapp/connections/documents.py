"""`kind: connection` documents: what a file, the API and the form have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.spi import ConnectorSpec
from rules.text import Message, msg
from webapp.connections.catalogue import HUB, connector_class
from webapp.connections.errors import Problem, sentence
from webapp.connections.presets import asked_by, expanded
from webapp.connections.store import ConnectionRow
from webapp.connections.validation import validate_settings
from webapp.vault import references
from webapp.vault.services import LARGEST, Owner

KIND = "connection"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RESERVED = frozenset({HUB, "new"})
_KEYS = ("kind", "name", "connector", "settings", "label", "note", "preset", "limits")
LIMITS = ("runs", "per_rule")
"""What may be limited: work of all rules together, and of one rule."""
LARGEST_LIMIT = 10_000


@dataclass(frozen=True)
class Clean:
    """A checked document: settings with references in place of secrets, and the secret values to be stored."""

    name: str
    connector: str
    label: str
    note: str
    settings: Mapping[str, Any]
    values: Mapping[str, str]
    preset: str = ""
    limits: Mapping[str, int] | None = None

    def __repr__(self) -> str:
        return f"Clean({self.name!r}, {self.connector!r})"


def owner(name: str) -> Owner:
    """Return the owner of a connection's secrets."""
    return Owner(KIND, name)


def to_document(tx: sa.Connection | None, row: ConnectionRow) -> dict[str, Any]:  # noqa: ARG001 - one signature for all kinds
    """Return the document of a connection; secrets are references."""
    document: dict[str, Any] = {
        "kind": KIND,
        "name": row.name,
        "connector": row.connector,
        "settings": dict(row.settings),
    }
    if row.label:
        document["label"] = row.label
    if row.note:
        document["note"] = row.note
    if row.preset:
        document["preset"] = row.preset
    if row.limits:
        document["limits"] = dict(row.limits)
    return document


def problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a document of a configuration file, where secrets are references and never values."""
    clean, found = checked(document)
    found += [
        Problem(
            ("settings", asked_by(document, name)),
            msg("A configuration file must not hold a secret. Refer to it with env:NAME, file:PATH or vault:NAME."),
        )
        for name in clean.values
    ]
    return found


def canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as it would be stored and written again, so that two can be compared."""
    clean, _ = checked(document)
    head = (clean.name, clean.label, clean.connector, clean.settings)
    return to_document(None, ConnectionRow(0, *head, note=clean.note, preset=clean.preset, limits=clean.limits))


def checked(document: Mapping[str, Any]) -> tuple[Clean, list[Problem]]:
    """Return the checked document and what is wrong with it."""
    found = [
        Problem((key,), msg("There is no such key. Known keys: {known}.", known=", ".join(_KEYS)))
        for key in document
        if key not in _KEYS
    ]
    if document.get("kind", KIND) != KIND:
        found.append(Problem(("kind",), msg("This has to be '{kind}'.", kind=KIND)))
    name = _text(document, "name", found)
    wrong = name_problem(name)
    if wrong:
        found.append(Problem(("name",), wrong))
    label, note = _text(document, "label", found), _text(document, "note", found)
    if len(label) > 200:
        found.append(Problem(("label",), msg("This is too long; at most {largest} characters.", largest=200)))
    made, wrong_answers = expanded(document)
    found += wrong_answers
    spec = None if wrong_answers else _spec(made, found)
    settings: dict[str, Any] = {}
    values: dict[str, str] = {}
    if spec is not None:
        mistakes: list[Problem] = []
        settings, values = _settings(spec, name, made.get("settings"), mistakes)
        found += [Problem((p.path[0], *(asked_by(document, n) for n in p.path[1:])), p.message) for p in mistakes]
    limits, connector = _limits(document.get("limits"), found), spec.name if spec else ""
    return Clean(name, connector, label, note, settings, values, made.get("preset", ""), limits), found


def _limits(given: Any, found: list[Problem]) -> dict[str, int] | None:
    """Return the limits that are given, None where there are none."""
    if given is not None and not isinstance(given, Mapping):
        found.append(Problem(("limits",), msg("This has to be a mapping of settings.")))
        return None
    limits = {str(key): value for key, value in (given or {}).items()}
    for key, value in limits.items():
        if key not in LIMITS:
            text = msg("There is no such key. Known keys: {known}.", known=", ".join(LIMITS))
            found.append(Problem(("limits", key), text))
        elif type(value) is not int or not 1 <= value <= LARGEST_LIMIT:
            text = msg("Enter a whole number from {low} to {high}.", low=1, high=LARGEST_LIMIT)
            found.append(Problem(("limits", key), text))
    return limits or None


def name_problem(name: str) -> Message | None:
    """Return what is wrong with a connection's name, or None."""
    if not NAME.fullmatch(name):
        return msg("Begin with a small letter (a to z); then use small letters, digits, _ and -, 63 at most.")
    if name in RESERVED:
        return msg("The name '{name}' is taken by Syncline itself; choose another one.", name=name)
    return None


def _spec(document: Mapping[str, Any], found: list[Problem]) -> ConnectorSpec | None:
    name = _text(document, "connector", found)
    try:
        if not name or name == HUB:
            found.append(Problem(("connector",), msg("Name a connector, such as postgresql or files.")))
            return None
        return connector_class(name).spec
    except ConnectorError as error:
        found.append(Problem(("connector",), error.message))
        return None


def _settings(
    spec: ConnectorSpec, name: str, given: Any, found: list[Problem]
) -> tuple[dict[str, Any], dict[str, str]]:
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        found.append(Problem(("settings",), msg("This has to be a mapping of settings.")))
        return {}, {}
    clean, errors = validate_settings(spec, {str(k): v for k, v in given.items()})
    found += [Problem(("settings", setting), error) for setting, error in errors.items()]
    values: dict[str, str] = {}
    for setting in (s for s in spec.secrets if s in clean):
        secret = clean[setting]
        if references.is_reference(secret):
            wrong = references.problem(secret, owner(name))
            if wrong is not None:
                found.append(Problem(("settings", setting), sentence(wrong)))
            continue
        if len(secret) > LARGEST:
            found.append(
                Problem(("settings", setting), msg("This is too long; at most {largest} characters.", largest=LARGEST))
            )
        values[setting] = secret
        if NAME.fullmatch(name):
            clean[setting] = references.own(owner(name), setting)
    return clean, values


def _text(document: Mapping[str, Any], key: str, found: list[Problem]) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        found.append(Problem((key,), msg("This has to be text.")))
        return ""
    return value.strip()


def file_roots(paths: tuple[Path, ...]) -> list[str]:
    """Return granted folders as they are stored."""
    return [str(path) for path in dict.fromkeys(paths)]
