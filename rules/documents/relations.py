"""Which sync rules come after which: those that a rule names itself, and those whose records its fields refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
Graph = Mapping[str, Sequence[str]]
"""Rule -> the rules that it comes after."""


def named_before(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the rules that a document names as coming before it, with the place where it does so."""
    for number, name in enumerate(_items(document.get("after"))):
        if isinstance(name, str):
            yield f"after/{number}", name
    for number, pair in enumerate(_items(document.get("fields"))):
        name = pair.get("reference") if isinstance(pair, Mapping) else None
        if isinstance(name, str):
            yield f"fields/{number}/reference", name


def before(document: Document) -> tuple[str, ...]:
    """Return the rules that come directly before a rule; one whose records refer to each other is not before itself."""
    names = dict.fromkeys(name for _, name in named_before(document))
    return tuple(name for name in names if name != document.get("name"))


def in_turn(names: Sequence[str], graph: Graph) -> list[str]:
    """Return the rules and all that come before them, each behind those before it; a circle is cut open."""
    done: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        if name in done or name in above:
            return
        for other in graph.get(name, ()):
            visit(other, above | {name})
        done[name] = None

    for name in names:
        visit(name, frozenset())
    return list(done)


def circle(name: str, graph: Graph) -> list[str]:
    """Return the way on which a rule would come after itself, itself at both ends; empty where there is none."""
    ways = [[name]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for other in graph.get(way[-1], ()):
            if other == name:
                return [*way, name]
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
