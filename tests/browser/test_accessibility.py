"""Every page that links lead to, looked at by axe: what keeps people with a screen reader or a keyboard out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.supervisor.conftest import Installation, _end

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
FOUND = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`)"""
LINKS = "[...document.querySelectorAll('a[href]')].map(a => String(a.href))"
FILES = re.compile(r"/(logout|language)|/export|/download|\.(csv|jsonl?|yaml|zip|xlsx|txt|svg|png)$")
NAMED = re.compile(r"^/(rules|connections|records|entities|audit/changes|connections/new(?:/preset)?)/(?!new)[^/]+")


def kind_of(path: str) -> str:
    """Return what pages that differ in their subject alone have in common."""
    return NAMED.sub(r"/\1/one", re.sub(r"/\d+(?=/|$)", "/1", path))


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(tmp_path_factory.mktemp("accessibility") / "data", options=("--demo",))
    try:
        one.start()
        yield one
    finally:
        _end(one)


def pages(page: Page, home: str) -> Iterator[str]:
    """Open one page of each kind that links lead to from the home page."""
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop(0)
        if kind_of(path) in seen or FILES.search(path):
            continue
        seen.add(kind_of(path))
        answer = page.goto(home + path)
        if answer is None or "html" not in answer.headers.get("content-type", ""):
            continue
        page.wait_for_load_state("networkidle")
        yield path
        waiting += [urlsplit(url).path for url in page.evaluate(LINKS) if url.startswith(home + "/")]


def wrong_on(page: Page, home: str) -> tuple[int, list[str]]:
    """Return how many pages were looked at, and what axe finds serious or critical on them."""
    script, found, count = AXE.read_text("utf-8"), [], 0
    for path in pages(page, home):
        count += 1
        page.evaluate(script)
        found += [f"{path}: {one}" for one in page.evaluate(FOUND)]
    return count, found


@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), pytest.param(390, "dark", marks=pytest.mark.soak)])
def test_no_page_keeps_anybody_out(admin, console: Installation, chromium: Browser, context, width: int, colours: str):
    """No page has a serious or critical fault, on a wide screen in light and on a phone in dark colours."""
    size = {"width": width, "height": 900}
    state = context.storage_state()
    with chromium.new_context(viewport=size, color_scheme=colours, storage_state=state) as own:
        count, found = wrong_on(own.new_page(), f"http://127.0.0.1:{console.port}")
    assert found == []
    assert count > 80


def test_the_menu_of_the_account_is_opened_and_left_by_keyboard(admin, watched: Watched):
    """On a phone, too, the button has a name, opens by Enter and closes by Escape, which leaves the focus on it."""
    page = watched.page
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(watched.home + "/")
    button = page.get_by_role("button", name="Administrator")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="My account")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="My account")).to_be_hidden()
    expect(button).to_be_focused()
