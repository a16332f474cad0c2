"""The check of the whole log as a job, so that a page can ask for it and show what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from webapp.audit.findings import Report
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.audit.verification import Entry
from webapp.evidence import checking
from webapp.evidence.jobs import Hold
from webapp.evidence.stored import StoredLog, opened
from webapp.extensions import SYSTEM, House

_EVERY = 1000


class _Counted(StoredLog):
    """The log, telling how far it has been read."""

    def __init__(self, tx: sa.Connection, hold: Hold) -> None:
        super().__init__(tx)
        self._hold, self._total = hold, self.size

    def entries(self) -> Iterator[Entry]:
        """Yield all leaves with their events."""
        for number, entry in enumerate(super().entries(), 1):
            if number % _EVERY == 0:
                self._hold.progress(number, self._total)
            yield entry


def do(house: House, hold: Hold) -> Mapping[str, Any]:
    """Check the log with the records of runs, as the command does."""
    with opened(house) as log:
        counted, stored = _Counted(log.tx, hold), checking.stored_blobs(log.tx)

        def read(name: str) -> bytes | None:
            hold.progress(counted.size, counted.size + 1)  # reading the records of runs may take longer than a lease
            return stored(name)

        report = checking.check(counted, read, (), (), checking.stored_rows(log.tx))
    told(house, report)
    return {"result": report.to_json(), "done": report.size, "total": report.size}


def told(house: House, report: Report) -> None:
    """Tell the log of the check."""
    found = {kind.value: count for kind, count in report.counts.items()}
    after = {"intact": report.intact, "size": report.size, "findings": found}
    with house.db.begin() as tx:
        record(tx, SYSTEM, house.clock(), Event(Tag.AUDIT_VERIFIED, Subject("audit", "events"), after=after))
