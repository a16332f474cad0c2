"""Which actions each situation allows, and which one is taken where a rule says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rules.documents import actions, unsupported
from rules.documents.sync import Action, Direction, KeyPair, Side, Situations, SyncRule

SHOWN = ("unmatched_left", "unmatched_right", "linked_changed", "out_of_scope")
ASKED = ("linked_conflict", "disputed", "edit_vs_delete")
"""What a rule that flows one way looks for only if it says what is to be done then."""


def choices() -> dict[str, tuple[str, ...]]:
    """Return situation -> the actions that the document allows and this version can carry out."""
    allowed = {f.name: tuple(f.metadata["document"][1].get("enum", ())) for f in fields(Situations)}
    shown = (*SHOWN, *ASKED)
    return {name: tuple(action for action in allowed[name] if _possible(name, action)) for name in shown}


def two_way_choices() -> dict[str, tuple[str, ...]]:
    """Return situation -> the actions that a two-way rule can carry out; unchanged pairs are always left alone."""
    rest = [f for f in fields(Situations) if f.name != "linked_unchanged"]
    return {f.name: tuple(f.metadata["document"][1].get("enum", ())) for f in rest}


def defaults_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return situation -> what is done where the document does not say."""
    direction = document.get("direction")
    known = Direction(direction) if direction in set(Direction) else Direction.LEFT_TO_RIGHT
    return {name: action.value for name, action in actions(_rule(known, Situations())).items()}


def _possible(name: str, action: str) -> bool:
    return not unsupported(_rule(Direction.LEFT_TO_RIGHT, Situations(**{name: Action(action)})))


def _rule(direction: Direction, situations: Situations) -> SyncRule:
    """Return a rule that says nothing but what happens."""
    side, key = Side("", ""), KeyPair("", "")
    return SyncRule(name="", left=side, right=side, direction=direction, key=key, fields=(), situations=situations)
