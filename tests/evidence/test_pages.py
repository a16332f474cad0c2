"""The pages of auditors."""

from __future__ import annotations

import pytest

from tests.runs.test_plan_pages import Shop
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    admin_client,
    app,
    client,
    client_of,
    settings,
    text,
)
from webapp.evidence.notary import seal_due


@pytest.fixture
def shop(app, tmp_path):  # noqa: F811
    return Shop(app.extensions["syncline"], tmp_path / "data")


def test_the_history_of_a_record_on_its_page_and_for_programs(app, admin_client, shop):  # noqa: F811
    """Found from the page of a run; each step with its rule, its differences and its proof; nothing without a right."""
    run = shop.run("live")
    page = text(admin_client, "/audit/record?connection=crm&object=customer&key=2")
    assert "wait for their seal" in page
    seal_due(shop.house)
    address = "/audit/record?rule=customers&amp;side=left&amp;key=2"
    assert address in text(admin_client, f"/runs/{run}")
    page = text(admin_client, address.replace("&amp;", "&"))
    assert "The only step is sealed and unchanged." in page
    assert "/rules/customers/versions" in page
    assert "<ins>+86 2</ins>" in page
    assert "as it is published" in page
    assert "Which record?" in text(admin_client, "/audit/record")
    assert "Nothing is known" in text(admin_client, "/audit/record?connection=crm&object=customer&key=none")
    found = admin_client.get("/api/v1/evidence/record-history?rule=customers&key=2").json
    (step,) = found["steps"]
    assert (found["proven"], step["deed"], step["version"], step["seal"]["state"]) == (1, "updated", 1, "sealed")
    assert admin_client.get("/api/v1/evidence/record-history?rule=customers").status_code == 422
    assert client_of(app, "vera", "Viewer").get("/audit/record").status_code == 403
