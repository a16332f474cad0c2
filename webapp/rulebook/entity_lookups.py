"""Which lookup tables the expressions of entities ask; how they get them is in `library`."""

from __future__ import annotations

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.entities import storage
from webapp.entities.documents import to_document
from webapp.rulebook.usage import asks


def asked_by_entities(tx: sa.Connection, table: str) -> Message | None:
    """Say which entity asks a lookup table, None where none does."""
    user = next((entity.name for entity in storage.every(tx) if asks(to_document(entity), table)), None)
    if user is None:
        return None
    return msg("The entity '{user}' asks the table '{name}'. Change that entity first.", user=user, name=table)
