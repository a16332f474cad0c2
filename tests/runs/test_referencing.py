"""Fields that refer to records of another rule: remapped through links, parked until there is one."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.linked import CUSTOMERS, ORDERS, Shop
from webapp.connections.probing import object_schema
from webapp.rulebook import services as rulebook
from webapp.runs import models, quarantine, reading, verification
from webapp.runs.pipeline import referencing
from webapp.runs.pipeline.execute import Execution
from webapp.runs.requests import cancel, start


@pytest.fixture
def shop(world: World) -> Shop:
    """Return two customers that are not linked yet, and three orders of theirs."""
    shop = Shop(world)
    shop.people((1, "a@x", "Ann"), (2, "b@x", "Bob"))
    shop.purchases((10, 1, 5), (11, 2, 6), (12, None, 7))
    return shop


def test_an_order_gets_the_customers_key_of_the_other_side(shop: Shop):
    """The right order names the right customer, whatever keys the right system gives; no customer stays none."""
    assert numbers(shop.run("customers")) == {"read": 2, "created": 2}
    assert numbers(shop.run("orders")) == {"read": 3, "created": 3}
    keys = shop.numbers()
    assert sorted(keys.values()) == [101, 102]
    assert shop.sales() == [(10, keys["a@x"], 5), (11, keys["b@x"], 6), (12, None, 7)]
    assert numbers(shop.run("orders")) == {"read": 3, "unchanged": 3}


def test_an_order_waits_for_its_customer_and_nothing_else_does(shop: Shop):
    """Orders whose customer has no link are parked with its name, the others are written; the next run retries."""
    assert numbers(shop.run("orders")) == {"read": 3, "created": 1, "quarantined": 2}
    parked = shop.parked()
    assert [(e.left_key, e.stage, e.field, e.waits_rule, e.waits_side, e.waits_key) for e in parked] == [
        ("11", "reference", "partner_no", "customers", "left", "2"),
        ("10", "reference", "partner_no", "customers", "left", "1"),
    ]
    assert str(parked[1].reason) == "It waits for person 1 of the rule 'customers', which is not linked yet."
    shop.run("customers")
    assert numbers(shop.run("orders")) == {"read": 3, "created": 2, "unchanged": 1}
    assert shop.parked() == []


def test_what_waits_is_retried_as_soon_as_its_customer_is_linked(shop: Shop):
    """A run that links customers asks for a run over just the orders that waited for them."""
    shop.run("orders")
    shop.run("customers")
    retried = shop.settle()
    assert [(run.rule_name, run.kind, numbers(run)) for run in retried] == [
        ("orders", "records", {"read": 2, "created": 2})
    ]
    assert shop.parked() == []
    assert len(shop.sales()) == 3


TWO_WAY = {"direction": "two_way", "conflict": {"default": "left"}}


@pytest.fixture
def both(world: World) -> Shop:
    """Return two customers and two orders that both sides agree on, and rules that flow both ways."""
    shop = Shop(world, **TWO_WAY)
    shop.people((1, "a@x", "Ann"), (2, "b@x", "Bob"))
    shop.purchases((10, 1, 5), (11, 2, 6))
    shop.run("customers")
    shop.run("orders")
    return shop


def _agree(shop: Shop) -> bool:
    """Tell whether all orders name the same customers on both sides."""
    left = shop.world.crm("SELECT o.id, p.mail, o.amount FROM purchase o LEFT JOIN person p ON p.id = o.person_id")
    right = shop.world.erp("SELECT o.id, p.email, o.total FROM sale o LEFT JOIN partner p ON p.no = o.partner_no")
    return sorted(left) == sorted(right)


def test_two_way_references_flow_from_either_side(both: Shop):
    """A new order of the right side names the left customer's key, and a changed customer of an order flows back."""
    keys = both.numbers()
    assert _agree(both)
    both.world.erp("INSERT INTO sale VALUES (?, ?, ?)", (20, keys["b@x"], 9))
    both.world.erp(f"UPDATE sale SET partner_no = {keys['b@x']} WHERE id = 10")
    both.run("orders")
    assert both.world.crm("SELECT * FROM purchase ORDER BY id") == [(10, 2, 5), (11, 2, 6), (20, 2, 9)]
    assert _agree(both)
    assert numbers(both.run("orders")) == {"read": 6, "unchanged": 6}


