"""The object builder of a web service in the browser: from nothing to records that are read, on a real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.connectors.conftest import Answer, Received, WebServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
KEY = "browser-Canary-17"
PEOPLE = [{"id": n, "name": f"Kunde {n} 客户", "since": "2024-01-02", "vip": n % 2 == 0} for n in range(1, 62)]


def shop(request: Received) -> Answer:
    """A shop with 61 customers in pages of 25, addresses of each customer, and changes of several in one call."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return Answer(401, {"error": "no key"})
    page = int(request.query.get("page", ["1"])[0])
    if request.path == "/api/customers":
        found = PEOPLE[(page - 1) * 25 : page * 25]
        return Answer(200, {"data": {"items": found}, "meta": {"page": page, "total": len(PEOPLE)}})
    if request.path == "/api/customers/bulk":
        sent = json.loads(request.body)["customers"]
        return Answer(200, {"results": [{"id": one["id"], "success": True} for one in sent]})
    if request.path.endswith("/addresses"):
        number = int(request.path.split("/")[3])
        return Answer(200, [{"no": number * 10, "city": f"Town {number}"}] if number < 4 else [])
    return Answer(404, {"error": "no such list"})


@pytest.fixture(scope="module")
def service() -> Iterator[WebServer]:
    server = WebServer()
    server.answer = shop
    yield server
    server.close()


def press(page: Page, name: str, **which: Any) -> None:
    """Press a button of the builder, and wait for its answer."""
    with page.expect_response(lambda answer: "/build/rest" in answer.url):
        page.locator("#rest-builder").get_by_role("button", name=name, **which).click()
    page.locator("#rest-builder:not(.htmx-request)").wait_for()


@pytest.mark.usefixtures("admin")
def test_1_from_nothing_to_records(watched: Any, service: WebServer) -> None:
    """Tried, the list shows its records, key and paging; saved, all pages are read; the secret is not to be seen."""
    page: Page = watched.page
    page.goto(f"{watched.home}/connections/new/rest")
    page.get_by_label("Label").first.fill("The shop")
    page.locator("[name=name]").fill("shop")
    page.locator("[name='setting.base_url']").fill(f"{service.url}/api")
    page.locator("[name='setting.authentication']").select_option("bearer")
    page.locator("[name='setting.token']").fill("wrong")
    press(page, "Add an object")
    page.locator("[name=b-path]").fill("/customers")
    page.locator("[name=b-path]").press("Enter")
    expect(page.get_by_text("The service refuses the call.")).to_be_visible()
    page.locator("[name='setting.token']").fill(KEY)
    page.locator("[name=b-query]").fill("page=1")
    press(page, "Try it")
    expect(page.locator(".builder-list.is-chosen")).to_contain_text("data.items")
    expect(page.locator("[name=b-key]")).to_have_value("id")
    expect(page.locator("[name=b-by]")).to_have_value("page")
    expect(page.locator("[name=b-total]")).to_have_value("meta.total")
    expect(page.locator("[name='b-field-3-type']")).to_have_value("boolean")
    page.locator("[name=b-query]").fill("")
    page.locator("[name=b-name]").fill("customers")
    press(page, "Take over this object")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The connection works")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="customers", exact=True).click()
    expect(page.get_by_role("cell", name="Kunde 50 客户")).to_be_visible()  # on the second page
    assert KEY not in page.content()


@pytest.mark.usefixtures("admin")
def test_2_lists_of_each_record_and_several_in_one_call(watched: Any, service: WebServer) -> None:
    """A sub-resource and a batch are described without the expert view, both after a live call."""
    page: Page = watched.page
    page.goto(f"{watched.home}/connections/shop/edit")
    press(page, "Add an object")
    expect(page.locator("[name=b-parent-as]")).to_be_hidden()
    page.locator("[name=b-parent]").select_option("customers")
    page.locator("[name=b-path]").fill("/customers/{parent}/addresses")
    page.locator("[name=b-parent-as]").fill("customer")
    press(page, "Try it")
    expect(page.get_by_text("GET /customers/1/addresses")).to_be_visible()
    page.locator("[name=b-parent-key]").fill("3")
    press(page, "Try it")
    expect(page.locator("pre.answer").first).to_contain_text("Town 3")
    expect(page.locator("[name=b-key]")).to_have_value("no")
    press(page, "Take over this object")
    press(page, "Edit customers")
    page.get_by_label("Changes records", exact=True).check()
    page.locator("[name=b-update-path]").fill("/customers/bulk")
    page.locator("[name=b-update-method]").select_option("POST")
    part = page.locator(".builder-call", has=page.locator("[name=b-update-on]"))
    part.get_by_label("Several records in one call").check()
    page.locator("[name=b-update-batch-records]").fill("customers")
    press(page, "Show what is sent")
    expect(part.locator("pre.answer")).to_contain_text('"customers":[{"id":1')
    before = [request.path for request in service.received].count("/api/customers/bulk")
    assert before == 0
    press(page, "Send it")
    expect(page.locator("[name=b-update-batch-results]")).to_have_value("results")
    expect(page.locator("[name=b-update-batch-match]")).to_have_value("id")
    expect(page.locator("[name=b-update-batch-ok]")).to_have_value("success")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="addresses", exact=True).click()
    expect(page.get_by_role("cell", name="Town 3")).to_be_visible()
    expect(page.get_by_role("columnheader", name="customer")).to_be_visible()
