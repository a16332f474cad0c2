"""Plans, approvals and undoing as people and programs see them."""

from __future__ import annotations

import sqlite3

import pytest

from tests.runs.conftest import ADMIN, CLIENTS, CUSTOMERS, RULE
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    admin_client,
    app,
    client,
    client_of,
    settings,
)
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.requests import cancel, start


class Shop:
    """Two systems and a rule in the house of the console."""

    def __init__(self, house, folder):
        self.house, self.folder = house, folder
        self.sql("crm", CUSTOMERS)
        self.sql("erp", CLIENTS)
        for number, name in enumerate(["Ada", "Bea", None, "Cid", "Dan", "Eva", "Fay"], 1):
            self.sql("crm", "INSERT INTO customer VALUES (?, ?, ?, 'active', '')", number, name, f"+86 {number}")
        self.sql("erp", "INSERT INTO client VALUES (2, 'Bea', 'old', 'a memo')")
        self.sql("erp", "INSERT INTO client VALUES (4, 'old', 'old', NULL)")
        for name in ("crm", "erp"):
            document = {
                "kind": "connection",
                "name": name,
                "connector": "sqlite",
                "settings": {"path": str(folder / f"{name}.db")},
            }
            connections.create(house, document, ADMIN)
        rulebook.create(house, {**RULE, "schedule": {"cron": "0 3 * * *"}}, ADMIN)
        rulebook.publish(house, "customers", ADMIN)

    def sql(self, name, statement, *values):
        with sqlite3.connect(self.folder / f"{name}.db") as connection:
            return connection.execute(statement, values).fetchall()

    def run(self, mode):
        return self.work(start(self.house, "customers", mode, ADMIN))

    def work(self, run_id):
        assert execute(self.house, run_id, "w1", wait=lambda _seconds: None)
        return run_id


@pytest.fixture
def shop(app, tmp_path):  # noqa: F811
    return Shop(app.extensions["syncline"], tmp_path / "data")


def number_of(answer):
    return int(answer.headers["Location"].rpartition("/")[2])


def test_the_plan_page_counts_and_shows_samples(admin_client, shop):  # noqa: F811
    """Counts by what was found and would be done, a few records of each, all of one kind, those that change a field."""
    sim = shop.run("simulate")
    page = admin_client.get(f"/runs/{sim}/plan").text
    assert "Only on the left, no partner found" in page
    assert "Show all 4" in page
    assert "a memo" not in page
    assert page.count('class="record"') == 3 + 2 + 1
    every = admin_client.get(f"/runs/{sim}/plan?situation=unmatched_left&outcome=created").text
    assert every.count('class="record"') == 4
    titles = admin_client.get(f"/runs/{sim}/plan?field=title&outcome=updated").text
    assert titles.count('class="record"') == 1
    assert "No record of the plan matches" in admin_client.get(f"/runs/{sim}/plan?field=nothing").text
    assert f'href="/runs/{sim}/plan"' in admin_client.get(f"/runs/{sim}").text
    assert admin_client.get(f"/runs/{shop.run('live')}/plan").status_code == 404


def test_there_is_no_plan_before_the_simulation_has_ended(admin_client, shop):  # noqa: F811
    """While it runs, its plan leads to the run; a plan that is not complete claims nothing."""
    sim = start(shop.house, "customers", "simulate", ADMIN)
    assert admin_client.get(f"/runs/{sim}/plan").headers["Location"] == f"/runs/{sim}"
    cancel(shop.house, sim, ADMIN)
    page = admin_client.get(f"/runs/{sim}/plan").text
    assert "has not ended well" in page
    assert "Nothing would change" not in page


def test_a_plan_is_approved_on_its_page(app, admin_client, shop):  # noqa: F811
    """Approving needs its own permission, leads to the run, and tells how many records had changed since."""
    sim = shop.run("simulate")
    operator = client_of(app, "olga", "Operator")
    assert operator.post(f"/runs/{sim}/approve").status_code == 403
    assert "needs the permission to approve" in operator.get(f"/runs/{sim}/plan").text
    shop.sql("crm", "UPDATE customer SET name = 'Ann' WHERE id = 1")
    run_id = shop.work(number_of(admin_client.post(f"/runs/{sim}/approve")))
    page = admin_client.get(f"/runs/{run_id}").text
    assert "Approved plan" in page
    assert "Left alone because they have changed since the simulation: 1." in page
    moved = admin_client.get(f"/runs/{run_id}?outcome=moved").text
    assert "has changed in crm › customer since." in moved.replace("&#39;", "'")
    assert f"/runs/{run_id}" in admin_client.get(f"/runs/{sim}/plan").text
    again = admin_client.post(f"/runs/{sim}/approve", follow_redirects=True)
    assert "approved already" in again.text
    explained = admin_client.get(f"/runs/{run_id}/records/1/explain")
    assert "it has changed since the plan" in explained.text


