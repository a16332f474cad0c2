"""Fields that refer to records of another rule: remapped through links, parked until there is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import World, numbers
from tests.runs.linked import CUSTOMERS, ORDERS, Shop


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
