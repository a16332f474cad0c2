"""A real Chromium on a real installation; a console message, a refused request or a foreign host fails the test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.supervisor.conftest import Installation, _end

SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
expect.set_options(timeout=30_000)  # a busy machine may take long; what is right comes as soon as it is there


class Watched:
    """A page whose complaints are kept."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self.home = home
        self.complaints: list[str] = []
        page.set_default_timeout(30_000)
        page.on("console", self.listen)
        page.on("pageerror", lambda error: self.complain(str(error)))
        page.on("request", lambda r: None if self.own(r.url) else self.complain(f"foreign host: {r.url}"))
        page.on("response", lambda r: self.complain(f"{r.status} {r.url}") if r.status >= 500 else None)

    def listen(self, message: ConsoleMessage) -> None:
        """Keep errors and warnings; a refused request is told by its status, which tests may mean to see."""
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complain(message.text)

    def own(self, url: str) -> bool:
        return url.startswith((self.home, "data:", "blob:"))

    def complain(self, text: str) -> None:
        self.complaints.append(f"{self.page.url}: {text}")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(tmp_path_factory.mktemp("browser") / "data")
    try:
        one.start()
        yield one
    finally:
        _end(one)


@contextmanager
def launched() -> Iterator[Browser]:
    """Open the machine's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("Chromium is not installed; `make test` installs it from Debian's packages as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def watched(console: Installation, context: BrowserContext) -> Iterator[Watched]:
    watched = Watched(context.new_page(), f"http://127.0.0.1:{console.port}")
    yield watched
    watched.page.close()
    assert watched.complaints == []


@pytest.fixture(scope="module")
def admin(console: Installation, context: BrowserContext) -> None:
    """Sign the browser in as the first user."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{console.port}/login/")
    found = re.search(r"password: (\S+)", console.output)
    assert found
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(found[1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    page.close()
