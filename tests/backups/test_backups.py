"""Backups: taken while runs go on, put back into either database, safe to go on from."""

from __future__ import annotations

import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyrage
import pytest
import sqlalchemy as sa

from tests.backups.furnished import ERP, furnished, held, tags
from tests.houses import prepare, settings_in
from tests.runs.conftest import ADMIN, World, numbers
from webapp.audit import keys as audit_keys
from webapp.audit import marks
from webapp.audit.findings import Kind
from webapp.audit.models import audit_checkpoint
from webapp.audit.notes import PublicKey
from webapp.backups import archive, restoring, taking
from webapp.backups.archive import BadArchive, Key, Lock
from webapp.backups.filling import NotEmpty
from webapp.backups.restoring import CannotRestore
from webapp.entities import search, storage
from webapp.entities import services as entities
from webapp.evidence import checking
from webapp.evidence.notary import seal_due
from webapp.evidence.stored import opened
from webapp.extensions import House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs.models import fence, run, run_chunk
from webapp.runs.requests import RunRefused
from webapp.vault import services as vault

PLAIN, NONE = Lock(), Key()


def quiet(_name: str, _rows: int) -> None:
    """Say nothing."""


def back_up(world: World, path: Path, lock: Lock = PLAIN, **more: bool) -> Path:
    taking.take(world.house, path, lock, ADMIN, quiet, **more)
    return path


def put_back(house: House, path: Path, key: Key = NONE) -> restoring.Restored:
    with restoring.opened(path, key) as backup:
        return restoring.restore(house, backup, ADMIN, quiet)


@pytest.fixture
def world(tmp_path: Path, metadata_url: str) -> Iterator[World]:
    """Return an installation with something of everything."""
    with furnished(tmp_path / "data", metadata_url) as world:
        yield world


@pytest.fixture
def elsewhere(tmp_path: Path, empty_metadata_url: str) -> Iterator[House]:
    """Return an empty database and data folder, with the keys of the installation."""
    folder = tmp_path / "other"
    url = empty_metadata_url.replace("+psycopg", "").replace("metadata.db", "other.db")
    house = open_house(settings_in(folder, url, SYNCLINE_FILE_ROOTS=str(tmp_path)))
    (folder / "keys").mkdir(mode=0o700)
    yield house
    house.db.engine.dispose()


def with_keys(world: World, house: House) -> None:
    shutil.copy2(world.folder / "keys" / "master.key", house.settings.data / "keys")


CHANGED = ("audit_event", "access_session", "fence", "rule", "entity", "run")
"""Tables in which something changes when a backup is put back."""


def test_everything_comes_back(world: World, elsewhere: House, tmp_path: Path) -> None:
    """All rows, files and secrets are as they were; the audit log is intact and says what was put back."""
    (world.folder / "files").mkdir()
    (world.folder / "files" / "a.csv").write_text("1;2")
    before = held(world.house, but=CHANGED)
    with_keys(world, elsewhere)
    done = put_back(elsewhere, back_up(world, tmp_path / "b.tar"))
    assert held(elsewhere, but=CHANGED) == before
    assert (elsewhere.settings.data / "files" / "a.csv").read_text() == "1;2"
    assert not (elsewhere.settings.data / "keys" / "audit-mark.txt").exists()
    with elsewhere.db.read() as tx:
        assert vault.get(tx, vault.keyring(elsewhere), ERP, "password") == "canary-Grüße"
    assert (done.unreadable, tags(elsewhere)[-1]) == ((), "backups:installation:restored")
    seal_due(elsewhere)
    with opened(elsewhere) as log:
        report = checking.check(log, checking.stored_blobs(log.tx), [], [], checking.stored_rows(log.tx))
    assert (report.intact, dict(report.counts)) == (True, {Kind.RESTORED: 1}), report.findings


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_fits_either_database(tmp_path: Path, postgres_url: str, target: str) -> None:
    """A backup of SQLite goes into PostgreSQL and the other way round; records are found by search and go on behind."""
    ours = {"sqlite": "", "postgresql": postgres_url.replace("+psycopg", "")}
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[target]
    if other == "postgresql":
        prepare(postgres_url)
    with furnished(tmp_path / "data", ours[other]) as world:
        path, before = back_up(world, tmp_path / "b.tar"), held(world.house, but=CHANGED)
        folder = tmp_path / "other"
        house = open_house(settings_in(folder, ours[target] or f"sqlite:///{folder / 'new.db'}"))
        (folder / "keys").mkdir()
        with_keys(world, house)
        put_back(house, path)
        assert held(house, but=CHANGED) == before
        assert entities.create_record(house, "firm", {"name": "New"}, ADMIN) > 1_000_000
        with house.db.read() as tx:
            firm = entities.entity(tx, "firm")
            table = storage.table(tx, firm)
            wanted = search.condition(firm, table, "138001")
            assert tx.scalars(sa.select(table.c.name).where(wanted)).all() == ["Acme 北京 13800138000"]
        house.db.engine.dispose()


