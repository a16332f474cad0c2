"""Shares of 1 in documents, which people read and type as percent."""

from __future__ import annotations

from typing import Any


def percent(value: Any, default: float | str = "") -> str:
    """Return a share as percent: 0.95 is "95"; what is no number is shown as it is."""
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{round(value * 100, 6):g}"


def share(text: str, old: Any, default: Any) -> Any:
    """Return the share that was typed as percent; an untouched or unreadable one stays as it is."""
    text = text.strip().removesuffix("%").strip()
    if not text:
        return default
    if old is not None and text == percent(old):
        return old
    return decimal(text, 100)


def number(text: str, old: Any, default: Any) -> Any:
    """Return the number that was typed, by the same rules."""
    text = text.strip()
    if not text:
        return default
    if old is not None and text == plain(old):
        return old
    return decimal(text, 1)


def plain(value: Any, default: float | str = "") -> str:
    """Return a number as a form shows it."""
    value = default if value is None else value
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def decimal(text: str, parts: int) -> float | str:
    """Return a number divided by `parts`, or the text, so that the check can point at it."""
    try:
        found = float(text)
    except ValueError:
        return text
    return round(found / parts, 8) if abs(found) < 1e9 else text
