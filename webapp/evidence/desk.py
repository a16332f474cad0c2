"""Who does which job."""

from __future__ import annotations

from collections.abc import Mapping

from webapp.evidence import check_job, jobs, package
from webapp.evidence.jobs import Doer
from webapp.extensions import House

DOERS: Mapping[str, Doer] = {jobs.PACKAGE: package.do, jobs.VERIFY: check_job.do}


def work(house: House, number: int) -> bool:
    """Do a job; False where there is nothing to do."""
    return jobs.work(house, number, DOERS)
