"""The registry of column forms: what a function becomes, by the name under which the runtime knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value
from rules.language.types import Kind
from rules.text import Message, msg

Form: TypeAlias = Callable[[Stages, "tuple[Value, ...]"], Value]
FORMS: dict[str, list[tuple[tuple[Kind, ...], Form]]] = {}
NO_FORM = msg("This form of the function has no column form.")


def form(*names: str, takes: tuple[Kind, ...]) -> Callable[[Form], Form]:
    """Register the column form of functions for arguments of these kinds."""

    def register(made: Form) -> Form:
        for name in names:
            FORMS.setdefault(name, []).append((takes, made))
        return made

    return register


def find_form(name: str, args: tuple[Value, ...]) -> Form | None:
    """Return the form for a function and its arguments, None where there is none."""
    kinds = tuple(arg.kind for arg in args)
    return next((made for takes, made in FORMS.get(name, []) if takes == kinds), None)


def literal(value: Value, type_: type, reason: Message = NO_FORM) -> object:
    """Return the Python value of an argument that is written out; raises `NoColumn` for another."""
    if not value.constant or type(value.literal) is not type_:
        raise NoColumn(reason)
    return value.literal


def text_literal(value: Value) -> str:
    """Return a text that is written out; raises `NoColumn`."""
    return str(literal(value, str))


def integer_literal(value: Value) -> int:
    """Return a whole number that is written out; raises `NoColumn`."""
    return int(str(literal(value, int)))
