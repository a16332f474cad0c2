"""Designing an entity in the browser: what is typed while a step is on its way stays."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


class Held:
    """Holds back the answers to steps, not to mere checks, until they are let go."""

    def __init__(self, page: Page) -> None:
        self.routes: list[Route] = []
        self.page = page
        page.route("**/entities/design", self.hold)

    def hold(self, route: Route) -> None:
        if "add" in _deed(route) or ":" in _deed(route):
            self.routes.append(route)
        else:
            route.continue_()

    def go(self) -> None:
        while not self.routes:
            self.page.wait_for_timeout(20)
        self.routes.pop().continue_()


def _deed(route: Route) -> str:
    return parse_qs(route.request.post_data or "").get("do", ["check"])[-1]


def _labels(page: Page) -> list[str]:
    return page.locator("[name$='-label_en']").evaluate_all("inputs => inputs.map((input) => input.value)")


def test_typing_while_a_field_is_added_moved_or_removed_is_kept(watched, admin):
    """The text goes on in its own field, wherever that stands afterwards, and so does the cursor."""
    page: Page = watched.page
    page.goto(f"{watched.home}/entities/new-entity")
    fields = page.locator("[data-field]")
    for number, label in enumerate(("First", "Second"), fields.count()):
        page.locator("button[value='add:text']").click()
        expect(fields).to_have_count(number + 1)
        fields.nth(number).locator("[name$='-label_en']").fill(label)
    start = fields.count() - 2
    held = Held(page)
    page.locator("button[value='add:text']").click()
    typed = page.locator(f"[name='fields-{start + 1}-label_en']")
    typed.press("End")
    typed.press_sequentially(" name")
    held.go()
    expect(fields).to_have_count(start + 3)
    expect(page.locator(f"[name='fields-{start + 1}-label_en']")).to_be_focused()
    page.keyboard.type("s")
    assert _labels(page)[start:] == ["First", "Second names", ""]
    page.locator(f"button[value='up:{start + 1}']").click()
    typed.press("End")
    typed.press_sequentially("!")
    held.go()
    expect(page.locator(f"[name='fields-{start}-label_en']")).to_have_value("Second names!")
    assert _labels(page)[start:] == ["Second names!", "First", ""]
    fields.nth(start).evaluate("field => field.open = true")
    fields.nth(start + 1).evaluate("field => field.open = true")
    page.locator(f"button[value='remove:{start}']").click()
    typed.press("End")
    typed.press_sequentially("?")
    held.go()
    expect(fields).to_have_count(start + 2)
    assert _labels(page)[start:] == ["First?", ""]
