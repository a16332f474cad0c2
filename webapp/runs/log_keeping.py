"""Logs of changes that systems keep for rules: how they stand, and taking them away where no rule needs them any more.

A system that keeps its log for a rule that nobody runs fills its disk. So what was made there is taken away once the
rule is deleted, is not fed by that log any more, or reads another object.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.changes import LogState
from connectors.errors import ConnectorError
from connectors.spi import Capture
from rules.documents.sync import Detect, DetectBy, Side
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.services import open_connector
from webapp.connections.store import find_connection
from webapp.extensions import SYSTEM, Actor, House
from webapp.rulebook.models import rule, rule_version
from webapp.runs.models import kept_log, rule_cursor, run
from webapp.runs.pipeline.cursors import name_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptLog:
    """A log that a system keeps for one side of a rule; `needed` tells whether the rule, as published, is fed by it."""

    rule_id: int
    rule_name: str
    side: str
    connection: str
    object: str
    key: str
    name: str
    needed: bool

    @property
    def capture(self) -> Capture:
        """Return what the connector knows it by."""
        return Capture(self.name, self.key)


def listing(tx: sa.Connection) -> list[KeptLog]:
    """Return all logs that are kept, by the name of the rule."""
    published = sa.and_(rule_version.c.rule_id == rule.c.id, rule_version.c.version == rule.c.published_version)
    query = (
        sa.select(kept_log, rule_version.c.document)
        .select_from(kept_log.outerjoin(rule, rule.c.id == kept_log.c.rule_id).outerjoin(rule_version, published))
        .order_by(kept_log.c.rule_name, kept_log.c.side)
    )
    names = ("rule_id", "rule_name", "side", "connection", "object", "key", "name")
    return [
        KeptLog(**{name: getattr(row, name) for name in names}, needed=_needed(row.document or {}, row))
        for row in tx.execute(query)
    ]


def _needed(document: Mapping[str, Any], row: Any) -> bool:
    detect = (document.get("detect") or {}).get(row.side) or {}
    part = document.get(row.side) or {}
    wanted = (detect.get("by"), part.get("connection"), part.get("object"))
    return bool(wanted == ("cdc", row.connection, row.object))


def _sources(kept: KeptLog) -> list[str]:
    """Return the names under which a rule notes how far it has read, whichever way it flows."""
    side = Side(kept.connection, kept.object)
    detect = Detect(DetectBy.CDC)
    return [name_of(side, detect), name_of(side, detect, kept.side)]


def since(tx: sa.Connection, kept: KeptLog) -> dict[str, Any] | None:
    """Return where a rule goes on in a log; None before it has run to its end."""
    mine = (rule_cursor.c.rule_id == kept.rule_id, rule_cursor.c.source.in_(_sources(kept)))
    return tx.scalar(sa.select(rule_cursor.c.value).where(*mine))


def state(house: House, kept: KeptLog) -> LogState | None:
    """Return how a log stands, seen from where its rule has read it to; None before the rule has run to its end."""
    with house.db.read() as tx:
        place = since(tx, kept)
    if place is None:
        return None
    with open_connector(house, kept.connection) as connector:
        return connector.change_log(kept.object, kept.capture).state(place)


def let_go(house: House, kept: KeptLog, actor: Actor) -> None:
    """Take away what a system keeps for a rule; raises `ConnectorError` where it cannot be reached.

    The next run of the rule compares all records. Where the connection does not exist any more, it is only noted.
    """
    with house.db.read() as tx:
        known = find_connection(tx, kept.connection) is not None
    if known:
        with open_connector(house, kept.connection) as connector:
            connector.change_log(kept.object, kept.capture).drop()
    else:
        log.warning("the log %s of %s stays where it is: its connection was deleted", kept.name, kept.rule_name)
    with house.db.begin() as tx:
        tx.execute(sa.delete(kept_log).where(kept_log.c.rule_id == kept.rule_id, kept_log.c.side == kept.side))
        mine = (rule_cursor.c.rule_id == kept.rule_id, rule_cursor.c.source.in_(_sources(kept)))
        tx.execute(sa.delete(rule_cursor).where(*mine))
        told = {"connection": kept.connection, "object": kept.object, "name": kept.name}
        record(tx, actor, house.clock(), Event(Tag.LOG_LET_GO, Subject("rule", kept.rule_name), told, None))


def let_go_unneeded(house: House) -> int:
    """Take away what no rule needs; return how many logs. What cannot be reached is tried again later."""
    count = 0
    for kept in unneeded(house):
        try:
            let_go(house, kept, SYSTEM)
            count += 1
        except ConnectorError as error:
            log.warning("the log %s of %s could not be taken away yet: %s", kept.name, kept.rule_name, error)
    return count


def unneeded(house: House) -> list[KeptLog]:
    """Return the logs that no published rule is fed by, and that no run is reading."""
    with house.db.read() as tx:
        found = [kept for kept in listing(tx) if not kept.needed]
        going = sa.select(run.c.rule_id).where(run.c.state.in_(("queued", "running", "suspended")))
        busy = set(tx.scalars(going.where(run.c.rule_id.in_([kept.rule_id for kept in found])))) if found else set()
    return [kept for kept in found if kept.rule_id not in busy]
