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
        for _ in range(500):
            if self.routes:
                break
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


def test_typing_while_a_validation_is_added_is_kept(watched, admin):
    """Texts, choices and fields among several stay in the validation that they belong to."""
    page: Page = watched.page
    page.goto(f"{watched.home}/entities/new-entity")
    validations = page.locator("[data-validation]")
    page.locator("button[value='v-add:check']").click()
    expect(validations).to_have_count(1)
    held = Held(page)
    page.locator("button[value='v-add:unique']").click()
    page.locator("[name='validations-0-message']").press_sequentially("Name it")
    page.locator("[name='validations-0-severity']").select_option("reject")
    held.go()
    expect(validations).to_have_count(2)
    expect(page.locator("[name='validations-0-message']")).to_have_value("Name it")
    expect(page.locator("[name='validations-0-severity']")).to_have_value("reject")
    page.locator("button[value='v-down:0']").click()
    page.locator("[name='validations-0-message']").press("End")
    page.keyboard.type("!")
    held.go()
    expect(page.locator("[name='validations-1-message']")).to_have_value("Name it!")


def test_steps_that_follow_each_other_fast_are_all_taken(watched, admin):
    """Fields that are added while another one is still being added are added behind it."""
    page: Page = watched.page
    page.goto(f"{watched.home}/entities/new-entity")
    fields = page.locator("[data-field]")
    start = fields.count()
    held = Held(page)
    for kind in ("text", "date", "boolean"):
        page.locator(f"button[value='add:{kind}']").click()
    for _ in range(3):
        held.go()
    expect(fields).to_have_count(start + 3)
    kinds = page.locator("[data-kind]").evaluate_all("selects => selects.map((select) => select.value)")
    assert kinds[start:] == ["text", "date", "boolean"]
