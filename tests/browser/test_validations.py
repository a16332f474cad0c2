"""Saying in the browser what records have to meet: in a rule, with counts from real records, and in an entity."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.supervisor.conftest import ROOT, environ

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SETUP = """kind: connection
name: shop
connector: sqlite
settings: {{path: {shop}}}
---
kind: connection
name: books
connector: sqlite
settings: {{path: {books}}}
---
kind: sync
name: buyers
left: {{connection: shop, object: buyer}}
right: {{connection: books, object: debtor}}
key: {{left: id, right: no}}
fields:
  - {{left: id, right: no}}
---
kind: entity
name: room
fields:
  - {{name: code, type: text, label: {{en: Code}}, required: true}}
  - {{name: seats, type: integer, label: {{en: Seats}}}}
"""
BUYERS = [(1, "Ada", "CN", "+86 1"), (2, "Bea", "CN", None), (3, "Cid", "DE", None), (4, "Dan", "CN", "+86 4")]


@pytest.fixture(scope="module")
def systems(console) -> None:
    """Set up two systems, a rule between them, and an entity."""
    folder: Path = console.data / "files"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.db" for name in ("shop", "books")}
    with sqlite3.connect(paths["shop"]) as shop:
        shop.execute("CREATE TABLE buyer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, phone TEXT)")
        shop.executemany("INSERT INTO buyer VALUES (?, ?, ?, ?)", BUYERS)
    with sqlite3.connect(paths["books"]) as books:
        books.execute("CREATE TABLE debtor (no INTEGER PRIMARY KEY)")
    document = folder / "setup.yaml"
    document.write_text(SETUP.format(**paths), encoding="utf-8")
    command = [sys.executable, "-m", "webapp.cli", "apply", str(document)]
    subprocess.run(command, env=environ(console.data, console.port), cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def signed_in(console, context, admin, systems) -> None:
    """Sign the browser in; expressions are written as text."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{console.port}/")
    page.evaluate("localStorage.setItem('syncline-condition', 'text')")
    page.close()


def write(page: Page, name: str, text: str) -> None:
    """Type an expression into the editor of an input."""
    field = page.locator(f".expression-field:has([name='{name}'])")
    editor = field.locator(".cm-content")
    expect(editor).to_be_visible()
    editor.click()
    page.keyboard.insert_text(text)


def test_a_validation_of_a_rule_is_added_counted_and_saved(watched, signed_in):
    """Add a condition, see at once how many real records meet it, save it, find it again."""
    page = watched.page
    page.goto(f"{watched.home}/rules/buyers/validations")
    page.get_by_role("button", name="Add a condition").click()
    write(page, "validations-0-check", "phone != null")
    expect(page.locator("#validation-count-0")).to_contain_text("2 of 4 meet it")
    page.get_by_text("Ask only some records").click()
    write(page, "validations-0-when", "country == 'CN'")
    expect(page.locator("#validation-count-0")).to_contain_text("2 of 3 meet it")
    page.get_by_label("What people read then").fill("Buyers in China need a phone")
    page.get_by_label("A record that does not meet it").select_option("reject")
    page.get_by_role("button", name="Save draft").last.click()
    expect(page.get_by_text("Draft saved.")).to_be_visible()
    summary = page.locator("#validation-list summary").first
    expect(summary).to_contain_text("Buyers in China need a phone")
    expect(summary).to_contain_text("Leave out")
    page.goto(f"{watched.home}/rules/buyers/source")
    expect(page.locator("body")).to_contain_text("severity: reject")


def test_a_validation_of_an_entity_is_designed_and_asks_before_saving(watched, signed_in):
    """Design a warning, put it in force, and be asked in the form before a doubtful record is saved."""
    page = watched.page
    page.goto(f"{watched.home}/entities/room/design")
    page.get_by_role("button", name="Add a condition").click()
    write(page, "validations-0-check", "seats < 100")
    page.get_by_label("What people read then").fill("That is a very large room")
    page.get_by_label("A record that does not meet it").select_option("warn")
    page.get_by_role("button", name="Review the changes").click()
    expect(page.get_by_text("Every record that exists meets the validation.")).to_be_visible()
    page.get_by_role("button", name="Make the changes").click()
    page.goto(f"{watched.home}/records/room/add")
    page.get_by_label("Code").fill("hall")
    page.get_by_label("Seats").fill("500")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("That is a very large room.")).to_be_visible()
    page.get_by_role("button", name="Save anyway").click()
    expect(page.get_by_text("The record is added.")).to_be_visible()
    page.goto(f"{watched.home}/entities/room/quality")
    page.get_by_role("button", name="Measure now").click()
    expect(page.get_by_text("All records are measured.")).to_be_visible()
    page.get_by_role("link", name="1", exact=True).click()
    expect(page.locator("main")).to_contain_text("hall")
