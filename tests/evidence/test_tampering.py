"""The tamper matrix: whatever is done to a sealed log is found and called by its name, online and in an export."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.evidence.conftest import WHO, Clock, sealed, write
from webapp.audit import keys
from webapp.audit.canonical import document, leaf_of
from webapp.audit.findings import Kind, Report
from webapp.audit.merkle import Frontier
from webapp.audit.models import audit_checkpoint, audit_event, audit_head, audit_key, audit_leaf, audit_node
from webapp.audit.notes import Checkpoint, PublicKey, Signer, sign
from webapp.audit.sealing import SealBroken, seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.bundle import Bundle, Unreadable
from webapp.evidence.bundle import write as write_bundle
from webapp.evidence.checking import all_blobs, check, stored_blobs
from webapp.evidence.signing import renew, signer
from webapp.evidence.stored import StoredLog
from webapp.extensions import House
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.codec import digest

E = audit_event.c
L = audit_leaf.c
SEALED = 2 + 3 + 5 + 4 + 1
"""Events of the log: two of the first key, three batches, one chunk of a run."""


@pytest.fixture
def log(house: House) -> House:
    """Return a house whose log has several batches, and the records of a run."""
    blob = b"what became of every record"
    signer(house)
    sealed(house, 3, 5, 4)
    with house.db.begin() as tx:
        chunk = {"run_id": 17, "no": 1, "state": "done", "token": 1, "outcomes": blob, "digest": digest(blob)}
        tx.execute(sa.insert(run_chunk).values(**chunk, records=1, counts={}, at=house.clock()))
        after = {"chunk": 1, "digest": digest(blob), "inputs": None}
        record(tx, WHO, house.clock(), Event(Tag.RUN_CHUNK, Subject("rule", "r"), after=after, run_id=17))
    seal_all(house, signer(house))
    return house


def report_of(house: House, elsewhere: tuple[str, ...] = (), trusted: tuple[PublicKey, ...] = ()) -> Report:
    """Check the log online."""
    with house.db.read() as tx:
        return check(StoredLog(tx), stored_blobs(tx), trusted, elsewhere)


def exported(house: House, path: Path) -> Path:
    """Export the log with the records of its runs."""
    with house.db.read() as tx:
        write_bundle(path, StoredLog(tx), {"runs": True}, all_blobs(tx))
    return path


def report_of_file(path: Path, elsewhere: tuple[str, ...] = (), trusted: tuple[PublicKey, ...] = ()) -> Report:
    """Check an export."""
    bundle = Bundle(path)
    try:
        return check(bundle, bundle.blob, trusted, elsewhere)
    finally:
        bundle.close()


def last_note(house: House) -> str:
    """Return the newest checkpoint, as somebody may have kept it."""
    with house.db.read() as tx:
        return str(tx.scalar(sa.select(audit_checkpoint.c.note).order_by(audit_checkpoint.c.size.desc()).limit(1)))


def event_at(tx: sa.Connection, seq: int) -> int:
    """Return the id of the event in a place."""
    return int(tx.scalar(sa.select(L.event_id).where(L.seq == seq)) or 0)


def edit(tx: sa.Connection) -> None:
    tx.execute(sa.update(audit_event).where(E.id == event_at(tx, 4)).values(after={"n": 99}))


def edit_actor(tx: sa.Connection) -> None:
    tx.execute(sa.update(audit_event).where(E.id == event_at(tx, 4)).values(actor_name="somebody"))


def edit_time(tx: sa.Connection) -> None:
    at = tx.scalar(sa.select(E.at).where(E.id == event_at(tx, 4)))
    assert at
    tx.execute(sa.update(audit_event).where(E.id == event_at(tx, 4)).values(at=at.replace(year=2020)))


def edit_with_hash(tx: sa.Connection) -> None:
    edit(tx)
    event = tx.execute(sa.select(audit_event).where(E.id == event_at(tx, 4))).one()
    tx.execute(sa.update(audit_leaf).where(L.seq == 4).values(hash=leaf_of(document(event))))


def edit_hash(tx: sa.Connection) -> None:
    tx.execute(sa.update(audit_leaf).where(L.seq == 4).values(hash=bytes(32)))


def delete(tx: sa.Connection) -> None:
    tx.execute(sa.delete(audit_event).where(E.id == event_at(tx, 5)))


def delete_with_leaf(tx: sa.Connection) -> None:
    delete(tx)
    tx.execute(sa.delete(audit_leaf).where(L.seq == 5))


def delete_and_close_up(tx: sa.Connection) -> None:
    delete_with_leaf(tx)
    for seq in range(6, SEALED):
        tx.execute(sa.update(audit_leaf).where(L.seq == seq).values(seq=seq - 1))


def exchange_events(tx: sa.Connection) -> None:
    one, other = event_at(tx, 4), event_at(tx, 6)
    for old, new in ((one, 10**6), (other, one), (10**6, other)):
        tx.execute(sa.update(audit_event).where(E.id == old).values(id=new))


def exchange_leaves(tx: sa.Connection) -> None:
    for old, new in ((6, 10**6), (7, 6), (10**6, 7)):
        tx.execute(sa.update(audit_leaf).where(L.seq == old).values(seq=new))


def insert(tx: sa.Connection) -> None:
    row = tx.execute(sa.select(audit_event).where(E.id == event_at(tx, 4))).mappings().one()
    tx.execute(sa.insert(audit_event).values(**{**row, "id": -5}))


def cut_off(tx: sa.Connection) -> None:
    for seq in (SEALED - 1, SEALED - 2):
        tx.execute(sa.delete(audit_event).where(E.id == event_at(tx, seq)))
        tx.execute(sa.delete(audit_leaf).where(L.seq == seq))


def cut_off_with_checkpoints(tx: sa.Connection) -> None:
    cut_off(tx)
    tx.execute(sa.delete(audit_checkpoint).where(audit_checkpoint.c.size > SEALED - 2))


def drop_checkpoint(tx: sa.Connection) -> None:
    tx.execute(sa.delete(audit_checkpoint).where(audit_checkpoint.c.size == SEALED))


def forge_checkpoint(tx: sa.Connection) -> None:
    key = Signer(name_of(tx), Ed25519PrivateKey.generate())
    said = Checkpoint(key.name, SEALED, bytes(32), tx.scalar(sa.select(sa.func.max(audit_checkpoint.c.at))))  # type: ignore[arg-type]
    note = sign(said.text, key)
    tx.execute(sa.update(audit_checkpoint).where(audit_checkpoint.c.size == SEALED).values(note=note))


def move_checkpoint(tx: sa.Connection) -> None:
    note = tx.scalar(sa.select(audit_checkpoint.c.note).order_by(audit_checkpoint.c.size).limit(1))
    tx.execute(sa.update(audit_checkpoint).where(audit_checkpoint.c.size == SEALED).values(note=note))


def exchange_key(tx: sa.Connection) -> None:
    key = Signer(name_of(tx), Ed25519PrivateKey.generate())
    tx.execute(sa.update(audit_key).values(public=str(key.public)))


def break_statement(tx: sa.Connection) -> None:
    tx.execute(sa.update(audit_key).values(statement=sa.func.replace(audit_key.c.statement, "keys", "kays")))


def change_run(tx: sa.Connection) -> None:
    tx.execute(sa.update(run_chunk).values(outcomes=b"something else", digest=digest(b"something else")))


def drop_run(tx: sa.Connection) -> None:
    tx.execute(sa.delete(run_chunk))


def name_of(tx: sa.Connection) -> str:
    """Return the name under which the log is signed."""
    return keys.public_keys(tx)[0].name


MATRIX: list[tuple[Callable[[sa.Connection], None], set[Kind]]] = [
    (edit, {Kind.EDITED}),
    (edit_actor, {Kind.EDITED}),
    (edit_time, {Kind.EDITED}),
    (edit_with_hash, {Kind.REWRITTEN}),
    (edit_hash, {Kind.EDITED, Kind.REWRITTEN}),
    (delete, {Kind.DELETED}),
    (delete_with_leaf, {Kind.DELETED}),
    (delete_and_close_up, {Kind.REWRITTEN, Kind.TRUNCATED}),
    (exchange_events, {Kind.REORDERED}),
    (exchange_leaves, {Kind.REORDERED}),
    (insert, {Kind.INSERTED}),
    (cut_off, {Kind.TRUNCATED}),
    (cut_off_with_checkpoints, {Kind.TRUNCATED}),
    (drop_checkpoint, {Kind.UNSIGNED}),
    (forge_checkpoint, {Kind.FORGED, Kind.UNSIGNED}),
    (move_checkpoint, {Kind.FORGED, Kind.UNSIGNED}),
    (exchange_key, {Kind.KEYS}),
    (break_statement, {Kind.KEYS}),
    (change_run, {Kind.RUN_CHANGED}),
    (drop_run, {Kind.RUN_MISSING}),
]


def test_an_untouched_log_is_intact(log: House, tmp_path: Path):
    """What nobody touched passes, online and as an export, and the reader's key and checkpoint vouch for it."""
    note, key = last_note(log), signer(log).public
    for report in (
        report_of(log, (note,), (key,)),
        report_of_file(exported(log, tmp_path / "log.zip"), (note,), (key,)),
    ):
        assert report.intact, report.to_json()
        assert (report.events, report.size, report.chunks, report.elsewhere) == (SEALED, SEALED, 1, 1)
        assert report.trusted


