"""The sealer: everything is sealed once and in order, whoever dies and however many seal."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tests.evidence.conftest import WHO, Clock, sealed, write
from webapp.audit import sealing
from webapp.audit.merkle import consistent, included
from webapp.audit.models import audit_checkpoint, audit_event, audit_leaf
from webapp.audit.notes import checkpoint
from webapp.audit.sealing import PATIENCE, seal, seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.audit.verification import verify
from webapp.evidence.signing import signer
from webapp.evidence.stored import StoredLog
from webapp.extensions import House


def intact(house: House) -> int:
    """Check the log and return how many events are sealed."""
    with house.db.read() as tx:
        report = verify(StoredLog(tx))
        assert report.intact, report.to_json()
        assert StoredLog(tx).pending() == 0
        assert report.size == tx.scalar(sa.select(sa.func.count()).select_from(audit_event))
    return report.size


def test_proofs_of_a_stored_log_verify(house: House):
    """Each event's place in the newest checkpoint, and the growth since each older one, can be proven."""
    sealed(house, 200, 60, 1, 300)
    with house.db.read() as tx:
        log = StoredLog(tx)
        notes = [note for _, note in log.checkpoints()]
        said = [checkpoint(note, [signer(house).public]) for note in notes]
        last, tree = said[-1], log.tree()
        for entry in list(log.entries())[::13]:
            assert included(entry.leaf, entry.seq, last.size, tree.inclusion(entry.seq, last.size), last.root)
            assert tuple(log.place(entry.event_id)) == (entry.seq, entry.leaf)
        for one in said:
            assert consistent(one.size, last.size, (one.root, last.root), tree.consistency(one.size, last.size))
        assert log.place(10**9) is None


def test_several_sealers_seal_each_event_once(house: House):
    """Sealers that work at the same time, while events are written, leave no event out and seal none twice."""
    key = signer(house)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(15):
                seal(house, key, 7)
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        write(house, 5, number)
    for thread in threads:
        thread.join()
    seal_all(house, key)
    assert not errors
    assert intact(house) == 62


@pytest.mark.parametrize("at", range(5))
def test_who_dies_in_a_batch_has_done_nothing(house: House, monkeypatch: pytest.MonkeyPatch, at: int):
    """A sealer that ends at any statement of its transaction leaves the log as it was; the next one goes on."""
    sealed(house, 4)
    write(house, 300)

    class Killed(BaseException):
        pass

    execute, calls = sa.Connection.execute, [0]

    def dying(self: sa.Connection, statement: sa.Executable, *more: object) -> object:
        if self.get_execution_options().get("syncline_write"):
            calls[0] += 1
            if calls[0] == at + 1:
                raise Killed
        return execute(self, statement, *more)  # type: ignore[call-overload]

    monkeypatch.setattr(sa.Connection, "execute", dying)
    key = signer(house)
    with pytest.raises(Killed) if at < 4 else contextlib.nullcontext():
        seal(house, key)
    monkeypatch.undo()
    assert verified_size(house) == (6 if at < 4 else 306)
    seal_all(house, key)
    assert intact(house) == 306


def verified_size(house: House) -> int:
    """Return how many events an intact log has sealed."""
    with house.db.read() as tx:
        report = verify(StoredLog(tx))
    assert report.intact
    return report.size


def test_events_that_commit_late_are_sealed(house: House, clock: Clock):
    """On PostgreSQL a smaller id may be committed behind a larger one; it is sealed all the same."""
    if house.db.is_sqlite:
        sealed(house, 3)
        assert intact(house) == 5
        return
    key = signer(house)
    with house.db.begin() as slow:
        record(slow, WHO, clock(), Event(Tag.RULE_UPDATED, Subject("rule", "slow")))
        for _ in range(4):
            write(house, 2)
            seal_all(house, key)
            clock.forward(seconds=PATIENCE.total_seconds() + 1)
    seal_all(house, key)
    for _ in range(3):
        write(house, 1)
        seal_all(house, key)
        clock.forward(seconds=PATIENCE.total_seconds() + 1)
    assert intact(house) == 14
    with house.db.read() as tx:
        assert sealing.head(tx).settled > 0


def test_ids_behind_a_full_batch_are_not_settled(house: House, clock: Clock):
    """Events that a full batch leaves waiting are sealed by the next ones, though their ids are settled by then."""
    key = signer(house)
    for start in range(0, 60, 10):
        write(house, 10, start)
        clock.forward(seconds=PATIENCE.total_seconds() + 1)
        assert seal(house, key, 4) == 4
        with house.db.read() as tx:
            assert not list(StoredLog(tx).strays())
    seal_all(house, key)
    assert intact(house) == 62


def test_settling_stops_at_a_full_batch_and_begins_anew_in_another_cluster(clock: Clock):
    """The mark moves no further than what was taken, and a database that counts transactions anew gets a new mark."""
    before = sealing.Head(5, b"", 10, 50, 700, clock())
    clock.forward(seconds=PATIENCE.total_seconds() + 1)
    events = [SimpleNamespace(id=number) for number in range(11, 15)]
    settled = partial(sealing._settled, before, events)
    new = {"mark_id": 14, "mark_xid": 800, "mark_at": clock()}
    assert settled((750, 800), clock(), full=True) == {"settled": 14, **new}
    assert settled((750, 800), clock(), full=False) == {"settled": 50, **new}
    assert settled((690, 800), clock(), full=False) == {}
    assert settled((20, 30), clock(), full=True) == {**new, "mark_xid": 30}


def test_sealing_writes_one_checkpoint_a_batch(house: House, tmp_path: Path):
    """A batch has one checkpoint; where nothing is to be sealed, none is written."""
    sealed(house, 3)
    assert seal_all(house, signer(house)) == 0
    write(house, 25)
    while seal(house, signer(house), 10):
        pass
    with house.db.read() as tx:
        sizes = list(tx.scalars(sa.select(audit_checkpoint.c.size).order_by(audit_checkpoint.c.size)))
        assert tx.scalar(sa.select(sa.func.count()).select_from(audit_leaf)) == 30
    assert sizes == [5, 15, 25, 30]
