"""Applying configuration files: all or nothing, and nothing the second time."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.installation import CommandLine
from webapp.configuration import files, services
from webapp.configuration.kinds import in_order
from webapp.configuration.services import Options
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.extensions import Actor
from webapp.rulebook import services as rulebook

ANN = Actor("cli", "ann")
CONNECTION = "{kind: connection, name: erp, connector: sqlite, settings: {path: erp.db}}\n"
ENTITY = """
kind: entity
name: person
fields:
  - {name: name, type: text, required: true}
  - {name: age, type: integer}
"""
ROLE = "{kind: role, name: Buyer, description: Buys., permissions: {Rules: [read, run], Runs: [read]}}\n"
RULE = """
kind: sync
name: people
left: {connection: erp, object: staff}
right: {connection: hub, object: person}
direction: left_to_right
key: {left: id, right: name}
fields:
  - {left: id, right: name}
"""
ALL = "---\n".join((RULE, ROLE, ENTITY, CONNECTION))


@pytest.fixture
def apply(syncline: CommandLine, tmp_path: Path):
    def run(text: str, *options: str, name: str = "all.yaml") -> Any:
        (tmp_path / name).write_text(text, "utf-8")
        return syncline("apply", tmp_path / name, *options)

    return run


def everything(syncline: CommandLine) -> dict[str, list[Any]]:
    """Return the content of all tables."""
    with syncline.house.db.read() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return {name: sorted(map(repr, connection.execute(sa.select(t)))) for name, t in tables.tables.items()}


def test_apply_twice(syncline: CommandLine, apply) -> None:
    """Documents in any order are applied; the second time nothing is changed, not even the audit log."""
    first = apply(ALL, "--json")
    assert first.code == 0, first.err
    assert [(s["kind"], s["name"], s["action"]) for s in first.json["steps"]] == [
        ("connection", "erp", "created"),
        ("entity", "person", "created"),
        ("role", "Buyer", "created"),
        ("sync", "people", "created"),
    ]
    before = everything(syncline)
    again = apply(ALL)
    assert again.out == "0 changes made, 4 unchanged.\n"
    assert everything(syncline) == before


def test_a_dry_run_changes_nothing(syncline: CommandLine, apply) -> None:
    """The plan of a dry run is what is done afterwards; the dry run itself leaves no trace."""
    before = everything(syncline)
    planned = apply(ALL, "--dry-run", "--json").json
    assert planned["dry_run"] is True
    assert everything(syncline) == before
    done = apply(ALL, "--json").json
    assert {**planned, "dry_run": False} == {**done, "warnings": []}


def test_an_update_shows_what_differs(apply) -> None:
    """A changed document is updated, with the values before and after."""
    apply(ALL)
    changed = ALL.replace("Buys.", "Buys things.").replace("{name: age, type: integer}", "{name: age, type: decimal}")
    steps = {s["name"]: s for s in apply(changed, "--json").json["steps"]}
    assert steps["Buyer"]["differences"] == [{"at": "description", "before": "Buys.", "after": "Buys things."}]
    assert steps["person"]["action"] == "updated"
    assert steps["erp"]["action"] == steps["people"]["action"] == "unchanged"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: connection\nname: [\n", "all.yaml:3:1: The text cannot be read"),
        (
            "kind: planet\nname: x\n",
            "all.yaml:1:1: 'planet' is not a kind. Known kinds: connection, entity, role, lookup, decision_table, sync,"
            " event_rule, web_hook, approvals.",
        ),
        ("name: x\n", "all.yaml:1:1: '' is not a kind"),
        (CONNECTION.replace("erp.db}", "erp.db, colour: red}"), "all.yaml:1:75: "),
        (CONNECTION + "---\n" + CONNECTION, "all.yaml:3:20: 'erp' is stated twice"),
        (ENTITY.replace("type: integer", "type: number"), "all.yaml:6:17: "),
        (ROLE.replace("run]", "fly]"), "all.yaml:1:"),
        (RULE.replace("key: {left: id, right: name}", "key: {left: id}"), "all.yaml:7:1: "),
        (RULE.replace("people\n", "people\npublish: perhaps\n"), "all.yaml:4:1: This has to be true or false."),
    ],
)
def test_mistakes_have_a_place(syncline: CommandLine, apply, text: str, expected: str) -> None:
    """A mistake is told with file, line and column; nothing is changed."""
    before = everything(syncline)
    answer = apply(text)
    assert answer.code == 1
    assert expected in answer.err
    assert "Traceback" not in answer.err
    assert everything(syncline) == before


def test_all_mistakes_are_told_at_once(apply) -> None:
    """Mistakes of several documents come together, as lines and as JSON."""
    answer = apply("kind: planet\n---\nkind: star\n", "--json")
    assert [m["line"] for m in answer.json["mistakes"]] == [1, 3]
    assert len(answer.err.splitlines()) == 2


def test_all_or_nothing(syncline: CommandLine, apply) -> None:
    """A document that the database refuses undoes those before it."""
    before = everything(syncline)
    broken = ENTITY.replace("{name: age, type: integer}", "{name: boss, type: reference, entity: nobody}")
    answer = apply(CONNECTION + "---" + broken)
    assert answer.code == 1
    assert "all.yaml:7:" in answer.err
    assert "nobody" in answer.err
    assert everything(syncline) == before


def test_a_secret_in_clear_is_refused(apply) -> None:
    """A file holds references to secrets, never values; the message says how, and does not repeat the value."""
    given = "{host: h, database: d, user: u, password: hunter2}"
    text = f"{{kind: connection, name: db, connector: postgresql, settings: {given}}}"
    answer = apply(text)
    assert answer.code == 1
    assert "env:NAME" in answer.err
    assert "hunter2" not in answer.err + answer.out
    assert apply(text.replace("hunter2", "env:DB_PASSWORD")).code == 0


def test_relative_paths_belong_to_the_files_folder(syncline: CommandLine, apply, tmp_path: Path) -> None:
    """A relative path is resolved against the file's folder, and that folder is granted to the connection."""
    assert apply(CONNECTION).code == 0
    with syncline.house.db.read() as tx:
        row = connections.get_connection(tx, "erp")
    assert row.settings["path"] == str(tmp_path / "erp.db")
    assert row.granted_roots == (tmp_path,)


