"""What a plan does, in words that the editor shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rules.language.nodes import Call, Find, Has, Literal, Macro, Node, Operator, Select, Variable
from rules.language.runtime import implementations
from rules.text import Message, msg

_SHOWN = 8
_CHOICE = "? :"


@dataclass(frozen=True)
class PlanDescription:
    """How an expression is worked out: its stages, and what makes it slow."""

    stages: tuple[Message, ...] = ()
    slow: tuple[Message, ...] = ()


def written_name(name: str) -> str:
    """Return how a person writes the name of a function that the runtime knows under `name`."""
    overloads = implementations().get(name)
    return f"{overloads[0].signature.partition('(')[0] if overloads else name}()"


def word_of(node: Node) -> str:
    """Return what people call a part of an expression."""
    match node:
        case Call(name=name):
            return written_name(name)
        case Operator(symbol=symbol):
            return _CHOICE if symbol == "?:" else symbol
        case Macro(name=name):
            return f"{name.value}()"
        case Variable(field=name) | Select(field=name) | Has(field=name):
            return name
        case Find(table=table):
            return f"lookup('{table.name}')"
        case _:
            return repr(node.value) if isinstance(node, Literal) else "orDefault()"


def stages_in_words(words: Sequence[Sequence[str]]) -> tuple[Message, ...]:
    """Return what each stage works out, and that the results follow."""
    stages = [
        msg("Stage {number}: {parts}.", number=number, parts=_listed(parts)) for number, parts in enumerate(words, 1)
    ]
    return (*stages, msg("Then the results, in one go."))


def _listed(parts: Sequence[str]) -> str:
    different = list(dict.fromkeys(parts))
    return ", ".join([*different[:_SHOWN], *(["..."] if len(different) > _SHOWN else [])])