def test_a_backup_is_of_one_moment(world: World, elsewhere: House, tmp_path: Path) -> None:
    """While runs write, a backup holds whole chunks: links, counts, outcomes and events fit each other."""
    done, names = threading.Event(), iter(range(100, 100_000, 10))

    def work() -> None:
        while not done.is_set():
            world.customers(*(f"Bob {n}" for n in range(5)), first=next(names))
            world.run()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        paths = [back_up(world, tmp_path / f"{n}.tar") for n in range(3)]
    finally:
        done.set()
        worker.join()
    with_keys(world, elsewhere)
    put_back(elsewhere, paths[-1])
    seal_due(elsewhere)
    with opened(elsewhere) as log:
        report = checking.check(log, checking.stored_blobs(log.tx), [], [], checking.stored_rows(log.tx))
    assert report.intact, report.findings
    with elsewhere.db.read() as tx:
        for row in tx.execute(sa.select(run)).mappings():
            mine = (run_chunk.c.run_id == row["id"], run_chunk.c.state == "done")
            assert (tx.scalar(sa.select(sa.func.sum(run_chunk.c.records)).where(*mine)) or 0) == row["counts"]["read"]


def test_the_first_runs_neither_double_nor_delete(world: World, elsewhere: House, tmp_path: Path) -> None:
    """After a restore a rule is held, then finds by key what it wrote since the backup: no double, no deletion."""
    path = back_up(world, tmp_path / "b.tar")
    world.customers("New 1", "New 2", first=50)
    world.crm("UPDATE customer SET name = 'Changed' WHERE id = 3")
    assert numbers(world.run())["created"] == 2
    clients, token = world.clients(), _token(world.house)
    with_keys(world, elsewhere)
    done = put_back(elsewhere, path)
    world.house = replace(elsewhere, clock=world.now)
    assert [(one.name, one.finds) for one in done.settled.held] == [("customers", True)]
    with pytest.raises(RunRefused, match="backup was put back"):
        world.run()
    assert numbers(world.run("simulate"))["unchanged"] == 22
    rulebook.resume(world.house, "customers", ADMIN)
    again = world.run()
    assert again.state == "succeeded"
    assert numbers(again) == {"read": 24, "unchanged": 22, "quarantined": 2}
    assert (world.clients(), _token(world.house) > token, again.id > 1_000_000) == (clients, True, True)
    world.crm("UPDATE customer SET name = 'Later' WHERE id = 50")
    assert numbers(world.run())["updated"] == 1


def test_a_worker_of_before_writes_no_more(world: World, elsewhere: House, tmp_path: Path) -> None:
    """Whoever works on with the lost database is refused by the target as soon as the restored rule has written."""
    path, lost = back_up(world, tmp_path / "b.tar"), world.house
    with_keys(world, elsewhere)
    put_back(elsewhere, path)
    world.house = replace(elsewhere, clock=world.now)
    rulebook.resume(world.house, "customers", ADMIN)
    world.customers("New 1", first=50)
    assert numbers(world.run())["created"] == 1
    world.house = lost
    world.customers("New 2", first=51)
    assert world.run().state != "succeeded"
    assert [row[0] for row in world.clients() if row[0] >= 50] == [50]


