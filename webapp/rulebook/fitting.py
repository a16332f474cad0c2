"""Whether a document can be published: by its kind, and for a table also by what asks it already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import sqlalchemy as sa

from rules.documents import DocumentError, DocumentProblem, errors
from rules.language.library import Library
from rules.text import N_, Message, msg
from webapp.extensions import House
from webapp.rulebook import entity_lookups
from webapp.rulebook.kind import Document
from webapp.rulebook.kinds import kind_of
from webapp.rulebook.library import library, pins, with_document
from webapp.rulebook.reading import asking
from webapp.rulebook.usage import asks


def check(house: House, document: Document, tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return what keeps the document from being published, and what to look at (warnings).

    Inside a caller's transaction only the document is looked at: who asks a table may be changed in there, too.
    """
    found = kind_of(document).check(house, document, tx)
    return found if tx is not None else [*found, *check_askers(house, document)]


def check_askers(house: House, document: Document, tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return which rules and entities would stop working if this version of a table were published."""
    with house.db.read() if tx is None else nullcontext(tx) as reading:
        pinned, name = pins(reading), str(document.get("name"))
        if name not in pinned.get(str(document.get("kind")), {}):
            return []
        try:
            after = with_document(pinned, reading, document)
        except DocumentError:
            return []  # the check of the document says what is wrong with it
        before = library(house, pinned, reading)
        return [DocumentProblem("", message) for message in stopped(house, reading, name, before, after)]


def stopped(house: House, tx: sa.Connection, table: str, before: Library, after: Library) -> Iterator[Message]:
    """Say which published rules and entities ask the table and work with the tables before, but not after."""
    for rule in asking(tx):
        if rule.name == table or not asks(rule.document, table):
            continue
        old, new = (kind_of(rule.document).fits(house, rule.document, tx, known) for known in (before, after))
        if problem := _first_new(old, new):
            text = N_("The rule '{user}' asks this table and would stop working. {problem} Change that rule first.")
            yield msg(text, user=rule.name, problem=problem.message)
    for entity in entity_lookups.asking(tx, table):
        old, new = (entity_lookups.fits(entity, known) for known in (before, after))
        if problem := _first_new(old, new):
            text = N_("The entity '{user}' asks this table and would stop working. {problem} Change that entity first.")
            yield msg(text, user=entity.name, problem=problem.message)


def _first_new(before: list[DocumentProblem], after: list[DocumentProblem]) -> DocumentProblem | None:
    known = {(problem.path, str(problem.message)) for problem in before}
    return next((p for p in errors(after) if (p.path, str(p.message)) not in known), None)
