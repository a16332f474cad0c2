"""A conflict in the browser: it is simulated, the rest is run, a person decides, and the decision is taken back."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.supervisor.conftest import ROOT, environ

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SETUP = """kind: connection
name: crm
connector: sqlite
settings: {{path: {crm}}}
---
kind: connection
name: erp
connector: sqlite
settings: {{path: {erp}}}
---
kind: sync
name: contacts
left: {{connection: crm, object: contact}}
right: {{connection: erp, object: partner}}
direction: two_way
key: {{left: id, right: no}}
fields:
  - {{left: id, right: no, on: [create]}}
  - {{left: name, right: title}}
  - {{left: phone, right: tel}}
"""
CONTACTS = [(1, "Ada", "+86 1"), (2, "Bea", "+86 2"), (3, "Cid", "+86 3")]


@pytest.fixture(scope="module")
def paths(console) -> dict[str, Path]:
    """Give two systems that a rule has brought into agreement, and the edits of people since."""
    folder: Path = console.data / "files"
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: folder / f"{name}.db" for name in ("crm", "erp")}
    ask(found["crm"], "CREATE TABLE contact (id INTEGER PRIMARY KEY, name TEXT, phone TEXT)")
    ask(found["erp"], "CREATE TABLE partner (no INTEGER PRIMARY KEY, title TEXT, tel TEXT)")
    for row in CONTACTS:
        ask(found["crm"], "INSERT INTO contact VALUES (?, ?, ?)", *row)
    document = folder / "setup.yaml"
    document.write_text(SETUP.format(**found), encoding="utf-8")
    for words in (["apply", str(document)], ["run", "contacts", "--wait"]):
        command = [sys.executable, "-m", "webapp.cli", *words]
        subprocess.run(command, env=environ(console.data, console.port), cwd=ROOT, check=True, capture_output=True)
    ask(found["crm"], "UPDATE contact SET name = 'Adele' WHERE id = 1")
    ask(found["erp"], "UPDATE partner SET title = 'Adina' WHERE no = 1")
    ask(found["erp"], "UPDATE partner SET tel = '+86 22' WHERE no = 2")
    return found


def ask(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(statement, values).fetchall()


def names(paths: dict[str, Path]) -> tuple[str, str]:
    """Return what both systems call the first contact."""
    (left,), (right,) = (
        ask(paths["crm"], "SELECT name FROM contact WHERE id = 1")[0],
        ask(paths["erp"], "SELECT title FROM partner WHERE no = 1")[0],
    )
    return left, right


def stat(page: Page, label: str, value: str) -> None:
    expect(page.locator(".stat", has_text=label).locator(".stat-value").first).to_have_text(value, timeout=60_000)


def test_a_conflict_from_its_simulation_to_its_undoing(watched, admin, paths: dict[str, Path]):
    """The plan says who would wait, the run writes all others, a choice is written alone, and undoing takes it back."""
    page = watched.page
    page.goto(f"{watched.home}/rules/contacts/")
    page.get_by_role("button", name="Try on real records").click()
    expect(page.get_by_text("This was a simulation: nothing was written.")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="Plan and approval").click()
    expect(page.get_by_text("Would wait for a person").first).to_be_visible()
    assert names(paths) == ("Adele", "Adina")

    page.goto(f"{watched.home}/rules/contacts/")
    page.get_by_role("button", name="Run now").first.click()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=60_000)
    stat(page, "Cases", "1")
    assert names(paths) == ("Adele", "Adina")
    assert ask(paths["crm"], "SELECT phone FROM contact WHERE id = 2") == [("+86 22",)]

    page.goto(f"{watched.home}/cases/")
    page.locator("main a[href^='/cases/']", has_text=re.compile("Ad")).first.click()
    page.locator("label.decide-option.is-left", has_text="Adele").click()
    page.get_by_role("button", name="Show what will be written").click()
    expect(page.get_by_role("heading", name="What will be written")).to_be_visible()
    page.get_by_role("button", name="Decide so").click()
    case = page.url
    carried = page.get_by_text(re.compile(r"Carried out by run (\d+)"))
    while not carried.count():
        page.wait_for_timeout(500)
        page.goto(case)
    number = re.search(r"run (\d+)", carried.first.inner_text())
    assert number
    assert names(paths) == ("Adele", "Adele")

    page.goto(f"{watched.home}/runs/{number[1]}")
    page.get_by_role("link", name="Undo").click()
    expect(page.get_by_text("Gets old values back").first).to_be_visible()
    page.get_by_role("button", name="Undo now").click()
    page.get_by_role("dialog").get_by_role("button", name="Undo now").click()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=60_000)
    assert names(paths) == ("Adele", "Adina")