def test_two_way_orders_wait_on_either_side(both: Shop):
    """An order of a customer that only the right side has waits until the customer is linked."""
    both.world.erp("INSERT INTO partner VALUES (?, ?, ?)", (500, "c@x", "Cid"))
    both.world.erp("INSERT INTO sale VALUES (?, ?, ?)", (30, 500, 1))
    assert numbers(both.run("orders")) == {"read": 5, "unchanged": 4, "quarantined": 1}
    assert [(e.side, e.left_key, e.waits_side, e.waits_key) for e in both.parked()] == [("right", "30", "right", "500")]
    both.run("customers")
    both.settle()
    assert both.parked() == []
    assert _agree(both)
    assert numbers(both.run("orders")) == {"read": 6, "unchanged": 6}


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_customer_made_again_under_another_key_takes_its_orders_along(both: Shop, side: str):
    """Where a customer is made again with a new key, its orders of that side follow, though nobody has touched them."""
    gone = "deleted_right" if side == "right" else "deleted_left"
    both.publish(CUSTOMERS, **TWO_WAY, deletes={"detect": "full_scan"}, situations={gone: "recreate"})
    system, table, key = (both.world.erp, "partner", "no") if side == "right" else (both.world.crm, "person", "id")
    mail = "email" if side == "right" else "mail"
    old = system(f"SELECT {key} FROM {table} WHERE {mail} = 'b@x'")[0][0]
    system(f"DELETE FROM {table} WHERE {mail} = 'b@x'")
    system(f"INSERT INTO {table} ({key}, {mail}) VALUES (?, ?)", (900, "other@x"))
    both.run("customers")
    assert system(f"SELECT {key} FROM {table} WHERE {mail} = 'b@x'") not in ([], [(old,)])
    for _ in range(3):
        both.run("orders")
    assert _agree(both)
    assert both.parked() == []


def test_a_customer_whose_link_was_removed_is_said_so(shop: Shop):
    """An order whose customer was deleted says that its link was removed, not that it is still to come."""
    shop.publish(CUSTOMERS, deletes={"detect": "full_scan"}, situations={"deleted_left": "delete"})
    shop.run("customers")
    shop.run("orders")
    shop.world.crm("DELETE FROM person WHERE id = 2")
    shop.run("customers")
    assert numbers(shop.run("orders")) == {"read": 3, "unchanged": 2, "quarantined": 1}
    assert "was linked but is not any more" in str(shop.parked()[0].reason)


def test_a_customer_in_quarantine_keeps_its_orders_waiting_until_it_is_replayed(shop: Shop):
    """The order says that its customer is in quarantine; replaying the customer lets the order go on by itself."""
    shop.publish(CUSTOMERS, validations=[{"name": "named", "check": "name != 'Bob'"}])
    shop.run("customers")
    shop.run("orders")
    parked = shop.parked()
    assert [str(e.reason) for e in parked] == [
        "It waits for person 2 of the rule 'customers', which is in quarantine itself."
    ]
    customer = shop.parked("customers")[0]
    house = shop.world.house
    quarantine.edit(house, customer.id, {**customer.values, "name": "Robert"}, customer.version, ADMIN)
    quarantine.replay(house, "customers", [customer.id], ADMIN)
    assert [(run.rule_name, run.kind) for run in shop.settle()] == [("customers", "replay"), ("orders", "records")]
    assert shop.parked() == []
    assert shop.parked("customers") == []


