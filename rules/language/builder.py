"""The condition builder: an expression as rows and groups, and back to text.

What rows cannot show stays code inside its group. Reading what was written gives the same model again; a text that is
read and written anew means the same, though its layout, brackets and comments may differ.
"""

from __future__ import annotations

from dataclasses import replace

from rules.language.condition import BuilderError, Code, Group, Join, Member, Row
from rules.language.condition_rows import chain, merged, row_of, tree_of
from rules.language.nodes import Literal, Node, Operator
from rules.language.parse import parse
from rules.language.problems import ExpressionError
from rules.language.writing import text_of

_SYMBOLS = {Join.ALL: "&&", Join.ANY: "||"}
_JOINS = {symbol: join for join, symbol in _SYMBOLS.items()}


def to_model(tree: Node) -> Group:
    """Return the condition that a tree is."""
    found = _member(tree)
    return found if isinstance(found, Group) else Group(Join.ALL, (found,))


def to_text(model: Group) -> str:
    """Return the expression of a condition, empty where it has no members; raises `BuilderError`."""
    return text_of(_tree(model, ())) if model.members else ""


def _member(node: Node) -> Member:
    row = row_of(node)
    if row is not None:
        return row
    if isinstance(node, Operator) and node.symbol in _JOINS:
        return _group(_JOINS[node.symbol], node)
    if isinstance(node, Operator) and node.symbol == "!":
        return _negated(node)
    return Code(text_of(node))


def _group(join: Join, node: Operator) -> Member:
    members = [_member(part) for part in _parts(node, node.symbol)]
    if join is Join.ALL:
        members = _folded(members)
    return members[0] if len(members) == 1 else Group(join, tuple(members))


def _parts(node: Node, symbol: str) -> list[Node]:
    if isinstance(node, Operator) and node.symbol == symbol:
        return [part for operand in node.operands for part in _parts(operand, symbol)]
    return [node]


def _folded(members: list[Member]) -> list[Member]:
    """Return the members with rows that belong together as one: a guard and its comparison, two bounds."""
    done: list[Member] = []
    for member in members:
        done.append(member)
        while len(done) > 1 and isinstance(done[-1], Row) and isinstance(done[-2], Row):
            one = merged((done[-2], done[-1]))
            if one is None:
                break
            done[-2:] = [one]
    return done


def _negated(node: Operator) -> Member:
    inner = _member(node.operands[0])
    if isinstance(inner, Code):
        return Code(text_of(node))
    if isinstance(inner, Group) and not inner.negated:
        return replace(inner, negated=True)
    return Group(Join.ANY, (inner,), negated=True)


def _tree(member: Member, path: tuple[int, ...]) -> Node:
    try:
        if isinstance(member, Row):
            return tree_of(member)
        if isinstance(member, Code):
            return parse(member.text)
    except BuilderError as error:
        raise BuilderError(error.message, path) from None
    except ExpressionError as error:
        raise BuilderError(error.problems[0].message, path) from None
    parts = tuple(_tree(part, (*path, number)) for number, part in enumerate(member.members))
    whole = chain(_SYMBOLS[member.join], parts) if parts else Literal(0, member.join is Join.ALL)
    return Operator(0, "!", (whole,)) if member.negated else whole
