"""The console in a real browser: the policy holds on every page, scripts work, the keyboard reaches everything."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Browser, CDPSession, Page, expect
from werkzeug.serving import make_server

from tests.browser.conftest import launched
from tests.webapp.conftest import PASSWORD
from webapp.access import models
from webapp.extensions import House
from webapp.web.menu import Item

pytestmark = pytest.mark.browser

PAGES = """
/ /connections/ /entities/ /rules/ /rules/new /runs/ /quarantine/ /audit/ /audit/1 /users/ /users/new /users/1 /roles/
/roles/1 /roles/new /keys/ /keys/new /account/ /api/docs /rules/new/event /events/ /events/rules /events/actions
/events/send /cases/ /cases/new /nothing
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    app.config["WTF_CSRF_ENABLED"] = True
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def complaints() -> list[str]:
    """Return what the browser complained of: violations of the policy, errors of scripts, other hosts."""
    return []


@pytest.fixture
def page(browser: Browser, address: str, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("console", lambda line: complaints.append(f"{page.url}: {line.text}") if "Policy" in line.text else None)
    page.on(
        "request",
        lambda request: complaints.append(request.url) if not request.url.startswith((address, "data:")) else None,
    )
    page.goto(f"{address}/login/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    yield page
    context.close()


def test_every_page_keeps_the_policy(page: Page, address: str, complaints: list[str]):
    """No page breaks the content policy, asks another host, throws an error or grows wider than a phone."""
    for path in PAGES:
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
    page.set_viewport_size({"width": 390, "height": 844})
    for path in PAGES:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
            f"{path} is wider than a phone"
        )
    assert complaints == []


def test_theme_goes_round_and_is_kept(page: Page):
    """The button goes from the system's colours to light to dark, and a reload keeps the choice."""
    button = page.get_by_role("button", name="Colours: as the system")
    root = page.locator("html")
    button.click()
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Colours: light").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "dark")


def test_language_is_switched_on_the_page(page: Page):
    """The button in the bar changes the language and stays on the page."""
    page.get_by_role("link", name="Users").click()
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert page.url.endswith("/users/")


def test_keyboard_reaches_content_and_menu(page: Page):
    """The first tab stop leads past the menu; the account menu opens and closes by keys."""
    page.keyboard.press("Tab")
    skip = page.locator(".skip-link")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    menu = page.get_by_role("button", name="Administrator")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_side_bar_opens_on_a_phone(page: Page):
    """On a phone the side bar is behind a button and closes again."""
    page.set_viewport_size({"width": 390, "height": 844})
    link = page.get_by_role("link", name="Users")
    expect(link).not_to_be_in_viewport()
    page.get_by_role("button", name="Open the menu").click()
    expect(link).to_be_in_viewport()
    expect(page.locator("#sidebar")).to_be_focused()  # only then it has slid in and hears the keyboard
    page.keyboard.press("Escape")
    expect(link).not_to_be_in_viewport()


def test_user_is_added_and_disabled(page: Page, address: str, complaints: list[str]):
    """A user is added by the form; a deed that cannot be undone asks first, and No means no."""
    page.goto(f"{address}/users/new")
    page.get_by_role("button", name="Add user").click()
    expect(page.locator(".field-error").first).to_be_visible()
    page.get_by_label("User name").fill("ann")
    page.get_by_label("First name").fill("Ann")
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Viewer").check()
    page.get_by_role("button", name="Add user").click()
    expect(page.locator("#once")).to_contain_text("-")
    page.get_by_role("link", name="Back to the users").click()
    page.get_by_role("link", name="ann", exact=True).click()
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.get_by_text("ann can no longer sign in.")).to_be_visible()
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    assert complaints == []


def test_code_editor_works_under_the_policy(page: Page, app: Flask, address: str, complaints: list[str]):
    """The editor colours and takes text without an exception from the policy, and the form's field follows it."""
    page.goto(f"{address}/users/new")
    page.evaluate("""() => {
      const area = document.createElement("textarea");
      area.name = "source"; area.dataset.controller = "code-editor"; area.dataset.language = "yaml"; area.rows = 8;
      area.value = "kind: sync\\nname: customers";
      const problem = {line: 2, column: 1, end: 5, message: "unknown", severity: "error"};
      area.dataset.problems = JSON.stringify([problem]);
      document.querySelector("main").append(area);
    }""")
    with app.test_request_context():
        editor = app.jinja_env.globals["asset"]("editor.js")
    page.evaluate(
        """src => new Promise((done) => {
          const script = document.createElement("script");
          script.src = src; script.onload = done;
          document.body.append(script);
        })""",
        editor,
    )
    content = page.locator(".code-editor .cm-content")
    expect(content).to_contain_text("kind: sync")
    colours = page.locator(".code-editor .cm-line span").evaluate_all(
        "spans => new Set(spans.map((s) => getComputedStyle(s).color)).size"
    )
    assert colours > 1
    expect(page.locator(".code-editor .cm-lintRange-error")).to_have_count(1)
    content.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("!")
    assert page.locator("textarea[name=source]").input_value() == "kind: sync\nname: customers!"
    assert complaints == []


def test_menu_shows_what_rooms_add(page: Page, app: Flask, address: str):
    """A line that a room adds stands below the entities."""
    app.extensions["syncline_menu"].append(lambda: [Item("data", "Customers", "/audit/", "table", "Audit", child=True)])
    page.goto(address)
    expect(page.locator(".nav-item.is-child", has_text="Customers")).to_be_visible()


@pytest.fixture
def device(app: Flask, browser: Browser, address: str, complaints: list[str]) -> Iterator[tuple[Page, CDPSession, str]]:
    """Return a page, its device with a fingerprint reader, and the console's address with a name."""
    home = address.replace("127.0.0.1", "localhost")
    house: House = app.extensions["syncline"]
    settings = dataclasses.replace(house.settings, console_url=home)
    app.extensions["syncline"] = dataclasses.replace(house, settings=settings)
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    page = context.new_page()
    page.on("console", lambda line: complaints.append(line.text) if "Policy" in line.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    yield page, session, home
    context.close()
    assert complaints == []


def test_a_passkey(house: House, device: tuple[Page, CDPSession, str]):
    """Chromium makes a passkey here, signs in by it instead of the password, proves it anew, and uses one behind it."""
    page, reader, home = device
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    more = {"isUserVerified": True, "automaticPresenceSimulation": True}
    made = reader.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, **more}})
    page.goto(f"{home}/login/?next=/account/passkeys/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Sign in with it instead").check()
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.goto(f"{home}/account/passkeys/")
    expect(page.get_by_role("row", name="Laptop")).to_contain_text("Instead of the password")
    page.get_by_label("Name").fill("Again")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("alert")).to_have_text("This device has a passkey of yours already.")

    page.context.clear_cookies()
    page.goto(f"{home}/login/?next=/rules/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rules")

    page.context.clear_cookies()
    page.goto(f"{home}/login/?next=/users/new")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New user")

    for name, value in (("User name", "ann"), ("First name", "Ann"), ("E-mail", "ann@example.com")):
        page.get_by_label(name).fill(value)
    page.get_by_label("Viewer").check()
    with house.db.begin() as tx:
        tx.execute(sa.update(models.access_session).values(proven_at=house.clock() - timedelta(hours=1)))
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Show that it is you")
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.get_by_text("ann", exact=True).first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Show that it is you")

    page.context.clear_cookies()
    page.goto(f"{home}/login/")
    told = {"authenticatorId": made["authenticatorId"], "isUserVerified": False}
    reader.send("WebAuthn.setUserVerified", told)  # a wrong finger
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("No passkey was used. Try again.")
