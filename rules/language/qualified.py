"""Fields with a dot in their name: `credit.limit` names the field "credit.limit" where the schema has one.

Results of decision tables and the fields of several events stand beside a record's own fields under such names.
"""

from __future__ import annotations

from dataclasses import replace

from rules.language.nodes import Has, Ident, Macro, Node, Select, rebuilt
from rules.schema import Schema


def qualified(tree: Node, schema: Schema) -> Node:
    """Return the tree with every `a.b` that names a field "a.b" written as `record["a.b"]` is."""
    heads = frozenset(name.partition(".")[0] for name in schema.names if "." in name)
    return _rewrite(tree, schema, heads) if heads else tree


def _rewrite(node: Node, schema: Schema, heads: frozenset[str]) -> Node:
    if isinstance(node, (Select, Has)) and isinstance(node.operand, Ident) and node.operand.name in heads:
        whole = f"{node.operand.name}.{node.field}"
        return replace(node, operand=Ident(node.operand.at, "record"), field=whole) if whole in schema else node
    inside = heads - {node.variable} if isinstance(node, Macro) else heads
    made = rebuilt(node, lambda part: _rewrite(part, schema, inside))
    if isinstance(node, Macro) and isinstance(made, Macro):  # the list itself does not know the loop's variable
        return replace(made, source=_rewrite(node.source, schema, heads))
    return made
