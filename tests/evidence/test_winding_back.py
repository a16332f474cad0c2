"""Who can write to the database, and has no key, gets nothing signed that was not signed before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.evidence.conftest import sealed, write
from tests.evidence.test_tampering import MATRIX, SEALED, edit, log, rebuild, report_of  # noqa: F401 - a fixture
from webapp.audit import marks
from webapp.audit.findings import Kind
from webapp.audit.merkle import Frontier
from webapp.audit.models import audit_checkpoint, audit_event, audit_head, audit_key, audit_leaf, audit_node
from webapp.audit.notes import checkpoint
from webapp.audit.sealing import SealBroken, seal_all
from webapp.evidence.signing import signer
from webapp.extensions import House
from webapp.runs.models import installation


def rewind(tx: sa.Connection, size: int) -> None:
    """Make the log what it was when it had `size` events, but for its events."""
    tx.execute(sa.delete(audit_leaf).where(audit_leaf.c.seq >= size))
    tx.execute(sa.delete(audit_checkpoint).where(audit_checkpoint.c.size > size))
    tx.execute(sa.delete(audit_node))
    tree = Frontier()
    for leaf in tx.scalars(sa.select(audit_leaf.c.hash).order_by(audit_leaf.c.seq)).all():
        tree.append(leaf)
    tx.execute(sa.update(audit_head).values(size=size, edge=tree.dump(), settled=0, mark_id=None))


def wind_back(tx: sa.Connection) -> None:
    edit_last(tx)
    rewind(tx, 5)


def edit_last(tx: sa.Connection) -> None:
    newest = tx.scalar(sa.select(sa.func.max(audit_event.c.id)))
    tx.execute(sa.update(audit_event).where(audit_event.c.id == newest).values(actor_name="somebody"))


def empty(tx: sa.Connection) -> None:
    edit(tx)
    for table in (audit_leaf, audit_node, audit_checkpoint, audit_head):
        tx.execute(sa.delete(table))


def empty_with_keys(tx: sa.Connection) -> None:
    empty(tx)
    tx.execute(sa.delete(audit_key))


def rename(tx: sa.Connection) -> None:
    empty_with_keys(tx)
    tx.execute(sa.update(installation).values(uid="another"))


WINDINGS: list[Callable[[sa.Connection], None]] = [wind_back, empty, empty_with_keys, rename]


@pytest.mark.parametrize("tamper", WINDINGS)
def test_a_log_that_was_wound_back_is_not_sealed_again(log: House, tamper: Callable[[sa.Connection], None]):  # noqa: F811
    """Rewound or emptied, with or without its keys, a log gets no seal over what was changed; the reason is told."""
    with log.db.begin() as tx:
        tamper(tx)
    write(log, 1)
    with pytest.raises(SealBroken, match="audit log is not the one that this machine has sealed"):
        seal_all(log, signer(log))
    with log.db.read() as tx:
        assert not tx.scalar(
            sa.select(sa.func.count()).select_from(audit_checkpoint).where(audit_checkpoint.c.size > 5)
        )


@pytest.mark.parametrize(("tamper", "kinds"), MATRIX, ids=[tamper.__name__ for tamper, _ in MATRIX])
def test_sealing_heals_no_deed(log: House, tamper: Callable[[sa.Connection], None], kinds: set[Kind]):  # noqa: F811
    """What was done to a log is found as well after sealing has gone on, or has refused to."""
    with log.db.begin() as tx:
        tamper(tx)
    write(log, 2)
    with contextlib.suppress(SealBroken):
        seal_all(log, signer(log))
    cut = {Kind.DELETED} if Kind.TRUNCATED in kinds else set()  # a log that has grown since has a gap, not an end
    assert set(report_of(log).counts) & (kinds | cut)


def test_a_longer_log_with_another_beginning_is_not_sealed(log: House):  # noqa: F811
    """A machine that was away holds the tree of others against its own mark, and moves the mark on where it fits."""
    path = marks.place(log)
    old = path.read_text()
    sealed(log, 300)
    path.write_text(old)
    assert seal_all(log, signer(log)) == 0
    mark = marks.read(path)
    assert mark is not None
    assert mark.said.size == SEALED + 300
    path.write_text(old)
    with log.db.begin() as tx:
        edit(tx)
        rebuild(tx, signer(log), log)
    write(log, 1)
    with pytest.raises(SealBroken, match="sealed otherwise"):
        seal_all(log, signer(log))


def test_the_mark_is_the_last_checkpoint(log: House):  # noqa: F811
    """The mark can be read by its owner alone, says what was sealed last, and does not go back."""
    path = marks.place(log)
    mark = marks.read(path)
    assert mark is not None
    assert mark.said == checkpoint(mark.note, [signer(log).public])
    assert mark.said.size == SEALED
    assert path.stat().st_mode & 0o077 == 0
    with log.db.read() as tx:
        first = tx.scalar(sa.select(audit_checkpoint.c.note).order_by(audit_checkpoint.c.size).limit(1))
    marks.write(path, marks.Mark(mark.key, str(first)))
    assert marks.read(path) == mark


def test_a_damaged_mark_stops_sealing(log: House):  # noqa: F811
    """A mark that cannot be read is no reason to believe whatever the database holds; removed on purpose, it is."""
    path = marks.place(log)
    path.write_text("x")
    write(log, 1)
    with pytest.raises(SealBroken, match="cannot be read"):
        seal_all(log, signer(log))
    path.unlink()
    assert seal_all(log, signer(log)) == 1
    assert report_of(log).intact


def test_a_mark_that_cannot_be_written_is_told(log: House):  # noqa: F811
    """What is sealed stays sealed, and the operator hears what is wrong with the folder."""
    path = marks.place(log)
    path.unlink()
    path.mkdir()
    write(log, 1)
    with pytest.raises(SealBroken, match="cannot be read: is a directory"):
        seal_all(log, signer(log))
