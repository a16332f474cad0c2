"""The sealer: puts committed events into the Merkle tree and signs checkpoints, behind the transactions of the events.

One batch is one short transaction: leaves, nodes, head and checkpoint stand or fall together, so whoever dies in it has
done nothing. Several sealers do no harm: the head moves only for the one who knows its size.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.audit import marks
from webapp.audit.canonical import document, leaf_of
from webapp.audit.keys import chained, lines
from webapp.audit.marks import Mark, SealBroken
from webapp.audit.merkle import Frontier
from webapp.audit.models import audit_checkpoint, audit_event, audit_head, audit_leaf, audit_node
from webapp.audit.notes import BadNote, Checkpoint, PublicKey, Signer, opened, sign
from webapp.audit.stored_tree import snapshot, stored_tree
from webapp.extensions import House

__all__ = ["BATCH", "PATIENCE", "Head", "SealBroken", "head", "pending", "seal", "seal_all", "unsealed"]

BATCH = 1000
PATIENCE = timedelta(seconds=60)
"""How long a transaction on PostgreSQL may hold the id of an event before it has a transaction number of its own."""


@dataclass(frozen=True)
class Head:
    """The tree as it stands; `settled` and what is noted to move it are of the queue of events, not of the tree."""

    size: int = 0
    edge: bytes = b""
    settled: int = 0
    mark_id: int | None = None
    mark_xid: int | None = None
    mark_at: datetime | None = None


def head(tx: sa.Connection) -> Head:
    """Return the head of the tree; that of an empty one before anything is sealed."""
    columns = [audit_head.c[name] for name in Head.__dataclass_fields__]
    found = tx.execute(sa.select(*columns)).mappings().one_or_none()
    return Head(**{**found, "edge": bytes(found["edge"])}) if found else Head()


def pending(tx: sa.Connection, now: Head, limit: int) -> list[Any]:
    """Return events that are not sealed, the oldest first."""
    return list(tx.execute(unsealed(audit_event).where(audit_event.c.id > now.settled).limit(limit)))


def unsealed(*columns: Any) -> sa.Select[Any]:
    """Return the query for events without a leaf, by their ids."""
    sealed = sa.exists().where(audit_leaf.c.event_id == audit_event.c.id)
    return sa.select(*columns).select_from(audit_event).where(~sealed).order_by(audit_event.c.id)


def seal(house: House, signer: Signer, limit: int = BATCH) -> int:
    """Seal at most `limit` events and return how many; 0 where there are none, or another sealer was faster.

    Raises:
        SealBroken: The tree does not fit its last checkpoint, or what this machine has seen of it.
    """
    path = marks.place(house)
    mark = marks.read(path)  # before the head: others may move both meanwhile
    with snapshot(house) as tx:
        before = head(tx)
        events = pending(tx, before, limit)
        if not events and before.size == (mark.said.size if mark else 0):
            return 0
        tree, last = _trusted(tx, before, signer, mark, path)
        horizon = _horizon(tx)
    if last and (mark is None or mark.said.size < before.size):
        marks.write(path, last)
    if not events:
        return 0
    leaves = [leaf_of(document(event)) for event in events]
    nodes = [node for leaf in leaves for node in tree.append(leaf)]
    now = house.clock()
    note = sign(Checkpoint(signer.name, tree.size, tree.root(), now).text, signer)
    moved = {
        "size": tree.size,
        "edge": tree.dump(),
        **_settled(before, events, horizon, now, full=len(events) >= limit),
    }
    sealed = _Sealed(tuple(event.id for event in events), tuple(leaves), tuple(nodes), note, now)
    try:
        with house.db.begin() as tx:
            if not _move(tx, before, moved):
                return 0
            _store(tx, before.size, sealed)
    except sa.exc.IntegrityError:
        with house.db.read() as tx:
            if head(tx).size == before.size:  # nobody was faster: the tables do not fit their head
                raise
        return 0
    marks.write(path, Mark(signer.public, note))
    return len(events)


@dataclass(frozen=True)
class _Sealed:
    ids: tuple[int, ...]
    leaves: tuple[bytes, ...]
    nodes: tuple[tuple[int, int, bytes], ...]
    note: str
    at: datetime


def _store(tx: sa.Connection, start: int, new: _Sealed) -> None:
    leaves = [
        {"seq": seq, "event_id": id_, "hash": leaf}
        for seq, (id_, leaf) in enumerate(zip(new.ids, new.leaves, strict=True), start)
    ]
    tx.execute(sa.insert(audit_leaf), leaves)
    if new.nodes:
        tx.execute(sa.insert(audit_node), [{"level": level, "no": no, "hash": own} for level, no, own in new.nodes])
    tx.execute(sa.insert(audit_checkpoint).values(size=start + len(leaves), at=new.at, note=new.note))


def seal_all(house: House, signer: Signer) -> int:
    """Seal what there is, in batches, up to one that is not full; return how many events."""
    done, count = 0, BATCH
    while count >= BATCH:
        count = seal(house, signer)
        done += count
    return done


def _trusted(
    tx: sa.Connection, before: Head, signer: Signer, mark: Mark | None, path: Path
) -> tuple[Frontier, Mark | None]:
    """Return the tree's edge and its checkpoint once they fit each other and what this machine has seen."""
    # not the newest one: another sealer may have gone on since the head was read
    note = tx.scalar(sa.select(audit_checkpoint.c.note).where(audit_checkpoint.c.size == before.size))
    try:
        keys = _known(tx, signer)
        tree = Frontier.load(before.size, before.edge)
        last = _signed(note, tree, keys) if tree.size else None
    except ValueError as error:
        raise SealBroken(
            msg("The seal of the audit log was altered: {why}. Run: syncline audit verify", why=str(error))
        ) from None
    if mark is not None:
        marks.hold(path, mark, tree, stored_tree(tx), keys)
    return tree, last


