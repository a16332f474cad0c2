"""Event rules at work on a house of their own, with a clock that tests move and a real web server that gets hooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import webapp.cases.models
import webapp.entities.models
import webapp.events.models
import webapp.rulebook.models
import webapp.runs.models  # noqa: F401 - the tables have to be known
from tests.connectors.conftest import Answer, WebServer
from tests.houses import fresh_house
from webapp.entities import hooks as entity_hooks
from webapp.entities import hub
from webapp.entities import services as entities
from webapp.events import claims, intake, kind, reading, sources  # noqa: F401 - `kind` makes event rules known
from webapp.events.doers import do
from webapp.events.keeper import Keeper
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs import hooks as run_hooks

ADMIN = Actor("user", "ada", "1")
START = datetime(2026, 1, 1, tzinfo=UTC)
UNPAID: dict[str, Any] = {
    "kind": "event_rule",
    "name": "unpaid",
    "by": "customer",
    "events": {"order": {"type": "order.created"}, "paid": {"type": "payment.received"}},
    "when": {"all": ["order"], "absent": {"events": ["paid"], "within": "30m"}},
    "then": [{"case": {"title": "Order {order.id} is not paid"}}],
}
ONBOARDING: dict[str, Any] = {
    "kind": "event_rule",
    "name": "onboarding",
    "by": "no",
    "events": {
        "signup": {"type": "customer.signed_up"},
        "credit": {"type": "credit.checked"},
        "erp": {"type": "erp.created"},
    },
    "states": [
        {"name": "new", "transitions": [{"on": "signup", "to": "checking"}]},
        {
            "name": "checking",
            "transitions": [
                {"on": "credit", "when": "credit.limit >= 1000", "to": "creating"},
                {"on": "credit", "to": "refused"},
                {"after": "2d", "to": "late"},
            ],
        },
        {
            "name": "creating",
            "then": [{"case": {"title": "Create {signup.name} in the ERP"}}],
            "transitions": [{"on": "erp", "to": "done"}],
        },
        {"name": "late", "then": [{"case": {"title": "{key} waits"}}], "transitions": [{"on": "credit", "to": "done"}]},
        {"name": "refused", "final": True},
        {"name": "done", "final": True},
    ],
}


@dataclass
class World:
    """A house and what tests do with event rules in it."""

    house: House
    now: datetime = START
    keeper: Keeper = field(init=False)
    posted: int = 0

    def __post_init__(self) -> None:
        self.house = replace(self.house, clock=lambda: self.now)
        self.keeper = Keeper(self.house, "one")

    def rule(self, document: dict[str, Any] = UNPAID, **changes: Any) -> None:
        document = {**document, **changes}
        with self.house.db.read() as tx:
            known = rulebook.find(tx, document["name"])
        if known:
            rulebook.save_draft(self.house, document["name"], document, ADMIN)
        else:
            rulebook.create(self.house, document, ADMIN)
        rulebook.publish(self.house, document["name"], ADMIN)

    def post(self, type_: str, at: datetime | None = None, **data: Any) -> None:
        self.posted += 1
        event = {"id": f"e{self.posted}", "type": type_, "at": (at or self.now).isoformat(), "data": data}
        intake.post(self.house, [event], "test", ADMIN)

    def later(self, **span: float) -> World:
        self.now += timedelta(**span)
        return self

    def work(self) -> None:
        """Work on events until nothing is left, then carry out what is due."""
        while self.keeper.turn():
            pass
        self.act()

    def act(self) -> list[bool]:
        return [do(self.house, action) for action in claims.claim(self.house, "one", 100)]

    def restart(self) -> World:
        """Forget everything in memory, as a new process does."""
        self.keeper = Keeper(self.house, "one")
        return self

    def actions(self, **wanted: Any) -> list[reading.ActionRow]:
        with self.house.db.read() as tx:
            return reading.actions(tx, reading.Wanted(**wanted), 1000)[::-1]

    def matches(self, name: str = "unpaid") -> list[reading.MatchRow]:
        with self.house.db.read() as tx:
            return reading.matches(tx, name, limit=1000)[::-1]

    def processes(self, name: str = "unpaid", live: bool | None = True) -> list[reading.ProcessRow]:
        with self.house.db.read() as tx:
            return reading.processes(tx, name, live=live, limit=1000)[::-1]

    def rows(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> list[Any]:
        with self.house.db.read() as tx:
            return list(tx.execute(sa.select(table).where(*where)))

    def entity(self, name: str = "customer") -> None:
        fields = [{"name": "no", "type": "text", "unique": True}, {"name": "name", "type": "text"}]
        fields.append({"name": "credit", "type": "decimal", "scale": 2})
        document = {"kind": "entity", "name": name, "label": {"en": name.title()}, "fields": fields}
        entities.define(self.house, document, ADMIN)


@pytest.fixture
def world(tmp_path: Path, metadata_url: str) -> Iterator[World]:
    with fresh_house(tmp_path / "data", metadata_url) as house:
        hub.register(house)
        sources.register()
        yield World(house)
        entity_hooks.changed.remove(sources.records_changed)
        run_hooks.ended.remove(sources.run_ended)


@pytest.fixture
def receiver() -> Iterator[WebServer]:
    """Return a web server that takes every web hook."""
    server = WebServer()
    server.answer = lambda _: Answer(200, {"ok": True})
    yield server
    server.close()
