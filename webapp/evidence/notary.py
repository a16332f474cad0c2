"""The notary: a thread beside the dispatcher that seals events, sends checkpoints and keeps the retention.

It works behind the business: nobody waits for it. Any number of dispatchers may have one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from webapp.audit.sealing import SealBroken, seal_all
from webapp.evidence.deliveries import send_due
from webapp.evidence.retention import remove_due
from webapp.evidence.signing import signer
from webapp.extensions import House
from webapp.vault.errors import VaultError

SEAL = 5.0
"""Seconds between two looks for events to seal."""
HOURLY = 720
"""Rounds between two looks for events to remove."""

log = logging.getLogger(__name__)


@dataclass
class _Duty:
    """Something to do every so many rounds."""

    do: Callable[[House], object]
    every: int


class Notary:
    """The thread of one process."""

    def __init__(self, house: House, pause: float = SEAL) -> None:
        self._house = house
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notary", daemon=True)
        self._rounds = 0
        self._duties = (_Duty(seal_due, 1), _Duty(send_due, 1), _Duty(remove_due, HOURLY))

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Seal what there is, and stop."""
        self._stop.set()
        self._thread.join()
        self._do(seal_due)

    def _work(self) -> None:
        while not self._stop.wait(self._pause):
            for duty in self._duties:
                if self._rounds % duty.every == 0 and not self._stop.is_set():
                    self._do(duty.do)
            self._rounds += 1

    def _do(self, duty: Callable[[House], object]) -> None:
        """Do one duty; what goes wrong is told of and tried again, and keeps no other from being done."""
        try:
            duty(self._house)
        except (SealBroken, VaultError) as error:
            log.error("The audit log is not sealed: %s", error)  # noqa: TRY400 - the sentence says all there is
        except sa.exc.OperationalError as error:
            log.warning("The notary will try again: %s", error)
        except Exception:
            log.exception("The notary will try again.")


def seal_due(house: House) -> int:
    """Seal what there is; return how many events."""
    return seal_all(house, signer(house))
