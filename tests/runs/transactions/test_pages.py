"""The page of transactions in doubt: what it shows, and what it takes to force something."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from connectors.spi import Fence
from tests.runs.conftest import ADMIN
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.audit.models import audit_event
from webapp.connections import services as connections
from webapp.runs.execution import installation_id
from webapp.runs.transactions import deciding, forcing, reading
from webapp.runs.transactions.deciding import Part
from webapp.runs.transactions.states import State
from webapp.runs.transactions.views import TransactionsView


@pytest.fixture
def house(app):  # noqa: F811
    """Return a house with a transaction that is decided, of which one system is away."""
    house = app.extensions["syncline"]
    away = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    connections.create(
        house, {"kind": "connection", "name": "shop", "connector": "postgresql", "settings": away}, ADMIN
    )
    installation_id(house)
    parts = [Part("left", "hub", "member", 3, "x:r:left", own=True), Part("right", "shop", "client", 4, "x:r:right")]
    with house.db.begin() as tx:
        begun = deciding.begin(
            tx, (1, "customers"), Fence("x:r", 1, 7, 2), parts, house.clock() - timedelta(seconds=90)
        )
        deciding.commit(tx, begun.id, house.clock() - timedelta(seconds=80))
    return house


def test_nothing_in_doubt_says_what_would_stand_there(admin_client):  # noqa: F811
    """Without transactions the page is no empty table."""
    assert "Nothing is in doubt" in admin_client.get("/runs/transactions/").text


def test_what_is_in_doubt_is_shown_with_what_is_in_the_way(admin_client, house):  # noqa: F811
    """Age, systems, records and the decision are there at once; asked, a system that is away is named."""
    page = admin_client.get("/runs/transactions/").text
    for told in ("Decided: commit", "90 seconds old", "shop", "member", "Finish now", "syncline:x:"):
        assert told in page, told
    assert "shop could not be asked" in admin_client.get("/runs/transactions/?ask=1").text
    answer = admin_client.post("/runs/transactions/finish", follow_redirects=True)
    assert "Not all could be finished yet" in answer.text
    assert "Nothing listens on this port" in answer.text


def test_a_connection_that_a_transaction_needs_is_not_deleted(admin_client, house):  # noqa: F811
    """Without it nobody could tell the system what was decided; the refusal names the transaction."""
    with pytest.raises(connections.ConnectionInUse) as found:
        connections.delete(house, "shop", ADMIN)
    assert "transaction 1" in str(found.value)


def test_a_connection_leads_nowhere_else_while_its_system_is_in_doubt(admin_client, house):  # noqa: F811
    """Another server knows nothing of the part, and the old one would keep its locks; other settings may change."""
    away = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    document = {"kind": "connection", "name": "shop", "connector": "postgresql"}
    for other in ({"host": "127.0.0.2"}, {"port": 2}, {"database": "e"}):
        with pytest.raises(connections.ConnectionInvalid, match="Transaction 1 is in doubt there"):
            connections.update(house, {**document, "settings": away | other}, ADMIN)
    connections.update(house, {**document, "settings": away | {"user": "v"}}, ADMIN)
    forcing.forget(house, 1, "right", "it has another address", ADMIN)
    connections.update(house, {**document, "settings": away | {"port": 2}}, ADMIN)


def test_a_part_taken_for_done_leaves_its_reason_in_the_audit_log(admin_client, house):  # noqa: F811
    """Without a reason nothing is done; with one the transaction ends, and the log has who, what and why."""
    (open_one,) = reading.listing(house)
    place = f"/runs/transactions/{open_one.id}/right/forget"
    assert "Say why" in admin_client.post(place, data={"reason": " "}, follow_redirects=True).text
    assert (
        "Done by hand" in admin_client.post(place, data={"reason": "the shop has closed"}, follow_redirects=True).text
    )
    assert reading.listing(house) == []
    with house.db.read() as tx:
        (ended,) = deciding.load(tx)
        event = tx.execute(sa.select(audit_event).where(audit_event.c.tag == "runs:transaction:forced")).one()
    assert ended.state is State.COMMITTED
    assert (event.reason, event.actor_name) == ("the shop has closed", "admin")


def test_forced_deeds_need_a_fresh_proof():
    """What is done by hand is done only by who has just shown who they are."""
    assert all(view.needs_proof for view in (TransactionsView.forget, TransactionsView.end_stray))
