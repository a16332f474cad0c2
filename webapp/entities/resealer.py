"""A thread beside the dispatcher that encrypts and decrypts what is stored; any number of dispatchers may have one."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.entities import resealing
from webapp.extensions import House
from webapp.rounds import Rounds
from webapp.vault.errors import VaultError

PAUSE = 2.0
"""Seconds between two looks for work."""


class Resealer(Rounds):
    """The thread of one process."""

    name = "resealer"
    again = "Encrypting what is stored will be tried again"
    expected = (sa.exc.OperationalError, VaultError)

    def __init__(self, house: House, pause: float = PAUSE) -> None:
        super().__init__(pause)
        self._house = house

    def turn(self) -> None:
        """Work until nothing is left."""
        while not self.stopping.is_set() and resealing.work(self._house):
            self.stopping.wait(0.05)  # writers have their turn