def _signed(note: str | None, tree: Frontier, keys: Collection[PublicKey]) -> Mark:
    if note is None:
        raise BadNote("there is no checkpoint")
    text, signers = opened(note, keys)
    said = Checkpoint.parse(text)
    if (said.size, said.root) != (tree.size, tree.root()):
        raise BadNote("the last checkpoint says otherwise")
    return Mark(signers[0], note)


def _known(tx: sa.Connection, signer: Signer) -> list[PublicKey]:
    """Return the keys of the log; a key that no other vouches for is none."""
    keys = chained(lines(tx))
    if signer.public not in keys:
        raise BadNote("the signing key is not one of its keys")
    return keys


def _move(tx: sa.Connection, before: Head, moved: dict[str, Any]) -> bool:
    """Move the head on; False where it is not where it was."""
    mine = (audit_head.c.id == 1, audit_head.c.size == before.size)
    if tx.execute(sa.update(audit_head).where(*mine).values(moved)).rowcount == 1:
        return True
    if before.size:
        return False
    tx.execute(
        sa.insert(audit_head).values(**{"id": 1, "settled": 0, **moved})
    )  # refused where another sealer has made it
    return True


def _horizon(tx: sa.Connection) -> tuple[int, int] | None:
    """Return the first transaction that goes on and the first that has not begun; None where writers are alone."""
    if tx.dialect.name != "postgresql":
        return None
    snapshot = sa.text(
        "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() AS s"
    )
    oldest, following = tx.execute(snapshot).one()
    return int(oldest), int(following)


def _settled(
    before: Head, events: Sequence[Any], horizon: tuple[int, int] | None, now: datetime, *, full: bool
) -> dict[str, Any]:
    """Return up to where ids are settled: on PostgreSQL a smaller id may be committed after a larger one."""
    taken = events[-1].id
    last = max(before.settled, taken)
    if horizon is None:
        return {"settled": last}
    oldest, following = horizon
    mark = {"mark_id": last, "mark_xid": following, "mark_at": now}
    if before.mark_id is None or before.mark_xid is None or before.mark_at is None:
        return mark
    if before.mark_xid > following:  # the database was moved into a cluster that counts from the beginning
        return mark
    if oldest >= before.mark_xid and now - before.mark_at >= PATIENCE:
        # events behind a full batch wait, also where their ids are settled
        settled = min(before.mark_id, taken) if full else before.mark_id
        return {"settled": max(before.settled, settled), **mark}
    return {}