@pytest.mark.parametrize(("tamper", "kinds"), MATRIX, ids=[tamper.__name__ for tamper, _ in MATRIX])
def test_each_deed_is_named(log: House, tmp_path: Path, tamper: Callable[[sa.Connection], None], kinds: set[Kind]):
    """Each way to tamper is found and named, in the database and in what is exported from it afterwards."""
    with log.db.begin() as tx:
        tamper(tx)
    found = report_of(log)
    assert not found.intact
    assert set(found.counts) >= kinds
    assert set(found.counts) <= kinds | ({Kind.FORGED, Kind.UNSIGNED} if Kind.KEYS in kinds else set())
    again = report_of_file(exported(log, tmp_path / "log.zip"))
    assert again.to_json() == found.to_json()


def test_a_rewritten_history_is_a_fork(log: House, tmp_path: Path):
    """Whoever has the signing key can write another history that fits itself; a checkpoint kept elsewhere shows it."""
    note, key = last_note(log), signer(log)
    with log.db.begin() as tx:
        edit(tx)
        rebuild(tx, key, log)
    assert report_of(log).intact
    assert set(report_of(log, (note,)).counts) == {Kind.FORKED}
    assert set(report_of_file(exported(log, tmp_path / "log.zip"), (note,)).counts) == {Kind.FORKED}


