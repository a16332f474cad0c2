"""The notary: a thread beside the dispatcher that seals events, sends checkpoints and keeps the retention.

It works behind the business: nobody waits for it. Any number of dispatchers may have one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa

from webapp.approvals.deciding import expire_due
from webapp.audit.sealing import BATCH, SealBroken, seal, seal_all
from webapp.evidence import package_keeping, retention
from webapp.evidence.deliveries import send_due
from webapp.evidence.signing import signer
from webapp.extensions import House
from webapp.vault.errors import VaultError

SEAL = 5.0
"""Seconds between two looks for events to seal."""
ROUND = 100
"""So many batches are sealed in one round, so that the other duties get their turn behind any backlog."""
HOURLY = 720
"""Rounds between two looks for events to remove, where the last look has left nothing."""

log = logging.getLogger(__name__)


class Notary:
    """The thread of one process."""

    def __init__(self, house: House, pause: float = SEAL) -> None:
        self._house = house
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notary", daemon=True)
        self._rounds = 0
        self._removes = 0
        """The round in which events are looked for that may go."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Seal what there is, one round at the most, and stop."""
        self._stop.set()
        self._thread.join()
        self._do(lambda house: _round(house, lambda: False))

    def _work(self) -> None:
        while not self._stop.wait(self._pause):
            sealed = self._do(lambda house: _round(house, self._stop.is_set))
            if not self._stop.is_set():
                self._do(send_due)
                self._do(expire_due)
            if sealed is not None and self._rounds >= self._removes and not self._stop.is_set():
                self._remove()
            self._rounds += 1

    def _remove(self) -> None:
        """Remove one batch; go on in the next round where there may be more."""
        self._do(package_keeping.remove_due)
        full = self._do(retention.remove_due) == retention.BATCH
        self._removes = self._rounds + (1 if full else HOURLY)

    def _do(self, duty: Callable[[House], int]) -> int | None:
        """Do one duty; what goes wrong is told of and tried again, and keeps no other from being done: None then."""
        try:
            return duty(self._house)
        except (SealBroken, VaultError) as error:
            log.error("The audit log is not sealed: %s", error)  # noqa: TRY400 - the sentence says all there is
        except sa.exc.OperationalError as error:
            log.warning("The notary will try again: %s", error)
        except Exception:
            log.exception("The notary will try again.")
        return None


def _round(house: House, stopped: Callable[[], bool]) -> int:
    """Seal what there is, batch by batch, but no more than a round's; return how many events."""
    key, done = signer(house), 0
    for _ in range(ROUND):
        count = seal(house, key)
        done += count
        if count < BATCH or stopped():
            break
    return done


def seal_due(house: House) -> int:
    """Seal what there is; return how many events."""
    return seal_all(house, signer(house))
