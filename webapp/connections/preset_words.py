"""What a connection test says of a connection made from a preset: in the preset's words, not in its connector's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from connectors.presets import Preset
from connectors.spi import Step
from rules.text import Message, msg
from webapp.connections.catalogue import connector_class
from webapp.connections.presets import answering

_SETTINGS = "Read the settings"
_NAMES = ("name", "object")
"""The places of a sentence in which the name of an object stands."""


def own_words(preset: Preset | None, steps: Iterable[Step], language: str) -> list[Step]:
    """Return the steps of a test with the preset's names of settings and objects; without a preset as they are."""
    if preset is None:
        return list(steps)
    settings = connector_class(preset.connector).spec.settings
    asked = {s.name: s for s in preset.settings}
    called = {s.label: asked[name].label.text(language) for s in settings if (name := answering(preset, s.name))}
    objects = {described.name: described.label.text(language) for described in preset.objects}
    listed = msg("What is connected: {objects}.", objects=", ".join(objects.values()))
    return [
        replace(step, detail=listed)
        if objects and step.ok and step.name == _SETTINGS
        else replace(step, detail=_said(step.detail, called, objects))
        for step in steps
    ]


def _said(message: Message, called: Mapping[str, str], objects: Mapping[str, str]) -> Message:
    def value(place: str, held: Any) -> Any:
        if isinstance(held, Message):
            return msg(called[held.template]) if held.template in called else _said(held, called, objects)
        return objects.get(str(held), held) if place in _NAMES else held

    return Message(message.template, {place: value(place, held) for place, held in message.values.items()})
