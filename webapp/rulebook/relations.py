"""Which rules come after which: what is published of them, and whether a document fits in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentProblem
from rules.documents.relations import Document, before, circle, in_turn, named_before
from rules.language.problems import Severity
from rules.text import N_, Message, msg
from webapp.rulebook.models import rule, rule_version
from webapp.rulebook.reading import list_rules

SYNC = "sync"


def published_graph(tx: sa.Connection) -> dict[str, tuple[str, ...]]:
    """Return for each published sync rule those that come directly before it."""
    version = sa.and_(rule_version.c.rule_id == rule.c.id, rule_version.c.version == rule.c.published_version)
    query = sa.select(rule.c.name, rule_version.c.document).join(rule_version, version).where(rule.c.kind == SYNC)
    return {name: before(document) for name, document in tx.execute(query.order_by(rule.c.name))}


def all_before(tx: sa.Connection, name: str, document: Document) -> list[str]:
    """Return the rules that come before a rule, directly or not, each behind those before it."""
    first = before(document)
    return [one for one in in_turn(first, published_graph(tx)) if one != name] if first else []


def after(tx: sa.Connection, name: str) -> list[str]:
    """Return the published rules that come directly after a rule."""
    return [other for other, names in published_graph(tx).items() if name in names]


def check_relations(tx: sa.Connection, document: Document) -> Iterator[DocumentProblem]:
    """Yield what is wrong with the rules that a document names as coming before it."""
    rows = {row.name: row for row in list_rules(tx)}
    own = str(document.get("name"))
    graph: dict[str, tuple[str, ...]] = {name: before(row.published or row.draft or {}) for name, row in rows.items()}
    graph[own] = before(document)
    for path, name in named_before(document):
        row = rows.get(name)
        if name == own:
            yield from _itself(path)
        elif row is None or row.kind != SYNC:
            yield DocumentProblem(path, msg("There is no sync rule called '{name}'.", name=name))
        elif way := circle(own, {**graph, own: (name,)}):
            text = N_("Each would have to run after the other: {way}. Take one of them out.")
            yield DocumentProblem(path, msg(text, way=" ← ".join(way)))
        elif row.published is None:
            text = N_("The rule '{name}' is not published yet. Until it has run, nothing can follow it.")
            yield DocumentProblem(path, msg(text, name=name), severity=Severity.WARNING)


def _itself(path: str) -> Iterator[DocumentProblem]:
    if path.startswith("after/"):
        yield DocumentProblem(path, msg("A rule cannot run after itself."))
        return
    text = N_(
        "Records of this rule refer to each other: each run goes one level further. With on_error: null it writes all"
        " at once and fills the field in next time."
    )
    yield DocumentProblem(path, msg(text), severity=Severity.WARNING)


def named_by_rules(tx: sa.Connection, name: str) -> Message | None:
    """Say which rules run after a rule or refer to its records, None where none does."""
    users = [row.name for row in list_rules(tx) if row.name != name and _names(row.draft, row.published, name)]
    if not users:
        return None
    return msg("The rule '{user}' comes after '{name}'. Change that rule first.", user=users[0], name=name)


def _names(draft: dict[str, Any] | None, published: dict[str, Any] | None, name: str) -> bool:
    return any(name in before(document) for document in (draft, published) if document)
