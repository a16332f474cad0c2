"""Customers and orders in two systems, and a rule for each: orders refer to customers by the keys of their system."""

from __future__ import annotations

from typing import Any

from tests.runs.conftest import ADMIN, World
from webapp.connections.probing import object_schema
from webapp.rulebook import services as rulebook
from webapp.runs import ordering, quarantine, reading
from webapp.runs.requests import start

CUSTOMERS: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "person"},
    "right": {"connection": "erp", "object": "partner"},
    "key": {"left": "id", "right": "no"},
    "correlate": [{"match": [{"left": "mail", "right": "email"}]}],
    "fields": [{"left": "mail", "right": "email"}, {"left": "name", "right": "title"}],
}
ORDERS: dict[str, Any] = {
    "kind": "sync",
    "name": "orders",
    "left": {"connection": "crm", "object": "purchase"},
    "right": {"connection": "erp", "object": "sale"},
    "key": {"left": "id", "right": "id"},
    "fields": [
        {"left": "id", "right": "id", "on": ["create"]},
        {"left": "person_id", "right": "partner_no", "reference": "customers"},
        {"left": "amount", "right": "total"},
    ],
}
LEFT = (
    "CREATE TABLE person (id INTEGER PRIMARY KEY, mail TEXT, name TEXT)",
    "CREATE TABLE purchase (id INTEGER PRIMARY KEY, person_id INTEGER, amount INTEGER)",
)
RIGHT = (
    "CREATE TABLE partner (no INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT, title TEXT)",
    "CREATE TABLE sale (id INTEGER PRIMARY KEY, partner_no {type}, total INTEGER)",
)


class Shop:
    """Both systems with both rules."""

    def __init__(self, world: World, *, partner_no: str = "INTEGER", **changes: Any) -> None:
        self.world = world
        for statement in LEFT:
            world.crm(statement)
        for statement in RIGHT:
            world.erp(statement.format(type=partner_no))
        world.erp("INSERT INTO partner VALUES (?, ?, ?)", (100, "gone", "gone"))
        world.erp("DELETE FROM partner")  # the next number is 101, so that keys differ on both sides
        for connection, name in (("crm", "person"), ("erp", "partner")):
            object_schema(world.house, connection, name)
        self.publish(CUSTOMERS, **changes)
        self.publish(ORDERS, **changes)

    def publish(self, document: dict[str, Any], **changes: Any) -> None:
        house, whole = self.world.house, {**document, **changes}
        with house.db.read() as tx:
            known = rulebook.find(tx, whole["name"])
        if known:
            rulebook.save_draft(house, whole["name"], whole, ADMIN)
        else:
            rulebook.create(house, whole, ADMIN)
        rulebook.publish(house, whole["name"], ADMIN)

    def run(self, rule: str, mode: str = "live") -> reading.RunRow:
        run_id = start(self.world.house, rule, mode, ADMIN)
        assert self.world.work(run_id)
        return self.world.look(run_id)

    def settle(self) -> list[reading.RunRow]:
        """Carry out what waits, as workers and the dispatcher would, and return it."""
        done: list[reading.RunRow] = []
        while True:
            ordering.call_off(self.world.house)
            with self.world.house.db.read() as tx:
                queued = [row.id for row in reading.listing(tx, state="queued")]
            worked = [number for number in reversed(queued) if self.world.work(number)]
            if not worked:
                return done
            done += [self.world.look(number) for number in worked]

    def parked(self, rule: str = "orders") -> list[quarantine.Entry]:
        with self.world.house.db.read() as tx:
            return quarantine.listing(tx, rule=rule)

    def people(self, *rows: tuple[Any, ...]) -> None:
        self.world.crm("INSERT INTO person VALUES (?, ?, ?)", *rows)

    def purchases(self, *rows: tuple[Any, ...]) -> None:
        self.world.crm("INSERT INTO purchase VALUES (?, ?, ?)", *rows)

    def sales(self) -> list[tuple[Any, ...]]:
        return self.world.erp("SELECT id, partner_no, total FROM sale ORDER BY id")

    def numbers(self) -> dict[str, int]:
        return dict(self.world.erp("SELECT email, no FROM partner"))
