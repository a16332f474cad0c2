"""How often deliveries of web hooks were refused and why: counted in memory, and written down every few seconds.

Strangers could otherwise make the database write with each request.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rules.text import N_
from webapp.events.models import event_hook_refusal
from webapp.extensions import House

log = logging.getLogger(__name__)

UNKNOWN = 0
"""In the place of a hook's number: there is none of that name."""
EVERY = 5.0


class Reason(StrEnum):
    """Why a delivery was not taken."""

    UNKNOWN = "unknown"
    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    NO_KEY = "no_key"
    TIME = "time"
    DISABLED = "disabled"
    BODY = "body"
    TOO_MANY = "too_many"
    REPEATED = "repeated"


WORDS: dict[str, str] = {
    Reason.UNKNOWN: N_("There is no web hook of that name."),
    Reason.UNSIGNED: N_("It had no signature in the header that the way of signing names."),
    Reason.SIGNATURE: N_("The signature fits no live key: the key is another, or the body was changed on its way."),
    Reason.NO_KEY: N_("The web hook has no key."),
    Reason.TIME: N_("Its time was too far from ours: it is old, or a clock is wrong."),
    Reason.DISABLED: N_("The web hook was disabled."),
    Reason.BODY: N_("It was signed rightly, but its body could not be read."),
    Reason.TOO_MANY: N_("It was signed rightly, but too many came in a minute."),
    Reason.REPEATED: N_("It was known already, and answered as the first time."),
}


@dataclass(frozen=True)
class Refusal:
    """What was not taken for one reason: how often, when and from where last."""

    reason: str
    count: int
    last_at: datetime
    last_address: str


class Tally:
    """The counters of a process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.Lock()
        self._found: dict[tuple[int, str], Refusal] = {}
        self._written = 0.0

    def add(self, hook_id: int, reason: Reason, address: str) -> None:
        """Count one delivery."""
        with self._lock:
            old = self._found.get((hook_id, reason))
            count = old.count + 1 if old else 1
            self._found[hook_id, reason] = Refusal(reason, count, self._house.clock(), address[:64])

    def flush(self, *, now: bool = False) -> None:
        """Write down what was counted, if it is time to."""
        with self._lock:
            if not self._found or (not now and time.monotonic() < self._written + EVERY):
                return
            found, self._found, self._written = self._found, {}, time.monotonic()
        try:
            with self._house.db.begin() as tx:
                for (hook_id, _), refusal in sorted(found.items()):
                    _write(tx, hook_id, refusal)
        except sa.exc.SQLAlchemyError as error:
            log.warning("refused deliveries of web hooks could not be counted: %s", type(error).__name__)


def _write(tx: sa.Connection, hook_id: int, refusal: Refusal) -> None:
    table = event_hook_refusal
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {"times": refusal.count, "last_at": refusal.last_at, "last_address": refusal.last_address}
    new = insert(table).values(hook_id=hook_id, reason=refusal.reason, **values)
    grown = {**values, "times": table.c.times + refusal.count}
    tx.execute(new.on_conflict_do_update(index_elements=["hook_id", "reason"], set_=grown))


def refusals(tx: sa.Connection, hook_id: int) -> list[Refusal]:
    """Return what was not taken, the latest first."""
    table = event_hook_refusal
    query = sa.select(table).where(table.c.hook_id == hook_id).order_by(table.c.last_at.desc())
    return [Refusal(row.reason, row.times, row.last_at, row.last_address) for row in tx.execute(query)]
