"""The tree of a row condition: questions to fields and about the user, frozen and without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rules.predicate import Place, Test
from webapp.policies.objects import PolicyField


@dataclass(frozen=True)
class Asked:
    """Something of the user, such as `country` of `user.country`."""

    name: str


Operand: TypeAlias = bool | int | float | str | datetime | Asked | None


@dataclass(frozen=True)
class Given:
    """An answer that needs no record."""

    truth: bool


@dataclass(frozen=True)
class Flag:
    """A field that is itself the answer."""

    field: PolicyField


@dataclass(frozen=True)
class Compared:
    """A field compared with a value."""

    field: PolicyField
    test: Test
    value: Operand


@dataclass(frozen=True)
class Listed:
    """Whether a field, or something of the user, is among values; `within` is a list of the user's, such as roles."""

    item: PolicyField | Operand
    values: tuple[Operand, ...] = ()
    within: Asked | None = None


@dataclass(frozen=True)
class Holding:
    """Whether a text holds another one."""

    field: PolicyField
    place: Place
    text: Operand


@dataclass(frozen=True)
class Filled:
    """Whether a field has a value."""

    field: PolicyField


@dataclass(frozen=True)
class OfUser:
    """Something of the user compared with a value."""

    asked: Asked
    test: Test
    value: Operand


@dataclass(frozen=True)
class Contrary:
    """The contrary of a condition."""

    part: Condition


@dataclass(frozen=True)
class Joined:
    """Conditions of which all, or any, have to hold."""

    parts: tuple[Condition, ...]
    every: bool


Condition: TypeAlias = Given | Flag | Compared | Listed | Holding | Filled | OfUser | Contrary | Joined
