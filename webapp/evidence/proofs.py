"""Proofs that stand alone: that an event is in the log, and that the log has only grown since an older checkpoint.

A proof is a JSON object that anybody can check with the public key of the log, without this installation.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit import queries
from webapp.audit.canonical import document, leaf_of
from webapp.audit.keys import public_keys
from webapp.audit.merkle import consistent, included
from webapp.audit.models import audit_checkpoint
from webapp.audit.notes import BadNote, Checkpoint, PublicKey, checkpoint
from webapp.evidence.stored import StoredLog


class NotProvable(Exception):
    """There is no such event, or it is not sealed yet; or a checkpoint is not of this log."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def of_event(tx: sa.Connection, event_id: int) -> dict[str, Any]:
    """Return the proof that an event is in the log, up to the newest checkpoint; raises `NotProvable`."""
    log, event = StoredLog(tx), queries.get(tx, event_id)
    if event is None:
        raise NotProvable(msg("There is no event {id}.", id=event_id))
    place, newest = log.place(event_id), _newest(tx)
    if place is None or newest is None or place.seq >= newest.size:
        raise NotProvable(msg("Event {id} is not sealed yet. Try again in a few seconds.", id=event_id))
    path = log.tree().inclusion(place.seq, newest.size)
    return {"event": document(event), "place": place.seq, "path": _texts(path), "checkpoint": newest.note}


def of_growth(tx: sa.Connection, older: str) -> dict[str, Any]:
    """Return the proof that the log has only grown since an older checkpoint; raises `NotProvable`."""
    log, newest = StoredLog(tx), _newest(tx)
    try:
        said = checkpoint(older, public_keys(tx))
    except BadNote as error:
        raise NotProvable(msg("The checkpoint is not of this log: {why}.", why=str(error))) from None
    if newest is None or said.size > newest.size:
        raise NotProvable(msg("The checkpoint speaks of more events than the log has: it was put back."))
    path = log.tree().consistency(said.size, newest.size)
    return {"older": older, "path": _texts(path), "checkpoint": newest.note}


def holds(proof: Mapping[str, Any], keys: Collection[PublicKey]) -> bool:
    """Tell whether a proof of either kind shows what it claims, under these public keys."""
    try:
        newest = checkpoint(proof["checkpoint"], keys)
        path = [base64.b64decode(step, validate=True) for step in proof["path"]]
        if "older" in proof:
            return _grown(checkpoint(proof["older"], keys), newest, path)
        return included(leaf_of(proof["event"]), proof["place"], newest.size, path, newest.root)
    except (BadNote, KeyError, TypeError, AttributeError, binascii.Error):
        return False


def _grown(older: Checkpoint, newest: Checkpoint, path: list[bytes]) -> bool:
    return consistent(older.size, newest.size, (older.root, newest.root), path)


def _newest(tx: sa.Connection) -> Any:
    return tx.execute(sa.select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)).one_or_none()


def _texts(path: list[bytes]) -> list[str]:
    return [base64.b64encode(step).decode() for step in path]