def test_a_rule_that_cannot_find_its_records_is_named(world: World, elsewhere: House, tmp_path: Path) -> None:
    """Where the target makes keys and nothing correlates, the operator is told before anything is written."""
    world.rule(fields=[{"left": "name", "right": "title"}])
    path = back_up(world, tmp_path / "b.tar")
    with_keys(world, elsewhere)
    assert [(one.name, one.finds) for one in put_back(elsewhere, path).settled.held] == [("customers", False)]


def test_checkpoints_of_what_was_lost_are_no_fork(world: World, elsewhere: House, tmp_path: Path) -> None:
    """A log that says that it was put back explains checkpoints of between; others still show a fork or a roll-back."""
    path = back_up(world, tmp_path / "b.tar")
    world.run()
    seal_due(world.house)
    (lost,) = _notes(world.house)[-1:]
    shutil.copytree(world.folder / "keys", elsewhere.settings.data / "keys", dirs_exist_ok=True)
    done = put_back(elsewhere, path)
    assert done.mark is not None
    assert marks.read(done.mark) is not None
    for _ in range(20):
        seal_due(elsewhere)
    with elsewhere.db.read() as tx:
        trusted = [PublicKey.parse(line.public) for line in audit_keys.lines(tx)]
    assert _check(elsewhere, trusted, [lost]) == (True, {Kind.RESTORED: 1})
    world.house = elsewhere
    rulebook.resume(elsewhere, "customers", ADMIN)
    for _ in range(4):
        world.run()
    seal_due(elsewhere)
    assert _check(elsewhere, trusted, [lost]) == (True, {Kind.RESTORED: 1})
    later = _notes(elsewhere)[-1]
    with elsewhere.db.begin() as tx:
        for name in ("audit_leaf", "audit_event"):
            column = "seq" if name == "audit_leaf" else "id"
            tx.execute(sa.text(f"DELETE FROM {name} WHERE {column} > (SELECT max({column}) - 2 FROM {name})"))
    intact, counts = _check(elsewhere, trusted, [lost, later])
    assert not intact
    assert Kind.ROLLED_BACK in counts


def test_nothing_is_overwritten(world: World, elsewhere: House, tmp_path: Path) -> None:
    """A file, a database and a data folder that hold something else are left alone."""
    path = back_up(world, tmp_path / "b.tar")
    with pytest.raises(BadArchive, match="exists already"):
        back_up(world, path)
    with pytest.raises(NotEmpty), restoring.opened(path, Key()) as backup:
        restoring.restore(world.house, backup, ADMIN, quiet)
    (world.folder / "files").mkdir(exist_ok=True)
    (world.folder / "files" / "a").write_text("ours")
    second = back_up(world, tmp_path / "c.tar")
    with_keys(world, elsewhere)
    (elsewhere.settings.data / "files").mkdir()
    (elsewhere.settings.data / "files" / "a").write_text("theirs")
    with pytest.raises(CannotRestore, match="is another file"):
        put_back(elsewhere, second)
    assert (elsewhere.settings.data / "files" / "a").read_text() == "theirs"


def test_without_the_key_nothing_is_put_back(world: World, elsewhere: House, tmp_path: Path) -> None:
    """The operator is told which key file to bring; neither a key nor a table is made, and then it works."""
    path = back_up(world, tmp_path / "b.tar")
    with pytest.raises(CannotRestore, match=r"master\.key"):
        put_back(elsewhere, path)
    with elsewhere.db.read() as tx:
        assert sa.inspect(tx).get_table_names() == []
    with_keys(world, elsewhere)
    put_back(elsewhere, path)