def test_a_log_that_was_put_back_is_a_roll_back(log: House, tmp_path: Path):
    """A backup that is put back fits itself; a checkpoint kept elsewhere speaks of more events than it has."""
    old = exported(log, tmp_path / "old.zip")
    sealed(log, 2)
    note = last_note(log)
    assert report_of_file(old).intact
    assert set(report_of_file(old, (note,)).counts) == {Kind.ROLLED_BACK}
    with log.db.begin() as tx:
        for seq in (SEALED, SEALED + 1):
            tx.execute(sa.delete(audit_event).where(E.id == event_at(tx, seq)))
        tx.execute(sa.delete(audit_leaf).where(L.seq >= SEALED))
        tx.execute(sa.delete(audit_checkpoint).where(audit_checkpoint.c.size > SEALED))
        rebuild(tx, None, log)
    assert report_of(log).intact
    assert set(report_of(log, (note,)).counts) == {Kind.ROLLED_BACK}


def test_two_logs_under_one_key_are_a_fork(log: House, tmp_path: Path):
    """Two checkpoints that say different things of the same events prove that there are two logs."""
    said = Checkpoint(signer(log).name, SEALED, bytes(32), log.clock())
    path = changed(
        exported(log, tmp_path / "log.zip"),
        "checkpoints.jsonl",
        lambda lines: [*lines, json.dumps({"size": SEALED, "note": sign(said.text, signer(log))})],
    )
    assert Kind.FORKED in report_of_file(path).counts
    assert Kind.FORKED in report_of(log, (sign(said.text, signer(log)),)).counts


def test_another_log_is_not_this_one(log: House):
    """A checkpoint of another installation, or a key of one, vouches for nothing here."""
    other = Signer("syncline/other", Ed25519PrivateKey.generate())
    note = sign(Checkpoint(other.name, 1, bytes(32), log.clock()).text, other)
    assert set(report_of(log, (note,)).counts) == {Kind.FORGED}
    found = report_of(log, (), (other.public,))
    assert Kind.KEYS in found.counts
    assert not found.trusted


def rebuild(tx: sa.Connection, key: Signer | None, house: House) -> None:
    """Make hashes, tree and head fit the events, and with a key the checkpoints too."""
    tree = Frontier()
    tx.execute(sa.delete(audit_node))
    sizes = list(tx.scalars(sa.select(audit_checkpoint.c.size)))
    for seq, event_id in tx.execute(sa.select(L.seq, L.event_id).order_by(L.seq)).all():
        leaf = leaf_of(document(tx.execute(sa.select(audit_event).where(E.id == event_id)).one()))
        tx.execute(sa.update(audit_leaf).where(L.seq == seq).values(hash=leaf))
        tree.append(leaf)
        if key and tree.size in sizes:
            note = sign(Checkpoint(key.name, tree.size, tree.root(), house.clock()).text, key)
            tx.execute(sa.update(audit_checkpoint).where(audit_checkpoint.c.size == tree.size).values(note=note))
    tx.execute(sa.update(audit_head).values(size=tree.size, edge=tree.dump()))


