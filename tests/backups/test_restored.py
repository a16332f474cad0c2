"""What a backup must not bring back: old plans, half-written runs, ids and tokens that others know, foreign files."""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
import sqlalchemy as sa

from connectors.spi import Fence
from tests.backups.test_backups import back_up, elsewhere, put_back, with_keys, world  # noqa: F401 - fixtures
from tests.runs.conftest import ADMIN, RULE, World
from webapp.audit import marks
from webapp.backups import filling, restoring
from webapp.backups.archive import BadArchive, Key, Lock
from webapp.backups.restoring import CannotRestore
from webapp.evidence.notary import seal_due
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs.followups import approve
from webapp.runs.models import run, run_chunk
from webapp.runs.requests import RunRefused, resume, start
from webapp.runs.transactions import deciding, reading
from webapp.runs.transactions.deciding import Part
from webapp.runs.transactions.states import State


def put_back_in(world: World, house: House, path: Path) -> restoring.Restored:  # noqa: F811
    """Put a backup back and let the world go on with it."""
    with_keys(world, house)
    done = put_back(house, path)
    world.house = replace(house, clock=world.now)
    return done


def test_a_plan_of_before_is_not_carried_out_twice(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """A plan that was approved since the backup creates nothing again: it has to be simulated anew."""
    world.rule(fields=[{"left": "name", "right": "title"}])
    world.customers("New 1", "New 2", first=50)
    simulated = world.run("simulate").id
    path = back_up(world, tmp_path / "b.tar")
    assert world.work(approve(world.house, simulated, ADMIN))
    clients = world.clients()
    assert [row[1] for row in clients].count("New 1") == 1
    put_back_in(world, elsewhere, path)
    with pytest.raises(RunRefused, match="Simulate the rule again"):
        world.work(approve(world.house, simulated, ADMIN))
    assert world.clients() == clients


def test_a_failed_run_writes_no_more(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """While its rule is held it cannot be resumed, and one that had begun to write a chunk never: it is cancelled."""
    world.customers("New 1", first=50)
    half = world.run().id
    world.customers("New 2", first=51)
    whole = world.run().id
    with world.house.db.begin() as tx:
        tx.execute(sa.update(run).where(run.c.id.in_([half, whole])).values(state="failed"))
        tx.execute(sa.update(run_chunk).where(run_chunk.c.run_id == half).values(state="planned"))
    done = put_back_in(world, elsewhere, back_up(world, tmp_path / "b.tar"))
    assert done.settled.runs == (half,)
    with pytest.raises(RunRefused, match="backup was put back"):
        resume(world.house, whole, ADMIN)
    rulebook.resume(world.house, "customers", ADMIN)
    resume(world.house, whole, ADMIN)
    with pytest.raises(RunRefused, match="cancelled"):
        resume(world.house, half, ADMIN)


def test_a_rule_made_since_the_backup_is_made_again(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """The target remembers its tokens under its name, and takes the new ones."""
    path = back_up(world, tmp_path / "b.tar")
    for number in range(3):
        _second(world, f"Changed {number}")
    put_back_in(world, elsewhere, path)
    _second(world, "Changed again")
    assert world.clients()[2][1] == "Changed again"


def _second(world: World, name: str) -> None:  # noqa: F811
    """Run another rule, made where it is not there, with something to write."""
    with world.house.db.read() as tx:
        known = rulebook.find(tx, "second")
    if known is None:
        rulebook.create(world.house, {**RULE, "name": "second"}, ADMIN)
        rulebook.publish(world.house, "second", ADMIN)
    world.crm(f"UPDATE customer SET name = '{name}' WHERE id = 3")
    number = start(world.house, "second", "live", ADMIN)
    assert world.work(number)
    assert world.look(number).state == "succeeded", str(world.look(number).message)


def test_ids_that_others_were_told_are_not_given_again(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """Also those of tables that were empty: receivers take a call with a number that they know for a repetition."""
    put_back_in(world, elsewhere, back_up(world, tmp_path / "b.tar"))
    with elsewhere.db.read() as tx:
        last = filling.last_ids(tx)
    told = ("run", "event_action", "notice", "global_transaction", "e_firm")
    assert {name for name in told if last.get(name, 0) >= 1_000_000} == set(told)


def test_what_was_undecided_is_not_decided_by_a_backup(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """A transaction that was being prepared may have been committed since; a decided one is still carried out."""
    parts = [Part("left", "crm", "customer", 3, "x:r:left"), Part("right", "erp", "client", 4, "x:r:right")]
    with world.house.db.begin() as tx:
        first, _other = (
            deciding.begin(tx, (1, "customers"), Fence("x:r", 1, 7, chunk), parts, world.now()) for chunk in (1, 2)
        )
        deciding.commit(tx, first.id, world.now())
    done = put_back_in(world, elsewhere, back_up(world, tmp_path / "b.tar"))
    assert [(one.id, one.state) for one in reading.listing(elsewhere)] == [(first.id, State.COMMITTING)]
    assert done.settled.transactions == 1


def test_a_restore_that_stops_leaves_no_file(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """Where one file has no place, the others go as well, so that it can be tried again."""
    (world.folder / "files" / "sub").mkdir(parents=True)
    for name in ("a.csv", "sub/b.csv"):
        (world.folder / "files" / name).write_text("1")
    path = back_up(world, tmp_path / "b.tar")
    files = elsewhere.settings.data / "files"
    files.mkdir()
    (files / "sub").write_text("a file where a folder should be")
    with pytest.raises(CannotRestore, match=r"b\.csv"):
        put_back_in(world, elsewhere, path)
    assert [one.name for one in files.iterdir()] == ["sub"]


def test_what_the_manifest_does_not_know_is_refused(world: World, tmp_path: Path) -> None:  # noqa: F811
    """A file that somebody has added to a backup does not get into the data folder."""
    path = back_up(world, tmp_path / "b.tar")
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("files/files/more.csv")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"1"))
    with pytest.raises(BadArchive, match=r"more\.csv"), restoring.opened(path, Key()):
        pass


def test_a_backup_with_keys_holds_no_mark(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """It is of the machine: one that has kept its keys and has sealed more since takes the backup, and says so."""
    own = pyrage.x25519.Identity.generate()
    path = back_up(world, tmp_path / "b.age", Lock((str(own.to_public()),)), with_keys=True)
    world.run()
    seal_due(world.house)
    shutil.copytree(world.folder / "keys", elsewhere.settings.data / "keys", dirs_exist_ok=True)
    done = put_back(elsewhere, path, Key(str(own)))
    assert done.mark is not None
    assert marks.read(done.mark) == marks.read(marks.place(world.house))
