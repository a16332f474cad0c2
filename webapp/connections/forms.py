"""The form of a connection, generated from its connector's settings. A secret's value never gets into it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import Message, msg
from webapp.connections.documents import KIND, LIMITS
from webapp.connections.errors import Problem
from webapp.connections.store import ConnectionRow
from webapp.connections.uploads import FOLDERS
from webapp.connections.validation import shown
from webapp.vault import references

PREFIX = "setting."
LIMIT = "limit."
REMOVE = "remove."


@dataclass(frozen=True)
class FormField:
    """One setting as the form shows it; `text` is what its input holds."""

    setting: Setting
    text: str = ""
    checked: bool = False
    is_set: bool = False
    reference: str = ""
    error: Message | None = None
    visible: bool = True

    @property
    def name(self) -> str:
        """Return the input's name."""
        return PREFIX + self.setting.name

    @property
    def kind(self) -> str:
        """Return the kind of the setting, by which the template chooses the input."""
        return self.setting.kind.value

    @property
    def required(self) -> bool:
        """Tell whether the browser may insist on a value: not where the field can be hidden."""
        return self.setting.required and self.setting.when is None and self.setting.default is None

    @property
    def starred(self) -> bool:
        """Tell whether the field is marked as needed."""
        return self.setting.required and self.setting.default is None

    @property
    def when(self) -> str:
        """Return the condition for the browser's script: {"field": ..., "values": [...]}."""
        if self.setting.when is None:
            return ""
        return json.dumps({"field": PREFIX + self.setting.when[0], "values": self.setting.when[1]})


@dataclass(frozen=True)
class ConnectionForm:
    """What the form shows."""

    spec: ConnectorSpec
    name: str
    label: str
    note: str
    version: int
    fields: tuple[FormField, ...]
    errors: Mapping[str, Message]
    make_folder: bool = True
    limits: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def plain(self) -> list[FormField]:
        """Return the fields that are always in view."""
        return [f for f in self.fields if not f.setting.advanced]

    @cached_property
    def advanced(self) -> list[FormField]:
        """Return the fields of the section that is folded at first."""
        return [f for f in self.fields if f.setting.advanced]

    @property
    def unfolded(self) -> bool:
        """Tell whether the advanced section has a mistake to show."""
        return any(f.error for f in self.advanced)

    @property
    def takes_folder(self) -> bool:
        """Tell whether the connector works on a folder of this server."""
        return self.spec.name in FOLDERS


def blank(spec: ConnectorSpec, name: str, values: Mapping[str, Any]) -> ConnectionForm:
    """Return the form of a new connection, with `values` beside the defaults."""
    return ConnectionForm(spec, name, "", "", 0, _fields(spec, values, {}, {}), {})


def of_row(spec: ConnectorSpec, row: ConnectionRow) -> ConnectionForm:
    """Return the form of a stored connection."""
    fields = _fields(spec, row.settings, {}, row.settings)
    limits = {name: str(value) for name, value in (row.limits or {}).items()}
    return ConnectionForm(spec, row.name, row.label, row.note, row.version, fields, {}, limits=limits)


def of_request(
    spec: ConnectorSpec, sent: Mapping[str, str], row: ConnectionRow | None, problems: list[Problem]
) -> ConnectionForm:
    """Return the form as it was sent, with its problems; typed secrets are gone and have to be entered again."""
    errors = {p.path[-1]: p.message for p in problems if p.path[0] == "settings"}
    for setting in (s for s in spec.settings if s.kind is SettingKind.SECRET):
        typed = sent.get(PREFIX + setting.name, "")
        if typed and problems and not references.is_reference(typed):
            errors.setdefault(setting.name, msg("Enter this again: it was not sent back to your browser."))
    values = {s.name: _sent(s, sent) for s in spec.settings}
    return ConnectionForm(
        spec,
        row.name if row else sent.get("name", "").strip(),
        sent.get("label", ""),
        sent.get("note", ""),
        row.version if row else 0,
        _fields(spec, values, errors, row.settings if row else {}),
        {".".join(p.path): p.message for p in problems if p.path[0] != "settings"},
        "make_folder" in sent,
        {name: sent.get(LIMIT + name, "") for name in LIMITS},
    )


def document_of(spec: ConnectorSpec, sent: Mapping[str, str], row: ConnectionRow | None) -> dict[str, Any]:
    """Return the document that a sent form states; a secret left empty keeps what is stored."""
    name = row.name if row else sent.get("name", "").strip()
    settings = {s.name: value for s in spec.settings if (value := _stated(s, sent, row)) not in (None, "")}
    document = {"kind": KIND, "name": name, "connector": spec.name, "settings": settings}
    kept: dict[str, Any] = {"preset": row.preset} if row and row.preset else {}
    if limits := {name: text for name in LIMITS if (text := sent.get(LIMIT + name, "").strip())}:
        kept["limits"] = {name: int(text) if text.isdecimal() else text for name, text in limits.items()}
    return document | kept | {key: sent[key].strip() for key in ("label", "note") if sent.get(key, "").strip()}


def suggested_name(base: str, taken: set[str]) -> str:
    """Return a free name that begins like `base`."""
    stem = re.sub(r"[^a-z0-9_-]+", "-", base.lower()).strip("-")[:50] or KIND
    stem = stem if stem[0].isalpha() else f"c-{stem}"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return stem if stem not in taken else next(name for name in numbered if name not in taken)


def _stated(setting: Setting, sent: Mapping[str, str], row: ConnectionRow | None) -> Any:
    stored = row.settings.get(setting.name) if row else None
    if setting.kind is SettingKind.SECRET:
        if REMOVE + setting.name in sent:
            return None
        return sent.get(PREFIX + setting.name) or stored
    value = _sent(setting, sent)
    same = value == setting.default or (isinstance(value, str) and value.strip() == _text(setting, setting.default))
    return None if same and stored is None else value


def _sent(setting: Setting, sent: Mapping[str, str]) -> Any:
    """Return what was sent for a setting; a switch that is off sends nothing."""
    name = PREFIX + setting.name
    return name in sent if setting.kind is SettingKind.BOOLEAN else sent.get(name, "")


def _fields(
    spec: ConnectorSpec, values: Mapping[str, Any], errors: Mapping[str, Message], stored: Mapping[str, Any]
) -> tuple[FormField, ...]:
    visible = shown(spec, values)
    return tuple(_field(s, values, stored, errors.get(s.name), s.name in visible) for s in spec.settings)


def _field(
    setting: Setting,
    values: Mapping[str, Any],
    stored: Mapping[str, Any],
    error: Message | None,
    visible: bool,
) -> FormField:
    if setting.kind is SettingKind.SECRET:
        text = str(stored.get(setting.name) or "")
        inner = text.startswith(f"vault:{KIND}/")
        return FormField(setting, is_set=bool(text), reference="" if inner else text, error=error, visible=visible)
    value = values.get(setting.name, setting.default)
    if setting.kind is SettingKind.BOOLEAN:
        return FormField(setting, checked=bool(value), error=error, visible=visible)
    return FormField(setting, _text(setting, value), error=error, visible=visible)


def _text(setting: Setting, value: Any) -> str:
    if value is None:
        return ""
    if setting.kind is SettingKind.JSON and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return str(value)
