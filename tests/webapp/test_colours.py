"""The colours of both themes can be told apart (WCAG 2.2, level AA)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).resolve().parents[2] / "webapp/static/src/styles/tokens.css").read_text("utf-8")
_TONES = ("ok", "warn", "bad", "info")
_GROUNDS = {
    "canvas": "ink ink-soft ink-muted accent",
    "surface": "ink ink-muted accent accent-hover ok warn bad info code-keyword code-string code-number code-comment "
    "code-name code-call",
    "surface-sunken": "ink-muted",
    "surface-hover": "ink ink-muted",
    "muted-soft": "ink-soft",
    "accent": "accent-ink",
    "accent-hover": "accent-ink",
    "accent-soft": "accent-soft-ink ink-soft",
    "side": "side-ink side-title",
    "side-hover": "side-ink",
    "side-active": "side-ink-strong",
}
TEXT = [(front, ground) for ground, fronts in _GROUNDS.items() for front in fronts.split()]
TEXT += [(tone, f"{tone}-soft") for tone in _TONES]
SHAPES = [("focus", "surface"), ("focus", "canvas"), ("side-mark", "side-active")]


def _themes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{6})", block))
        for block in re.findall(r'\[data-bs-theme="(?:light|dark)"\] \{(.*?)\n\}', TOKENS, flags=re.S)[:2]
    )
    return {"light": light, "dark": {**light, **dark}}


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("front", "ground"), TEXT)
def test_text_can_be_read(theme: str, front: str, ground: str):
    """Text has a contrast of at least 4.5 to what it stands on."""
    colours = _themes()[theme]
    assert _contrast(colours[front], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("front", "ground"), SHAPES)
def test_shapes_can_be_seen(theme: str, front: str, ground: str):
    """Marks of focus and place have a contrast of at least 3."""
    colours = _themes()[theme]
    assert _contrast(colours[front], colours[ground]) >= 3
