"""Who works on the slices of a split run: each is claimed under a lease and a token of its own, by any worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from webapp.extensions import House
from webapp.runs.admission import admitted, fitting, used, waiting
from webapp.runs.models import fence, run
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.slice_journal import sliced
from webapp.runs.pipeline.stopping import requested
from webapp.runs.slices.models import run_slice, run_split


def are_done(house: House, run_id: int) -> bool:
    """Tell whether a run is split and all its slices are done."""
    return _states(house, run_id) == {"done"}


def are_left(house: House, run_id: int) -> bool:
    """Tell whether slices of a run are left to be worked on."""
    return bool(_states(house, run_id) - {"done"})


def are_waiting(tx: sa.Connection, run_id: int) -> bool:
    """Tell whether slices of a run at work are left, which are taken up one by one."""
    left = sa.exists().where(run_slice.c.run_id == run.c.id, run_slice.c.state != "done")
    return tx.execute(sa.select(run.c.id).where(run.c.id == run_id, run.c.state == "running", left)).first() is not None


def _states(house: House, run_id: int) -> set[str]:
    with house.db.read() as tx:
        return set(tx.scalars(sa.select(run_slice.c.state).where(run_slice.c.run_id == run_id).distinct()))


def leave(house: House, run_id: int) -> bool:
    """Tell whether a worker goes on with something else than the next slice: it is to stop, or other runs wait."""
    if requested():
        return True
    with house.db.read() as tx:
        return any(one.run_id != run_id for one in waiting(tx, house.clock()))


def free(now: datetime, seconds: float) -> sa.ColumnElement[bool]:
    """Tell of a slice whether nobody works on it; leases of so many seconds as `claims.lapsed` tells of those of runs.

    A run that is about to stop takes up only slices whose workers are gone: their chunks may be half-way there.
    """
    until = run_slice.c.lease_until
    lapsed = sa.or_(until < now, until > now + timedelta(seconds=2 * seconds))
    goes_on = sa.exists().where(run_split.c.run_id == run_slice.c.run_id, run_split.c.stop.is_(None))
    waits = sa.and_(run_slice.c.state == "queued", goes_on)
    works = sa.exists().where(run.c.id == run_slice.c.run_id, run.c.state == "running")
    return sa.and_(works, sa.or_(waits, sa.and_(run_slice.c.state == "running", lapsed)))


def claim(house: House, run_id: int, worker: str) -> Claim | None:
    """Return a slice of a run at work that is free, else None."""
    now, seconds = house.clock(), house.settings.lease_seconds
    with house.db.read() as tx:
        asked = (run_slice.c.run_id == run_id, free(now, seconds))
        numbers = tx.scalars(sa.select(run_slice.c.no).where(*asked).order_by(run_slice.c.no)).all()
    for number in numbers:
        claimed = _claimed(house, (run_id, number), worker)
        if claimed is not None:
            return claimed
    return None


def _claimed(house: House, which: tuple[int, int], worker: str) -> Claim | None:
    now, seconds = house.clock(), house.settings.lease_seconds
    mine = (run_slice.c.run_id == which[0], run_slice.c.no == which[1])
    until = now + timedelta(seconds=seconds)
    begun = sa.func.coalesce(run_slice.c.started_at, sa.literal(now, run_slice.c.started_at.type))
    taken = {"state": "running", "worker": worker, "attempts": run_slice.c.attempts + 1, "lease_until": until}
    with house.db.begin() as tx:
        state = tx.scalar(sa.select(run_slice.c.state).where(*mine))
        if state != "running" and not _admitted(tx, which[0]):  # one that was left behind still holds its place
            return None
        held = (*mine, run_slice.c.state == state, free(now, seconds))
        if tx.execute(sa.update(run_slice).where(*held).values(**taken, started_at=begun)).rowcount != 1:
            return None
        _renew_run(tx, which[0], until)  # the run's row before the rule's fence, as whoever claims a run locks them
        tx.execute(sa.update(run_slice).where(*mine).values(token=_next_token(tx, which[0])))
        row = tx.execute(sa.select(run).where(run.c.id == which[0])).one()
        split = tx.execute(sa.select(run_split).where(run_split.c.run_id == which[0])).one()
        return sliced(Claim.of(row), tx.execute(sa.select(run_slice).where(*mine)).one(), split)


def _admitted(tx: sa.Connection, run_id: int) -> bool:
    """Tell whether the limits of the run's connections allow one more piece of work."""
    columns = (run.c.rule_id, run.c.left_connection, run.c.right_connection)
    row = tx.execute(sa.select(*columns).where(run.c.id == run_id)).one()
    return admitted(tx, row.rule_id, used(row))


