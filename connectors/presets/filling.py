"""From a preset and the admin's answers to the settings of a connection, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.presets.document import LANGUAGE, Preset, PresetField, PresetObject, placeholders
from rules.text import Message, msg

_WHOLE = re.compile(r"\{([a-z][a-z0-9_.]*)\}")
OBJECTS = "objects"
_SIGN_IN = "authentication"


@dataclass(frozen=True)
class Offer:
    """What a newer version of a preset would make of a connection: `changes` are (place, before, after)."""

    reference: str
    settings: Mapping[str, Any]
    changes: tuple[tuple[str, Any, Any], ...]
    missing: tuple[str, ...]
    """The answers that the settings do not tell; what depends on them stays as it is."""


def problems_with(preset: Preset, answers: Mapping[str, Any]) -> dict[str, Message]:
    """Return what is wrong with the answers, by name."""
    asked = {setting.name: setting for setting in preset.settings}
    known = (*asked, LANGUAGE)
    found = {
        name: msg("The preset '{preset}' asks for no such value. It asks for: {known}.",
                  preset=preset.name, known=", ".join(known))
        for name in answers if name not in known
    }  # fmt: skip
    for name, setting in asked.items():
        value = _stated(preset, answers, name)
        if setting.required and not value:
            found[name] = msg("This is needed.")
        elif value and setting.choices and value not in setting.choices:
            found[name] = msg("Choose one of: {values}.", values=", ".join(setting.choices))
        elif value and setting.pattern and not re.fullmatch(setting.pattern, value):
            found[name] = msg("Write it like this: {example}.", example=setting.placeholder)
    return found


def filled(preset: Preset, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the connector that the answers (`problems_with` found none) make."""
    values = {setting.name: _stated(preset, answers, setting.name) for setting in preset.settings}
    settings = {name: _put(template, values) for name, template in preset.fixed.items()}
    language = str(answers.get(LANGUAGE) or "en")
    if preset.objects:
        settings[OBJECTS] = [_object(preset, described, values, language) for described in preset.objects]
    return {name: value for name, value in settings.items() if value != ""}


def answers_of(preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that settings made by `filled` tell; those that cannot be told are missing."""
    asked = {setting.name: f"{{{setting.name}}}" for setting in preset.settings}
    found: dict[str, Any] = {}
    for name, template in preset.fixed.items():
        _take(template, settings.get(name), asked, found)
    return {**found, LANGUAGE: _language(preset, settings)}


def offer(preset: Preset, settings: Mapping[str, Any]) -> Offer:
    """Return what this version of the preset would change; what people added to the connection stays."""
    answers = answers_of(preset, settings)
    missing = tuple(s.name for s in preset.settings if s.required and s.name not in answers and not s.default)
    fresh = filled(preset, answers)
    kept = {name for name, template in preset.fixed.items() if set(placeholders(template)) & set(missing)}
    if missing:  # the product is signed in to in another way now; who did so in the old one goes on with it
        kept |= {_SIGN_IN, *(name for name in fresh if name not in settings)} - {OBJECTS}
    merged = {**settings, **{name: value for name, value in fresh.items() if name not in kept}}
    if OBJECTS in fresh:
        merged[OBJECTS] = _merged(settings.get(OBJECTS), fresh[OBJECTS])
    before, after = _flat(settings), _flat(merged)
    changes = tuple((p, before.get(p), after.get(p)) for p in {**before, **after} if before.get(p) != after.get(p))
    return Offer(preset.reference, merged, changes, missing)


def _stated(preset: Preset, answers: Mapping[str, Any], name: str) -> str:
    default = next(setting.default for setting in preset.settings if setting.name == name)
    return str(answers.get(name) or "").strip() or default


def _put(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with the known placeholders replaced; others are the connector's own."""
    if isinstance(template, str):
        whole = _WHOLE.fullmatch(template)
        if whole and whole[1] in values:
            return values[whole[1]]
        return _WHOLE.sub(lambda found: str(values.get(found[1], found[0])), template)
    if isinstance(template, Mapping):
        return {name: _put(item, values) for name, item in template.items()}
    if isinstance(template, list):
        return [_put(item, values) for item in template]
    return template


def _object(preset: Preset, described: PresetObject, values: Mapping[str, str], language: str) -> dict[str, Any]:
    if preset.connector == "odata":
        label = described.label.text(language)
        labels = {field.name: field.label.text(language) for field in described.fields}
        return {"name": described.name, "label": label, **described.described, "labels": labels}
    names = [field.name for field in described.fields]
    own = {
        "object.name": described.name,
        "object.key": described.key,
        "object.fields": ",".join(names),
        "object.paths": ",".join(str(field.more.get("path", field.name)) for field in described.fields),
        "object.list": names,
        "object.json": json.dumps(names),
    }
    common = {name: value for name, value in preset.each.items() if name not in _not_done(described)}
    return {
        "name": described.name,
        "label": described.label.text(language),
        "key": described.key,
        **_put({**common, **described.described}, {**values, **own}),
        "fields": [_field(field, language) for field in described.fields],
    }


def _not_done(described: PresetObject) -> set[str]:
    return {"create", "update", "delete"} - set(described.writes)


def _field(field: PresetField, language: str) -> dict[str, Any]:
    stated = {"scale": field.scale, "required": field.required, "generated": field.generated}
    return {
        "name": field.name,
        "type": field.type.value,
        "label": field.label.text(language),
        **{name: value for name, value in stated.items() if value not in (None, False)},
        **field.more,
    }


def _take(template: Any, value: Any, asked: Mapping[str, str], found: dict[str, Any]) -> None:
    """Note the values that the placeholders of a template have in what was made of it."""
    if isinstance(template, str) and isinstance(value, str):
        pattern = re.escape(template)
        for name, placeholder in asked.items():
            pattern = pattern.replace(re.escape(placeholder), f"(?P<{name}>.+)", 1)
        match = re.fullmatch(pattern, value, re.DOTALL)
        found.update(match.groupdict() if match else {})
    elif isinstance(template, Mapping) and isinstance(value, Mapping):
        for name, item in template.items():
            _take(item, value.get(name), asked, found)


def _language(preset: Preset, settings: Mapping[str, Any]) -> str:
    objects = settings.get(OBJECTS)
    labels = (
        {o.get("name"): o.get("label") for o in objects if isinstance(o, dict)} if isinstance(objects, list) else {}
    )
    differing = [o for o in preset.objects if o.label.en != o.label.zh]
    return "zh" if any(labels.get(o.name) == o.label.zh for o in differing) else "en"


def _merged(stored: Any, fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the preset's objects with the fields that people added to them, and the objects that people added."""
    old = {o["name"]: o for o in stored if isinstance(o, dict) and "name" in o} if isinstance(stored, list) else {}
    mine = []
    for described in fresh:
        given = described.get("fields", [])
        names = {field["name"] for field in given}
        added = [f for f in old.get(described["name"], {}).get("fields", ()) if f.get("name") not in names]
        mine.append({**described, "fields": [*given, *added]} if given else described)
    return [*mine, *(o for name, o in old.items() if name not in {d["name"] for d in fresh})]


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Return what settings hold by place, parts of lists by their names."""
    if isinstance(value, Mapping) and (value or not place):
        return {p: v for name, item in value.items() for p, v in _flat(item, f"{place}.{name}".strip(".")).items()}
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        return {p: v for item in value for p, v in _flat(_rest(item), f"{place}.{item['name']}").items()}
    return {place: value}


def _rest(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "name"}
