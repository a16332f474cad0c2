"""A thread beside the dispatcher that encrypts and decrypts what is stored; any number of dispatchers may have one."""

from __future__ import annotations

import logging
import threading

import sqlalchemy as sa

from webapp.entities import resealing
from webapp.extensions import House
from webapp.vault.errors import VaultError

PAUSE = 2.0
"""Seconds between two looks for work."""

log = logging.getLogger(__name__)


class Resealer:
    """The thread of one process."""

    def __init__(self, house: House, pause: float = PAUSE) -> None:
        self._house = house
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="resealer", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Finish the batch at hand and stop."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                while not self._stop.is_set() and resealing.work(self._house):
                    self._stop.wait(0.05)  # writers have their turn
            except (sa.exc.OperationalError, VaultError) as error:
                log.warning("Encrypting what is stored will be tried again: %s", error)
            except Exception:
                log.exception("Encrypting what is stored will be tried again.")