def test_production_grants_no_folder(syncline: CommandLine, apply) -> None:
    """In production only an operator's setting grants folders."""
    syncline.environ["SYNCLINE_PROFILE"] = "production"
    assert apply(CONNECTION).code == 0
    with syncline.house.db.read() as tx:
        assert connections.get_connection(tx, "erp").granted_roots == ()


def test_a_path_elsewhere_grants_its_own_folder(syncline: CommandLine, apply, tmp_path: Path) -> None:
    """A path outside the file's folder grants the folder around it, not more."""
    (tmp_path / "far" / "inbox").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    text = (
        "{kind: connection, name: a, connector: sqlite, settings: {path: ../far/a.db}}\n---\n"
        f"{{kind: connection, name: b, connector: files, settings: {{path: {tmp_path}/far/inbox, format: csv}}}}"
    )
    assert apply(text, name="near/all.yaml").code == 0
    with syncline.house.db.read() as tx:
        assert connections.get_connection(tx, "a").granted_roots == (tmp_path / "far",)
        assert connections.get_connection(tx, "b").granted_roots == (tmp_path / "far" / "inbox",)


def test_losing_values_needs_a_word(syncline: CommandLine, apply) -> None:
    """A field with values is removed only when told so."""
    apply(ENTITY)
    entities.create_record(syncline.house, "person", {"name": "Ann", "age": 3}, ANN)
    smaller = ENTITY.replace("  - {name: age, type: integer}\n", "")
    refused = apply(smaller)
    assert refused.code == 1
    assert "--allow-loss" in refused.err
    assert apply(smaller, "--allow-loss", "--json").json["changes"] == 1


