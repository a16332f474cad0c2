"""In a real browser: why a record was left alone, a failing test in the way of publishing, two versions compared."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.rulebook.conftest import ANNA, console, document  # noqa: F401 - two systems
from tests.runs.test_explanation_pages import FIELDS, WHERE, run
from tests.webapp.conftest import app, settings  # noqa: F401 - the console's fixtures
from tests.webapp.test_browser import address, browser, complaints, page  # noqa: F401 - a signed-in browser
from webapp.rulebook import services
from webapp.runs.pipeline.execute import Execution

pytestmark = pytest.mark.browser


def test_explain_test_publish_compare(console, page, address, complaints, monkeypatch):  # noqa: F811
    """A business admin asks why, writes an example, is kept from publishing until it holds, and compares versions."""
    monkeypatch.setattr(Execution, "filters", False, raising=False)  # the source sends what is out of scope too
    number = run(console, document(left=WHERE, fields=FIELDS))

    page.goto(f"{address}/runs/{number}")
    page.get_by_label("Why did this happen to a record?").fill("3")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", name="Not in scope")).to_be_visible()
    expect(page.locator("li.is-deciding").first).to_contain_text("status == 'active' = false")
    page.get_by_label("Key of another record").fill("2")
    page.get_by_role("button", name="Why?").click()
    page.locator("details.told-field", has_text="title").locator("summary").click()
    expect(page.locator("details.told-field", has_text="title")).to_contain_text("name = “Müller AG”")
    expect(page.get_by_text("The values come out as the run stored them.")).to_be_visible()

    fields = [FIELDS[0], {"right": "title", "to_right": "name.trim().upper()"}, FIELDS[2]]
    services.save_draft(console, "customers", document(left=WHERE, fields=fields), ANNA)
    page.goto(f"{address}/rules/customers/tests")
    page.get_by_role("link", name="Add a test").click()
    page.get_by_label("What the example shows").fill("Names are trimmed")
    for label, value in (("id", "1"), ("name", " Ada "), ("status", "active")):
        page.get_by_label(re.compile(rf"^{label}\b")).fill(value)
    page.get_by_label("Expected value of title").fill("Ada")
    expect(page.locator("#test-result")).to_contain_text("Not all values come out as expected.")
    expect(page.locator("#test-result")).to_contain_text("ADA")
    page.get_by_role("button", name="Save test").click()
    expect(page.get_by_text("One test fails.")).to_be_visible()

    page.goto(f"{address}/rules/customers/publish")
    expect(page.get_by_text("The test 'Names are trimmed' fails.")).to_be_visible()
    expect(page.get_by_role("button", name="Publish version 2")).to_be_disabled()

    page.goto(f"{address}/rules/customers/compare")
    expect(page.locator("details.record", has_text="Different").first).to_contain_text("MÜLLER AG")

    page.goto(f"{address}/rules/customers/tests/0")
    page.get_by_role("button", name="Expect what comes out now").click()
    expect(page.get_by_label("Expected value of title")).to_have_value("ADA")
    expect(page.locator("#test-result")).to_contain_text("The test passes.")
    page.get_by_role("button", name="Save test").click()
    expect(page.locator(".coverage")).to_contain_text("One test passes.")
    page.goto(f"{address}/rules/customers/publish")
    page.get_by_role("button", name="Publish version 2").click()
    expect(page.get_by_text("Version 2 is published.")).to_be_visible()
    assert complaints == []
