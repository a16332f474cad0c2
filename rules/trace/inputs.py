"""Which fields of the source a rule reads: what has to be kept of a record to explain it later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from rules.documents.flows import flows
from rules.documents.sync import SideName, SyncRule
from rules.documents.validation import Validation
from rules.language.checked import field_of
from rules.language.nodes import Has, Ident, Node, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError
from rules.language.qualified import qualified
from rules.schema import Schema


def read_fields(rule: SyncRule, source: Schema, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the fields of the source that the first direction of a rule reads, in the order of the schema.

    Args:
        rule: the rule.
        source: the fields of its source.
        more: fields that are read besides: those of its decision tables.
    """
    flow = flows(rule)[0]
    found = {getattr(rule.key, flow.source.value), *more}
    for text in _texts(rule, flow.source):
        found |= named_fields(text, source)
    found |= {entry.source for entry in flow.entries if entry.source is not None and entry.expression is None}
    found |= {getattr(match, flow.source.value) for tier in rule.correlate for match in tier.match}
    found |= {name for validation in rule.validations for name in _named(validation)}
    return tuple(name for name in source.names if name in found)


@lru_cache(2048)
def named_fields(text: str, schema: Schema) -> frozenset[str]:
    """Return the fields of a schema that an expression names; none where it cannot be read."""
    try:
        tree = qualified(parse(text), schema)
    except ExpressionError:
        return frozenset()
    return frozenset(name for name in _names(tree) if name in schema)


def _texts(rule: SyncRule, source: SideName) -> Iterator[str]:
    side = rule.left if source is SideName.LEFT else rule.right
    where = [side.where] if side.where else []
    entries = flows(rule)[0].entries
    decided = [text for decision in rule.decisions for text in (decision.inputs or {}).values()]
    asked = [text for validation in rule.validations for text in (validation.check, validation.when) if text]
    yield from (*where, *(e.expression for e in entries if e.expression), *(e.when for e in entries if e.when))
    yield from (*decided, *asked, *(rule.saga.texts if rule.saga is not None else ()))


def _named(validation: Validation) -> tuple[str, ...]:
    return validation.unique if validation.reference is None else (*validation.unique, validation.reference.field)


def _names(node: Node) -> Iterator[str]:
    name = field_of(node)
    if name is not None:
        yield name
    elif isinstance(node, Ident):
        yield node.name
    elif isinstance(node, Has) and isinstance(node.operand, Ident):
        yield node.field
    for child in children(node):
        yield from _names(child)
