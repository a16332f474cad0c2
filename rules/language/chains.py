"""Long rows of terms for a runtime that takes trees of small height only.

`a + b + c + ...` is a tree as high as the row is long. Cut into pieces, each the name of the one before and some terms
more, it is calculated in the same order and is only as high as a piece.
"""

from __future__ import annotations

from dataclasses import replace

from rules.language.lower import DIVIDE
from rules.language.nodes import Call, Ident, Let, Node, Operator, rebuilt

PIECE = 12
_SIGNS = frozenset({"+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in"})


def with_short_chains(node: Node) -> Node:
    """Return the tree with every long row of terms in pieces."""
    row: list[Operator | Call] = []
    first = node
    while isinstance(first, (Operator, Call)) and _is_link(first):
        row.append(first)
        first = _parts(first)[0]
    if len(row) <= PIECE:
        return rebuilt(node, with_short_chains)
    return _in_pieces(node.at, with_short_chains(first), row)


def _in_pieces(at: int, first: Node, row: list[Operator | Call]) -> Node:
    pieces: list[Node] = []
    built = first
    for count, link in enumerate(reversed(row)):
        if count and count % PIECE == 0:
            pieces.append(built)
            built = Ident(link.at, _name(len(pieces)))
        built = _with_parts(link, (built, *(with_short_chains(part) for part in _parts(link)[1:])))
    for number, piece in reversed(list(enumerate(pieces, 1))):
        built = Let(at, _name(number), piece, built)
    return built


def _name(number: int) -> str:
    return f"row:{number}"


def _is_link(node: Operator | Call) -> bool:
    if isinstance(node, Call):
        return node.name == DIVIDE
    return node.symbol in _SIGNS and len(node.operands) == 2


def _parts(node: Operator | Call) -> tuple[Node, ...]:
    return node.args if isinstance(node, Call) else node.operands


def _with_parts(node: Operator | Call, parts: tuple[Node, ...]) -> Node:
    return replace(node, args=parts) if isinstance(node, Call) else replace(node, operands=parts)
