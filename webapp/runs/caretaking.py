"""Looking after the logs that systems keep for rules: none is kept for nothing, and all know how the others stand."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from webapp.extensions import House
from webapp.runs.log_keeping import let_go_unneeded
from webapp.runs.log_lags import measure
from webapp.runs.models import kept_log


class Caretaker:
    """Takes away what no rule needs and sees how the rest stands, in a thread, since systems may take their time."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Begin, if there is something to do and nothing is being done."""
        if (self._thread is None or not self._thread.is_alive()) and self._kept():
            self._thread = threading.Thread(target=self._work, name="look after logs", daemon=True)
            self._thread.start()

    def _kept(self) -> bool:
        with self._house.db.read() as tx:
            return bool(tx.scalar(sa.select(sa.exists(sa.select(kept_log.c.rule_id)))))

    def _work(self) -> None:
        let_go_unneeded(self._house)
        measure(self._house)
