"""The law of references: after both rules have come to rest, each order names the same customer on both sides.

Whatever was edited, in whatever order the rules ran, and wherever a worker died.
"""

from __future__ import annotations

import contextlib
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import PHASES, open_world
from tests.runs.linked import Shop
from tests.runs.test_crash import Killed, dies
from webapp.runs import reading
from webapp.runs.pipeline.journal import Journal

NUMBERS = st.integers(1, 3)
SIDES = st.sampled_from(["left", "right"])
RULES = st.sampled_from(["customers", "orders"])
POINTS = [(Journal, "plan"), (SQLite, "write"), (Journal, "check_in"), (Journal, "end")]
DEEDS = st.one_of(
    st.tuples(st.just("customer"), SIDES, NUMBERS),
    st.tuples(st.just("order"), SIDES, NUMBERS, st.one_of(st.none(), NUMBERS)),
    st.tuples(st.just("point"), SIDES, NUMBERS, st.one_of(st.none(), NUMBERS)),
    st.tuples(st.just("amount"), SIDES, NUMBERS, NUMBERS),
    st.tuples(st.just("run"), RULES),
    st.tuples(st.just("run"), RULES),
    st.tuples(st.just("crash"), RULES, st.sampled_from(POINTS), st.integers(1, 3), st.booleans()),
)
HISTORY = st.lists(DEEDS, min_size=2, max_size=12)
TWO_WAY = {"direction": "two_way", "conflict": {"default": "left"}}


class History:
    """A shop that people and rules work on; customers are known by their mail, orders by their number."""

    def __init__(self, shop: Shop, *, both: bool) -> None:
        self.shop, self.both = shop, both
        self.sides = {"left": shop.world.crm, "right": shop.world.erp}

    def do(self, deed: tuple[Any, ...]) -> None:
        getattr(self, f"_{deed[0]}")(*deed[1:])

    def _customer(self, side: str, number: int) -> None:
        if self._key(side, number) is None and (self.both or side == "left"):
            table, mail = ("person", "mail") if side == "left" else ("partner", "email")
            self.sides[side](f"INSERT INTO {table} ({mail}) VALUES (?)", (f"{number}@x",))

    def _order(self, side: str, number: int, customer: int | None) -> None:
        if self.both or side == "left":
            table, names = ("purchase", "id, person_id") if side == "left" else ("sale", "id, partner_no")
            row = (number * 2 + (side == "right"), self._key(side, customer))
            self.sides[side](f"INSERT OR IGNORE INTO {table} ({names}) VALUES (?, ?)", row)

    def _point(self, side: str, number: int, customer: int | None) -> None:
        if self.both or side == "left":
            table, name = ("purchase", "person_id") if side == "left" else ("sale", "partner_no")
            key = self._key(side, customer)
            self.sides[side](f"UPDATE {table} SET {name} = ? WHERE id / 2 = ?", (key, number))

    def _amount(self, side: str, number: int, amount: int) -> None:
        if self.both or side == "left":
            table, name = ("purchase", "amount") if side == "left" else ("sale", "total")
            self.sides[side](f"UPDATE {table} SET {name} = ? WHERE id / 2 = ?", (amount, number))

    def _key(self, side: str, number: int | None) -> int | None:
        if number is None:
            return None
        table, name, mail = ("person", "id", "mail") if side == "left" else ("partner", "no", "email")
        found = self.sides[side](f"SELECT {name} FROM {table} WHERE {mail} = '{number}@x'")
        return found[0][0] if found else None

    def _run(self, rule: str) -> None:
        assert self.shop.run(rule).state == "succeeded"
        assert all(run.state == "succeeded" for run in self.shop.settle())

    def _crash(self, rule: str, point: tuple[type, str], times: int, before: bool) -> None:
        world = self.shop.world
        with pytest.MonkeyPatch.context() as patch:
            dies(patch, *point, times, before)
            with contextlib.suppress(Killed):
                self._run(rule)
        world.shift += timedelta(hours=1)
        self._recover()

    def _recover(self) -> None:
        world = self.shop.world
        with world.house.db.read() as tx:
            left = [row.id for row in reading.listing(tx, state="running")]
        for number in left:
            assert world.work(number, "w2")
        self.shop.settle()

    def rest(self, order: list[str]) -> None:
        """Run both rules until they write nothing any more."""
        for _ in range(3):
            for rule in order:
                self._run(rule)

    def pairs(self, side: str) -> list[tuple[Any, ...]]:
        """Return each order with its customer's mail."""
        query = {
            "left": "SELECT o.id, p.mail, o.amount FROM purchase o LEFT JOIN person p ON p.id = o.person_id",
            "right": "SELECT o.id, p.email, o.total FROM sale o LEFT JOIN partner p ON p.no = o.partner_no",
        }
        return sorted(self.sides[side](query[side]))

    def dangling(self) -> list[tuple[Any, ...]]:
        """Return the orders of either side that name a customer who is not there."""
        left = "SELECT id FROM purchase WHERE person_id IS NOT NULL AND person_id NOT IN (SELECT id FROM person)"
        right = "SELECT id FROM sale WHERE partner_no IS NOT NULL AND partner_no NOT IN (SELECT no FROM partner)"
        return self.sides["left"](left) + self.sides["right"](right)


@pytest.mark.parametrize("both", [False, True], ids=["one way", "two-way"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(history=HISTORY, order=st.permutations(["customers", "orders"]))
def test_every_order_names_the_right_customer_on_both_sides(
    both: bool,
    history: list[tuple[Any, ...]],
    order: list[str],
):
    """However the rules took turns, at rest all orders agree, none dangles, nothing waits and nothing is written."""
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder) / "data") as world:
        shop = Shop(world, **(TWO_WAY if both else {}))
        played = History(shop, both=both)
        for deed in history:
            played.do(deed)
        played.rest(list(order))
        assert played.pairs("left") == played.pairs("right")
        assert played.dangling() == []
        assert shop.parked() == []
        last = shop.run("orders")
        assert last.counts["unchanged"] == last.counts["read"]
