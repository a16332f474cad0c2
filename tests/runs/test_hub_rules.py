"""The hub as a system among others: point-to-point is one rule, and so is each spoke of a hub."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from connectors.spi import Context, ReadRequest
from rules.schema import Change, Op
from tests.runs.conftest import ADMIN, World, numbers
from webapp.entities import services as entities
from webapp.entities.hub import hub_connector, register
from webapp.rulebook import services as rulebook
from webapp.runs.reading import RunRow, get
from webapp.runs.requests import start

PERSON = {
    "kind": "entity",
    "name": "person",
    "fields": [
        {"name": "no", "type": "integer", "unique": True, "required": True},
        {"name": "name", "type": "text", "required": True},
        {"name": "phone", "type": "text"},
    ],
}
INTO: dict[str, Any] = {
    "kind": "sync",
    "name": "into",
    "left": {"connection": "crm", "object": "customer"},
    "right": {"connection": "hub", "object": "person"},
    "direction": "left_to_right",
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "name"}, {"left": "phone", "right": "phone"}],
    "deletes": {"detect": "full_scan"},
    "situations": {"deleted_left": "delete"},
}
OUT: dict[str, Any] = {
    "kind": "sync",
    "name": "out",
    "left": {"connection": "hub", "object": "person"},
    "right": {"connection": "erp", "object": "client"},
    "direction": "left_to_right",
    "key": {"left": "no", "right": "no"},
    "fields": [{"left": "no", "right": "no"}, {"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}],
    "detect": {"left": {"by": "cursor", "field": "updated_at", "overlap": "0s"}},
    "deletes": {"detect": "event"},
    "situations": {"deleted_left": "delete"},
}


@pytest.fixture
def hubbed(world: World) -> World:
    register(world.house)
    entities.define(world.house, PERSON, ADMIN)
    return world


def rule(world: World, document: dict[str, Any]) -> None:
    rulebook.create(world.house, document, ADMIN)
    rulebook.publish(world.house, document["name"], ADMIN)


def run(world: World, name: str) -> RunRow:
    run_id = start(world.house, name, "live", ADMIN)
    assert world.work(run_id)
    with world.house.db.read() as tx:
        found = get(tx, run_id)
    assert found.state == "succeeded", found.message
    return found


def persons(world: World) -> list[tuple[Any, ...]]:
    hub = hub_connector(world.house)({}, Context())
    pages = hub.read(ReadRequest("person", hub.schema("person").select(("no", "name", "phone"))))
    return sorted(row for page in pages for row in page.records.rows())


def test_point_to_point_is_one_rule(world: World) -> None:
    """One rule brings records from one system to another, without an entity between."""
    world.customers("Ann", "Bob")
    world.rule()
    assert numbers(world.run()) == {"read": 2, "created": 2}
    assert [row[1] for row in world.clients()] == ["Ann", "Bob"]


def test_hub_and_spoke_is_one_rule_a_spoke(hubbed: World) -> None:
    """Each system has one rule with the hub; changes and deletions travel through it, and then all rests."""
    hubbed.customers("Ann", "Bob", "Cid")
    rule(hubbed, INTO)
    rule(hubbed, OUT)
    assert numbers(run(hubbed, "into")) == {"read": 3, "created": 3}
    assert numbers(run(hubbed, "out")) == {"read": 3, "created": 3}
    assert hubbed.clients() == persons(hubbed) == [(1, "Ann", "+86 1"), (2, "Bob", "+86 2"), (3, "Cid", "+86 3")]
    hubbed.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    hubbed.crm("DELETE FROM customer WHERE id = 2")
    hubbed.customers("Dan", first=4)
    assert numbers(run(hubbed, "into")) == {"read": 3, "created": 1, "updated": 1, "unchanged": 1, "deleted": 1}
    went = numbers(run(hubbed, "out"))
    assert (went["created"], went["updated"], went["deleted"]) == (1, 1, 1)
    assert hubbed.clients() == persons(hubbed) == [(1, "Anna", "+86 1"), (3, "Cid", "+86 3"), (4, "Dan", "+86 4")]
    for name in ("into", "out"):
        assert not {"created", "updated", "deleted"} & set(numbers(run(hubbed, name)))


def test_a_person_may_edit_the_hub(hubbed: World) -> None:
    """A two-way rule with the hub keeps an entity and a system in agreement, edits of both sides and deletions too."""
    hubbed.customers("Ann", "Bob")
    fields = [{**pair, "direction": "both"} for pair in INTO["fields"]]
    both = {**INTO, "name": "both", "direction": "two_way", "fields": fields}
    rule(hubbed, {**both, "situations": {"deleted_left": "delete", "deleted_right": "delete"}})
    run(hubbed, "both")
    hub = hub_connector(hubbed.house)({}, Context())
    schema = hub.schema("person")
    hub.write("person", schema, [Change(Op.UPDATE, "no", pl.DataFrame({"no": [1], "name": ["Anna"]}))])
    hub.write("person", schema, [Change(Op.DELETE, "no", pl.DataFrame({"no": [2]}))])
    run(hubbed, "both")
    assert hubbed.crm("SELECT id, name FROM customer") == [(1, "Anna")]
    assert [row[:2] for row in persons(hubbed)] == [(1, "Anna")]