def test_text_and_number_keys_meet_exactly(world: World):
    """Keys that are numbers on one side and text on the other meet by value; what is no number is told as such."""
    shop = Shop(world, partner_no="TEXT", **TWO_WAY)
    shop.people((1, "a@x", "Ann"))
    shop.purchases((10, 1, 5))
    shop.run("customers")
    shop.run("orders")
    assert shop.sales() == [(10, "101", 5)]
    shop.world.erp("INSERT INTO sale VALUES (?, ?, ?)", (20, "0101", 1), (21, "C-7", 2))
    shop.run("orders")
    assert world.crm("SELECT person_id FROM purchase WHERE id = 20") == [(1,)]
    assert [(e.left_key, e.stage) for e in shop.parked()] == [("21", "map")]
    assert numbers(shop.run("orders")) == {"read": 5, "unchanged": 4, "quarantined": 1}


def test_what_waits_is_tried_again_by_cursor_too(shop: Shop):
    """A run by cursor looks up the orders that wait, though the cursor is past them."""
    shop.publish(ORDERS, detect={"left": {"by": "cursor", "field": "id"}})
    assert numbers(shop.run("orders")) == {"read": 3, "created": 1, "quarantined": 2}
    house = shop.world.house
    shop.run("customers")
    cancel(house, shop.world.look(3).id, ADMIN)  # the retry at once
    assert numbers(shop.run("orders"))["created"] == 2
    assert shop.parked() == []


def test_a_simulation_and_a_comparison_go_through_the_same_links(both: Shop):
    """A comparison of both systems takes linked keys for equal, and a simulation writes nothing."""
    assert numbers(both.run("orders", "simulate")) == {"read": 4, "unchanged": 4}
    number = verification.request(both.world.house, "orders", ADMIN)
    assert both.world.work(number)
    with both.world.house.db.read() as tx:
        found = verification.find(tx, number)
    assert found is not None
    assert found.agrees


def test_employees_name_managers_of_their_own_rule(world: World):
    """Records that refer to records of their own rule arrive level by level, or at once with an empty field first."""
    world.crm(
        "CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER)",
    )
    world.erp("CREATE TABLE worker (no TEXT PRIMARY KEY, chief TEXT)")
    world.crm("INSERT INTO staff VALUES (?, ?)", (1, 2), (2, 3), (3, None))
    for connection, name in (("crm", "staff"), ("erp", "worker")):
        object_schema(world.house, connection, name)
    document = {
        "kind": "sync", "name": "staff", "left": {"connection": "crm", "object": "staff"},
        "right": {"connection": "erp", "object": "worker"}, "key": {"left": "id", "right": "no"},
        "fields": [
            {"left": "id", "right": "no", "to_right": "'W' + string(id)"},
            {"left": "boss", "right": "chief", "reference": "staff"},
        ],
    }  # fmt: skip
    rulebook.create(world.house, document, ADMIN)
    rulebook.publish(world.house, "staff", ADMIN)
    counts = []
    for _ in range(4):
        run_id = start(world.house, "staff", "live", ADMIN)
        assert world.work(run_id)
        counts.append(numbers(world.look(run_id)))
    assert counts[0] == {"read": 3, "created": 1, "quarantined": 2}
    assert counts[-1] == {"read": 3, "unchanged": 3}
    assert world.erp("SELECT * FROM worker ORDER BY no") == [("W1", "W2"), ("W2", "W3"), ("W3", None)]


def test_keys_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    """Where all keys have the same hash, each still finds its own partner and strangers find none."""
    keys, others = pl.Series(["a", "b", "c"]), pl.Series(["1", "x", "3"])
    plain = referencing._Index(keys, others)
    assert plain.find(pl.Series(["c", None, "d", "a"])).to_list() == ["3", None, None, "1"]
    monkeypatch.setattr(pl.Series, "hash", lambda values: pl.Series([7] * values.len(), dtype=pl.UInt64))
    same = referencing._Index(keys, others)
    assert same.find(pl.Series(["c", None, "d", "a", "b"])).to_list() == ["3", None, None, "1", "x"]