def test_damage_is_found(world: World, elsewhere: House, tmp_path: Path) -> None:
    """A backup that was cut off or altered is refused before anything is touched."""
    path = back_up(world, tmp_path / "b.tar")
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        member = tar.getmember("tables/link_segment/000001.arrow")
    flipped = bytearray(whole)
    flipped[member.offset_data + member.size // 2] ^= 1
    for content in (whole[: len(whole) // 2], bytes(flipped), b"no backup at all" * 100, b""):
        path.write_bytes(content)
        with pytest.raises(BadArchive):
            put_back(elsewhere, path)
    with elsewhere.db.read() as tx:
        assert sa.inspect(tx).get_table_names() == []


@pytest.mark.parametrize("how", ["recipient", "passphrase"])
def test_an_encrypted_backup_opens_with_its_key_only(world: World, elsewhere: House, tmp_path: Path, how: str) -> None:
    """Nothing of it can be read without the key; with the key it brings the keys of the installation along."""
    own = pyrage.x25519.Identity.generate()
    locks = {"recipient": Lock((str(own.to_public()),)), "passphrase": Lock(passphrase="a long passphrase")}
    right = {"recipient": Key(f"# made today\n{own}\n"), "passphrase": Key(passphrase="a long passphrase")}[how]
    path = back_up(world, tmp_path / "b.tar", locks[how], with_keys=True)
    content = path.read_bytes()
    assert b"Ann 1" not in content
    assert b"about.json" not in content
    for wrong in (Key(), Key(str(pyrage.x25519.Identity.generate())), Key(passphrase="another"), Key("nonsense")):
        with pytest.raises(BadArchive):
            put_back(elsewhere, path, wrong)
    path.write_bytes(content[:-2000] + bytes([content[-2000] ^ 1]) + content[-1999:])
    with pytest.raises(BadArchive):
        put_back(elsewhere, path, right)
    path.write_bytes(content)
    put_back(elsewhere, path, right)
    assert (elsewhere.settings.data / "keys" / "master.key").read_bytes() == (
        world.folder / "keys" / "master.key"
    ).read_bytes()


def test_keys_are_never_in_a_plain_backup(world: World, tmp_path: Path) -> None:
    """Keys need encryption; without them neither a key nor a secret in clear is in the file."""
    with pytest.raises(taking.CannotBackUp):
        back_up(world, tmp_path / "b.tar", with_keys=True)
    path = back_up(world, tmp_path / "b.tar")
    with tarfile.open(path) as tar:
        names = tar.getnames()
        about: dict[str, Any] = json.load(tar.extractfile("about.json"))  # type: ignore[arg-type]
        texts = b"".join(tar.extractfile(n).read() for n in names)  # type: ignore[union-attr]
    assert not [name for name in names if "keys/" in name]
    assert (world.folder / "keys" / "master.key").read_bytes().strip() not in texts
    assert "canary-Grüße".encode() not in texts
    assert len(about["needs_keys"]) == 1


def test_other_formats_and_versions_are_refused(world: World, elsewhere: House, tmp_path: Path) -> None:
    """The error says which version is needed."""
    path = back_up(world, tmp_path / "b.tar")
    with restoring.opened(path, Key()) as backup, pytest.raises(CannotRestore, match="needs"):
        restoring.restore(elsewhere, replace(backup, about={**backup.about, "revision": "9999"}), ADMIN, quiet)
    (tmp_path / "about.json").write_text('{"format": 7}')
    with pytest.raises(BadArchive, match="format 7"):
        archive.about(tmp_path)


def _token(house: House) -> int:
    with house.db.read() as tx:
        return int(tx.scalar(sa.select(fence.c.token)) or 0)


def _notes(house: House) -> list[str]:
    with house.db.read() as tx:
        return list(tx.scalars(sa.select(audit_checkpoint.c.note).order_by(audit_checkpoint.c.size)))


def _check(house: House, trusted: list[PublicKey], kept: list[str]) -> tuple[bool, dict[Kind, int]]:
    with opened(house) as log:
        report = checking.check(log, None, trusted, kept)
    return report.intact, dict(report.counts)
