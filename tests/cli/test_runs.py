"""`syncline connection`, `run`, `runs`, `simulate`, `quarantine` and `audit` on a folder of files and a database."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.installation import CommandLine
from webapp.runs import reading

FILES = """
{kind: connection, name: inbox, connector: files, settings: {path: inbox, format: csv}}
---
{kind: connection, name: shop, connector: sqlite, settings: {path: shop.db}}
---
kind: sync
name: items
left: {connection: inbox, object: items.csv}
right: {connection: shop, object: item}
direction: left_to_right
key: {left: no, right: no}
fields:
  - {left: no, right: no}
  - {right: title, to_right: "title.trim()"}
  - {left: price, right: price}
"""
COUNTS = ("read", "created", "updated", "unchanged", "deleted", "skipped", "quarantined", "cases")


@pytest.fixture
def systems(tmp_path: Path, syncline: CommandLine) -> Path:
    folder = tmp_path / "systems"
    (folder / "inbox").mkdir(parents=True)
    (folder / "inbox" / "items.csv").write_text("no,title,price\n1, 茶 ,3.50\n2,Müsli,4\n3,Salt,-1\n", "utf-8")
    with closing(sqlite3.connect(folder / "shop.db")) as db, db:
        columns = "no INTEGER PRIMARY KEY, title VARCHAR(50) NOT NULL, price DECIMAL(9,2) CHECK (price > 0)"
        db.execute(f"CREATE TABLE item ({columns})")
    (folder / "shop.yaml").write_text(FILES, "utf-8")
    syncline.ok("apply", folder / "shop.yaml")
    return folder


def test_a_run_prints_its_counts(syncline: CommandLine, systems: Path) -> None:
    """The JSON of a run has the published form; the records are where they belong; a second run writes nothing."""
    first = syncline.ok("run", "items", "--wait", "--json").json
    counts = dict.fromkeys(COUNTS, 0) | {"read": 3, "created": 2, "quarantined": 1}
    assert first == {"run": 1, "rule": "items", "mode": "live", "state": "succeeded", "counts": counts}
    with closing(sqlite3.connect(systems / "shop.db")) as db:
        assert db.execute("SELECT no, title, price FROM item ORDER BY no").fetchall() == [
            (1, "茶", 3.5),
            (2, "Müsli", 4),
        ]
    second = syncline.ok("run", "items", "--wait", "--json").json
    assert second["counts"] == dict.fromkeys(COUNTS, 0) | {"read": 3, "unchanged": 2, "quarantined": 1}
    assert "3 read, 2 unchanged, 1 quarantined" in syncline.ok("runs").out


def test_rules_run_behind_those_that_they_depend_on(syncline: CommandLine, systems: Path) -> None:
    """`--with-dependencies` runs what comes before a rule first and ends badly where that does; a circle is refused."""
    two = FILES.replace("name: items", "name: first", 1).replace(
        "left: {connection", "after: [items]\nleft: {connection"
    )
    (systems / "both.yaml").write_text(two.replace("name: first", "name: later"), "utf-8")
    syncline.ok("apply", systems / "both.yaml")
    answer = syncline.ok("run", "later", "--with-dependencies", "--wait", "--json").json
    assert (answer["rule"], answer["counts"]["unchanged"]) == ("later", 2)
    assert [run["rule"] for run in syncline.ok("runs", "--json").json] == ["later", "items"]
    (systems / "inbox" / "items.csv").rename(systems / "inbox" / "gone.csv")
    failed = syncline("run", "later", "--with-dependencies", "--wait")
    assert failed.code == 1
    assert "which comes before it, did not end well" in failed.err
    other_way = FILES.replace("name: items", "name: a_last").replace(
        "left: {connection", "after: [b_first]\nleft: {connection"
    )
    first = FILES.replace("name: items", "name: b_first")
    (systems / "order.yaml").write_text(f"{other_way}---\n{first[first.index('kind: sync') :]}", "utf-8")
    syncline.ok("apply", systems / "order.yaml")  # what comes first is published first, wherever it stands
    circle = FILES.replace("left: {connection", "after: [later]\nleft: {connection")
    (systems / "circle.yaml").write_text(circle, "utf-8")
    assert "Each would have to run after the other" in syncline("apply", systems / "circle.yaml").err
    assert syncline("run", "later", "--with-dependencies", "--record", "left:1").code == 1


def test_without_waiting_the_run_stays_queued(syncline: CommandLine, systems: Path) -> None:
    """A run that nobody carries out is told on stderr, can be listed, cancelled, and is refused a second time."""
    answer = syncline.ok("run", "items", "--json")
    assert answer.json["state"] == "queued"
    if syncline.house.db.is_sqlite:
        assert "--wait" in answer.err
    busy = syncline("run", "items", "--wait")
    assert busy.code == 1
    assert "still at work" in busy.err
    syncline.ok("runs", "cancel", "1")
    assert syncline.ok("runs", "--state", "cancelled", "--json").json[0]["run"] == 1
    assert syncline("runs", "cancel", "1").code == 1


def test_a_run_that_fails_has_an_exit_code(syncline: CommandLine, systems: Path) -> None:
    """A target that has gone ends the run and the command, with the reason; once it is back the run can be resumed."""
    (systems / "shop.db").rename(systems / "gone.db")
    answer = syncline("run", "items", "--wait", "--json")
    assert answer.code == 1
    assert answer.json["state"] in {"failed", "suspended"}
    assert "Run 1 of 'items' is" in answer.err
    (systems / "gone.db").rename(systems / "shop.db")
    assert syncline.ok("runs", "resume", "1", "--wait", "--json").json["state"] == "succeeded"
    assert "resumed the run" in syncline.ok("runs", "show", "1").out


def test_a_simulation_changes_nothing(syncline: CommandLine, systems: Path) -> None:
    """`simulate` shows each change with its field differences and leaves the target alone."""
    answer = syncline.ok("simulate", "items", "--json").json
    assert (answer["mode"], answer["counts"]["created"]) == ("simulate", 3)
    assert answer["changes"][0]["after"]["title"] == "茶"
    assert "created 1" in syncline.ok("simulate", "items").out
    with closing(sqlite3.connect(systems / "shop.db")) as db:
        assert db.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_quarantine(syncline: CommandLine, systems: Path) -> None:
    """A failed record is listed with its reason, replayed once its source is right, or discarded."""
    syncline.ok("run", "items", "--wait")
    entry = syncline.ok("quarantine", "--json").json[0]
    assert (entry["rule"], entry["key"], entry["record"]["title"]) == ("items", "3", "Salt")
    assert "price > 0" in entry["reason"]
    again = syncline.ok("quarantine", "replay", "items", "--wait", "--json").json
    assert again["counts"]["quarantined"] == 1
    syncline.ok("quarantine", "discard", str(entry["id"]))
    assert syncline.ok("quarantine", "--json").json == []
    assert "No record waits" in syncline.ok("quarantine").out
    assert syncline("quarantine", "replay", "items").code == 1


def test_connections(syncline: CommandLine, systems: Path) -> None:
    """Connections are listed, tested, looked into."""
    rows = {row["name"]: row for row in syncline.ok("connection", "list", "--json").json}
    assert rows["shop"]["settings"]["path"] == str(systems / "shop.db")
    assert syncline.ok("connection", "check", "shop", "--json").json["ok"] is True
    assert [o["name"] for o in syncline.ok("connection", "objects", "inbox", "--json").json] == ["items.csv"]
    preview = syncline.ok("connection", "preview", "inbox", "items.csv", "--json").json
    assert [f["name"] for f in preview["fields"]] == ["no", "title", "price"]
    assert preview["records"][1]["title"] == "Müsli"
    assert "Müsli" in syncline.ok("connection", "preview", "inbox", "items.csv").out
    (systems / "shop.db").unlink()
    failed = syncline("connection", "check", "shop")
    assert failed.code == 1
    assert "FAILED" in failed.out
    assert syncline("connection", "check", "nowhere").err == "Error: There is no connection 'nowhere'.\n"


def test_audit(syncline: CommandLine, systems: Path, tmp_path: Path) -> None:
    """What happened can be listed, filtered and exported; the export is audited itself."""
    syncline.ok("run", "items", "--wait")
    tags = [event["tag"] for event in syncline.ok("audit", "list", "--run", "1", "--json").json]
    assert tags[0] == "runs:run:ended"
    assert tags[-1] == "runs:run:requested"
    lines = syncline.ok("audit", "export").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(1, len(lines) + 1))
    assert json.loads(lines[-1])["tag"] == "audit:events:exported"
    syncline.ok("audit", "export", "--format", "csv", "--output", tmp_path / "audit.csv", "--since", "2020-01-01")
    rows = list(csv.reader(io.StringIO((tmp_path / "audit.csv").read_text("utf-8-sig"))))
    assert rows[0][0] == "id"
    assert len(rows) == len(lines) + 2
    assert syncline.ok("audit", "list", "--until", "2020-01-01", "--json").json == []


def test_a_one_way_rule_makes_no_cases(syncline: CommandLine, systems: Path) -> None:
    """Cases are none, since one-way rules make none."""
    assert syncline.ok("cases", "--json").json == []


def test_a_plan_is_approved_and_undone(syncline: CommandLine, systems: Path) -> None:
    """A simulation's plan is carried out once; what it wrote is previewed and taken back."""

    def items() -> list[tuple[int]]:
        with closing(sqlite3.connect(systems / "shop.db")) as db:
            return db.execute("SELECT no FROM item ORDER BY no").fetchall()

    sim = syncline.ok("simulate", "items", "--json").json["run"]
    assert items() == []
    run = syncline.ok("approve", sim, "--wait", "--json").json
    assert (run["state"], run["counts"]["created"], items()) == ("succeeded", 2, [(1,), (2,)])
    assert "approved already" in syncline("approve", sim).err
    preview = syncline.ok("runs", "undo", run["run"], "--preview", "--json").json
    assert (preview["deleted"], preview["left_alone"], preview["complete"]) == (2, 0, True)
    assert "Would delete 2" in syncline.ok("runs", "undo", run["run"], "--preview").out
    assert "2 deleted" in syncline.ok("runs", "undo", run["run"], "--wait").out
    assert items() == []
    assert "nothing to undo" in syncline("runs", "undo", sim).err
    assert "nothing to undo" in syncline("runs", "undo", sim, "--preview").err


