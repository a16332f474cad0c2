"""A decision table in the browser: cells pasted as from a spreadsheet, corrected, tried, published."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from tests.browser.conftest import Watched
from tests.supervisor.conftest import ROOT, Installation, environ

pytestmark = [pytest.mark.usefixtures("admin"), pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = "< 100\tCN\t0\n>= 100\tCN\t5\n> abc\t-\t10"
LOOKUP = """kind: lookup
name: countries
key: {name: code}
columns: [{name: name}]
entries:
  - [CN, China]
  - [DE, Germany]
"""


def paste(page: Page, text: str) -> None:
    """Paste into the selected cell what a spreadsheet would put on the clipboard."""
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const paste = new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
            document.querySelector(".tabulator").dispatchEvent(paste);
        }""",
        text,
    )


def test_a_table_is_pasted_corrected_tried_and_published(watched: Watched) -> None:
    """A newcomer gets from an empty table to a published one, told at each step what is wrong."""
    page = watched.page
    page.goto(f"{watched.home}/rules/new/table")
    page.get_by_label("Title").fill("Discount")
    page.get_by_label("Name").fill("discount")
    page.get_by_role("button", name="Continue").click()
    name = page.locator("#column [name=name]")
    for _ in range(5):  # a page that is not ready yet does not hear the click
        page.locator("[data-add=input]").click()
        with contextlib.suppress(Error):
            name.fill("country", timeout=3_000)
            break
    name.press("Enter")
    page.locator("[data-grid=add]").click()
    page.locator(".tabulator-cell.grid-condition").first.click()
    paste(page, CELLS)
    expect(page.locator(".tabulator-row")).to_have_count(3)
    page.locator("[data-grid=copy]").click()
    expect(page.locator(".tabulator-row")).to_have_count(4)
    expect(page.locator(".grid-number span")).to_have_text(["1", "2", "3", "4"])
    page.locator("[data-grid=undo]").click()
    expect(page.locator(".tabulator-cell.has-problem")).to_have_text("> abc")
    expect(page.get_by_text("A number is needed here")).to_be_visible()
    page.locator(".tabulator-cell.has-problem").click()
    page.keyboard.type(">= 1000")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Rows 2 and 3 both apply")).to_be_visible()
    page.get_by_label("If several rows apply").select_option("first")
    expect(page.get_by_text("This keeps the table from being published")).to_be_hidden()
    page.locator("[data-given=amount]").fill("5000")
    page.locator("[data-given=country]").fill("US")
    expect(page.get_by_text("Row 3 is the first one that applies.")).to_be_visible()
    page.get_by_role("button", name="Save draft").click()
    expect(page.locator(".tabulator-row")).to_have_count(3)
    page.get_by_role("link", name="Publish …").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 1 is published.")).to_be_visible()


def test_opening_a_table_changes_nothing(console: Installation, watched: Watched) -> None:
    """The editor of a lookup table holds all entries from the first moment; saving at once keeps them."""
    document = Path(console.data) / "countries.yaml"
    document.write_text(LOOKUP, encoding="utf-8")
    command = [sys.executable, "-m", "webapp.cli", "apply", str(document)]
    subprocess.run(command, env=environ(console.data, console.port), cwd=ROOT, check=True, capture_output=True)
    page = watched.page
    page.goto(f"{watched.home}/rules/countries/")
    expect(page.locator(".tabulator-row")).to_have_count(2)
    page.get_by_role("button", name="Save draft").click()
    expect(page.locator(".tabulator-row")).to_have_count(2)
    page.goto(f"{watched.home}/rules/countries/publish")
    expect(page.get_by_text("There is nothing to publish")).to_be_visible()
