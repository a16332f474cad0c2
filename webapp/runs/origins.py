"""Where the values of a rule's fields come from: which fields of the other side each mapped field is made of.

Who may not see a value may not see what is made of it either. Where it cannot be told what an expression reads, it is
taken to read everything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as part

from rules.documents.decision import Decision
from rules.documents.flows import Entry, Flow, flows
from rules.documents.sync import SyncRule
from rules.language.nodes import Ident, Literal, Node, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError
from rules.schema import Schema
from rules.trace import named_fields

SIDES = ("left", "right")


@dataclass(frozen=True)
class Origin:
    """What a field is made of on the other side; `copied`: it holds the value of that one field as it is.

    `everything`: it may be made of any field there.
    """

    fields: frozenset[str] = frozenset()
    copied: str | None = None
    everything: bool = False

    def joined(self, other: Origin) -> Origin:
        """Return an origin of both."""
        copied = self.copied if self.copied == other.copied else None
        return Origin(self.fields | other.fields, copied, self.everything or other.everything)


@dataclass
class Origins:
    """What the fields of each side are made of."""

    left: dict[str, Origin] = part(default_factory=dict)
    right: dict[str, Origin] = part(default_factory=dict)

    def of(self, side: str) -> dict[str, Origin]:
        """Return field -> origin of a side."""
        return self.left if side == "left" else self.right

    def add(self, side: str, name: str, origin: Origin) -> None:
        """Note one more origin of a field."""
        known = self.of(side)
        known[name] = known[name].joined(origin) if name in known else origin


def origins(rules: Iterable[SyncRule], schemas: Mapping[str, Schema]) -> Origins:
    """Return where the mapped fields of rules come from; of a side without a schema any expression reads everything."""
    found = Origins()
    for rule in rules:
        for flow in flows(rule):
            for entry in flow.entries:
                found.add(flow.target.value, entry.target, _origin(rule, flow, entry, schemas.get(flow.source.value)))
    return found


def _origin(rule: SyncRule, flow: Flow, entry: Entry, schema: Schema | None) -> Origin:
    if entry.expression is None and entry.source is not None and entry.when is None:
        return Origin(frozenset({entry.source}), entry.source if entry.reference is None else None)
    texts = [text for text in (entry.expression, entry.when) if text is not None]
    found = reads(texts, rule, flow.source.value, schema)
    if found is None:
        return Origin(everything=True)
    copied = {entry.source} if entry.expression is None and entry.source is not None else set()
    return Origin(frozenset(found | copied))


def reads(texts: Iterable[str], rule: SyncRule, side: str, schema: Schema | None) -> frozenset[str] | None:
    """Return the fields of a side that expressions of a rule read, also through its decision tables; None: any."""
    if schema is None:
        return None
    found: set[str] = set()
    for text in texts:
        try:
            words = {word.partition(".")[0] for word in _words(parse(text))}
        except ExpressionError:
            return None
        found |= named_fields(text, schema)
        for decision in _decisions(rule, side):
            if decision.prefix in words:
                if decision.inputs is None:
                    return None
                found |= {name for given in decision.inputs.values() for name in named_fields(given, schema)}
    return frozenset(found)


def _decisions(rule: SyncRule, side: str) -> Iterator[Decision]:
    first = flows(rule)[0].source.value
    return (one for one in rule.decisions if (one.side or first) == side)


def _words(node: Node) -> Iterator[str]:
    if isinstance(node, Ident):
        yield node.name
    elif isinstance(node, Literal) and isinstance(node.value, str):
        yield node.value  # `record["rates.high"]` names an output as `rates.high` does
    for child in children(node):
        yield from _words(child)
