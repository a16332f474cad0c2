"""What can be written in an expression: the functions by chapter, as the list beside an editor shows them."""

from __future__ import annotations

from dataclasses import dataclass

import rules.language.functions  # noqa: F401 - fills the registry
from rules.language.functions.registry import FUNCTIONS, Function, Group
from webapp.rulebook.translation import translate


@dataclass(frozen=True)
class Described:
    """A function: how it is called, what it does, one example, and the text that a click puts into the expression."""

    name: str
    signatures: tuple[str, ...]
    doc: str
    example: str
    result: str
    insert: str


def functions() -> list[tuple[str, list[Described]]]:
    """Return chapter -> functions, in the order of the reference."""
    found: list[tuple[str, list[Described]]] = []
    for group in Group:
        members = [described(name) for name, function in FUNCTIONS.items() if function.group is group]
        if members:
            found.append((group.value, members))
    return found


def described(name: str) -> Described:
    """Return what is known of a function."""
    function = FUNCTIONS[name]
    first = function.examples[0] if function.examples else None
    signatures = tuple(overload.signature for overload in function.overloads)
    example, result = (first.expression, first.result) if first else ("", "")
    return Described(name, signatures, translate(function.doc), example, result, _insert(function, example))


def _insert(function: Function, example: str) -> str:
    """Return the call without its first argument where that is written in front, with a mark where others follow."""
    member = f".{function.name}(" in example
    needed = function.counts[0] - (1 if member else 0)
    return ("." if member else "") + function.name + ("(…)" if needed else "()")
