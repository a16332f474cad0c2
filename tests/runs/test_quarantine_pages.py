"""The quarantine as people see it: groups of one reason are replayed by themselves, filters say what they find."""

from __future__ import annotations

import sqlalchemy as sa

from tests.runs.conftest import ADMIN, RULE
from tests.runs.test_plan_pages import number_of, shop  # noqa: F401 - a fixture
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    admin_client,
    app,
    client,
    settings,
)
from webapp.rulebook import services as rulebook
from webapp.runs import quarantine as entries
from webapp.runs.models import quarantine, run


def test_a_group_of_one_reason_is_replayed_by_itself(admin_client, shop):  # noqa: F811
    """The button on a group replays its records, not all that wait of the rule."""
    shop.sql("crm", "UPDATE customer SET name = 'a name that is much too long for the target' WHERE id = 1")
    shop.run("live")
    with shop.house.db.read() as tx:
        groups = entries.reasons(tx)
        assert len(groups) > 1
        rule, stage, field, number = groups[0]
        mine = (quarantine.c.stage == stage, quarantine.c.field.is_not_distinct_from(field))
        wanted = sorted(tx.scalars(sa.select(quarantine.c.id).where(*mine)))
    page = admin_client.get("/quarantine/").text
    assert page.count('value="group"') == len(groups)
    form = {"rule": rule, "which": "group", "stage": stage, "field": field or ""}
    run_id = number_of(admin_client.post("/quarantine/replay", data=form))
    with shop.house.db.read() as tx:
        assert sorted(tx.scalar(sa.select(run.c.selection).where(run.c.id == run_id))) == wanted
    assert len(wanted) == number


def test_an_empty_filter_of_the_quarantine_says_so(admin_client, shop):  # noqa: F811
    """Without any parked record the page explains itself; with a filter that finds none it leads back to all."""
    assert "Nothing is parked" in admin_client.get("/quarantine/").text
    assert "No parked record meets the filter" in admin_client.get("/quarantine/?state=discarded").text
    shop.run("live")
    page = admin_client.get("/quarantine/?rule=customers").text
    assert "data-bulk-bar" in page
    assert "Discard the ticked records?" in page


def test_a_parked_record_says_in_which_system_it_was_read(admin_client, shop):  # noqa: F811
    """The list, its filter and the record's page name the system of the rule's side, and rules by their titles."""
    title = {**RULE, "label": "Customers of the shop"}
    rulebook.save_draft(shop.house, "customers", title, ADMIN)
    rulebook.publish(shop.house, "customers", ADMIN)
    shop.run("live")
    page = admin_client.get("/quarantine/?rule=customers").text
    assert "read in crm" in page
    assert '<option value="left">crm</option>' in page
    assert '<option value="customers" selected>Customers of the shop</option>' in page
    with shop.house.db.read() as tx:
        first = tx.scalar(sa.select(quarantine.c.id))
    assert "read in crm" in admin_client.get(f"/quarantine/{first}").text


def test_a_run_that_a_guard_has_stopped_offers_a_simulation(admin_client, shop):  # noqa: F811
    """Its message advises to simulate, and the page has the button; a run that failed elsewhere has not."""
    document = {**RULE, "guards": [{"metric": "creates", "over": "1%", "min": 1, "do": "suspend"}]}
    rulebook.save_draft(shop.house, "customers", document, ADMIN)
    rulebook.publish(shop.house, "customers", ADMIN)
    run_id = shop.run("live")
    page = admin_client.get(f"/runs/{run_id}").text
    assert "the guard allows" in page
    assert 'name="mode" value="simulate"' in page
    assert "The run has not come to its end" in page
    assert "(0)" not in admin_client.get("/runs/").text
