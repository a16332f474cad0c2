"""The command line, configuration files, the audit log's retention and plans lead through the approvals too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.approvals.conftest import ask_for, needed, proposed, who
from tests.cli.conftest import quiet_logs, syncline  # noqa: F401 - fixtures
from tests.installation import CommandLine
from tests.runs.conftest import ADMIN as ADA
from tests.runs.conftest import World, world  # noqa: F401 - a fixture
from tests.webapp.conftest import add_user
from webapp.access import keys, role_editing, service_accounts, users
from webapp.access.keys import NewKey
from webapp.access.role_editing import Role
from webapp.access.service_accounts import Wanted
from webapp.access.users import NewUser
from webapp.approvals import deciding, proposals, settings_deed
from webapp.approvals.models import approval
from webapp.entities import hub
from webapp.evidence import agreed, holds
from webapp.extensions import SYSTEM, Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs import followups

FILES = """
kind: entity
name: person
fields: [{name: no, type: text, required: true}, {name: name, type: text}]
---
kind: entity
name: member
fields: [{name: no, type: text, required: true}, {name: name, type: text}]
---
kind: role
name: Buyer
permissions: {Rules: [read]}
---
kind: sync
name: people
left: {connection: hub, object: person}
right: {connection: hub, object: member}
direction: left_to_right
key: {left: no, right: no}
fields: [{left: no, right: no}, {left: name, right: name}]
---
kind: approvals
name: settings
deeds: {publish_rule: {}, change_role: {}, change_retention: {}, change_connection: {}}
"""


@pytest.fixture
def installed(syncline: CommandLine, tmp_path: Path) -> CommandLine:  # noqa: F811
    """Return an installation in which files have said that deeds need a second person, after what they state."""
    apply(syncline, tmp_path, FILES)
    add_user(syncline.house, "ben", "Admin")
    return syncline


def apply(line: CommandLine, folder: Path, text: str, *options: str) -> dict[str, str]:
    """Apply files and return what became of each document."""
    (folder / "all.yaml").write_text(text, "utf-8")
    answer = line("apply", folder / "all.yaml", "--json", *options)
    assert answer.code == 0, answer.err
    return {step["name"]: step["action"] for step in json.loads(answer.out)["steps"]}


def test_files_propose_what_needs_a_second_person(installed: CommandLine, tmp_path: Path) -> None:
    """The rest is applied; applied again nothing is added, and what was approved then is as stated."""
    changed = FILES.replace("Rules: [read]", "Rules: [read, run]").replace("key:", "label: People\nkey:")
    changed = changed.replace("change_retention: {}, ", "")
    changed = changed.replace("type: text}]", "type: text}, {name: age, type: text}]", 1)
    wanted = {"person": "updated", "member": "unchanged", "Buyer": "proposed", "people": "proposed"}
    assert apply(installed, tmp_path, changed, "--dry-run") == {**wanted, "settings": "proposed"}
    assert waiting(installed.house) == []
    assert apply(installed, tmp_path, changed) == {**wanted, "settings": "proposed"}
    found = waiting(installed.house)
    assert {one.kind for one in found} == {"role", "rule", "approvals"}
    assert apply(installed, tmp_path, changed) == {**wanted, "person": "unchanged", "settings": "proposed"}
    assert waiting(installed.house) == found
    hub.register(installed.house)  # the one of the last command is closed
    for one in found:
        deciding.approve(installed.house, one.id, who(installed.house, "ben"))
    assert set(apply(installed, tmp_path, changed).values()) == {"unchanged"}
    with installed.house.db.read() as tx:
        assert rulebook.get(tx, "people").published_version == 2


def test_pruning_proposes_deletions(installed: CommandLine, tmp_path: Path) -> None:
    """What files state no more and only a second person may delete is proposed, the settings included."""
    kept = FILES.partition("---\nkind: role")[0]
    rule = "---\nkind: sync" + FILES.partition("kind: sync")[2].partition("---")[0]
    assert apply(installed, tmp_path, kept + rule, "--prune")["Buyer"] == "proposed"
    assert {one.kind for one in waiting(installed.house)} == {"role", "approvals"}


def waiting(house: House) -> list[proposals.Proposal]:
    with house.db.read() as tx:
        return proposals.latest(tx, approval.c.state == "waiting")


def test_commands_propose_and_show(installed: CommandLine) -> None:
    """A command that needs a second person says so with an exit code of its own; `approval` shows what waits."""
    assert "Nothing waits" in installed("approval", "list").out
    installed("audit", "hold", "place", "case-7", "--reason", "A court asks.")
    answer = installed("audit", "hold", "release", "case-7")
    assert answer.code == 3
    assert "waits as proposal 1" in answer.err
    shown = installed("approval", "show", "1").out
    assert "Release the legal hold case-7" in shown
    assert "counts -> released" in shown
    assert "case-7" in installed("approval", "list").out
    assert json.loads(installed("approval", "list", "--json").out)[0]["state"] == "waiting"
    assert installed("approval", "show", "77").code == 1
    deciding.approve(installed.house, 1, who(installed.house, "ben"))
    with installed.house.db.read() as tx:
        assert holds.listing(tx)[0].released_at is not None


def test_a_shorter_retention_waits(house: House) -> None:
    """The variable counts once it is agreed on; until then events are kept as before. What is rejected is not asked."""

    def kept(days: int) -> int:
        return agreed.days(replace(house, settings=replace(house.settings, audit_days=days)))

    assert kept(365) == 365
    ask_for(house, "change_retention")
    assert (kept(30), kept(30), kept(365)) == (365, 365, 365)
    (found,) = waiting(house)
    deciding.reject(house, found.id, who(house, "ben"), "Seven years are needed.")
    assert kept(30) == 365
    assert waiting(house) == []
    assert kept(3650) == 365
    (found,) = waiting(house)
    add_user(house, "cora", "Approver")
    deciding.approve(house, found.id, who(house, "cora"))
    assert kept(3650) == 3650


def test_a_plan_is_approved_by_another_than_its_author(world: World) -> None:  # noqa: F811
    """Another approves at once; the author's own approval waits, also by a key, and is then carried out."""
    house = world.house
    for name in ("ada", "ben"):
        add_user(house, name, "Admin")
    ada, ben = who(house, "ada"), who(house, "ben")
    assert ada.id == ADA.id
    world.customers("Bell", "Wu")
    world.rule()
    ask_for(house, "approve_own_plan")
    plan = world.run("simulate").id
    keys.create_key(house, NewKey("robot", ("runs:approve",), None), ada)
    with house.db.read() as tx:
        robot = Actor("key", "robot", str(keys.list_keys(tx, house.clock())[0].id))
    needed(lambda: followups.approve(house, plan, robot))
    made = service_accounts.create(house, Wanted("bot", "Approves.", "ben", ("Admin",)), ben)
    keys.create_key(house, NewKey("spare", ("runs:approve",), None), ada, made)
    users.create_user(house, NewUser("ada2", "Ada", "", "ada2@example.com", ("Admin",)), ada)
    with house.db.read() as tx:
        spare = Actor("key", "spare", str(keys.list_keys(tx, house.clock())[0].id))
    for herself in (spare, who(house, "ada2")):
        needed(lambda herself=herself: followups.approve(house, plan, herself))
    found = proposed(house, ada, lambda: followups.approve(house, plan, ada))
    deciding.approve(house, found.id, ben)
    with house.db.read() as tx:
        (run,) = [one for one in range(plan + 1, plan + 3) if _kind(tx, one) == "approved"]
    assert world.work(run)
    assert len(world.clients()) == 2
    world.customers("Li", first=7)
    other = world.run("simulate").id
    assert followups.approve(house, other, ben) > other


def _kind(tx: Any, run: int) -> str:
    return str(tx.exec_driver_sql(f"SELECT kind FROM run WHERE id = {run}").scalar())


def test_limits_of_what_is_asked_for_apply_to_plans_by_what_they_write(world: World) -> None:  # noqa: F811
    """Where only plans that write to another connection are meant, one's own plan is approved alone."""
    add_user(world.house, "ada", "Admin")
    world.customers("Bell")
    world.rule()
    deeds = {"approve_own_plan": {"connections": ["crm"]}}
    settings_deed.save(world.house, {"kind": "approvals", "name": "settings", "deeds": deeds}, SYSTEM)
    plan = world.run("simulate").id
    assert followups.approve(world.house, plan, who(world.house, "ada")) > plan


def test_a_role_of_its_own_is_not_enough(house: House) -> None:
    """Whoever gives themselves another role or makes another role for it stays the author."""
    ask_for(house, "change_role")
    anna = who(house, "anna")
    wanted = Role(None, "Sales", "", 0, frozenset({("Rules", "read")}))
    found = proposed(house, anna, lambda: role_editing.save_role(house, wanted, anna))
    with pytest.raises(deciding.NotDecided):
        deciding.approve(house, found.id, Actor("user", "ANNA", anna.id))
