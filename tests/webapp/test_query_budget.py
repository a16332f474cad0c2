"""How often pages and lists of the API ask the database: a number of their own, however much there is to show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.runs.conftest import ADMIN, RULE
from tests.runs.test_plan_pages import Shop
from tests.webapp.conftest import sign_in
from tests.webapp.test_app import FREE
from webapp.access import keys
from webapp.access.group_editing import Group, save_group
from webapp.access.users import NewUser, create_user
from webapp.cases import services as cases
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.extensions import House
from webapp.rulebook import services as rulebook

BUDGET = 45
"""So many statements a page may send at the most; most send fewer than fifteen."""
NOISE = 2
"""A page may look a thing or two up that it remembers next time, and does not need where there is nothing."""


class Count:
    """Counts the statements of a block."""

    def __init__(self, house: House) -> None:
        self.engine = house.db.engine
        self.sent: list[str] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[list[str]]:
        self.sent = []
        sa.event.listen(self.engine, "before_cursor_execute", self._note)
        try:
            yield self.sent
        finally:
            sa.event.remove(self.engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            self.sent.append(" ".join(statement.split())[:160])


def grow(shop: Shop, names: range) -> None:
    """Add one of everything that lists show, for each number."""
    house = shop.house
    for n in names:
        path = str(shop.folder / "crm.db")
        connections.create(
            house, {"kind": "connection", "name": f"c{n}", "connector": "sqlite", "settings": {"path": path}}, ADMIN
        )
        rulebook.create(house, {**RULE, "name": f"rule{n}", "schedule": {"cron": f"{n} 3 * * *"}}, ADMIN)
        rulebook.publish(house, f"rule{n}", ADMIN)
        fields = [{"name": "name", "type": "text", "personal": True}]
        entities.define(house, {"kind": "entity", "name": f"entity{n}", "fields": fields}, ADMIN)
        entities.create_record(house, "entity1", {"name": f"record {n}"}, ADMIN)
        create_user(house, NewUser(f"user{n}", "U", str(n), f"u{n}@example.com", ("Operator",)), ADMIN)
        save_group(house, Group(None, f"group{n}", f"Group {n}", ("Viewer",), (f"user{n}",)), ADMIN)
        keys.create_key(house, keys.NewKey(f"key{n}", ("runs:read",), 5), ADMIN)
        cases.open_case(house, cases.NewCase(f"case {n}", f"about {n}"), ADMIN)
        shop.run("simulate")
        shop.run("live")


def addresses(app: Flask) -> list[str]:
    """Return the addresses of pages and lists that need nothing but themselves, and some of those that name a thing."""
    plain = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments and rule.endpoint not in FREE
    }
    named = {
        "/rules/customers", "/runs/1", "/entities/entity1", "/entities/entity1/records", "/connections/crm",
        "/api/v1/entities/entity1/records", "/api/v1/runs/1", "/api/v1/rules/customers",
    }  # fmt: skip
    return sorted(plain | named)


@pytest.fixture
def shop(app: Flask, tmp_path: Path) -> Shop:
    return Shop(app.extensions["syncline"], tmp_path / "data")


def test_what_a_page_asks_does_not_grow_with_what_it_shows(app: Flask, shop: Shop) -> None:
    """With eight times as much of everything each page sends as many statements as before, and never very many."""
    count, client = Count(shop.house), sign_in(app.test_client())
    grow(shop, range(1, 3))
    found: dict[str, list[int]] = {}
    sent: dict[str, list[str]] = {}
    for names in (range(3, 3), range(3, 16)):
        grow(shop, names)
        for address in addresses(app):
            client.get(address).close()  # what is remembered from then on is not counted
            with count() as statements:
                answer = client.get(address)
                answer.close()
            if answer.status_code == 200:
                found.setdefault(address, []).append(len(statements))
                sent[address] = list(statements)
    wrong = {
        address: (few, many, sorted(sent[address], key=sent[address].count)[-1])
        for address, (few, many) in ((a, f) for a, f in found.items() if len(f) == 2)
        if many > few + NOISE or many > BUDGET
    }
    assert not wrong, "\n".join(f"{address}: {numbers}" for address, numbers in wrong.items())
    assert len(found) > 60
