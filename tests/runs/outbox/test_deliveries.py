"""`transaction: outbox`: what a run writes is committed with it and delivered afterwards, in order for each record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from connectors.errors import Unavailable
from rules.text import msg
from tests.runs.conftest import ADMIN, World, numbers
from webapp.rulebook.errors import NotPublishable
from webapp.runs import followups
from webapp.runs import quarantine as entries
from webapp.runs.models import quarantine
from webapp.runs.outbox import batches, keeping, lanes
from webapp.runs.outbox.deliverer import deliver_due
from webapp.runs.outbox.models import delivery
from webapp.runs.pipeline.links import Links
from webapp.runs.requests import RunRefused, resume


@pytest.fixture
def outbox(world: World) -> World:
    world.rule(transaction="outbox")
    return world


def states(world: World) -> dict[str, int]:
    query = sa.select(delivery.c.state, sa.func.count()).group_by(delivery.c.state)
    with world.house.db.read() as tx:
        return dict(tx.execute(query).all())


def links(world: World) -> list[tuple[Any, ...]]:
    with world.house.db.read() as tx:
        rule_id = tx.scalar(sa.select(delivery.c.rule_id).limit(1))
        return sorted(Links.load(tx, rule_id).rows.select("left_key", "right_key").rows())


def parked(world: World) -> list[tuple[str, str, str]]:
    c = quarantine.c
    with world.house.db.read() as tx:
        return [tuple(row) for row in tx.execute(sa.select(c.left_key, c.stage, c.state).order_by(c.id))]


def test_a_run_ends_before_anything_is_written(outbox: World):
    """The run counts what it has decided; the target and the links get it when it is delivered."""
    outbox.customers("Ada", "Bo")
    run = outbox.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 2}), str(run.message)
    assert (outbox.clients(), links(outbox), states(outbox)) == ([], [], {"waiting": 2})
    assert deliver_due(outbox.house) == 2
    assert outbox.clients() == [(1, "Ada", "+86 1"), (2, "Bo", "+86 2")]
    assert (links(outbox), states(outbox)) == ([("1", "1"), ("2", "2")], {"delivered": 2})
    assert numbers(outbox.run()) == {"read": 2, "unchanged": 2}


def test_changes_of_a_record_arrive_in_their_order(outbox: World):
    """Two changes of one record wait behind each other: the second is sent once the first has been answered."""
    outbox.customers("Ada")
    outbox.run()
    outbox.crm("UPDATE customer SET name = 'Bea'")
    assert numbers(outbox.run()) == {"read": 1, "updated": 1}
    lane = lanes.take(outbox.house, *lanes.free(outbox.house, 9)[0], "w")
    assert lane is not None
    assert batches.deliver(outbox.house, lane) == 1
    assert outbox.clients() == [(1, "Ada", "+86 1")]
    assert deliver_due(outbox.house) == 1
    assert outbox.clients() == [(1, "Bea", "+86 1")]
    assert numbers(outbox.run()) == {"read": 1, "unchanged": 1}


def test_a_refused_record_blocks_only_itself(outbox: World):
    """It is parked with what the target said, in place of a link; the next run tries it again."""
    outbox.customers("Ada", "A name that is much too long", "Cy")
    assert numbers(outbox.run()) == {"read": 3, "created": 3}
    deliver_due(outbox.house)
    assert [row[0] for row in outbox.clients()] == [1, 3]
    assert (states(outbox), parked(outbox)) == ({"delivered": 2, "failed": 1}, [("2", "deliver", "open")])
    assert links(outbox) == [("1", "1"), ("3", "3")]
    assert numbers(outbox.run()) == {"read": 3, "created": 1, "unchanged": 2}
    assert parked(outbox) == [("2", "deliver", "open")]
    deliver_due(outbox.house)
    assert parked(outbox) == [("2", "deliver", "open")]
    outbox.crm("UPDATE customer SET name = 'Bo' WHERE id = 2")
    outbox.run()
    assert parked(outbox) == [("2", "deliver", "open")]
    deliver_due(outbox.house)
    assert (outbox.clients()[1], parked(outbox)) == ((2, "Bo", "+86 2"), [("2", "deliver", "resolved")])


def test_a_parked_delivery_is_replayed_as_it_was_corrected(outbox: World):
    """The corrected record goes through the outbox like any other, and is settled by its receipt."""
    outbox.customers("A name that is much too long")
    outbox.run()
    deliver_due(outbox.house)
    with outbox.house.db.read() as tx:
        entry = entries.listing(tx)[0]
    entries.edit(outbox.house, entry.id, {**entry.values, "name": "Ann"}, entry.version, ADMIN)
    assert outbox.work(entries.replay(outbox.house, "customers", [entry.id], ADMIN))
    assert parked(outbox) == [("1", "deliver", "open")]
    deliver_due(outbox.house)
    assert (outbox.clients(), parked(outbox)) == ([(1, "Ann", "+86 1")], [("1", "deliver", "resolved")])


def test_a_target_that_is_away_holds_up_no_run_and_parks_nothing(outbox: World):
    """Runs end as ever while it is away; once it is back, all arrives in its order."""
    (outbox.folder / "erp.db").rename(outbox.folder / "away.db")
    for name in ("Ada", "Bea", "Cleo"):
        outbox.crm("DELETE FROM customer")
        outbox.customers(name)
        assert outbox.run().state == "succeeded"
        for _ in range(9):
            deliver_due(outbox.house)
            outbox.shift += timedelta(minutes=1)
    assert (states(outbox), parked(outbox)) == ({"waiting": 3}, [])
    (outbox.folder / "away.db").rename(outbox.folder / "erp.db")
    outbox.shift += timedelta(minutes=6)
    assert deliver_due(outbox.house) == 3
    assert outbox.clients() == [(1, "Cleo", "+86 1")]


def test_what_is_gone_is_deleted_once_in_its_turn(outbox: World):
    """A deletion waits behind the changes before it, and runs meanwhile do not ask for it again."""
    outbox.rule(transaction="outbox", deletes={"detect": "full_scan"}, situations={"deleted_left": "delete"})
    outbox.customers("Ada", "Bo")
    outbox.run()
    outbox.crm("DELETE FROM customer WHERE id = 1")
    assert numbers(outbox.run()) == {"read": 1, "unchanged": 1, "deleted": 1}
    assert numbers(outbox.run()) == {"read": 1, "unchanged": 1}
    deliver_due(outbox.house)
    assert (outbox.clients(), links(outbox)) == ([(2, "Bo", "+86 2")], [("2", "2")])
    assert states(outbox) == {"delivered": 3}


def test_what_the_target_holds_already_is_not_written_again(outbox: World):
    """A record that is there with all its values gets its link and nothing else."""
    outbox.customers("Ada")
    outbox.erp("INSERT INTO client (no, title, tel, memo) VALUES (?, ?, ?, ?)", (1, "Ada", "+86 1", "kept"))
    outbox.run()
    deliver_due(outbox.house)
    with outbox.house.db.read() as tx:
        assert tx.scalars(sa.select(delivery.c.did)).all() == ["unchanged"]
    assert outbox.erp("SELECT memo FROM client") == [("kept",)]
    assert links(outbox) == [("1", "1")]


def test_a_record_that_spoils_every_call_is_parked_in_the_end(outbox: World):
    """Others get through at once; after its attempts, between which others did, it waits in the quarantine."""
    outbox.customers("Ada", "Bo", "Cy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLite, "write", _spoiled(SQLite.write))
        patch.setattr(keeping, "LANES", 1)
        outbox.run()
        deliver_due(outbox.house)
        assert ([row[1] for row in outbox.clients()], parked(outbox)) == (["Ada", "Cy"], [])
        for number in range(4, 14):
            outbox.customers(f"P{number}", first=number)
            outbox.run()
            outbox.shift += timedelta(minutes=6)
            deliver_due(outbox.house)
    assert len(outbox.clients()) == 12
    assert parked(outbox) == [("2", "deliver", "open")]


def _spoiled(write: Any) -> Any:
    def once(self: SQLite, name: str, schema: Any, changes: Any, fence: Any = None) -> Any:
        if any("Bo" in change.records.get_column("title") for change in changes if "title" in change.records):
            raise Unavailable(msg("It answers 500."))
        return write(self, name, schema, changes, fence)

    return once


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"direction": "two_way"}, "flow one way"),
        ({"situations": {"disputed": "case"}}, "flow one way"),
        ({"correlate": [{"match": [{"left": "name", "right": "title"}]}]}, "by their key only"),
        ({"fields": [{"left": "name", "right": "title"}]}, "map a field to 'no'"),
    ],
)
def test_what_an_outbox_cannot_do_is_refused_with_its_reason(world: World, changes: dict[str, Any], told: str):
    """Publishing says what the rule asks for that its target would have to be asked at once."""
    with pytest.raises(NotPublishable) as found:
        world.rule(transaction="outbox", **changes)
    assert told in str(found.value) or any(told in str(one.message) for one in found.value.problems)


def test_a_rule_without_its_outbox_does_not_overtake_what_is_under_way(outbox: World):
    """Its run is suspended until the deliveries have ended, and then goes on."""
    outbox.customers("Ada")
    outbox.run()
    outbox.rule()
    run = outbox.run()
    assert (run.state, "1 deliveries" in str(run.message)) == ("suspended", True)
    deliver_due(outbox.house)
    resume(outbox.house, run.id, ADMIN)
    outbox.work(run.id)
    assert numbers(outbox.look(run.id)) == {"read": 1, "unchanged": 1}


def test_a_run_with_an_outbox_is_not_undone(outbox: World):
    """It has not asked what was there before, so the request says what to do instead."""
    outbox.customers("Ada")
    run = outbox.run()
    with pytest.raises(RunRefused, match="in their source instead"):
        followups.undo(outbox.house, run.id, ADMIN)


def test_an_approved_plan_goes_through_the_outbox(outbox: World):
    """What a simulation has shown is committed for delivery, and delivered."""
    outbox.customers("Ada", "Bo")
    plan = outbox.run("simulate")
    assert (numbers(plan), states(outbox)) == ({"read": 2, "created": 2}, {})
    approved = followups.approve(outbox.house, plan.id, ADMIN)
    outbox.work(approved)
    assert (numbers(outbox.look(approved)), states(outbox)) == ({"read": 2, "created": 2}, {"waiting": 2})
    deliver_due(outbox.house)
    assert [row[1] for row in outbox.clients()] == ["Ada", "Bo"]


def test_what_is_said_of_a_record_is_counted(outbox: World):
    """What waits is under way; what was delivered without a word holds nothing of it."""
    outbox.customers("Ada")
    outbox.run()
    for expected in ((0, 1), (0, 0)):
        with outbox.house.db.read() as tx:
            assert keeping.said(tx, "customers", "1") == expected
        deliver_due(outbox.house)
