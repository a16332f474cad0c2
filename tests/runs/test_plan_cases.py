"""Pairs that would wait for a person: listed by the plan, cases once it is approved, waiting in a comparison."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, RULE
from tests.runs.test_plan_pages import Shop, number_of
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    admin_client,
    app,
    client,
    client_of,
    settings,
)
from webapp.cases.models import case_item
from webapp.rulebook import services as rulebook
from webapp.runs import plan_cases
from webapp.runs.models import run_chunk

ALIKE = {"match": [{"left": "name", "right": "title", "how": "similarity", "threshold": 0.6}], "confidence": 0.8}


@pytest.fixture
def shop(app, tmp_path):  # noqa: F811
    """A two-way rule; Bea and Cid are linked, Ada and Dan are created, and then two sides disagree about Bea."""
    found = Shop(app.extensions["syncline"], tmp_path / "data")
    found.sql("crm", "DELETE FROM customer WHERE id > 5 OR name IS NULL")
    found.sql("erp", "DROP TABLE client")
    found.sql("erp", "CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, tel TEXT)")
    found.sql("erp", "INSERT INTO client VALUES (70, 'Bea', '+86 2')")
    fields = [{"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}]
    document = {**RULE, "direction": "two_way", "fields": fields, "correlate": [ALIKE]}
    exact = {"match": [{"left": "name", "right": "title"}]}
    rulebook.save_draft(found.house, "customers", {**document, "correlate": [exact, ALIKE]}, ADMIN)
    rulebook.publish(found.house, "customers", ADMIN)
    found.run("live")
    found.sql("crm", "UPDATE customer SET phone = '<1>' WHERE id = 2")
    found.sql("erp", "UPDATE client SET tel = '2' WHERE no = 70")
    found.sql("crm", "INSERT INTO customer VALUES (9, 'Miller & Sons Ltd', NULL, 'active', '')")
    found.sql("erp", "INSERT INTO client VALUES (90, 'Miller and Sons Ltd', '5')")
    return found


def records(page):
    return re.findall(r'<details class="record".*?</details>', page, re.S)


def test_a_plan_lists_the_pairs_that_would_wait(admin_client, shop):  # noqa: F811
    """Each with the fields in question or its possible partners; approving makes each of them a case."""
    sim = shop.run("simulate")
    page = admin_client.get(f"/runs/{sim}/plan").text
    assert "When the plan is approved, each becomes a case" in page
    conflict, doubt = records(page)
    assert "Last agreed" in conflict
    assert all(shown in conflict for shown in ("+86 2", "&lt;1&gt;", "2 ↔ 70"))
    assert all(shown in doubt for shown in ("Possible partner 90 in erp · client", "80% sure", "Miller and Sons Ltd"))
    assert "Show the case" not in page
    run_id = shop.work(number_of(admin_client.post(f"/runs/{sim}/approve")))
    assert "/cases/?rule=customers" in admin_client.get(f"/runs/{run_id}").text
    with shop.house.db.read() as tx:
        found = tx.execute(sa.select(case_item.c.id, case_item.c.situation).order_by(case_item.c.id)).all()
    assert sorted(row.situation for row in found) == ["linked_conflict", "review"]
    again = shop.run("simulate")
    page = admin_client.get(f"/runs/{again}/plan").text
    link = re.search(r'href="(/cases/pair/\d+)"', page)
    assert link
    assert admin_client.get(link[1]).headers["Location"] in {f"/cases/{row.id}" for row in found}
    assert admin_client.get("/cases/pair/999").status_code == 404


def test_pairs_of_a_plan_are_filtered_and_paged(admin_client, shop):  # noqa: F811
    """By what was found, by a field in question, and beside the records that change; page by page in the API."""
    sim = shop.run("simulate")
    groups = admin_client.get(f"/api/v1/runs/{sim}/plan").json["groups"]
    assert {"situation": "review", "outcome": "cases", "records": 1} in groups
    only = admin_client.get(f"/runs/{sim}/plan?situation=review&outcome=cases").text
    assert ("Possible partner" in only, "Last agreed" in only) == (True, False)
    every = admin_client.get(f"/runs/{sim}/plan?outcome=cases").text
    assert len(records(every)) == 2
    by_field = admin_client.get(f"/runs/{sim}/plan?field=tel").text
    assert "Last agreed" in by_field
    assert "No record of the plan matches" in admin_client.get(f"/runs/{sim}/plan?field=tel&outcome=created").text
    first = admin_client.get(f"/api/v1/runs/{sim}/plan/cases?limit=1").json
    rest = admin_client.get(f"/api/v1/runs/{sim}/plan/cases?limit=1&after={first['next']}").json
    assert {one["situation"]: one["left_key"] for one in first["items"] + rest["items"]} == {
        "linked_conflict": "2",
        "review": "9",
    }
    assert rest["next"] is None
    assert admin_client.get(f"/api/v1/runs/{sim}/plan/cases?field=title").json["items"] == []
    asked = {(): 2, ("review",): 1, ("", "tel"): 1, ("apart",): 0}
    with shop.house.db.read() as tx:
        assert {about: plan_cases.count(tx, sim, *about) for about in asked} == asked


def test_a_plan_that_is_no_longer_kept_still_counts_them(admin_client, shop):  # noqa: F811
    """Once the plan is dropped, its page says how many would have waited."""
    sim = shop.run("simulate")
    with shop.house.db.begin() as tx:
        tx.execute(sa.update(run_chunk).where(run_chunk.c.run_id == sim).values(plan=None))
    page = admin_client.get(f"/runs/{sim}/plan").text
    assert "A person has to decide about the record" in page
    assert records(page) == []


def test_possible_partners_wait_in_a_comparison(app, admin_client, shop):  # noqa: F811
    """Both records of a doubtful match wait for a decision, with a link to their case; neither is only on its side."""
    shop.run("live")
    asked = admin_client.post("/runs/verify", data={"rule": "customers"})
    run_id = shop.work(int(asked.headers["Location"].split("/")[2]))
    page = admin_client.get(f"/runs/{run_id}/comparison").text
    assert "Both systems agree, apart from records that wait" in page
    found = records(page)
    assert len(found) == 3
    assert all("Waits for a decision" in one and "/cases/pair/" in one for one in found)
    links = [re.search(r"/cases/pair/\d+", one)[0] for one in found]
    assert len(set(links)) == 2
    assert "Run for these records" not in page
    assert records(admin_client.get(f"/runs/{run_id}/comparison?kind=only_right").text) == []
    assert len(records(admin_client.get(f"/runs/{run_id}/comparison?kind=waiting").text)) == 3
    listed = admin_client.get(f"/api/v1/runs/{run_id}/comparison/records?kind=waiting").json["items"]
    assert sorted(one["kind"] for one in listed) == ["differing", "only_left", "only_right"]


def test_a_run_of_which_all_waits_leads_to_the_cases(app, admin_client, shop):  # noqa: F811
    """Where nothing changed because all waits for people, the page says so and leads there, if one may read cases."""
    sim = admin_client.get(f"/runs/{shop.run('simulate')}").text
    assert "Records would wait for a person" in sim
    assert "/plan?outcome=cases" in sim
    run_id = shop.run("live")
    page = admin_client.get(f"/runs/{run_id}").text
    assert "Records wait for a person" in page
    assert page.count('href="/cases/?rule=customers"') >= 2
    assert "No record matches this filter" in admin_client.get(f"/runs/{run_id}?key=x").text
