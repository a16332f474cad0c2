"""Which lookup tables the expressions of entities ask; how they get them is in `library`."""

from __future__ import annotations

import sqlalchemy as sa

from rules.documents import DocumentProblem
from rules.language.library import Library
from rules.text import Message, msg
from rules.validations import check_validations
from webapp.entities import storage
from webapp.entities.documents import to_document
from webapp.entities.expressions import check_expressions
from webapp.entities.lookups import Published
from webapp.entities.model import Entity
from webapp.rulebook.usage import asks


def asking(tx: sa.Connection, table: str) -> list[Entity]:
    """Return the entities whose expressions ask a lookup table."""
    return [entity for entity in storage.every(tx) if asks(to_document(entity), table)]


def asked_by_entities(tx: sa.Connection, table: str) -> Message | None:
    """Say which entity asks a lookup table, None where none does."""
    user = next((entity.name for entity in asking(tx, table)), None)
    if user is None:
        return None
    return msg("The entity '{user}' asks the table '{name}'. Change that entity first.", user=user, name=table)


def fits(entity: Entity, known: Library) -> list[DocumentProblem]:
    """Return what keeps an entity's expressions from working with the given tables."""
    checked = check_validations(entity.validations, entity.schema, entity.name, library=known)
    return [*check_expressions(entity, Published(library=known)), *checked]
