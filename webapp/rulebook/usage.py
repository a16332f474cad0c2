"""Tells the rooms below what rules use, so that a connection or an entity at work cannot be deleted."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.connections.catalogue import HUB
from webapp.rulebook.reading import using_connection, using_object
from webapp.rulebook.translation import translate as _


def rules_of_connection(tx: sa.Connection, connection: str) -> list[str]:
    """Return the rules that use a connection, as a person knows them."""
    return [_("the rule %(name)s", name=name) for name in using_connection(tx, connection)]


def rules_of_entity(tx: sa.Connection, entity: str) -> list[str]:
    """Return the rules that read or write an entity, as a person knows them."""
    return [_("the rule %(name)s", name=name) for name in using_object(tx, HUB, entity)]
