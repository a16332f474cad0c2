"""Rules that follow what web services tell of their changes: Graph's deltas, OData's delta links, change events."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from connectors.builtin import salesforce_changes
from connectors.presets import filled, named
from tests.presets.dynamics365 import Dynamics365
from tests.presets.microsoft365 import Microsoft365
from tests.presets.salesforce import Salesforce
from tests.presets.server import Site, Vendor
from tests.presets.test_presets import redirected
from tests.runs.conftest import ADMIN, World, numbers
from webapp.connections import services as connections

PEOPLE = "CREATE TABLE person (no TEXT PRIMARY KEY, title TEXT)"
LISTS = {"microsoft365": ("groups", "displayName", "id"), "dynamics365": ("accounts", "name", "accountid"),
         "salesforce": ("Account", "Name", "Id")}  # fmt: skip


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def people(world: World) -> dict[str, str]:
    return {str(no): str(title) for no, title in world.erp("SELECT no, title FROM person")}


@pytest.mark.parametrize("kind", [Microsoft365, Dynamics365, Salesforce])
def test_a_rule_follows_what_a_service_tells(
    world: World, site: Site, kind: type[Vendor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is created, changed and deleted comes by itself; a place that is forgotten leads to a full comparison."""
    monkeypatch.setattr(salesforce_changes, "QUIET", 0.0)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    vendor = kind(site.url)
    site.vendor = vendor
    preset = named(vendor.preset)
    name, title, key = LISTS[vendor.preset]
    settings = redirected(filled(preset, vendor.answers), site.url)
    secret = {"client_secret": "shh"}
    document = {
        "kind": "connection",
        "name": "cloud",
        "connector": preset.connector,
        "settings": {**settings, **secret},
    }
    connections.create(world.house, document, ADMIN)
    world.erp(PEOPLE)
    world.rule(
        left={"connection": "cloud", "object": name}, right={"connection": "erp", "object": "person"},
        key={"left": key, "right": "no"}, detect={"left": {"by": "cdc"}}, deletes={"detect": "event"},
        fields=[{"left": key, "right": "no"}, {"left": title, "right": "title"}],
        situations={"deleted_left": "delete"},
    )  # fmt: skip
    first = world.run()
    assert first.state == "succeeded", first.message
    assert people(world) == {k: row[title] for k, row in vendor.rows[name].items()}
    gone, other, *_ = vendor.rows[name]
    tell(vendor, name, gone, other, title)
    second = world.run()
    assert second.state == "succeeded", second.message
    assert {n: numbers(second)[n] for n in ("updated", "deleted")} == {"updated": 1, "deleted": 1}
    assert numbers(second)["read"] <= 2
    assert people(world) == {k: row[title] for k, row in vendor.rows[name].items()}
    vendor.rows[name][other][title] = "told of by nobody"
    vendor.forget(name)
    third = world.run()
    assert third.state == "succeeded", third.message
    assert numbers(third)["read"] == len(vendor.rows[name])
    assert people(world)[other] == "told of by nobody"


def tell(vendor: Vendor, name: str, gone: str, other: str, title: str) -> None:
    """Delete a record and change another one by the product's own means."""
    del vendor.rows[name][gone]
    vendor.rows[name][other][title] = "changed"
    if isinstance(vendor, Salesforce):
        vendor.tell(name, "DELETE", gone)
        vendor.tell(name, "UPDATE", other)
    else:
        assert isinstance(vendor, Microsoft365 | Dynamics365)
        vendor.deltas[name].removed([gone])
        vendor.deltas[name].changed([other])
