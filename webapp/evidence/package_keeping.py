"""Removes evidence packages that are older than their retention, unless a legal hold keeps an event that they hold.

The job stays with the digest of its file, so that a copy that somebody has kept can still be told from a made-up one.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from webapp.audit import queries
from webapp.audit.models import audit_event
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence import jobs, package
from webapp.evidence.holds import held
from webapp.evidence.models import audit_job
from webapp.extensions import SYSTEM, House

BATCH = 50


def remove_due(house: House) -> int:
    """Remove a batch of packages that may go; return how many."""
    days = house.settings.package_days
    if not days:
        return 0
    until = house.clock() - timedelta(days=days)
    old = (audit_job.c.kind == jobs.PACKAGE, audit_job.c.file.is_not(None), audit_job.c.ended_at < until)
    with house.db.read() as tx:
        due = [
            one for one in tx.execute(sa.select(audit_job).where(*old).order_by(audit_job.c.id)) if not _held(tx, one)
        ]
    for one in due[:BATCH]:
        _remove(house, one, days)
    return len(due[:BATCH])


def _held(tx: sa.Connection, job: sa.Row[tuple[object, ...]]) -> bool:
    """Tell whether a hold keeps an event of a package."""
    wanted = package.Wanted.from_json(job.wanted).filter
    query = sa.select(audit_event.c.id).where(*queries.conditions(wanted), audit_event.c.at <= job.ended_at, held(tx))
    return tx.execute(query.limit(1)).first() is not None


def _remove(house: House, job: sa.Row[tuple[object, ...]], days: int) -> None:
    (package.folder(house) / job.file).unlink(missing_ok=True)
    with house.db.begin() as tx:
        mine = (audit_job.c.id == job.id, audit_job.c.file.is_not(None))
        if tx.execute(sa.update(audit_job).where(*mine).values(file=None)).rowcount:
            told = {"digest": job.digest, "made_at": job.ended_at.isoformat(), "days": days}
            event = Event(Tag.PACKAGE_REMOVED, Subject("package", str(job.id)), before=told)
            record(tx, SYSTEM, house.clock(), event)
