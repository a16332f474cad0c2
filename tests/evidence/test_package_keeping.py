"""Evidence packages are kept for some days, and longer under a legal hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import sqlalchemy as sa

from tests.evidence.conftest import WHO, Clock, sealed
from webapp.audit import queries
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.evidence import desk, holds, jobs, package, package_keeping
from webapp.evidence.holds import Scope
from webapp.extensions import House


def made(house: House, wanted: package.Wanted) -> Path:
    """Make a package and return its file."""
    number = jobs.request(house, jobs.PACKAGE, wanted.to_json(), WHO)
    assert desk.work(house, number)
    with house.db.read() as tx:
        job = jobs.get(tx, number)
    assert job is not None
    return package.folder(house) / str(job.file)


def test_packages_go_after_their_days(house: House, clock: Clock):
    """A package goes after ninety days, its digest stays, and the log tells of it; with 0 days all are kept."""
    sealed(house, 3)
    path = made(house, package.Wanted(queries.Filter(kind="rule"), "Rules"))
    clock.forward(days=90)
    assert package_keeping.remove_due(house) == 0
    assert path.is_file()
    clock.forward(seconds=1)
    always = dataclasses.replace(house, settings=dataclasses.replace(house.settings, package_days=0))
    assert package_keeping.remove_due(always) == 0
    assert package_keeping.remove_due(house) == 1
    assert not path.exists()
    assert package_keeping.remove_due(house) == 0
    with house.db.read() as tx:
        (job,) = jobs.listing(tx, jobs.PACKAGE)
        (event,) = tx.execute(sa.select(audit_event).where(audit_event.c.tag == Tag.PACKAGE_REMOVED)).all()
    assert (job.file, job.state) == (None, jobs.DONE)
    assert event.before["digest"] == job.digest


def test_a_hold_keeps_the_packages_of_its_events(house: House, clock: Clock):
    """A package that holds what a legal hold covers stays until the hold is released; others go."""
    sealed(house, 3)
    kept = made(house, package.Wanted(queries.Filter(subject="r1"), "One"))
    gone = made(house, package.Wanted(queries.Filter(subject="r2"), "Two"))
    holds.place(house, "case", "A claim.", Scope("rule", "r1"), WHO)
    clock.forward(days=91)
    assert package_keeping.remove_due(house) == 1
    assert (kept.is_file(), gone.exists()) == (True, False)
    holds.release(house, "case", WHO)
    assert package_keeping.remove_due(house) == 1
    assert not kept.exists()
