"""Evidence packages: made by a worker, checked by anybody; whatever is done to one is found and named."""

from __future__ import annotations

import json
import zipfile

import pytest
import sqlalchemy as sa

from tests.evidence.conftest import WHO, Clock, sealed, write
from tests.houses import fresh_house
from webapp.audit import queries
from webapp.audit.findings import Kind
from webapp.audit.models import audit_event
from webapp.audit.notes import PublicKey
from webapp.evidence import desk, jobs, package, package_check
from webapp.evidence.bundle import Unreadable
from webapp.evidence.stored import opened
from webapp.extensions import House

CHINESE = package.Wanted(queries.Filter(kind="rule"), "审计 2026 — Prüfung", language="zh")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A house whose log is sealed several times over, and a package of it."""
    folder = tmp_path_factory.mktemp("package")
    clock = Clock()
    with fresh_house(folder / "data") as fresh:
        house = House(fresh.settings, fresh.db, clock)
        for number in range(3):
            sealed(house, 4 + number)
            clock.forward(days=1)
        write(house, 2, 900)  # these two wait for their seal
        number = jobs.request(house, jobs.PACKAGE, CHINESE.to_json(), WHO)
        assert jobs.waiting(house) == [number]
        assert jobs.waiting(house) == []
        assert desk.work(house, number)
        assert not desk.work(house, number)
        with house.db.read() as tx:
            job = jobs.get(tx, number)
        yield house, job, package.folder(house) / job.file


@pytest.fixture(scope="module")
def key(made):
    with opened(made[0]) as log:
        return PublicKey.parse(log.keys()[-1].public)


def changed(path, where, to, file="events.jsonl"):
    """Return a copy of a package with one file put in place, changed or taken out (None)."""
    copy = path.with_name("copy.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == file:
                content = where(content)
            if content is not None:
                new.writestr(name, content)
        if to:
            new.writestr(to, b"more")
    return copy


def test_a_package_proves_its_events_without_the_installation(made, key):
    """All sealed events that were asked for, with report and proofs; its key can be one that the reader had before."""
    _house, job, path = made
    assert (job.state, job.result["events"], job.done) == ("done", 4 + 5 + 6, 45)
    found = package_check.check(path, [key])
    assert found.intact, found.findings
    assert (found.events, found.trusted, found.checkpoints >= 3) == (15, True, True)
    assert package_check.is_package(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("report.pdf").startswith(b"%PDF")
        page = archive.read("report.html").decode()
        assert "审计 2026" in page
        assert page.count("<tr>") == 16
        events = [json.loads(line) for line in archive.read("events.jsonl").splitlines()]
    assert [event["subject"] for event in events][:4] == ["r0", "r1", "r2", "r3"]


TAMPERED = {
    "an event": (lambda text: text.replace(b'"r1"', b'"rX"'), None, "events.jsonl", Kind.EDITED),
    "an event less": (lambda text: text.partition(b"\n")[2], None, "events.jsonl", Kind.DELETED),
    "a proof": (lambda text: text.replace(b'"place":1', b'"place":2', 1), None, "proofs.jsonl", Kind.EDITED),
    "the report": (lambda text: text.replace(b"r1", b"rX"), None, "report.html", Kind.EDITED),
    "a file more": (lambda text: text, "more.txt", "VERIFY.txt", Kind.INSERTED),
    "a file less": (lambda _text: None, None, "report.pdf", Kind.DELETED),
    "the list": (lambda text: text.replace(b"zh", b"en"), None, "manifest.json", Kind.FORGED),
    "the signature": (lambda text: text.replace(b"evidence", b"evidences"), None, "manifest.note", Kind.FORGED),
    "the last one": (lambda text: text.replace(b"\n1", b"\n2", 1), None, "checkpoint.txt", Kind.FORGED),
    "another checkpoint": (
        lambda text: text.replace(b"time 2026", b"time 2025"),
        None,
        "checkpoints.jsonl",
        Kind.FORGED,
    ),
    "the keys": (lambda text: text.replace(b"syncline audit keys", b"syncline keys"), None, "keys.jsonl", Kind.KEYS),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_done_to_a_package_is_named(made, key, what):
    """Each file, event, proof, signature: the check says which does not fit."""
    where, to, file, kind = TAMPERED[what]
    found = package_check.check(changed(made[2], where, to, file), [key])
    assert kind in found.counts
    assert not found.intact


def test_a_package_of_another_log_is_not_believed(made, key, tmp_path):
    """Who has the key from elsewhere is told that a whole package was made with another one."""
    with fresh_house(tmp_path / "other") as house:
        sealed(house, 3)
        package.write(house, tmp_path / "other.zip", package.Wanted(queries.Filter()), "mallory")
    assert package_check.check(tmp_path / "other.zip").intact
    assert Kind.KEYS in package_check.check(tmp_path / "other.zip", [key]).counts


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip"])
def test_what_is_no_package_is_told(tmp_path, content):
    """A file that is none is refused with a sentence."""
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    assert not package_check.is_package(path)
    with pytest.raises(Unreadable):
        package_check.check(path)


def test_jobs_fail_with_a_sentence_and_are_taken_over(made):
    """Nothing found is said; a worker that is silent loses its job, and learns it at its next word."""
    house = made[0]
    nothing = package.Wanted(queries.Filter(subject="nobody"))
    number = jobs.request(house, jobs.PACKAGE, nothing.to_json(), WHO)
    desk.work(house, number)
    with house.db.read() as tx:
        assert "Widen the dates" in str(jobs.get(tx, number).problem)
    number = jobs.request(house, jobs.PACKAGE, CHINESE.to_json(), WHO)
    slow = jobs._claim(house, number)
    house.clock.forward(minutes=5)
    assert number in jobs.waiting(house)
    assert desk.work(house, number)
    with pytest.raises(jobs.Lost):
        slow.progress(1, 1)
    with house.db.read() as tx:
        assert jobs.get(tx, number).state == "done"


def test_the_whole_log_is_checked_as_a_job(made):
    """What the page shows is what the command would say, and the log tells that it was checked."""
    house = made[0]
    number = jobs.request(house, jobs.VERIFY, {}, WHO)
    assert desk.work(house, number)
    with house.db.read() as tx:
        result = jobs.get(tx, number).result
    assert (result["intact"], result["size"] >= 15) == (True, True)
    with house.db.begin() as tx:
        kept = tx.execute(sa.select(audit_event).where(audit_event.c.id == 2)).mappings().one()
        tx.execute(sa.update(audit_event).where(audit_event.c.id == 2).values(actor_name="mallory"))
    number = jobs.request(house, jobs.VERIFY, {}, WHO)
    desk.work(house, number)
    with house.db.begin() as tx:
        assert jobs.get(tx, number).result["counts"] == {"edited": 1}
        tx.execute(sa.update(audit_event).where(audit_event.c.id == 2).values(dict(kept)))