def test_a_run_is_undone_on_its_page(admin_client, shop):  # noqa: F811
    """The preview says what would be undone, what stays and that the schedule is paused; then it is done."""
    run_id = shop.run("live")
    shop.sql("erp", "UPDATE client SET tel = 'by hand' WHERE no = 1")
    preview = admin_client.get(f"/runs/{run_id}/undo").text
    assert "Changed in erp › client since, so it stays: tel." in preview
    assert "Its schedule is paused" in preview
    undo = shop.work(number_of(admin_client.post(f"/runs/{run_id}/undo")))
    page = admin_client.get(f"/runs/{undo}").text
    assert "The rule flows one way" in page
    assert f'href="/runs/{run_id}"' in page
    assert "What it wrote was taken back by" in admin_client.get(f"/runs/{run_id}").text
    assert "This run was undone before" in admin_client.get(f"/runs/{run_id}/undo").text
    assert [row[0] for row in shop.sql("erp", "SELECT no FROM client ORDER BY no")] == [1, 2, 4]


def test_an_undo_that_cannot_be_previewed_says_why(admin_client, shop):  # noqa: F811
    """A system that is away is told on the page; a run that wrote nothing is, too."""
    run_id = shop.run("live")
    (shop.folder / "erp.db").rename(shop.folder / "away.db")
    assert "cannot be looked up now" in admin_client.get(f"/runs/{run_id}/undo").text
    assert admin_client.get(f"/api/v1/runs/{run_id}/undo").status_code == 502
    (shop.folder / "away.db").rename(shop.folder / "erp.db")
    sim = shop.run("simulate")
    assert "wrote nothing" in admin_client.get(f"/runs/{sim}/undo").text
    assert "wrote nothing" in admin_client.post(f"/runs/{sim}/undo", follow_redirects=True).text
    assert admin_client.get("/runs/999/undo").status_code == 404
    assert admin_client.post("/runs/999/undo").status_code == 404


def test_plans_and_undoing_by_the_api(admin_client, shop):  # noqa: F811
    """The API shows a plan and its records, approves it once, previews and starts an undo."""
    sim = shop.run("simulate")
    plan = admin_client.get(f"/api/v1/runs/{sim}/plan").json
    assert (plan["can_be_approved"], plan["approved_by_run"]) == (True, None)
    assert {"situation": "unmatched_left", "outcome": "created", "records": 4} in plan["groups"]
    first = admin_client.get(f"/api/v1/runs/{sim}/plan/records?field=tel&outcome=updated&limit=1").json
    assert (first["items"][0]["before"], first["next"] is not None) == ({"tel": "old"}, True)
    answer = admin_client.post(f"/api/v1/runs/{sim}/approve", json={})
    assert (answer.status_code, answer.json["kind"], answer.json["of"]) == (201, "approved", sim)
    run_id = shop.work(answer.json["run"])
    again = admin_client.post(f"/api/v1/runs/{sim}/approve", json={})
    assert (again.status_code, "approved already" in again.json["detail"]) == (409, True)
    assert admin_client.get(f"/api/v1/runs/{sim}/plan").json["approved_by_run"] == run_id
    assert admin_client.get(f"/api/v1/runs/{run_id}/plan").status_code == 404
    preview = admin_client.get(f"/api/v1/runs/{run_id}/undo").json
    assert (preview["deleted"], preview["updated"], preview["complete"]) == (4, 2, True)
    undo = admin_client.post(f"/api/v1/runs/{run_id}/undo", json={})
    assert (undo.status_code, undo.json["kind"], undo.json["of"]) == (201, "undo", run_id)
    assert admin_client.post("/api/v1/runs/999/undo", json={}).status_code == 404
    assert admin_client.get(f"/api/v1/runs/{sim}/undo").status_code == 409