def test_prune_deletes_what_is_not_stated(syncline: CommandLine, apply) -> None:
    """With --prune everything else goes, in an order that works; built-in roles and the hub stay."""
    apply(ALL)
    answer = apply(CONNECTION, "--prune", "--json")
    assert answer.code == 0, answer.err
    assert [(s["kind"], s["action"]) for s in answer.json["steps"]] == [
        ("connection", "unchanged"),
        ("sync", "deleted"),
        ("role", "deleted"),
        ("entity", "deleted"),
    ]
    assert apply(CONNECTION, "--prune", "--json").json["changes"] == 0


def test_prune_keeps_records(syncline: CommandLine, apply) -> None:
    """An entity with records is deleted only when told so."""
    apply(ENTITY + "---" + "\n" + CONNECTION)
    entities.create_record(syncline.house, "person", {"name": "Ann"}, ANN)
    refused = apply(CONNECTION, "--prune")
    assert refused.code == 1
    assert "entity person: " in refused.err
    assert "--allow-loss" in refused.err
    assert apply(CONNECTION, "--prune", "--allow-loss").code == 0


def test_publish_and_paused(syncline: CommandLine, apply) -> None:
    """A file may keep a rule a draft or its schedule at rest, and say otherwise later."""

    def stored() -> tuple[int | None, str]:
        with syncline.house.db.read() as tx:
            row = rulebook.get(tx, "people")
        return row.published_version, row.state

    base = CONNECTION + "---\n" + ENTITY + "---\n"
    assert apply(base + RULE + "publish: false\npaused: true\n").code == 0
    assert stored() == (None, "paused")
    assert apply(base + RULE, "--json").json["changes"] == 1
    assert stored() == (1, "active")
    assert apply(base + RULE, "--json").json["changes"] == 0
    assert apply(base + RULE.replace("staff", "people"), "--json").json["changes"] == 1
    assert stored() == (2, "active")


def test_a_draft_in_the_browser_survives(syncline: CommandLine, apply) -> None:
    """Applying what is published already leaves somebody's draft alone."""
    apply(ALL)
    with syncline.house.db.read() as tx:
        document = rulebook.get(tx, "people").document
    rulebook.save_draft(syncline.house, "people", {**document, "left": {"connection": "erp", "object": "other"}}, ANN)
    assert apply(ALL, "--json").json["changes"] == 0
    with syncline.house.db.read() as tx:
        assert rulebook.get(tx, "people").draft is not None


def test_entities_that_refer_to_each_other(apply) -> None:
    """A circle of references is applied in one go, in any order, and once more without a change."""
    text = """
{kind: entity, name: a, fields: [{name: b, type: reference, entity: b}, {name: t, type: text}]}
---
{kind: entity, name: b, fields: [{name: a, type: reference, entity: a}, {name: t, type: text}]}
"""
    first = apply(text, "--json")
    assert first.code == 0, first.err
    assert [s["action"] for s in first.json["steps"]] == ["created", "created"]
    assert apply(text, "--json").json["changes"] == 0


def test_order_of_entities() -> None:
    """What is referred to comes first, whatever its name; a circle is no problem."""
    assert in_order({"a": ["c"], "b": [], "c": ["b"]}) == ["b", "c", "a"]
    assert sorted(in_order({"a": ["b"], "b": ["a"], "c": ["a", "elsewhere"]})) == ["a", "b", "c"]


def test_json_and_folders(syncline: CommandLine, tmp_path: Path) -> None:
    """JSON is read too, one document or a list; a folder stands for its files."""
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "1.json").write_text(
        '{"kind": "connection", "name": "a", "connector": "sqlite", "settings": {"path": "a"}}'
    )
    (folder / "2.json").write_text('[{"kind": "role", "name": "Buyer", "permissions": {"Runs": ["read"]}}]')
    (folder / "notes.txt").write_text("not configuration")
    assert syncline.ok("apply", folder, "--json").json["changes"] == 2


