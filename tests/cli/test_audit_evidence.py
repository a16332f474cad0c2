"""`syncline audit verify, status, keys, hold, person` and the sealed export."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import sqlalchemy as sa

from tests.installation import CommandLine
from webapp.audit.models import audit_checkpoint, audit_event
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.notary import seal_due
from webapp.extensions import SYSTEM


def test_a_log_is_exported_and_verified(syncline: CommandLine, tmp_path: Path):
    """The export verifies on its own with a key and a checkpoint from elsewhere; what is altered is named."""
    syncline("user", "create", "ann", "--name", "Ann", "--email", "ann@example.com", "--role", "Viewer")
    path, key, kept = tmp_path / "log.zip", tmp_path / "key", tmp_path / "kept.txt"
    key.write_text(syncline("audit", "keys").out)
    assert syncline("audit", "export", "--format", "sealed", "--output", str(path), "--runs").code == 0
    assert syncline("audit", "export", "--format", "sealed", "--output", str(path)).code == 1
    assert syncline("audit", "export", "--format", "sealed").code == 1
    with syncline.house.db.read() as tx:
        kept.write_text(tx.scalars(sa.select(audit_checkpoint.c.note)).all()[-1])
    given = ("--key", str(key), "--checkpoints", str(kept), "--json")
    report = json.loads(syncline("audit", "verify", "--file", str(path), *given).out)
    assert (report["intact"], report["trusted"], report["elsewhere"]) == (True, True, 1)
    assert syncline("audit", "verify").out.startswith("Fits itself: ")
    with syncline.house.db.begin() as tx:
        tx.execute(sa.update(audit_event).where(audit_event.c.id == 2).values(actor_name="x"))
    found = syncline("audit", "verify", "--key", key.read_text().strip())
    assert found.code == 2
    assert found.out.startswith("EDITED: Event 2 was changed")
    assert syncline("audit", "verify", "--key", "x").code == 1
    assert syncline("audit", "verify", "--checkpoints", str(key)).code == 1
    assert syncline("audit", "verify", "--file", str(key)).code == 1


def test_keys_are_rotated_and_the_state_is_shown(syncline: CommandLine):
    """A new key joins the old one; the state tells how far the log is sealed."""
    assert len(syncline("audit", "keys").out.split()) == 1
    assert len(json.loads(syncline("audit", "keys", "--rotate", "--json").out)) == 2
    seal_due(syncline.house)
    assert syncline("audit", "verify").code == 0
    state = json.loads(syncline("audit", "status", "--json").out)
    assert (state["waiting"], state["keys"], state["targets"]) == (1, 2, [])
    assert "sent nowhere" in syncline("audit", "status").out


def test_a_person_is_held_exported_and_erased(syncline: CommandLine):
    """A hold forbids to erase a person; afterwards the values are gone and the events are still there."""
    syncline("user", "create", "ann", "--name", "Ann", "--email", "ann@example.com", "--role", "Viewer")
    with syncline.house.db.read() as tx:
        assert "ann@example.com" not in repr(tx.execute(sa.select(audit_event)).all())
    assert "ann@example.com" in syncline("audit", "person", "export", "--user", "ann").out
    assert syncline("audit", "hold", "place", "case", "--reason", "court", "--kind", "user").code == 0
    assert syncline("audit", "person", "erase", "--user", "ann", "--yes").code == 1
    assert json.loads(syncline("audit", "hold", "list", "--json").out)[0]["covers"] == "user"
    assert "court" in syncline("audit", "hold", "list").out
    assert syncline("audit", "hold", "release", "case").code == 0
    assert syncline("audit", "person", "erase", "--user", "ann", "--yes").code == 0
    told = syncline("audit", "person", "export", "--user", "ann").out
    assert "ann@example.com" not in told
    assert "access:user:created" in told
    assert "no personal values" in syncline("audit", "person", "erase", "--record", "customer", "17", "--yes").out
    assert syncline("audit", "person", "export").code == 1
    assert syncline("audit", "person", "export", "--user", "ann", "--case", "7").code == 1
    assert syncline("audit", "verify").code == 0


def test_what_was_written_about_a_record_is_erased(syncline: CommandLine):
    """Corrections and answers are reached by rule and key, the words of a case by its number; what stays is said."""
    with syncline.house.db.begin() as tx:
        corrected = Event(Tag.QUARANTINE_EDITED, Subject("rule", "r", "k"), None, {"phone": "0171"})
        comment = Event(Tag.CASE_COMMENTED, Subject("case", "7"), None, {"text": "Meier"})
        record(tx, SYSTEM, syncline.house.clock(), corrected, comment)
    for whom, told in ((("--rule", "r", "k"), "0171"), (("--case", "7"), "Meier")):
        assert told in syncline("audit", "person", "export", *whom).out
        answer = syncline("audit", "person", "erase", *whom, "--yes").out
        assert "are erased" in answer
        assert all(word in answer for word in ("history", "runs", "user names", "IP addresses", "backups"))
        assert told not in syncline("audit", "person", "export", *whom).out


def test_one_event_is_proven(syncline: CommandLine, tmp_path: Path):
    """The proof of an event is checked with a key alone."""
    proof, key = tmp_path / "proof.json", syncline("audit", "keys").out.strip()
    proof.write_text(syncline("audit", "prove", "1").out)
    assert (
        syncline("audit", "verify", "--proof", proof, "--key", key).out == "The proof holds: the log has this event.\n"
    )
    assert syncline("audit", "verify", "--proof", proof).code == 1
    proof.write_text(proof.read_text().replace('"place": 0', '"place": 1'))
    assert syncline("audit", "verify", "--proof", proof, "--key", key).code == 2
    proof.write_text("no")
    assert syncline("audit", "verify", "--proof", proof, "--key", key).code == 2
    assert "no event 99" in syncline("audit", "prove", "99").err


def test_a_package_is_written_and_checked_by_the_command(syncline: CommandLine, tmp_path: Path):
    """It proves the events that were asked for; a changed one is found; nothing asked for is told."""
    path, key = tmp_path / "evidence.zip", tmp_path / "key"
    key.write_text(syncline("audit", "keys").out)
    made = syncline("audit", "package", "--output", str(path), "--title", "q1", "--runs")
    assert made.code == 0, made
    assert "proves" in made.out
    assert syncline("audit", "package", "--output", str(path)).code == 1
    assert syncline("audit", "package", "--output", str(tmp_path / "n.zip"), "--actor", "nobody").code == 1
    with zipfile.ZipFile(path) as archive:
        number = len(archive.read("events.jsonl").splitlines())
    checked = syncline("audit", "verify", "--file", str(path), "--key", str(key))
    assert (checked.code, f" {number} events in the package" in checked.out) == (0, True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.txt", "more")
    found = syncline("audit", "verify", "--file", str(path), "--key", str(key))
    assert found.code == 2
    assert "INSERTED" in found.out