def test_an_unknown_rule_is_refused(syncline: CommandLine, systems: Path) -> None:
    """A rule that does not exist is named."""
    for command in ("run", "simulate"):
        assert syncline(command, "nothing").err == "Error: There is no rule called 'nothing'.\n"
    assert syncline("runs", "show", "99").err == "Error: There is no run 99.\n"


def test_a_run_is_paused_and_goes_on(syncline: CommandLine, systems: Path) -> None:
    """A waiting run is paused at once, nothing starts next to it, and resumed it ends well."""
    syncline.ok("run", "items", "--json")
    assert syncline.ok("runs", "pause", "1", "--json").json["state"] == "suspended"
    assert "paused by" in syncline("run", "items", "--wait").err
    assert syncline("runs", "pause", "1").code == 1
    assert syncline.ok("runs", "resume", "1", "--wait", "--json").json["state"] == "succeeded"
    syncline.ok("run", "items")
    assert "Run 2 is paused." in syncline.ok("runs", "pause", "2").out


def test_a_rebaseline_is_simulated_and_approved(syncline: CommandLine, tmp_path: Path) -> None:
    """The command shows what would be agreed on, writes nothing, and says how to carry it out."""
    for name in ("a", "b"):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as db, db:
            db.execute("CREATE TABLE item (no INTEGER PRIMARY KEY, title TEXT)")
            db.execute("INSERT INTO item VALUES (1, 'Tea'), (2, 'Salt')")
    both = "".join(
        f"{{kind: connection, name: {n}, connector: sqlite, settings: {{path: {n}.db}}}}\n---\n" for n in "ab"
    )
    rule = """
kind: sync
name: both
left: {connection: a, object: item}
right: {connection: b, object: item}
direction: two_way
key: {left: no, right: no}
fields:
  - {left: no, right: no, on: [create]}
  - {left: title, right: title}
"""
    (tmp_path / "both.yaml").write_text(both + rule, "utf-8")
    syncline.ok("apply", tmp_path / "both.yaml")
    syncline.ok("run", "both", "--wait")
    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
        db.execute("UPDATE item SET title = 'Green tea' WHERE no = 1")
    asked = ("rebaseline", "both", "--differing", "right")
    shown = syncline.ok(*asked, "--wait", "--json").json
    assert (shown["mode"], shown["counts"]["updated"], shown["counts"]["unchanged"]) == ("simulate", 1, 1)
    syncline.ok("approve", str(shown["run"]), "--wait")
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        assert db.execute("SELECT title FROM item WHERE no = 1").fetchall() == [("Tea",)]
    one = syncline.ok(*asked, "--record", "left:1", "--wait").out
    assert "syncline approve" in one
    assert syncline.ok(*asked, "--where", "no > 1", "--wait", "--json").json["counts"]["read"] == 1
    assert syncline(*asked, "--where", "no > 1", "--record", "left:1").code == 1


