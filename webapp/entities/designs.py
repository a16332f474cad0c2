"""Who may change the design of an entity: a design decides what its fields are called and where its values go."""

from __future__ import annotations

import sqlalchemy as sa

from rules.text import msg
from webapp.entities import storage
from webapp.entities.permitted import Permit, permit_of
from webapp.policies.errors import NotPermitted
from webapp.policies.who import Who


def require_design(tx: sa.Connection, who: Who, name: str) -> None:
    """Raise `NotPermitted` where an entity exists and `who` may not see all of its records; a new one may be made."""
    try:
        entity = storage.current(tx, name)
    except storage.NoEntity:
        return
    require_whole(permit_of(tx, who, entity))


def require_whole(permit: Permit) -> None:
    """Raise `NotPermitted` for whoever may not see all of the records.

    A new name or a computed field would show what is hidden, and a plan tells of values and records that do not fit.
    """
    if not permit.unrestricted:
        text = msg(
            "Your roles hide fields or records of '{entity}' from you, so you cannot change or delete its design.",
            entity=permit.entity.name,
        )
        raise NotPermitted(text)
