"""Connections made from presets: documents that name a preset, and newer versions of presets offered as a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.errors import ConnectorError
from connectors.presets import Offer, Preset, filled, find_preset, named, offer, problems_with
from connectors.presets.document import LANGUAGE
from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import N_, Message, msg
from webapp.connections.catalogue import connector_class
from webapp.connections.errors import Problem
from webapp.connections.store import ConnectionRow

PRESET = "preset"
_LANGUAGES = (("en", "English"), ("zh", "中文"))


def expanded(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return a document with the preset that it names written out, and what is wrong with its answers.

    A document that names a preset and no connector states the preset's answers as its settings; one that names both
    states the connector's settings, and only remembers the preset.
    """
    given = document.get(PRESET)
    if given in (None, ""):
        return {key: value for key, value in document.items() if key != PRESET}, []
    try:
        preset = named(str(given))
    except ConnectorError as error:
        return dict(document), [Problem((PRESET,), error.message)]
    return (_remembering if document.get("connector") else _answered)(document, preset, str(given))


def _answered(document: Mapping[str, Any], preset: Preset, given: str) -> tuple[dict[str, Any], list[Problem]]:
    answers = document.get("settings") or {}
    if not isinstance(answers, Mapping):
        return dict(document), [Problem(("settings",), msg("This has to be a mapping of settings."))]
    wrong = [Problem(("settings", name), problem) for name, problem in problems_with(preset, answers).items()]
    if given not in (preset.name, preset.reference):
        wrong.append(Problem((PRESET,), msg("The preset is here as {current}.", current=preset.reference)))
    if wrong:
        return dict(document), wrong
    written = {"connector": preset.connector, "settings": filled(preset, answers), PRESET: preset.reference}
    return {**document, **written}, []


def asked_by(document: Mapping[str, Any], setting: str) -> str:
    """Return the answer of a document that a setting of its connector is made of; else the setting's own name."""
    preset = find_preset(str(document.get(PRESET) or ""))
    if preset is None or document.get("connector"):
        return setting
    return answering(preset, setting) or setting


def answering(preset: Preset, setting: str) -> str:
    """Return the name of the preset's value that a setting of its connector is made of, empty where there is none."""
    template = str(preset.fixed.get(setting, ""))
    return next((asked.name for asked in preset.settings if f"{{{asked.name}}}" in template), "")


def form_spec(preset: Preset, language: str) -> ConnectorSpec:
    """Return what a preset asks for, as the form of a connection shows it."""
    base = connector_class(preset.connector).spec
    asked = tuple(
        Setting(
            s.name,
            s.label.text(language),
            SettingKind(s.kind),
            help=s.help.text(language) if s.help else "",
            required=s.required,
            default=s.default or None,
            placeholder=s.placeholder,
            choices=tuple((value, label.text(language)) for value, label in s.choices.items()),
        )
        for s in preset.settings
    )
    labels = Setting(
        LANGUAGE, N_("Language of the field labels"), SettingKind.CHOICE, default=language, choices=_LANGUAGES
    )
    return ConnectorSpec(
        preset.name,
        preset.label.text(language),
        preset.category.text(language),
        preset.summary.text(language),
        (*asked, labels),
        base.capabilities,
    )


def draft(preset: Preset, answers: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Message]]:
    """Return the settings that the answers make, and what is wrong with the answers."""
    wrong = problems_with(preset, answers)
    return ({} if wrong else filled(preset, answers)), wrong


def made_with(row: ConnectionRow) -> Preset | None:
    """Return the preset that a connection was made with, None where there is none or it is not here any more."""
    return find_preset(row.preset) if row.preset else None


def newer(row: ConnectionRow) -> Offer | None:
    """Return what a newer version of a connection's preset would change, None where there is none."""
    preset = made_with(row)
    if preset is None or row.preset == preset.reference or row.connector != preset.connector:
        return None
    return offer(preset, row.settings)


def _remembering(document: Mapping[str, Any], preset: Preset, given: str) -> tuple[dict[str, Any], list[Problem]]:
    version = given.partition("@")[2] or str(preset.version)
    if document["connector"] != preset.connector:
        wrong = msg("The preset makes connections of '{connector}'.", connector=preset.connector)
        return dict(document), [Problem(("connector",), wrong)]
    if not (version.isdecimal() and version.isascii()):
        return dict(document), [Problem((PRESET,), msg("Write it as {example}.", example=preset.reference))]
    return {**document, PRESET: f"{preset.name}@{int(version)}"}, []
