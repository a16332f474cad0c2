"""Whether a document can be published: its own keys, then against the two objects as their systems describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.spi import Capabilities
from rules.documents.check import check_sync
from rules.documents.parse import parse_sync
from rules.documents.problems import DocumentError, DocumentProblem
from rules.schema import Schema
from rules.text import Message
from webapp.connections import services as connections
from webapp.connections.catalogue import connector_class
from webapp.connections.models import connection_object
from webapp.extensions import House

SIDES = ("left", "right")


@dataclass(frozen=True)
class Seen:
    """What is known of one side: its schema, or in one sentence why not; `at` is the key of the document to blame."""

    schema: Schema | None = None
    problem: Message | None = None
    at: str = "connection"
    capabilities: Capabilities | None = None


def check(house: House, document: Mapping[str, Any], tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return what keeps the document from being published, and what to look at (warnings).

    Inside a caller's transaction the systems are not asked, since that would hold up everybody who wants to write:
    then the fields are checked only as far as they are known from earlier.
    """
    try:
        rule = parse_sync(document)
    except DocumentError as error:
        return list(error.problems)
    seen = {side: look(house, document, side, tx) for side in SIDES}
    found = [DocumentProblem(f"{side}/{s.at}", s.problem) for side, s in seen.items() if s.problem]
    return found + list(check_sync(rule, seen["left"].schema, seen["right"].schema))


def look(house: House, document: Mapping[str, Any], side: str, tx: sa.Connection | None = None) -> Seen:
    """Return the schema of one side, or one sentence about why it cannot be had."""
    part = document.get(side)
    connection, object_name = (
        (part.get("connection"), part.get("object")) if isinstance(part, Mapping) else (None, None)
    )
    if not connection or not object_name:
        return Seen()
    try:
        if tx is not None:
            return _known(tx, str(connection), str(object_name))
        return Seen(connections.object_schema(house, str(connection), str(object_name)))
    except connections.ConnectionProblem as error:
        return Seen(problem=error.message)
    except ConnectorError as error:
        at = "object" if error.object_name else "connection"
        return Seen(problem=connections.sentence(error), at=at)


def _known(tx: sa.Connection, connection: str, object_name: str) -> Seen:
    row = connections.get_connection(tx, connection)
    connector_class(row.connector)
    table = connection_object.c
    query = sa.select(table.schema).where(table.connection_id == row.id, table.name == object_name)
    data = tx.execute(query).scalar_one_or_none()
    return Seen(None if data is None else Schema.from_json(data))