def _next_token(tx: sa.Connection, run_id: int) -> int:
    """Return a token that is higher than any before it of the rule; its run was claimed, so it has one."""
    mine = fence.c.rule_name == sa.select(run.c.rule_name).where(run.c.id == run_id).scalar_subquery()
    tx.execute(sa.update(fence).where(mine).values(token=fence.c.token + 1))
    return int(tx.execute(sa.select(fence.c.token).where(mine)).scalar_one())


def renew(tx: sa.Connection, claimed: Claim, until: datetime) -> bool:
    """Keep the lease of a claimed slice, and that of its run; False where the slice is not ours any more."""
    assert claimed.slice is not None  # noqa: S101 - it is what was claimed
    mine = (run_slice.c.run_id == claimed.run_id, run_slice.c.no == claimed.slice.no)
    held = (*mine, run_slice.c.token == claimed.token, run_slice.c.state == "running")
    if tx.execute(sa.update(run_slice).where(*held).values(lease_until=until)).rowcount != 1:
        return False
    _renew_run(tx, claimed.run_id, until)
    return True


def _renew_run(tx: sa.Connection, run_id: int, until: datetime) -> None:
    tx.execute(sa.update(run).where(run.c.id == run_id, run.c.state == "running").values(lease_until=until))


def joinable(tx: sa.Connection, now: datetime, seconds: float) -> tuple[list[int], list[int]]:
    """Return the runs with free slices that may be begun: those on which nobody works at the moment, and the others."""
    asked = sa.select(run_slice.c.run_id).distinct().order_by(run_slice.c.run_id)
    left = set(tx.scalars(asked.where(free(now, seconds), run_slice.c.state == "running")))
    able = left | fitting(tx)
    found = [one for one in tx.scalars(asked.where(free(now, seconds))) if one in able]
    held = sa.and_(run_slice.c.state == "running", run_slice.c.lease_until >= now)
    busy = set(tx.scalars(asked.where(held, run_slice.c.run_id.in_(found))))
    return [one for one in found if one not in busy], [one for one in found if one in busy]


def to_announce(tx: sa.Connection, now: datetime, seconds: float, again: timedelta) -> dict[int, int]:
    """Return of each run at work the first free slice that was not announced lately: one more worker can begin."""
    told = run_slice.c.announced_at
    long_ago = sa.or_(told.is_(None), told < now - again, told > now + again)
    query = sa.select(run_slice.c.run_id, sa.func.min(run_slice.c.no).label("no")).where(free(now, seconds), long_ago)
    return {row.run_id: row.no for row in tx.execute(query.group_by(run_slice.c.run_id))}


def announced(tx: sa.Connection, found: dict[int, int], now: datetime) -> None:
    """Note that slices were announced."""
    for run_id, number in found.items():
        mine = (run_slice.c.run_id == run_id, run_slice.c.no == number)
        tx.execute(sa.update(run_slice).where(*mine).values(announced_at=now))


@dataclass(frozen=True)
class SliceRow:
    """A slice as its run's page shows it."""

    no: int
    state: str
    worker: str | None
    attempts: int
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the slice as the API shows it, without the keys between which it lies."""
        names = ("state", "worker", "attempts", "counts")
        return {"slice": self.no, **{name: getattr(self, name) for name in names}}


def of_run(tx: sa.Connection, run_id: int) -> Sequence[SliceRow]:
    """Return the slices of a run, none where it is not split."""
    names = ("no", "state", "worker", "attempts", "counts")
    query = sa.select(*(run_slice.c[name] for name in names)).where(run_slice.c.run_id == run_id)
    return [SliceRow(*row) for row in tx.execute(query.order_by(run_slice.c.no))]
