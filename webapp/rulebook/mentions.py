"""Which words a rule says: each may name a field that it reads, itself or by a decision table that it asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from rules.documents.decision_table import KIND as DECISION_TABLE
from rules.language.nodes import Literal, Node, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError
from webapp.rulebook.kind import Document, listed
from webapp.rulebook.library import Pins, pins
from webapp.rulebook.models import rule_version

_WORD = re.compile(r"[^\W\d]\w*")
_NAMES = frozenset({"left", "right", "name", "label", "connection", "object", "reference", "after", "table", "note"})
_ASKED = ("inputs", "rows")
"""What of a decision table reads fields of records."""


def words(tx: sa.Connection, document: Document, uses: Pins | None = None) -> frozenset[str]:
    """Return what expressions of a rule and of the decision tables that it asks may name; `uses`: their versions."""
    if document.get("kind") == DECISION_TABLE:
        return frozenset(_by_table(document))
    names = {str(one.get("table")) for one in listed(document, "decisions")}
    tables = (uses or pins(tx)).get(DECISION_TABLE, {}) if names else {}
    ids = [tables[name] for name in names if name in tables]
    found = tx.scalars(sa.select(rule_version.c.document).where(rule_version.c.id.in_(ids))).all() if ids else []
    return frozenset((*_said(document), *(word for table in found for word in _by_table(table))))


def _by_table(table: Document) -> Iterator[str]:
    yield from (str(column["name"]) for column in listed(table, "inputs") if column.get("name"))
    yield from _said({part: table.get(part) for part in _ASKED})


def _said(part: Any, key: str = "") -> Iterator[str]:
    """Yield the words of a document's expressions; a field may also be named by a text, however that is written."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _said(value, str(name))
    elif isinstance(part, list):
        for value in part:
            yield from _said(value, key)
    elif isinstance(part, str) and key not in _NAMES:
        yield from (part, *_WORD.findall(part), *_texts(part))


def _texts(text: str) -> Iterator[str]:
    try:
        yield from _literals(parse(text))
    except ExpressionError:
        return


def _literals(node: Node) -> Iterator[str]:
    if isinstance(node, Literal) and isinstance(node.value, str):
        yield node.value
    for child in children(node):
        yield from _literals(child)
