"""The matrix of a role in the browser: chosen by keyboard, reviewed, saved, and seen as somebody with the role."""

from __future__ import annotations

import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.supervisor.conftest import ROOT, Installation, environ

pytestmark = [pytest.mark.usefixtures("admin"), pytest.mark.browser, pytest.mark.timeout(300)]

DOCUMENTS = {
    "customer": "kind: entity\nname: customer\nfields:\n  - {name: name, type: text}\n  - {name: iban, type: text}\n",
    "sales": "kind: role\nname: Sales\npermissions: {Records: [read, update], Entities: [read], Rules: [read]}\n",
}


@pytest.fixture(scope="module")
def _documents(console: Installation) -> None:
    for name, text in DOCUMENTS.items():
        document = console.data.parent / f"{name}.yaml"
        document.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "webapp.cli", "apply", str(document)]
        subprocess.run(command, env=environ(console.data, console.port), cwd=ROOT, check=True, capture_output=True)


@pytest.mark.usefixtures("_documents")
def test_a_role_is_narrowed_and_looked_at(watched: Watched) -> None:
    """Cells are chosen by keyboard, a field is masked with an example, a condition is built; then it is as it says."""
    page = watched.page
    page.goto(f"{watched.home}/roles/")
    page.get_by_role("link", name="Sales").click()
    page.get_by_role("link", name="Records and fields").click()
    cell = page.get_by_role("group", name="customer: Change")
    expect(cell.get_by_role("radio", name="allowed")).to_be_checked()
    cell.get_by_role("radio", name="allowed").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(cell.get_by_role("radio", name="denied")).to_be_checked()
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("row", name="customer change records")).to_contain_text("denied")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("What Sales permits is saved.")).to_be_visible()

    page.locator(".policy-matrix").get_by_role("link", name="customer").click()
    page.get_by_label("Field iban").select_option(label="only the last four characters are shown")
    expect(page.get_by_role("row", name="iban")).to_contain_text("●●●●2051")
    builder = page.locator(".expression-field").first
    builder.get_by_role("button", name="Condition", exact=False).first.click()
    builder.get_by_label("Field").select_option("name")
    builder.get_by_label("Value").fill("Anna")
    expect(page.locator("#f-rows")).to_have_value("name == 'Anna'")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("row", name="Only records for which")).to_contain_text("name == 'Anna'")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("some records")).to_be_visible()

    page.get_by_role("button", name="View as this role").click()
    banner = page.get_by_text("You see the console as somebody with the role Sales.")
    expect(banner).to_be_visible()
    page.goto(f"{watched.home}/records/customer/")
    expect(banner).to_be_visible()
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    page.get_by_role("button", name="Back to yourself").click()
    expect(banner).to_have_count(0)
