"""Drafts are written by who asks, so what becomes of records by them could tell what these hold in hidden fields."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from webapp.rulebook.kind import Document
from webapp.rulebook.library import Pins
from webapp.rulebook.mentions import words
from webapp.runs.sight import Sight


def would_tell(tx: sa.Connection, sight: Sight, documents: Iterable[Document], uses: Pins | None) -> bool:
    """Tell whether counts and outcomes of documents depend on records or fields that who asks may not see.

    Args:
        tx: a transaction.
        sight: what may be seen of the records.
        documents: rules or decision tables.
        uses: the versions of the tables that they ask.
    """
    if sight.everything:
        return False
    said = frozenset().union(*(words(tx, document, uses) for document in documents))
    fields = ((side, field.name) for side in sight.sides.values() for field in side.rights.fields)
    return not sight.all_rows or any(name in said and not side.plain(name) for side, name in fields)
