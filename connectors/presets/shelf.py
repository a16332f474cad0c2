"""The presets that come with Syncline, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from connectors.errors import Misconfigured
from connectors.presets.document import Preset, parse
from rules.text import msg

_FOLDER = Path(__file__).resolve().parent


@cache
def all_presets() -> tuple[Preset, ...]:
    """Return all presets by name."""
    return tuple(parse(path.read_text("utf-8"), path.name, _text) for path in sorted(_FOLDER.glob("*.yaml")))


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.yaml").read_text("utf-8")


def find_preset(reference: str) -> Preset | None:
    """Return the preset that `name` or `name@version` speaks of, in the version that is here, or None."""
    name = reference.partition("@")[0]
    return next((preset for preset in all_presets() if preset.name == name), None)


def named(reference: str) -> Preset:
    """Return the preset that `name` or `name@version` speaks of; raises `Misconfigured` with those that exist."""
    found = find_preset(reference)
    if found is None:
        known = ", ".join(preset.name for preset in all_presets())
        raise Misconfigured(msg("There is no preset '{name}'. Known presets: {known}.", name=reference, known=known))
    return found
