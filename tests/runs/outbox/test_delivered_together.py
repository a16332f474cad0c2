"""Several writes of one lane: each is a write of its own to the target, and each change is seen for what it is."""

from __future__ import annotations

import csv
import threading

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.outbox.test_deliveries import links, parked, states
from webapp.audit import personal
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.rulebook.errors import RuleBusy
from webapp.runs.outbox import deeds, keeping, lanes
from webapp.runs.outbox.deliverer import deliver_due
from webapp.runs.outbox.models import delivery


def test_changes_of_several_runs_leave_no_file_out(world: World, monkeypatch: pytest.MonkeyPatch):
    """Sent one behind the other in one turn of a lane, what two runs have written is in files of their own."""
    monkeypatch.setattr(keeping, "LANES", 1)
    folder = world.folder / "outgoing"
    folder.mkdir()
    (folder / "c-0.csv").write_text("no,title,tel\n0,first,+86 0\n")
    settings = {"path": str(folder), "pattern": "c-*.csv", "key": "no", "settle": 0}
    document = {"kind": "connection", "name": "leaving", "connector": "file_drop", "settings": settings}
    connections.create(world.house, document, ADMIN)
    world.rule(transaction="outbox", right={"connection": "leaving", "object": "c-*.csv"})
    world.customers("Ada", "Bo")
    assert world.run().state == "succeeded"
    world.customers("Cy", first=3)
    assert numbers(world.run())["created"] == 1
    assert deliver_due(world.house) == 3
    assert states(world) == {"delivered": 3}
    found = [row["title"] for path in folder.glob("c-*.csv") for row in csv.DictReader(path.read_text().splitlines())]
    assert sorted(found) == ["Ada", "Bo", "Cy", "first"]


@pytest.mark.parametrize("dropped", [False, True])
def test_a_change_behind_a_record_that_was_not_made_makes_it(world: World, dropped: bool):
    """A record whose creation was refused or dropped is not taken for one that somebody has deleted in the target."""
    world.rule(transaction="outbox", situations={"deleted_right": "ignore"})
    world.customers("A name that is much too long")
    world.run()
    world.crm("UPDATE customer SET name = 'Ann'")
    world.run()
    with world.house.db.read() as tx:
        first = tx.scalar(sa.select(sa.func.min(delivery.c.id)))
    if dropped:
        deeds.drop(world.house, [first], "not yet", ADMIN)
    deliver_due(world.house)
    assert world.clients() == [(1, "Ann", "+86 1")]
    assert links(world) == [("1", "1")]
    assert [state for _key, _stage, state in parked(world)] == ([] if dropped else ["resolved"])


def test_a_record_that_was_deleted_in_the_target_stays_deleted(world: World):
    """What has arrived before and is gone is decided as the rule says."""
    world.rule(transaction="outbox", situations={"deleted_right": "ignore"})
    world.customers("Ada")
    world.run()
    deliver_due(world.house)
    world.erp("DELETE FROM client")
    world.crm("UPDATE customer SET name = 'Ann'")
    world.run()
    deliver_due(world.house)
    assert world.clients() == []


def test_a_rule_is_not_deleted_while_its_deliveries_are_under_way(world: World):
    """Nobody would be there with whose rights they are written."""
    import webapp.runs.views  # noqa: F401, PLC0415 - the console and the command line have it

    world.rule(transaction="outbox")
    world.customers("Ada")
    world.run()
    with pytest.raises(RuleBusy, match="1 deliveries"):
        rulebook.delete(world.house, "customers", ADMIN)
    deliver_due(world.house)
    rulebook.delete(world.house, "customers", ADMIN)


def test_trying_at_once_waits_for_who_sends(world: World):
    """A person who has all tried at once and a deliverer that has just taken a lane do not stop each other."""
    world.rule(transaction="outbox")
    world.customers("Ada")
    world.run()
    house = world.house
    place = lanes.free(house, 1)[0]
    lane = lanes.take(house, *place, "w")
    assert lane is not None
    failed: list[Exception] = []

    def retry() -> None:
        try:
            deeds.retry(house, None, ADMIN)
        except Exception as error:  # noqa: BLE001 - told of outside of the thread
            failed.append(error)

    other = threading.Thread(target=retry)
    with house.db.begin() as tx:
        lanes.guard(tx, house, lane)
        other.start()
        other.join(1)
        tx.execute(sa.update(delivery).values(attempts=1))
    other.join(30)
    assert failed == []


def test_what_the_target_says_of_a_record_can_be_erased_from_the_audit_log(world: World):
    """Why a record was refused may quote what it holds, so it is kept under the key of who it is about."""
    world.rule(transaction="outbox")
    world.customers("A name that is much too long")
    world.run()
    deliver_due(world.house)
    with world.house.db.read() as tx:
        told = tx.scalar(sa.select(audit_event.c.after).where(audit_event.c.tag == Tag.DELIVERY_FAILED))
    assert personal.MARK in told["problem"]
