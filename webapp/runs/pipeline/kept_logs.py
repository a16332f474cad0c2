"""Which logs of changes systems keep for a rule: noted before a run goes on, so that none is kept for nothing."""

from __future__ import annotations

import sqlalchemy as sa

from connectors.spi import Capture
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM
from webapp.runs.models import kept_log
from webapp.runs.pipeline.journal import Journal


def note(journal: Journal, side: str, place: tuple[str, str], capture: Capture) -> None:
    """Note that a system keeps its log for a side of a rule; `place` is connection and object."""
    claim, house = journal.claim, journal.house
    mine = (kept_log.c.rule_id == claim.rule_id, kept_log.c.side == side)
    values = {"connection": place[0], "object": place[1], "key": capture.key, "name": capture.name}
    with house.db.begin() as tx:
        known = tx.execute(sa.select(kept_log).where(*mine)).one_or_none()
        if known is not None and {name: getattr(known, name) for name in values} == values:
            return
        now = house.clock()
        head = {"rule_id": claim.rule_id, "side": side, "rule_name": claim.rule_name, "kept_at": now}
        tx.execute(sa.delete(kept_log).where(*mine))
        tx.execute(sa.insert(kept_log).values(**head, **values))
        record(
            tx, SYSTEM, now, Event(Tag.LOG_KEPT, Subject("rule", claim.rule_name), None, values, run_id=claim.run_id)
        )
