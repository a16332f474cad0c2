"""Removes events that are older than the retention and under no hold. Their seals stay, so the log still verifies.

What is removed is told by a sealed event, with the places of the seals that have lost their events, signed with the key
of the log; a gap that no such event tells of is a deletion.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from webapp.audit import removals
from webapp.audit.canonical import document, leaf_of, stamp
from webapp.audit.models import audit_event, audit_leaf
from webapp.audit.places import ranges
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence import agreed
from webapp.evidence.holds import held
from webapp.evidence.signing import signer
from webapp.extensions import SYSTEM, House

BATCH = 2000
_ROOM = "audit:"
"""What tells of the log itself stays."""


def remove_due(house: House) -> int:
    """Remove a batch of what the retention lets go; return how many events, `BATCH` where there may be more."""
    days = agreed.days(house)
    if not days:
        return 0
    now = house.clock()
    until = now - timedelta(days=days)
    places = _candidates(house, until)
    return _remove(house, places, (until, days), now) if places else 0


def _candidates(house: House, until: datetime) -> dict[int, int]:
    """Return event -> place for a batch of the oldest events that may go; looked for while others write."""
    joined = audit_event.join(audit_leaf, audit_leaf.c.event_id == audit_event.c.id)
    with house.db.read() as tx:
        old = (audit_event.c.at < until, ~audit_event.c.tag.startswith(_ROOM), ~held(tx))
        query = sa.select(audit_leaf.c.seq, audit_leaf.c.hash, audit_event).select_from(joined).where(*old)
        found = tx.execute(query.order_by(audit_event.c.at, audit_event.c.id).limit(BATCH)).all()
    # what was altered, such as its time, stays and is found by `verify`
    return {row.id: row.seq for row in found if leaf_of(document(row)) == bytes(row.hash)}


def _remove(house: House, candidates: Mapping[int, int], span: tuple[datetime, int], now: datetime) -> int:
    (until, days), key = span, signer(house)
    with house.db.begin() as tx:
        # a hold may have been placed meanwhile, or another notary may have been faster
        mine = (audit_event.c.id.in_(list(candidates)), ~held(tx))
        gone = tx.scalars(sa.delete(audit_event).where(*mine).returning(audit_event.c.id)).all()
        if gone:
            places = ranges(sorted(candidates[id_] for id_ in gone))
            after = {"before": stamp(until), "days": days, "events": len(gone), "places": places}
            signed = {**after, "note": removals.note(key, until, places)}
            record(tx, SYSTEM, now, Event(Tag.AUDIT_REMOVED, Subject("audit", "events"), after=signed))
    return len(gone)