def test_a_shadow_run_is_compared_with_a_live_one(syncline: CommandLine, systems: Path) -> None:
    """The command names each record that came to something else, and says where there is nothing to compare."""
    syncline.ok("run", "items", "--mode", "shadow", "--wait")
    assert "No live run of 'items'" in syncline("runs", "compare", "1").err
    (systems / "inbox" / "items.csv").write_text("no,title,price\n1,Tea,3.50\n2,Müsli,4\n", "utf-8")
    syncline.ok("run", "items", "--wait")
    found = syncline.ok("runs", "compare", "1", "--json").json
    assert (found["live"], found["counts"]["same"], found["counts"]["differs"]) == (2, 1, 1)
    told = syncline.ok("runs", "compare", "1", "2").out
    assert "differs 1: created -> created" in told
    assert "title: '茶' -> 'Tea'" in told
    assert "only shadow 3" in told
    assert "not a shadow run" in syncline("runs", "compare", "2").err


def test_who_waits_behind_a_paused_run_is_told(syncline: CommandLine, systems: Path) -> None:
    """`run --wait` says which run it waits for, and ends with an error where a person has paused that one."""
    later = FILES.replace("name: items", "name: later").replace(
        "left: {connection", "after: [items]\nleft: {connection"
    )
    (systems / "later.yaml").write_text(later, "utf-8")
    syncline.ok("apply", systems / "later.yaml")
    syncline.ok("run", "later", "--with-dependencies")
    for run in ("1", "2"):
        syncline.ok("runs", "pause", run)
    answer = syncline("runs", "resume", "2", "--wait")
    assert answer.code == 1
    assert "Run 2 waits for run 1 of the rule 'items'" in answer.err
    assert "has paused. Resume it with 'syncline runs resume 1', or cancel it" in answer.err
    syncline.ok("runs", "resume", "1", "--wait")
    with syncline.house.db.read() as tx:
        assert reading.get(tx, 2).state == "queued"
