"""In a real browser: all values of one side, one of one's own, a look at what is written, many at once."""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.cases.waiting import PHONES, conflict, entry, make_rule, wait
from tests.webapp.test_browser import address, browser, complaints, page  # noqa: F401 - a signed-in browser

pytestmark = pytest.mark.browser


def test_deciding(app: Flask, page: Page, address: str, complaints: list[str]) -> None:  # noqa: F811
    """Take all from a side, write a value where none fits, look, decide; then tick the others and decide them."""
    house = app.extensions["syncline"]
    rule = make_rule(house)
    two = conflict(entry(2, "+86 1", "+86 2", "+86"), entry(3, "1.00", "2.00", "0.50"))
    rows = [(str(number), str(number), "linked_conflict", PHONES) for number in (2, 3, 4)]
    wait(house, rule, ("1", "7", "linked_conflict", two), *rows)

    page.goto(f"{address}/cases/1")
    expect(page.get_by_text("0 of 2 chosen")).to_be_visible()
    page.get_by_role("button", name="Take all from Sales").click()
    expect(page.get_by_text("2 of 2 chosen")).to_be_visible()
    page.locator("input[name='take:3'][value=value]").check()
    page.get_by_label("Another value for credit / ceiling").fill("3.50")
    page.get_by_role("button", name="Show what will be written").click()
    expect(page.locator("ins")).to_have_text(["3.50", "+86 1", "3.50"])
    page.get_by_role("button", name="Decide so").click()
    expect(page.get_by_text("Decided by admin")).to_be_visible()

    page.goto(f"{address}/cases/?rule=customers")
    page.get_by_label("Tick all on this page").check()
    expect(page.get_by_text("4 ticked")).to_be_visible()
    page.get_by_label("Tick case 1:").uncheck()
    expect(page.get_by_text("3 ticked")).to_be_visible()
    page.get_by_role("button", name="Decide …").click()
    page.get_by_label("Take all from erp").check()
    page.get_by_role("button", name="Show what will be written").click()
    page.get_by_role("button", name="Decide 3 cases").click()
    expect(page.get_by_text("3 cases are decided.")).to_be_visible()
    assert complaints == []
