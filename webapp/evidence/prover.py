"""Tells of events whether they are in the sealed log, each by a proof that is checked on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit.canonical import document, leaf_of
from webapp.audit.keys import public_keys
from webapp.audit.merkle import included
from webapp.audit.models import audit_checkpoint
from webapp.audit.notes import BadNote, Checkpoint, checkpoint
from webapp.evidence.stored import StoredLog

SEALED, WAITING, BROKEN, MISSING = "sealed", "waiting", "broken", "missing"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what holds, or what does not."""

    holds: bool
    claim: Message

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        return {"claim": str(self.claim), "holds": self.holds}


@dataclass(frozen=True)
class Seal:
    """How a step is proven: sealed; waiting, as it was written moments ago; broken; missing: no event tells of it."""

    state: str
    event_id: int | None = None
    checks: tuple[Check, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        return {"state": self.state, "event": self.event_id, "checks": [check.to_json() for check in self.checks]}


class Prover:
    """Checks events against the newest checkpoint of a log, whose signature is checked once."""

    def __init__(self, tx: sa.Connection) -> None:
        self._log = StoredLog(tx)
        self._tree = self._log.tree()
        row = tx.execute(sa.select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)).one_or_none()
        self.newest: Checkpoint | None = None
        self.sealed_at: datetime | None = row.at if row else None
        self.forged = False
        try:
            self.newest = checkpoint(row.note, public_keys(tx)) if row else None
        except BadNote:
            self.forged = True

    def seal(self, event: Any, more: Iterable[Check] = ()) -> Seal:
        """Return how an event is proven, and with it what else was checked; None as event: nothing tells of it."""
        checks = tuple(more)
        if event is None:
            return Seal(BROKEN if not all(check.holds for check in checks) else MISSING, None, checks)
        state, told = self._state(event)
        if not all(check.holds for check in checks):
            state = BROKEN
        return Seal(state, event.id, (told, *checks))

    def _state(self, event: Any) -> tuple[str, Check]:
        place = self._log.place(event.id)
        if self.forged:
            return BROKEN, Check(holds=False, claim=msg("The newest checkpoint of the log is not genuine."))
        if place is None or self.newest is None or place.seq >= self.newest.size:
            text = "Event {id} waits for its seal, which takes a few seconds."
            return WAITING, Check(holds=True, claim=msg(text, id=event.id))
        path = self._tree.inclusion(place.seq, self.newest.size)
        leaf = leaf_of(document(event))
        names = {"id": event.id, "place": place.seq + 1, "size": self.newest.size}
        if included(leaf, place.seq, self.newest.size, path, self.newest.root):
            text = "Event {id} is in the sealed log, as entry {place} of {size}, unchanged."
            return SEALED, Check(holds=True, claim=msg(text, **names))
        return BROKEN, Check(holds=False, claim=msg("Event {id} was changed after it was sealed.", **names))
