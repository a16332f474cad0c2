"""Two people in two browsers: one proposes, the other approves on a phone, and then it is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

import config
from tests.browser.conftest import Watched
from tests.supervisor.conftest import ROOT, Installation, environ
from tests.webapp.conftest import PASSWORD, add_user
from webapp.extensions import open_house
from webapp.vault import people

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TABLE = """kind: lookup
name: codes
key: {name: code}
columns: [{name: text}]
entries: [[A, Alpha]]
"""
APPROVALS = "---\nkind: approvals\nname: settings\ndeeds: {publish_rule: {}}\n"


@pytest.fixture(scope="module")
def ben(console: Installation, chromium: Browser) -> Iterator[Page]:
    """Return the browser of a second person; a draft of a table waits to be published, which needs one."""
    for text in (TABLE + APPROVALS, TABLE.replace("Alpha", "Alef") + "publish: false\n"):
        file = console.data / "table.yaml"
        file.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "webapp.cli", "apply", str(file)]
        subprocess.run(command, env=environ(console.data, console.port), cwd=ROOT, check=True, capture_output=True)
    house = open_house(config.from_environment(environ(console.data, console.port)))
    people.register(house)
    add_user(house, "ben", "Admin")
    house.db.engine.dispose()
    context = chromium.new_context(locale="en-US", viewport={"width": 390, "height": 840})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{console.port}/login/")
    page.get_by_label("User name").fill("ben")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    yield page
    context.close()


def test_one_proposes_and_another_approves(watched: Watched, admin: None, ben: Page) -> None:
    """What is published needs a second person: nothing changes until somebody else has seen the difference."""
    page = watched.page
    page.goto(f"{watched.home}/rules/codes/publish")
    expect(page.get_by_text("This needs a second person.")).to_be_visible()
    page.get_by_label("Note").fill("The old spelling was wrong.")
    page.get_by_role("button", name="Propose version 2").click()
    expect(page.get_by_role("heading", name="Publish the rule codes")).to_be_visible()
    expect(page.get_by_text("Nothing has been changed yet")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)

    ben.goto(f"{watched.home}/approvals/")
    ben.get_by_role("link", name="Publish the rule codes").click()
    expect(ben.locator("main")).to_contain_text("The old spelling was wrong.")
    expect(ben.locator(".table-diff del")).to_contain_text("Alpha")
    expect(ben.locator(".table-diff ins")).to_contain_text("Alef")
    ben.get_by_role("button", name="Approve").click()
    expect(ben.get_by_text("Approved, and done exactly as proposed.")).to_be_visible()

    page.reload()
    expect(page.locator("main")).to_contain_text("ben approved this")
    page.goto(f"{watched.home}/rules/codes/versions")
    expect(page.locator("main")).to_contain_text("The old spelling was wrong.")
