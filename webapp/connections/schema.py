"""The JSON Schema of `kind: connection` documents, generated from what the connectors declare.

`python -m webapp.connections.schema FILE` writes it; docs/schemas/connection.json is this for the built-in connectors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from connectors import registry
from connectors.presets import Asked, Preset, all_presets
from connectors.presets.document import LANGUAGE
from connectors.spi import ConnectorSpec, Setting, SettingKind
from webapp.connections.documents import KIND, LARGEST_LIMIT, NAME

REFERENCE = r"^(env|file|vault):.+"
_TYPES: dict[SettingKind, dict[str, Any]] = {
    SettingKind.INTEGER: {"type": "integer"},
    SettingKind.BOOLEAN: {"type": "boolean"},
    SettingKind.JSON: {},
    SettingKind.URL: {"type": "string", "format": "uri", "pattern": "^https?://"},
    SettingKind.SECRET: {"type": "string", "pattern": REFERENCE},
}


_LIMIT = {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT}
LIMITS_SCHEMA: dict[str, Any] = {
    "description": "How much may be under way on it at a time, over all workers; any number where it is left out.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "runs": {**_LIMIT, "description": "Runs, and parts of runs, of all rules together."},
        "per_rule": {**_LIMIT, "description": "Parts of runs of one rule."},
    },
}


def document_schema(specs: Iterable[ConnectorSpec]) -> dict[str, Any]:
    """Return the schema of a document that uses one of the connectors."""
    specs = sorted(specs, key=lambda spec: spec.name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:syncline:schema:connection",
        "title": "Connection",
        "description": "One configured system. Secrets are references (env:NAME, file:PATH, vault:NAME), never values.",
        "type": "object",
        "required": ["kind", "name"],
        "anyOf": [{"required": ["connector"]}, {"required": ["preset"]}],
        "additionalProperties": False,
        "properties": {
            "kind": {"const": KIND},
            "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
            "label": {"type": "string", "maxLength": 200, "description": "What people call it."},
            "note": {"type": "string"},
            "connector": {"enum": [spec.name for spec in specs]},
            "preset": {
                "type": "string",
                "pattern": f"^({'|'.join(preset.name for preset in all_presets())})(@[0-9]+)?$",
                "description": "The preset that it is made from. Without a connector, the settings answer the preset.",
            },
            "settings": {"type": "object"},
            "limits": LIMITS_SCHEMA,
        },
        "allOf": [*(_branch(spec) for spec in specs), *map(_answered, all_presets())],
    }


def settings_schema(spec: ConnectorSpec) -> dict[str, Any]:
    """Return the schema of one connector's settings."""
    always = [s.name for s in spec.settings if s.required and s.default is None and s.when is None]
    schema: dict[str, Any] = {
        "description": spec.summary,
        "type": "object",
        "additionalProperties": False,
        "properties": {setting.name: _setting(setting) for setting in spec.settings},
    }
    if always:
        schema["required"] = always
    return schema


def builtin_specs() -> list[ConnectorSpec]:
    """Return the specs of the connectors that come with Syncline."""
    return [registry.get(name).spec for name in registry.BUILTIN]


def _branch(spec: ConnectorSpec) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"settings": settings_schema(spec)}}
    if "required" in then["properties"]["settings"]:
        then["required"] = ["settings"]
    return {"if": {"properties": {"connector": {"const": spec.name}}, "required": ["connector"]}, "then": then}


def _answered(preset: Preset) -> dict[str, Any]:
    """Return what a document without a connector has to answer."""
    needed = [setting.name for setting in preset.settings if setting.required and not setting.default]
    settings: dict[str, Any] = {
        "description": preset.summary.en,
        "type": "object",
        "additionalProperties": False,
        "properties": {setting.name: _asked(setting) for setting in preset.settings}
        | {LANGUAGE: {"type": "string", "description": "en or zh: how objects and fields are labelled."}},
    }
    then: dict[str, Any] = {"properties": {"settings": settings, "preset": {"pattern": f"^[^@]+(@{preset.version})?$"}}}
    if needed:
        settings["required"] = needed
        then["required"] = ["settings"]
    named = {"preset": {"pattern": f"^{preset.name}(@|$)"}}
    return {"if": {"properties": named, "required": ["preset"], "not": {"required": ["connector"]}}, "then": then}


def _asked(setting: Asked) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "title": setting.label.en}
    if setting.help:
        schema["description"] = setting.help.en
    if setting.kind == "secret":
        schema["pattern"] = REFERENCE
    elif setting.pattern:
        schema["pattern"] = f"^({setting.pattern})$"
    if setting.choices:
        schema["enum"] = list(setting.choices)
    return schema


def _setting(setting: Setting) -> dict[str, Any]:
    schema = dict(_TYPES.get(setting.kind, {"type": "string"}))
    schema["title"] = setting.label
    if setting.help:
        schema["description"] = setting.help
    if setting.choices:
        schema["enum"] = [value for value, _ in setting.choices]
    if setting.default is not None:
        schema["default"] = setting.default
    bounds = {"minimum": setting.minimum, "maximum": setting.maximum}
    return schema | {key: bound for key, bound in bounds.items() if bound is not None}


def main(arguments: list[str]) -> None:
    """Write the schema of the built-in connectors to the file named first."""
    text = json.dumps(document_schema(builtin_specs()), ensure_ascii=False, indent=2)
    Path(arguments[0]).write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