def test_files_that_cannot_be_read(syncline: CommandLine, tmp_path: Path) -> None:
    """A file that is not text is told; a file that is not there ends with exit code 2."""
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    answer = syncline("apply", tmp_path / "a.yaml")
    assert answer.code == 1
    assert "Save it as UTF-8" in answer.err
    assert syncline("apply", tmp_path / "b.yaml").code == 2


def test_it_is_audited(syncline: CommandLine, apply) -> None:
    """Each change has its own event, and one tells of the whole."""
    apply(ALL)
    tags = {event["tag"] for event in syncline.ok("audit", "list", "--json").json}
    assert {
        "configuration:files:applied",
        "connections:connection:created",
        "entities:entity:created",
        "access:role:created",
        "rulebook:rule:published",
    } <= tags


def test_a_rule_that_does_not_fit_its_systems_is_told(apply) -> None:
    """Systems are asked once everything is stored: what does not fit them is a warning."""
    answer = apply(ALL)
    assert answer.code == 0
    assert answer.err.startswith("Warning: sync people, left/")


PUSHED = """
kind: sync
name: pushed
left: {connection: erp, object: staff}
right: {connection: erp, object: copy}
direction: left_to_right
key: {left: id, right: id}
fields:
  - {left: id, right: id}
  - {right: name, to_right: "name.trim()"}
execute: pushdown
"""


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_rule_that_the_database_cannot_carry_out_is_refused(
    syncline: CommandLine, apply, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The plan says why, and nothing is stored; once the database can, the rule is published."""
    with contextlib.closing(sqlite3.connect(tmp_path / "erp.db")) as erp:
        erp.executescript(
            "CREATE TABLE staff (id INTEGER PRIMARY KEY NOT NULL, name TEXT); CREATE TABLE copy (id INTEGER, name TEXT)"
        )
        assert apply(CONNECTION).code == 0
        before = everything(syncline)
        refused = apply(PUSHED, *options)
        assert refused.code != 0
        assert "cannot be carried out inside the database: 'id' has to be the one key of the table copy" in refused.err
        after = everything(syncline)
        assert {**after, "connection_object": []} == before, "but for what was seen of the tables"
        erp.executescript("DROP TABLE copy; CREATE TABLE copy (id INTEGER PRIMARY KEY, name TEXT)")
        assert (apply(PUSHED).code, apply(PUSHED).out) == (0, "0 changes made, 1 unchanged.\n")


CODES = """
kind: lookup
name: codes
key: {name: code}
columns: [{name: text}]
entries: [[a, Aa]]
"""
WORDS = """
kind: decision_table
name: words
inputs: [{name: amount, type: decimal}]
outputs: [{name: word, type: text}]
rows: [{when: ["-"], then: ["lookup('codes', 'a', 'text').orDefault('')"]}]
"""


def test_a_table_that_would_stop_a_rule_is_refused(syncline: CommandLine, apply) -> None:
    """The rule is named at the table's place and nothing changes; with the rule in the same files it goes through."""
    assert apply(f"{CODES}---\n{WORDS}").code == 0
    renamed, asking_it = CODES.replace("text", "long"), WORDS.replace("'text'", "'long'")
    before = everything(syncline)
    done = apply(renamed)
    assert done.code == 1
    assert "all.yaml:2:1: The rule 'words' asks this table and would stop working." in done.err
    assert everything(syncline) == before
    assert apply(f"{renamed}---\n{asking_it}").code == 0
    assert apply(f"{asking_it}---\n{CODES}").code == 1


def test_the_browsers_way_and_the_files_way_are_the_same(syncline: CommandLine, tmp_path: Path) -> None:
    """What was made through the services is unchanged by the file that states it."""
    document = {
        "kind": "connection",
        "name": "erp",
        "connector": "sqlite",
        "settings": {"path": str(tmp_path / "erp.db")},
    }
    connections.create(syncline.house, document, ANN)
    stated = files.read_text("---\n".join([CONNECTION]), "x.yaml", tmp_path)
    applied = services.apply(syncline.house, stated, ANN, Options(dry_run=True))
    assert [step.action for step in applied.steps] == ["unchanged"]
