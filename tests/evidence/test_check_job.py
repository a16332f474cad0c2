"""The check of the whole log keeps its job while it reads what runs have stored."""

from __future__ import annotations

from tests.evidence.conftest import WHO, sealed
from webapp.audit.findings import Report
from webapp.evidence import checking, jobs
from webapp.evidence.desk import work


def test_a_check_that_reads_for_long_keeps_its_job(house, clock, monkeypatch):
    """Parts of runs that take longer than the lease: nobody else may take the job up meanwhile."""
    sealed(house, 3)
    number = jobs.request(house, jobs.VERIFY, {}, WHO)

    def slow(_log, blobs, *_more):
        for part in range(4):
            clock.forward(seconds=40)
            blobs(f"1/{part}.outcomes")
            assert jobs.waiting(house) == []
        return Report()

    monkeypatch.setattr(checking, "check", slow)
    assert work(house, number)
    with house.db.read() as tx:
        assert jobs.get(tx, number).state == jobs.DONE
