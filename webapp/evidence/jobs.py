"""Work on the log as a whole, done by workers: evidence packages and checks. The database tells who does what.

A worker takes a job up with one conditional update that raises its token; each sign of progress renews its lease under
that token. What a worker that died has left is taken up by another one, from its beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.audit.services import Event
from webapp.audit.services import record as tell
from webapp.evidence.models import audit_job
from webapp.extensions import Actor, House
from webapp.wake import announce

PACKAGE, VERIFY = "package", "verify"
QUEUED, WORKING, DONE, FAILED = "queued", "working", "done", "failed"
LEASE = timedelta(seconds=60)
AGAIN = timedelta(seconds=15)
"""After this time a job that nobody has taken up is announced once more."""
_FAILED = N_("It failed: {why}. Ask for it again; the log of the worker says more.")

log = logging.getLogger(__name__)


class Lost(Exception):
    """Another worker has taken the job up."""


@dataclass(frozen=True)
class Job:
    """A job as people see it."""

    id: int
    kind: str
    wanted: Mapping[str, Any]
    state: str
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    done: int
    total: int
    result: Mapping[str, Any] | None
    file: str | None
    size: int | None
    digest: str | None

    @property
    def active(self) -> bool:
        """Tell whether it waits or is worked on."""
        return self.state in (QUEUED, WORKING)

    @property
    def problem(self) -> Message | None:
        """Return why it failed."""
        found = (self.result or {}).get("problem")
        return Message.from_json(found) if found else None


_COLUMNS = tuple(audit_job.c[name] for name in Job.__dataclass_fields__)
Doer = Callable[[House, "Hold"], Mapping[str, Any]]
"""Does a job and returns the columns to note: result, file, size, digest."""


def request(house: House, kind: str, wanted: Mapping[str, Any], actor: Actor, *events: Event) -> int:
    """Ask for a job and return its number; `events` are told with it."""
    now = house.clock()
    values = {"kind": kind, "wanted": dict(wanted), "state": QUEUED, "requested_by": actor.name, "requested_at": now}
    with house.db.begin() as tx:
        key = tx.execute(sa.insert(audit_job).values(**values, token=0, done=0, total=0)).inserted_primary_key
        tell(tx, actor, now, *events)
    announce(house.settings)
    return int(key[0]) if key else 0


def get(tx: sa.Connection, number: int) -> Job | None:
    """Return a job."""
    found = tx.execute(sa.select(*_COLUMNS).where(audit_job.c.id == number)).one_or_none()
    return None if found is None else Job(**found._mapping)  # noqa: SLF001 - SQLAlchemy's documented way


def listing(tx: sa.Connection, kind: str, limit: int = 50) -> list[Job]:
    """Return jobs of a kind, the latest first."""
    query = sa.select(*_COLUMNS).where(audit_job.c.kind == kind).order_by(audit_job.c.id.desc()).limit(limit)
    return [Job(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001


def waiting(house: House) -> list[int]:
    """Return the jobs that have to be announced, and note that they are."""
    now, told = house.clock(), audit_job.c.announced_at
    long_ago = sa.or_(told.is_(None), told < now - AGAIN, told > now + AGAIN)
    left = sa.and_(audit_job.c.state == WORKING, audit_job.c.lease_until < now)
    due = sa.and_(sa.or_(audit_job.c.state == QUEUED, left), long_ago)
    with house.db.read() as tx:
        found = list(tx.scalars(sa.select(audit_job.c.id).where(due).order_by(audit_job.c.id)))
    if found:
        with house.db.begin() as tx:
            tx.execute(sa.update(audit_job).where(audit_job.c.id.in_(found)).values(announced_at=now))
    return found


@dataclass
class Hold:
    """A job in the hands of one worker."""

    house: House
    job: Job
    token: int
    _told: datetime | None = None

    def progress(self, done: int, total: int) -> None:
        """Tell how far it is, once a second, and keep the job; raises `Lost`."""
        now = self.house.clock()
        if self._told is None or now - self._told >= timedelta(seconds=1) or done >= total:
            self._told = now
            self._note(done=done, total=total, lease_until=now + LEASE)

    def end(self, state: str, **values: Any) -> None:
        """Note how it ended; raises `Lost`."""
        self._note(state=state, ended_at=self.house.clock(), lease_until=None, **values)

    def _note(self, **values: Any) -> None:
        mine = (audit_job.c.id == self.job.id, audit_job.c.token == self.token, audit_job.c.state == WORKING)
        with self.house.db.begin() as tx:
            if tx.execute(sa.update(audit_job).where(*mine).values(values)).rowcount != 1:
                raise Lost


def work(house: House, number: int, doers: Mapping[str, Doer]) -> bool:
    """Do a job; False where there is nothing to do, or another worker does it."""
    hold = _claim(house, number)
    if hold is None:
        return False
    try:
        hold.end(DONE, **doers[hold.job.kind](house, hold))
    except Lost:
        log.warning("Job %s of the audit log was taken over by another worker.", number)
        return False
    except Exception as error:
        told = getattr(error, "message", None)
        if told is None:
            log.exception("Job %s of the audit log failed.", number)
        problem = told or msg(_FAILED, why=f"{type(error).__name__}: {error}"[:300])
        hold.end(FAILED, result={"problem": problem.to_json()})
    return True


def _claim(house: House, number: int) -> Hold | None:
    now, table = house.clock(), audit_job.c
    free = sa.or_(table.state == QUEUED, sa.and_(table.state == WORKING, table.lease_until < now))
    taken = {"state": WORKING, "token": table.token + 1, "started_at": now, "lease_until": now + LEASE, "done": 0}
    with house.db.begin() as tx:
        query = sa.update(audit_job).where(table.id == number, free).values(taken).returning(table.token)
        token = tx.scalar(query)
        job = get(tx, number)
    return None if token is None or job is None else Hold(house, job, token)
