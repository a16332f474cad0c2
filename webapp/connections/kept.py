"""Secrets that a system changes while it is used, such as a refresh token that is good for one use only."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.connections.documents import owner
from webapp.connections.store import find_connection
from webapp.extensions import SYSTEM, House
from webapp.vault import references
from webapp.vault import services as vault
from webapp.vault.errors import VaultError


@dataclass(frozen=True)
class KeptSecrets:
    """The secrets of one connection."""

    house: House
    name: str

    def get(self, name: str) -> str | None:
        """Return the secret setting called `name` as it is stored now, None if it is not to be had."""
        reference = self._reference(name)
        if reference is None:
            return None
        try:
            return references.resolve(self.house, reference, owner(self.name))
        except VaultError:
            return None

    def put(self, name: str, value: str) -> None:
        """Store a new value; a setting that refers to an environment variable or a file stays as it is."""
        own = owner(self.name)
        if self._reference(name) != references.own(own, name):
            return
        with self.house.db.begin() as tx:
            vault.put(tx, vault.keyring(self.house), own, name, value, SYSTEM, self.house.clock())

    def _reference(self, name: str) -> str | None:
        with self.house.db.read() as tx:
            row = find_connection(tx, self.name)
        text = None if row is None else row.settings.get(name)
        return text if isinstance(text, str) and references.is_reference(text) else None
