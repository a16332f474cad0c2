"""Comparisons and proofs as people and programs see them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN
from tests.runs.test_plan_pages import Shop
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    admin_client,
    app,
    client,
    client_of,
    settings,
)
from webapp.rulebook import reading as rulebook_reading
from webapp.rulebook import services as rulebook
from webapp.runs import proof, reading
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.codec import digest, pack, unpack


@pytest.fixture
def shop(app, tmp_path):  # noqa: F811
    return Shop(app.extensions["syncline"], tmp_path / "data")


def test_a_comparison_is_asked_for_and_shown(admin_client, shop):  # noqa: F811
    """The button leads to the run; its page says what agrees, what differs with both values, and what waits."""
    shop.run("live")
    shop.sql("erp", "UPDATE client SET title = 'Other' WHERE no = 5")
    answer = admin_client.post("/runs/verify", data={"rule": "customers"})
    run_id = int(answer.headers["Location"].split("/")[2])
    assert "Waiting for a worker" in admin_client.get(f"/runs/{run_id}/comparison").text
    shop.work(run_id)
    page = admin_client.get(f"/runs/{run_id}", follow_redirects=True).text
    assert "Both systems do not agree" in page
    assert "crm · customer" in page
    assert "Other" in page
    assert "In quarantine" in page
    assert page.count('class="record"') == 2
    only = admin_client.get(f"/runs/{run_id}/comparison?kind=only_left").text
    assert only.count('class="record"') == 1
    assert "Compare both systems" in admin_client.get("/rules/customers").text
    shop.sql("erp", "UPDATE client SET title = 'Dan' WHERE no = 5")
    shop.sql("crm", "DELETE FROM customer WHERE name IS NULL")
    again = shop.work(
        int(admin_client.post("/runs/verify", data={"rule": "customers"}).headers["Location"].split("/")[2])
    )
    assert "Both systems agree" in admin_client.get(f"/runs/{again}/comparison").text
    assert "no rule called" in admin_client.post("/runs/verify", data={"rule": "x"}, follow_redirects=True).text
    live = shop.run("live")
    assert admin_client.get(f"/runs/{live}/comparison").status_code == 404
    assert admin_client.get("/runs/999/comparison").status_code == 404


def test_comparing_needs_the_permission_to_run(app, shop):  # noqa: F811
    """A viewer sees results and cannot start a comparison."""
    assert client_of(app, "vera", "Viewer").post("/runs/verify", data={"rule": "customers"}).status_code == 403


def test_a_comparison_by_the_api(admin_client, shop):  # noqa: F811
    """The API starts a comparison, tells its counts and checksums, and lists what does not agree."""
    started = admin_client.post("/api/v1/runs/verify", json={"rule": "customers"})
    assert (started.status_code, started.json["kind"]) == (201, "verify")
    run_id = started.json["run"]
    assert admin_client.get(f"/api/v1/runs/{run_id}/comparison").json["agrees"] is None
    shop.work(run_id)
    found = admin_client.get(f"/api/v1/runs/{run_id}/comparison").json
    assert (found["agrees"], found["counts"]["left"]["read"]) == (False, 7)
    first = admin_client.get(f"/api/v1/runs/{run_id}/comparison/records?limit=2").json
    assert len(first["items"]) == 2
    rest = admin_client.get(f"/api/v1/runs/{run_id}/comparison/records?after={first['next']}&kind=only_left").json
    assert {one["kind"] for one in rest["items"]} == {"only_left"}
    assert admin_client.post("/api/v1/runs/verify", json={"rule": "x"}).status_code == 409
    assert admin_client.get("/api/v1/runs/999/comparison").status_code == 404
    live = shop.run("live")
    assert admin_client.get(f"/api/v1/runs/{live}/comparison").status_code == 404


def test_the_proof_adds_up(admin_client, shop):  # noqa: F811
    """The page shows where every record went, and recomputing matches what is stored and what the audit log says."""
    run_id = shop.run("live")
    page = admin_client.get(f"/runs/{run_id}/proof").text
    assert "Every record is accounted for" in page
    assert "Only on the left, no partner found" in page
    assert "Match:" not in page
    assert "Match:" in admin_client.get(f"/runs/{run_id}/proof?recompute=1").text
    assert f"/runs/{run_id}/proof" in admin_client.get(f"/runs/{run_id}").text
    told = admin_client.get(f"/api/v1/runs/{run_id}/proof?recompute=true").json
    assert (told["adds_up"], told["recount"]["matches"]) == (True, True)
    assert told["digest"] == told["recount"]["digest"]
    assert sum(row["records"] for row in told["recount"]["records"]) == told["counts"]["read"] == 7
    assert admin_client.get("/runs/999/proof").status_code == 404


def test_what_the_source_leaves_out_is_part_of_the_proof(admin_client, shop):  # noqa: F811
    """Records that the source did not send are told as counted by it."""
    document = rulebook_document(shop)
    document["left"]["where"] = "id > 2"
    rulebook.save_draft(shop.house, "customers", document, ADMIN)
    rulebook.publish(shop.house, "customers", ADMIN)
    run_id = shop.run("live")
    with shop.house.db.read() as tx:
        row = reading.get(tx, run_id)
        known, counted = proof.proof(tx, row), proof.recount(tx, row)
    assert (known.left_out, known.agrees, counted.problems) == (2, True, [])
    assert sum(one.records for one in counted.rows) + known.left_out == row.counts["read"] == 7


def rulebook_document(shop):
    with shop.house.db.read() as tx:
        return dict(rulebook_reading.find(tx, "customers").document)


@pytest.mark.parametrize("how", ["outcome", "digest", "count", "dropped"])
def test_tampering_shows(admin_client, shop, how):  # noqa: F811
    """A stored outcome, its digest, its count or a whole part that is changed afterwards is a mismatch."""
    run_id = shop.run("live")
    mine = run_chunk.c.run_id == run_id
    with shop.house.db.begin() as tx:
        chunk = tx.execute(sa.select(run_chunk).where(mine)).one()
        frames = unpack(chunk.outcomes)
        frames["outcomes"] = frames["outcomes"].with_columns(
            outcome=frames["outcomes"]["outcome"].str.replace("created", "updated")
        )
        blob = pack(frames)
        values = {
            "outcome": {"outcomes": blob},
            "digest": {"outcomes": blob, "digest": digest(blob)},
            "count": {"counts": {**chunk.counts, "read": 8, "skipped": chunk.counts["skipped"] + 1}},
            "dropped": None,
        }[how]
        tx.execute(sa.update(run_chunk).where(mine).values(values) if values else sa.delete(run_chunk).where(mine))
    with shop.house.db.read() as tx:
        found = proof.recount(tx, reading.get(tx, run_id))
    assert found.problems
    page = admin_client.get(f"/runs/{run_id}/proof?recompute=1").text
    assert "Match:" not in page


@pytest.mark.parametrize("how", ["all", "sample", "where", "range"])
def test_the_page_asks_what_to_compare(admin_client, shop, how):  # noqa: F811
    """Each way to choose records has its form; what was compared before stands below it."""
    page = admin_client.get(f"/runs/verify?rule=customers&how={how}").text
    assert "Compare both systems" in page
    assert "have not been compared yet" in page
    assert admin_client.get("/runs/verify?rule=gone").status_code == 404


def test_a_part_is_compared_by_the_page(admin_client, shop):  # noqa: F811
    """A condition, a range and a sample become comparisons; a wrong one is shown again with what is wrong."""
    shop.run("live")
    asked = {"rule": "customers", "how": "where", "where": "id < 5"}
    run_id = int(admin_client.post("/runs/verify", data=asked).headers["Location"].split("/")[2])
    shop.work(run_id)
    assert "id &lt; 5" in admin_client.get(f"/runs/{run_id}/comparison").text
    assert f"#{run_id}" in admin_client.get("/runs/verify?rule=customers").text
    wrong = admin_client.post("/runs/verify", data={**asked, "where": "idd < 5"})
    assert (wrong.status_code, "idd &lt; 5" in wrong.text) == (409, True)
    assert admin_client.post("/runs/verify", data={**asked, "how": "sample", "sample": "x"}).status_code == 409
    for given in ({"how": "sample", "sample": "10"}, {"how": "range", "field": "id", "start": "2"}):
        assert admin_client.post("/runs/verify", data={**asked, **given}).status_code == 302


def test_what_differs_is_run_for(app, admin_client, shop):  # noqa: F811
    """The button and the API run the rule for the listed records; a comparison with nothing to do refuses."""
    shop.run("live")
    shop.sql("erp", "UPDATE client SET title = 'Other' WHERE no = 5")
    run_id = shop.work(
        int(admin_client.post("/runs/verify", data={"rule": "customers"}).headers["Location"].split("/")[2])
    )
    address = f"/runs/{run_id}/comparison"
    assert "Run for these records" in admin_client.get(address).text
    assert client_of(app, "vera", "Viewer").post(f"{address}/run").status_code == 403
    started = int(admin_client.post(f"{address}/run").headers["Location"].split("/")[2])
    shop.work(started)
    assert shop.sql("erp", "SELECT title FROM client WHERE no = 5") == [("Dan",)]
    assert admin_client.post(f"/api/v1/runs/{run_id}/comparison/run").status_code == 201
    assert admin_client.post(f"/runs/{started}/comparison/run").status_code == 404
    part = {"rule": "customers", "where": "id == 5"}
    asked = admin_client.post("/api/v1/runs/verify", json=part)
    assert asked.status_code == 201
    only = shop.work(asked.json["run"])
    assert admin_client.get(f"/api/v1/runs/{only}/comparison").json["agrees"] is True
    assert admin_client.post(f"/api/v1/runs/{only}/comparison/run").status_code == 409
    assert (
        "No record of this comparison" in admin_client.post(f"/runs/{only}/comparison/run", follow_redirects=True).text
    )
