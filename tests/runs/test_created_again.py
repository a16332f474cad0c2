"""Systems that give new records their keys and keep no fence: what was created before a crash is found, not doubled."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from connectors.builtin import salesforce_changes
from connectors.builtin.rest_write import Writing
from connectors.builtin.salesforce import Salesforce
from connectors.builtin.salesforce_jobs import Jobs
from connectors.builtin.soap import Soap
from connectors.errors import Unavailable
from connectors.presets import filled, named
from rules.text import msg
from tests.presets import netsuite, salesforce
from tests.presets.server import Asked, Reply, Site, Vendor
from tests.presets.test_presets import redirected
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_crash import Killed, dies, sleeps
from webapp.connections import services as connections

NAMES = ["Ada", "Bea", "Cid", "Dan", "Eva", "Fay", "Gus"]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce_changes, "QUIET", 0.0)
    monkeypatch.setattr(time, "sleep", lambda _: None)


def target(world: World, site: Site, vendor: Vendor, places: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """Let a rule create customers in a product that makes the keys; return the product's records, by key."""
    name, title, phone = places
    site.vendor = vendor
    preset = named(vendor.preset)
    settings = {**redirected(filled(preset, vendor.answers), site.url), **more}
    document = {"kind": "connection", "name": "cloud", "connector": preset.connector, "settings": settings}
    connections.create(world.house, document, ADMIN)
    world.customers(*NAMES)
    vendor.rows[name].clear()
    world.rule(
        right={"connection": "cloud", "object": name},
        key={"left": "id", "right": next(o.key for o in preset.objects if o.name == name)},
        fields=[{"left": "name", "right": title}, {"left": "phone", "right": phone}],
    )
    world.pages_of(3)
    return vendor.rows[name]


def names(rows: dict[str, Any], title: str) -> Counter[str]:
    return Counter(row[title] for row in rows.values())


@pytest.mark.parametrize("bulk_from", [0, 2])
@pytest.mark.parametrize("point", ["within a chunk", "behind a chunk"])
def test_a_worker_dies_while_it_creates(
    world: World, site: Site, monkeypatch: pytest.MonkeyPatch, bulk_from: int, point: str
) -> None:
    """Another worker finds what the dead one has created, and creates the rest: each record is there once."""
    vendor = salesforce.Salesforce(site.url)
    rows = target(world, site, vendor, ("Account", "Name", "Phone"), bulk_from=bulk_from, concurrency=1,
                  client_secret="shh")  # fmt: skip
    run_id = world.request()
    with monkeypatch.context() as patch:
        if point == "behind a chunk":
            dies(patch, Salesforce, "write", at=2, before=False)
        elif bulk_from:
            dies(patch, Jobs, "ended", at=2, before=True)
        else:
            dies(patch, Writing, "_key", at=5, before=True)
        with pytest.raises(Killed):
            world.work(run_id)
    assert len(rows) >= (3 if bulk_from else 5)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    vendor.go_on()
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 7, "created": 7}), run.message
    assert names(rows, "Name") == Counter(NAMES)
    assert numbers(world.run()) == {"read": 7, "unchanged": 7}


@pytest.mark.parametrize("stored", [True, False])
def test_records_that_are_alike(world: World, site: Site, monkeypatch: pytest.MonkeyPatch, stored: bool) -> None:
    """Of two records that hold the same, one or both of which were there when an answer got lost, both are there."""
    vendor = salesforce.Salesforce(site.url)
    rows = target(world, site, vendor, ("Account", "Name", "Type"), bulk_from=0, concurrency=1, client_secret="shh")
    world.crm("UPDATE customer SET name = ?, phone = ? WHERE id < ?", ("Ada", "same", 3))
    answer, posts = vendor.answer, list[bytes]()

    def shaky(asked: Asked) -> Reply:
        posts.extend([asked.body] if asked.method == "POST" and "sobjects" in asked.path else [])
        if len(posts) == 2 and asked.body == posts[-1]:
            posts.append(b"")
            if stored:
                answer(asked)
            return Reply("upstream error", 503, kind="text/plain")
        return answer(asked)

    monkeypatch.setattr(vendor, "answer", shaky)
    run = world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 7, "created": 7}), run.message
    assert names(rows, "Name") == Counter(["Ada", "Ada", *NAMES[2:]])
    assert numbers(world.run()) == {"read": 7, "unchanged": 7}


def test_an_answer_is_lost(world: World, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not known whether records were created, they are looked for before they are sent again."""
    vendor = netsuite.NetSuite(site.url)
    rows = target(world, site, vendor, ("customers", "companyName", "phone"), secret="consumer-secret&token-secret")

    def lost() -> None:
        raise Unavailable(msg("The answer got lost."))

    with monkeypatch.context() as patch:
        sleeps(patch, Soap, "write", at=2, before=False, sleep=lost)
        run = world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 7, "created": 7}), run.message
    assert names(rows, "companyName") == Counter(NAMES)
    assert numbers(world.run()) == {"read": 7, "unchanged": 7}
