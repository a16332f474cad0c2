"""The sealed log of this installation's database, as `verify` reads it, and its proofs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from webapp.audit import keys, sealing
from webapp.audit.canonical import FIELDS, document
from webapp.audit.merkle import Tree
from webapp.audit.models import audit_checkpoint, audit_event, audit_leaf
from webapp.audit.stored_tree import snapshot, stored_tree
from webapp.audit.verification import Entry
from webapp.extensions import House

FETCH = 2000


@contextmanager
def opened(house: House) -> Iterator[StoredLog]:
    """Open the log as it is at one moment, while sealing goes on."""
    with snapshot(house) as tx:
        yield StoredLog(tx)


class StoredLog:
    """The log in the database, seen through one connection."""

    def __init__(self, tx: sa.Connection) -> None:
        self.tx = tx

    @property
    def size(self) -> int:
        """Return the size of the tree that the head claims."""
        return sealing.head(self.tx).size

    def keys(self) -> list[keys.KeyLine]:
        """Return the public keys, the oldest first."""
        return keys.lines(self.tx)

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """Yield size and note of all checkpoints, by size."""
        column = audit_checkpoint.c
        for row in self._stream(sa.select(column.size, column.note).order_by(column.size)):
            yield row.size, row.note

    def entries(self) -> Iterator[Entry]:
        """Yield all leaves with their events, by their place."""
        joined = audit_leaf.outerjoin(audit_event, audit_event.c.id == audit_leaf.c.event_id)
        columns = [audit_event.c[name] for name in FIELDS]
        query = sa.select(audit_leaf.c.seq, audit_leaf.c.event_id, audit_leaf.c.hash, *columns).select_from(joined)
        for row in self._stream(query.order_by(audit_leaf.c.seq)):
            yield Entry(row.seq, row.event_id, bytes(row.hash), document(row) if row.id is not None else None)

    def strays(self) -> Iterator[int]:
        """Yield the ids of events that sealing has passed by."""
        settled = sealing.head(self.tx).settled
        yield from self.tx.scalars(sealing.unsealed(audit_event.c.id).where(audit_event.c.id <= settled))

    def pending(self) -> int:
        """Return how many events wait to be sealed."""
        waiting = sealing.unsealed(audit_event.c.id).where(audit_event.c.id > sealing.head(self.tx).settled)
        return self.tx.scalar(sa.select(sa.func.count()).select_from(waiting.order_by(None).subquery())) or 0

    def place(self, event_id: int) -> Any:
        """Return place and hash of an event's leaf, or None where it is not sealed."""
        query = sa.select(audit_leaf.c.seq, audit_leaf.c.hash).where(audit_leaf.c.event_id == event_id)
        return self.tx.execute(query).one_or_none()

    def tree(self) -> Tree:
        """Return the tree, which gives proofs."""
        return stored_tree(self.tx)

    def _stream(self, query: sa.Select[Any]) -> Iterator[Any]:
        yield from self.tx.execution_options(yield_per=FETCH).execute(query)
