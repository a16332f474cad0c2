"""Which actions each situation allows, and which one is taken where a rule says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rules.documents.defaults import actions
from rules.documents.sync import Direction, KeyPair, Side, Situations, SyncRule

_OFFERED = {
    "unmatched_left": ("create", "ignore", "case"),
    "unmatched_right": ("create", "ignore", "case"),
    "linked_changed": ("update", "ignore", "case"),
    "out_of_scope": ("unlink", "ignore", "case"),
}


def choices() -> dict[str, tuple[str, ...]]:
    """Return situation -> the actions that the editor offers, of those that the document allows."""
    allowed = {f.name: tuple(f.metadata["document"][1].get("enum", ())) for f in fields(Situations)}
    return {name: tuple(a for a in offered if a in allowed[name]) for name, offered in _OFFERED.items()}


def defaults_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return situation -> what is done where the document does not say."""
    direction = str(document.get("direction", Direction.LEFT_TO_RIGHT))
    known = Direction(direction) if direction in set(Direction) else Direction.LEFT_TO_RIGHT
    side = Side("", "")
    rule = SyncRule(name="", left=side, right=side, direction=known, key=KeyPair("", ""), fields=())
    return {name: action.value for name, action in actions(rule).items()}