def test_numbers_are_found_only_as_they_are_spelled():
    """Keys that are whole numbers are kept as such; a key that is spelled otherwise is another key."""
    index = referencing._Index(pl.Series(["1", "20", "-3"]), pl.Series(["5", "6", "7"]))
    assert index.find(pl.Series(["-3", "01", "20", None, "x", "0"])).to_list() == ["7", None, "6", None, None, None]
    assert referencing._Index(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)).find(
        pl.Series(["1"])
    ).to_list() == [None]


def _staff(world: World, **changes: Any) -> Shop:
    """Return employees 1, and 2 whose boss is 1; 1 has a bad name and is parked, so that 2 waits for it."""
    shop = Shop(world)
    world.crm("CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER, name TEXT)")
    world.erp("CREATE TABLE worker (no INTEGER PRIMARY KEY, chief INTEGER, name TEXT NOT NULL)")
    world.crm("INSERT INTO staff VALUES (?, ?, ?)", (1, None, "Nil"), (2, 1, "Bea"))
    for connection, name in (("crm", "staff"), ("erp", "worker")):
        object_schema(world.house, connection, name)
    names = {"left": "name", "right": "name"}
    document = {
        "kind": "sync", "name": "staff", "left": {"connection": "crm", "object": "staff"},
        "right": {"connection": "erp", "object": "worker"}, "key": {"left": "id", "right": "no"},
        "fields": [{"left": "id", "right": "no"}, {"left": "boss", "right": "chief", "reference": "staff"}, names],
        "validations": [{"name": "named", "check": "name != 'Nil'"}],
    }  # fmt: skip
    shop.publish(document, **changes)
    shop.run("staff")
    assert {e.left_key for e in shop.parked("staff")} == {"1", "2"}
    return shop


def _replay_first(shop: Shop) -> None:
    """Correct employee 1 and replay it."""
    entry = next(e for e in shop.parked("staff") if e.left_key == "1")
    house = shop.world.house
    quarantine.edit(house, entry.id, {**entry.values, "name": "Ada"}, entry.version, ADMIN)
    quarantine.replay(house, "staff", [entry.id], ADMIN)


def _settle(shop: Shop) -> list[str]:
    """Carry out what waits, three times at the most, and return the kinds of the runs."""
    kinds = []
    for _ in range(3):
        with shop.world.house.db.read() as tx:
            queued = [row.id for row in reading.listing(tx, state="queued")]
        for number in queued:
            assert shop.world.work(number)
            kinds.append(shop.world.look(number).kind)
    return kinds


@pytest.mark.parametrize("changes", [{}, TWO_WAY], ids=["one way", "two-way"])
def test_what_waits_and_is_deleted_meanwhile_is_settled(world: World, changes: dict[str, Any]):
    """A record that is gone from its source when it is retried waits no more, and is asked for just once."""
    shop = _staff(world, **changes)
    world.crm("DELETE FROM staff WHERE id = 2")
    _replay_first(shop)
    assert _settle(shop) == ["replay", "records"]
    assert shop.parked("staff") == []


def test_what_cannot_be_looked_up_is_not_asked_for(world: World):
    """An entry that is known by its place waits for the next run of its rule: no run could look it up."""
    shop = _staff(world)
    with world.house.db.begin() as tx:
        tx.execute(sa.update(models.quarantine).where(models.quarantine.c.left_key == "2").values(stage="repeated"))
    _replay_first(shop)
    assert _settle(shop) == ["replay"]
    assert [e.left_key for e in shop.parked("staff")] == ["2"]


def test_what_was_linked_while_the_rule_was_at_work_is_retried_when_it_ends(shop: Shop, monkeypatch: Any):
    """A rule that is busy when the customers are linked has read the links already; its end asks for the retry."""
    end = Execution._end

    def meanwhile(self: Execution, *args: Any) -> None:
        if self.claim.rule_name == "orders":
            shop.run("customers")
        end(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Execution, "_end", meanwhile)
        assert numbers(shop.run("orders")) == {"read": 3, "created": 1, "quarantined": 2}
    assert [(run.rule_name, run.kind) for run in shop.settle()] == [("orders", "records")]
    assert shop.parked() == []
