"""The tree as the database has it, and the log as it is at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from webapp.audit.merkle import Read, Remembering, Tree
from webapp.audit.models import audit_leaf, audit_node
from webapp.extensions import House


@contextmanager
def snapshot(house: House) -> Iterator[sa.Connection]:
    """Open a reading connection whose queries all see the same moment, while others write."""
    if house.db.is_sqlite:  # a transaction sees what it saw first anyway
        with house.db.read() as tx:
            yield tx
        return
    with house.db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as tx:
        yield tx


def stored_tree(tx: sa.Connection) -> Tree:
    """Return the stored tree, which gives roots and proofs."""
    return Tree(_reader(tx))


def remembering_tree(tx: sa.Connection) -> Tree:
    """Return the stored tree for many proofs, whose paths have most of their hashes in common."""
    return Remembering(_reader(tx))


def _reader(tx: sa.Connection) -> Read:
    def read(level: int, start: int, count: int) -> Sequence[bytes]:
        if level == 0:
            column, query = audit_leaf.c.seq, sa.select(audit_leaf.c.hash)
        else:
            column, query = audit_node.c.no, sa.select(audit_node.c.hash).where(audit_node.c.level == level)
        found = tx.scalars(query.where(column >= start, column < start + count).order_by(column))
        return [bytes(own) for own in found]

    return read
