"""An event rule in the browser: from its template to the case that it opened."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ORDER = '{"type": "order.created", "at": "5m", "data": {"order_no": "B-7", "amount": 2500}}'


def make(page: Page, home: str) -> None:
    """Make the rule from its template, change it, and see mistakes told at once."""
    page.goto(f"{home}/rules/new/event")
    page.get_by_label("Title").fill("Large orders")
    page.get_by_label("Name").fill("large_orders")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Everything fits together.")).to_be_visible()

    # The case is opened one second after an order that nobody pays, with the amount in its title.
    page.locator("[name='when.absent.within.number']").fill("1")
    page.locator("[name='when.absent.within.unit']").select_option("s")
    page.locator(".act > summary").click()
    title = page.get_by_label("Title").last
    title.fill("Order {key} over {order.amount")
    expect(page.get_by_text("This keeps the rule from being published")).to_be_visible()
    title.fill("Order {key} over {order.amount} is not paid")
    page.get_by_role("button", name="Add an action").click()
    page.get_by_role("button", name="Send an e-mail").click()
    expect(page.get_by_label("Subject")).to_be_visible()
    page.get_by_role("button", name="Remove Send an e-mail").click()
    expect(page.get_by_label("Subject")).to_have_count(0)
    expect(page.get_by_text("Everything fits together.")).to_be_visible()
    page.get_by_role("button", name="Save draft").last.click()
    expect(page.get_by_text("Draft saved.")).to_be_visible()


def simulate(page: Page, home: str) -> None:
    """Simulate pasted events in the place of the template's examples, and keep them."""
    page.get_by_role("link", name="Simulation", exact=True).click()
    for left in (1, 0):
        page.get_by_role("button", name=re.compile("^Remove ")).first.click()
        expect(page.locator(".verdicts li")).to_have_count(left)
    page.get_by_label("Paste events").fill(ORDER)
    page.get_by_label("Until when").fill("")
    page.get_by_role("button", name="Simulate").click()
    expect(page.locator(".event-line")).to_contain_text("Order B-7 over 2500 is not paid")
    page.get_by_label("What the example shows").fill("A large order")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("as stated")).to_be_visible()


def act(page: Page, home: str) -> None:
    """Publish the rule, send an event, and follow it to the case that was opened."""
    page.goto(f"{home}/rules/large_orders/publish")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Active")).to_be_visible()

    page.goto(f"{home}/events/send")
    page.get_by_label("Type").fill("order.created")
    page.get_by_label("Data").fill('{"order_no": "B-8", "amount": 900}')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("The event is stored.")).to_be_visible()
    for _ in range(120):
        page.goto(f"{home}/cases/")
        if page.get_by_role("link", name="Order B-8 over 900 is not paid").count():
            break
        page.wait_for_timeout(1000)
    page.goto(f"{home}/rules/large_orders/work?ended=1")
    page.get_by_role("link", name="B-8").click()
    expect(page.locator(".event-line")).to_contain_text("It has happened")
    page.get_by_role("link", name="Case 1").click()
    expect(page.get_by_role("heading", name="Order B-8 over 900 is not paid")).to_be_visible()
    page.get_by_label("What was decided").fill("They pay tomorrow")
    page.get_by_role("button", name="Close the case").click()
    expect(page.get_by_text("The case is closed.")).to_be_visible()


def test_a_rule_is_made_simulated_published_and_acts(admin, watched):
    """From the template to the closed case, without a line of a document."""
    page = watched.page
    make(page, watched.home)
    simulate(page, watched.home)
    act(page, watched.home)
