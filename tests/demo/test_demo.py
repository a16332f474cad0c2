"""The demo: two systems that disagree, brought together."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.installation import CommandLine
from webapp.demo.contacts import MARRIED, SPELLED
from webapp.demo.systems import write


def digests(folder: Path) -> dict[str, str]:
    """Return the content of each file: of databases what they hold, since their bytes depend on SQLite's version."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as db:
                content = "\n".join(db.iterdump()).encode()
        else:
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def test_the_same_seed_gives_the_same_records(tmp_path: Path) -> None:
    """Two demos hold the same; writing again leaves what somebody changed."""
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    with closing(sqlite3.connect(tmp_path / "a" / "crm.db")) as db, db:
        db.execute("DELETE FROM deal")
    write(tmp_path / "a")
    with closing(sqlite3.connect(tmp_path / "a" / "crm.db")) as db:
        assert db.execute("SELECT count(*) FROM deal").fetchone() == (0,)


def test_the_demo_runs(syncline: CommandLine) -> None:
    """Each rule runs once: records are created, updated and left, some fail with a reason; nothing is done twice."""
    first = syncline.ok("demo", "--json").json
    assert (first["changes"], len(first["runs"])) == (8, 4)
    runs = {run["rule"]: run["counts"] for run in syncline.ok("runs", "--json").json}
    customers = runs["customers_crm_erp"]
    assert all(customers[name] > 0 for name in ("created", "updated", "unchanged", "skipped", "quarantined"))
    assert runs["orders_crm_erp"]["created"] > 500
    assert runs["employees_hr"]["created"] > 140
    contacts = runs["contacts_both_ways"]
    assert all(contacts[name] > 0 for name in ("created", "updated", "unchanged", "cases"))
    for counts in runs.values():
        assert counts["read"] == sum(number for name, number in counts.items() if name != "read")
    reasons = {entry["reason"] for entry in syncline.ok("quarantine", "--limit", "200", "--json").json}
    assert len(reasons) > 3
    assert syncline.ok("demo", "--json").json == {"changes": 0, "runs": []}


def test_a_second_run_rests(syncline: CommandLine) -> None:
    """Without new edits a second run of each rule writes nothing."""
    syncline.ok("demo")
    for rule in ("customers_crm_erp", "orders_crm_erp", "employees_hr", "contacts_both_ways"):
        counts = syncline.ok("run", rule, "--wait", "--json").json["counts"]
        assert counts["created"] == counts["updated"] == counts["deleted"] == 0


def test_the_inbox_has_something_to_decide(syncline: CommandLine) -> None:
    """After the first runs conflicts and doubtful matches wait for a person."""
    syncline.ok("demo")
    waiting = syncline.ok("cases", "--limit", "100", "--json").json
    assert Counter(case["situation"] for case in waiting) == {"linked_conflict": len(MARRIED), "review": len(SPELLED)}