def changed(path: Path, name: str, change: Callable[[list[str]], list[str]]) -> Path:
    """Change the lines of one part of an export."""
    target = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for one in old.namelist():
            text = old.read(one)
            if one == name:
                text = "".join(f"{line}\n" for line in change(text.decode().splitlines())).encode()
            new.writestr(one, text)
    return target


FILE_MATRIX: list[tuple[str, Callable[[list[str]], list[str]], set[Kind]]] = [
    ("entries.jsonl", lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], {Kind.REORDERED}),
    ("entries.jsonl", lambda lines: [*lines[:4], *lines[5:]], {Kind.DELETED}),
    ("entries.jsonl", lambda lines: lines[:-1], {Kind.TRUNCATED}),
    (
        "entries.jsonl",
        lambda lines: [lines[0].replace("wei", "lin"), lines[1], lines[2].replace("wei", "lin"), *lines[3:]],
        {Kind.EDITED},
    ),
    ("entries.jsonl", lambda lines: [*lines, lines[3]], {Kind.REORDERED}),
    ("checkpoints.jsonl", lambda lines: [lines[0].replace("\\n5\\n", "\\n6\\n"), *lines[1:]], {Kind.FORGED}),
    ("checkpoints.jsonl", lambda lines: lines[:-1], {Kind.UNSIGNED}),
    ("keys.jsonl", lambda _lines: [], {Kind.FORGED, Kind.UNSIGNED}),
]


@pytest.mark.parametrize(("name", "change", "kinds"), FILE_MATRIX)
def test_an_export_that_was_changed_is_found_out(
    log: House, tmp_path: Path, name: str, change: Callable[[list[str]], list[str]], kinds: set[Kind]
):
    """What is done to the file afterwards is found and named too."""
    found = report_of_file(changed(exported(log, tmp_path / "log.zip"), name, change))
    assert set(found.counts) == kinds


@pytest.mark.parametrize("text", ["{", "[]", '{"seq": "x"}', '{"seq": 1, "event_id": 2, "leaf": "%"}'])
def test_what_is_no_export_is_refused(log: House, tmp_path: Path, text: str):
    """A file that is no export, or is cut, is told of in one sentence."""
    (tmp_path / "x.zip").write_bytes(b"PK no")
    with pytest.raises(Unreadable, match="sealed audit log"):
        Bundle(tmp_path / "x.zip")
    path = changed(exported(log, tmp_path / "log.zip"), "entries.jsonl", lambda _lines: [text])
    with pytest.raises(Unreadable, match=r"entries\.jsonl"):
        report_of_file(path)


def test_a_log_under_several_keys_is_one_log(log: House, tmp_path: Path):
    """After the key was exchanged, old checkpoints verify; who trusts the first key or the last tells all of them."""
    first = signer(log).public
    for _ in range(2):
        renew(log, WHO)
        seal_all(log, signer(log))
    assert signer(log).public != first
    for key in (first, signer(log).public):
        found = report_of(log, (), (key,))
        assert found.intact, found.to_json()
        assert found.trusted
    with log.db.begin() as tx:
        tx.execute(sa.delete(audit_key).where(audit_key.c.no == 2))
    assert Kind.KEYS in report_of(log).counts


def test_nothing_is_sealed_on_a_broken_seal(log: House):
    """The sealer does not sign a tree that is not the one it signed before."""
    with log.db.begin() as tx:
        tx.execute(sa.update(audit_head).values(edge=bytes(32) * SEALED.bit_count()))
    write(log, 1)
    with pytest.raises(SealBroken, match="altered"):
        seal_all(log, signer(log))


def test_a_backdated_event_is_told(log: House, clock: Clock):
    """An event that claims a time at which it was not there is told of, though a clock may have been wrong."""
    clock.forward(hours=5)
    sealed(log, 1)
    with log.db.begin() as tx:
        at = clock().replace(hour=3)
        record(tx, WHO, at, Event(Tag.RULE_UPDATED, Subject("rule", "late")))
    seal_all(log, signer(log))
    found = report_of(log)
    assert found.counts == {Kind.BACKDATED: 1}
    assert found.intact


def test_every_kind_is_in_the_matrix():
    """Each name that a finding can have is shown by a test of this module; of restores tell those of backups."""
    shown = {kind for _, kinds in MATRIX for kind in kinds} | {Kind.FORKED, Kind.ROLLED_BACK, Kind.BACKDATED}
    assert shown == set(Kind) - {Kind.RESTORED}
