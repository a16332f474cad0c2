"""What the pages say of a rule's history and service level."""

from __future__ import annotations

import pytest

from tests.runs.conftest import ADMIN
from tests.runs.test_plan_pages import Shop
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.rulebook import reading as rulebook_reading
from webapp.rulebook import services as rulebook
from webapp.runs import trends, verification


@pytest.fixture
def shop(app, tmp_path):  # noqa: F811
    return Shop(app.extensions["syncline"], tmp_path / "data")


def promise(shop, **service):
    with shop.house.db.read() as tx:
        document = dict(rulebook_reading.find(tx, "customers").document)
    rulebook.save_draft(shop.house, "customers", {**document, "service": service}, ADMIN)
    rulebook.publish(shop.house, "customers", ADMIN)


def test_the_page_of_a_rule_draws_its_last_runs(admin_client, shop):  # noqa: F811
    """A bar a run: how long it took, what it wrote, what failed; simulations are none of them."""
    assert "after the first real run" in admin_client.get("/rules/customers/").text
    shop.run("simulate")
    first, second = shop.run("live"), shop.run("live")
    page = admin_client.get("/rules/customers/").text
    assert page.count('class="trend"') == 3
    assert page.count(f'<a href="/runs/{first}"') == page.count(f'<a href="/runs/{second}" aria-label') == 3
    assert "not compared yet" in page
    shop.work(verification.request(shop.house, "customers", ADMIN))
    assert "Differences" in admin_client.get("/rules/customers/").text
    with shop.house.db.read() as tx:
        rule_id = rulebook_reading.find(tx, "customers").id
        charts = trends.charts(trends.history(tx, rule_id))
    assert [(chart.name, chart.last) for chart in charts][1:] == [("written", 0), ("quarantined", 1)]
    assert [bar.height for bar in charts[1].bars] == [trends.HEIGHT, 1]


def test_a_service_level_that_is_not_kept_is_shown(app, admin_client, shop):  # noqa: F811
    """On the page of the rule and at home, with the reason; once it is kept again nothing is left of that."""
    promise(shop, fresh_within="1h", at_most_failed=0)
    page = admin_client.get("/rules/customers/").text
    assert "fresh within 1h" in page
    assert "at most 0 in quarantine" in page
    shop.run("live")
    assert "Records in quarantine: 1; at most 0 may be there." in admin_client.get("/rules/customers/").text
    home = admin_client.get("/").text
    assert "customers does not keep its service level" in home
    promise(shop, fresh_within="1h")
    assert "does not keep its service level" not in admin_client.get("/").text
    assert "This rule is" not in admin_client.get("/rules/customers/").text


def test_no_charts_without_runs():
    """Nothing is drawn of nothing."""
    assert trends.charts([]) == ()
