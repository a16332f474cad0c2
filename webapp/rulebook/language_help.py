"""What can be written in an expression: the functions by chapter, as the list beside an editor shows them."""

from __future__ import annotations

from dataclasses import dataclass

import rules.language.functions  # noqa: F401 - fills the registry
from rules.language.functions.registry import FUNCTIONS, Group


@dataclass(frozen=True)
class Described:
    """A function: how it is called, what it does, one example, and the text that a click puts into the expression."""

    name: str
    signatures: tuple[str, ...]
    doc: str
    example: str
    result: str


def functions() -> list[tuple[str, list[Described]]]:
    """Return chapter -> functions, in the order of the reference."""
    found: list[tuple[str, list[Described]]] = []
    for group in Group:
        members = [_described(name) for name, function in FUNCTIONS.items() if function.group is group]
        if members:
            found.append((group.value, members))
    return found


def _described(name: str) -> Described:
    function = FUNCTIONS[name]
    first = function.examples[0] if function.examples else None
    signatures = tuple(overload.signature for overload in function.overloads)
    return Described(name, signatures, function.doc, first.expression if first else "", first.result if first else "")
