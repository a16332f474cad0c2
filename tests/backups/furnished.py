"""An installation that holds something of everything: entities, a rule with links, a quarantine, secrets, a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, open_world
from webapp.access import services as users
from webapp.audit.models import audit_event
from webapp.audit.sealing import unsealed
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.backups import rows, tables
from webapp.entities import services as entities
from webapp.evidence.notary import seal_due
from webapp.extensions import House
from webapp.vault import services as vault
from webapp.vault.sealing import Owner

ERP = Owner("shared", "erp")
CLOCK = datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=UTC)
FIRM: dict[str, Any] = {
    "kind": "entity",
    "name": "firm",
    "fields": [
        {"name": "name", "type": "text", "searchable": True, "required": True},
        {"name": "chief", "type": "reference", "entity": "person"},
        {"name": "worth", "type": "decimal", "precision": 30, "scale": 6},
        {"name": "rate", "type": "decimal", "precision": 8, "scale": 3},
        {"name": "price", "type": "money"},
        {"name": "open", "type": "boolean"},
        {"name": "since", "type": "date"},
        {"name": "at", "type": "datetime"},
        {"name": "more", "type": "json"},
    ],
}
PERSON: dict[str, Any] = {
    "kind": "entity",
    "name": "person",
    "fields": [{"name": "name", "type": "text"}],
}
WORKS: dict[str, Any] = {"name": "firm", "type": "reference", "entity": "firm"}


@contextmanager
def furnished(folder: Path, url: str = "") -> Iterator[World]:
    """Open a world whose database holds something of everything."""
    with open_world(folder, url) as world:
        vault.prepare(world.house)
        users.ensure_admin(world.house)
        world.rule()
        world.customers(*(f"Ann {n}" for n in range(1, 21)), None, "x" * 40)
        world.run()
        with_entities(world.house)
        with world.house.db.begin() as tx:
            vault.put(tx, vault.keyring(world.house), ERP, "password", "canary-Grüße", ADMIN, world.now())
            odd = {"b": 1.0, "a": [1e16, -0.0, 0.1, None], "名": "值 \u2028", "": {"z": 1, "Z": 2}}
            record(tx, ADMIN, CLOCK, Event(Tag.RULE_UPDATED, Subject("rule", "odd"), odd, None))
        sealed(world.house)
        yield world


def sealed(house: House) -> None:
    """Seal all there is: on PostgreSQL an event waits for what other databases of the server have begun before it."""
    until = time.monotonic() + 60
    while True:
        seal_due(house)
        with house.db.read() as tx:
            if tx.execute(unsealed(audit_event.c.id).limit(1)).first() is None:
                return
        assert time.monotonic() < until, "events wait for their seal"
        time.sleep(0.05)


def with_entities(house: House) -> None:
    """Make two entities that refer to each other, with records; the last one is deleted again."""
    entities.define(house, PERSON, ADMIN)
    entities.define(house, FIRM, ADMIN)
    entities.define(house, {**PERSON, "fields": [*PERSON["fields"], WORKS]}, ADMIN)
    chief = entities.create_record(house, "person", {"name": "王小明"}, ADMIN)
    values = {
        "name": "Acme 北京 13800138000", "chief": chief, "worth": Decimal("-123456789012345678901234.567891"),
        "rate": Decimal("0.125"), "price": Decimal("19.90"), "price_currency": "EUR", "open": True,
        "since": date(2024, 2, 29), "at": CLOCK, "more": '{"b": [1, 2.50], "a": null}',
    }  # fmt: skip
    number = entities.create_record(house, "firm", values, ADMIN)
    entities.update_record(house, "person", chief, {"firm": number}, ADMIN)
    for name in ("Empty", "Gone"):
        last = entities.create_record(house, "firm", {"name": name}, ADMIN)
    entities.delete_record(house, "firm", last, ADMIN)


def held(house: House, *, but: tuple[str, ...] = ()) -> dict[str, tuple[int, str]]:
    """Return rows and digest of each table, without those that are named."""
    with house.db.read() as tx:
        stored = [*tables.rooms(), *tables.of_entities(tx)]
        found = {s.name: rows.digest(tx, s) for s in stored if s.name not in but}
    return {name: (digest.rows, digest.value) for name, digest in found.items()}


def tags(house: House) -> list[str]:
    """Return the tags of the audit log in their order."""
    with house.db.read() as tx:
        return list(tx.scalars(sa.select(audit_event.c.tag).order_by(audit_event.c.id)))
