"""A field that a rule uses goes, or gets another type, between two runs: the run stops and says what to do.

It does so whatever the field is used for, whoever carries it out (a worker that has run the rule before keeps it parsed
and compiled) and whatever the run before has read; once the field is back, the run goes on where it has stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rules.documents import parse
from tests.runs.conftest import ADMIN, World, open_world
from webapp.runs import followups, requests, verification
from webapp.runs.pipeline import compiled
from webapp.runs.requests import resume

CUSTOMERS = (
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, town TEXT, status TEXT, mail TEXT,"
    " changed TEXT, vat TEXT)"
)
CLIENTS = (
    "CREATE TABLE client (no INTEGER PRIMARY KEY, title TEXT, tel TEXT, place TEXT, state TEXT, post TEXT, seen TEXT,"
    " tax TEXT)"
)
SOURCE = {
    "a mapped field": "phone",
    "a field of an expression": "town",
    "a field of the scope": "status",
    "a field of a validation": "mail",
    "the cursor": "changed",
    "a field that finds partners": "vat",
    "the key": "id",
}
TARGET = {
    "a mapped field": "tel",
    "a field of an expression": "place",
    "the cursor": "seen",
    "a field that finds partners": "tax",
    "the key": "no",
}
PLACES = [("left", use, name) for use, name in SOURCE.items()] + [("right", use, name) for use, name in TARGET.items()]
NAMES = {"left": ("customer", "crm"), "right": ("client", "erp")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a world on SQLite: nothing here depends on the metadata database."""
    with open_world(tmp_path / "data") as made:
        made.crm("DROP TABLE customer")
        made.erp("DROP TABLE client")
        made.crm(CUSTOMERS)
        made.erp(CLIENTS)
        for number in (1, 2, 3):
            made.crm(f"INSERT INTO customer VALUES ({number}, 'n', '1', 't', 'active', 'a@b', '{number}', 'v{number}')")
        yield made


def publish(world: World, direction: str, **changes: Any) -> None:
    """Publish the rule, which uses each field for something else."""
    both = direction == "two_way"
    cursors = {"left": {"by": "cursor", "field": "changed", "tie": "id"}}
    town: dict[str, Any] = {"left": "town", "right": "place", "to_right": "town + ''"}
    document: dict[str, Any] = {
        "left": {"connection": "crm", "object": "customer", "where": "status == 'active'"},
        "direction": direction,
        "detect": cursors | ({"right": {"by": "cursor", "field": "seen", "tie": "no"}} if both else {}),
        "correlate": [{"match": [{"left": "vat", "right": "tax"}]}],
        "fields": [
            {"left": "id", "right": "no"} | ({"on": ["create"]} if both else {}),
            {"left": "phone", "right": "tel"},
            town | ({"to_left": "place + ''"} if both else {}),
            {"left": "vat", "right": "tax"},
        ],
        "validations": [{"name": "mail", "check": "mail.contains('@')"}],
    }
    world.rule(**{**document, **changes})


def gone(world: World, side: str, name: str) -> None:
    table, system = NAMES[side]
    getattr(world, system)(f"ALTER TABLE {table} RENAME COLUMN {name} TO was_{name}")


def back(world: World, side: str, name: str) -> None:
    table, system = NAMES[side]
    getattr(world, system)(f"ALTER TABLE {table} RENAME COLUMN was_{name} TO {name}")


def forget() -> None:
    """Be a worker that has not run the rule."""
    compiled._kept.clear()
    parse._parsed.cache_clear()


def stopped(world: World, run_id: int, side: str, name: str) -> None:
    """See that the run is suspended with a sentence about the field, and ends once the field is back."""
    run = world.look(run_id)
    told = str(run.message)
    table, system = NAMES[side]
    assert run.state == "suspended", (run.state, told)
    assert f"'{name}'" in told, told
    assert table in told, told
    assert system in told, told
    assert "publish" in told, told
    assert "resume" in told, told
    back(world, side, name)
    resume(world.house, run_id, ADMIN)
    assert world.work(run_id, "w2")
    ended = world.look(run_id)
    assert ended.state == "succeeded", str(ended.message)
    assert len(world.erp("SELECT * FROM client")) == 3


CASES = [
    (direction, *place)
    for direction in ("left_to_right", "two_way")
    for place in PLACES
    if direction == "two_way" or place[0] == "left" or place[1] != "the cursor"
]
NAMED = [f"{direction}, {side}, {use}" for direction, side, use, _ in CASES]


@pytest.mark.parametrize(("direction", "side", "use", "name"), CASES, ids=NAMED)
def test_behind_runs_of_the_rule(world: World, direction: str, side: str, use: str, name: str):
    """The runs before have noted the fields; in turn the worker has carried them out, or is another one."""
    publish(world, direction)
    first = world.run()
    assert first.state == "succeeded", str(first.message)
    gone(world, side, name)
    if len(use) % 2:
        forget()
    run_id = world.request()
    assert world.work(run_id)
    stopped(world, run_id, side, name)


@pytest.mark.parametrize(("direction", "side", "use", "name"), CASES[::2], ids=NAMED[::2])
def test_before_the_first_run(world: World, direction: str, side: str, use: str, name: str):
    """No run of the version has noted the fields: the rule itself names them."""
    publish(world, direction)
    gone(world, side, name)
    run_id = world.request()
    assert world.work(run_id)
    stopped(world, run_id, side, name)


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("explain", [True, False])
def test_behind_a_run_without_records(world: World, direction: str, explain: bool):
    """A run that has found nothing to do has seen the fields all the same."""
    world.crm("DELETE FROM customer")
    publish(world, direction, explain=explain)
    assert world.run().counts["read"] == 0
    world.crm("ALTER TABLE customer RENAME COLUMN phone TO was_phone")
    run = world.run()
    assert run.state == "suspended"
    assert str(run.message).startswith("'phone' (text) is gone from crm customer. The run has stopped.")


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_behind_its_own_first_chunk(world: World, direction: str):
    """A run that is resumed, or that is about single records, looks at the fields as well."""
    publish(world, direction, validations=[])
    world.run()
    with world.house.db.begin() as tx:
        run_id = requests.records(world.house, "customers", [{"side": "left", "key": "1"}], ADMIN, tx)
    gone(world, "left", "changed")
    assert world.work(run_id)
    stopped(world, run_id, "left", "changed")


@pytest.mark.parametrize("kind", ["verify", "undo"])
@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("name", ["changed", "phone"])
def test_runs_about_what_is_stored(world: World, kind: str, direction: str, name: str):
    """Comparing both sides and undoing a run need the fields of the rule too."""
    publish(world, direction)
    done = world.run()
    if kind == "verify":
        run_id = verification.request(world.house, "customers", ADMIN)
    else:
        run_id = followups.undo(world.house, done.id, ADMIN)
    gone(world, "left", name)
    assert world.work(run_id)
    run = world.look(run_id)
    assert run.state == "suspended", (run.state, str(run.message))
    assert f"There is no field '{name}' in crm customer." in str(run.message)
    back(world, "left", name)
    resume(world.house, run_id, ADMIN)
    assert world.work(run_id, "w2")
    assert world.look(run_id).state == "succeeded"


TOMBSTONE = {"deletes": {"detect": "tombstone", "when": "name == 'gone'"}, "situations": {"deleted_left": "delete"}}
UNIQUE = {"validations": [{"name": "once", "unique": ["name"], "severity": "warn"}]}
WHEN = {"fields": [{"left": "id", "right": "no"}, {"left": "phone", "right": "tel", "when": "name != ''"}]}
REFERENCE = {
    "validations": [
        {"name": "known", "reference": {"connection": "crm", "object": "customer", "field": "name", "key": "name"}}
    ]
}


@pytest.mark.parametrize("use", [TOMBSTONE, UNIQUE, WHEN, REFERENCE], ids=["tombstone", "unique", "when", "reference"])
@pytest.mark.parametrize("ran", [True, False])
def test_other_places_that_name_a_field(world: World, use: dict[str, Any], ran: bool):
    """The mark of deleted records, what must be unique or known elsewhere, the condition of a field pair."""
    publish(world, "left_to_right", detect={"left": {"by": "full"}}, **use)
    if ran:
        first = world.run()
        assert first.state == "succeeded", str(first.message)
    gone(world, "left", "name")
    run_id = world.request()
    assert world.work(run_id)
    stopped(world, run_id, "left", "name")


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("policy", ["quarantine", "suspend"])
@pytest.mark.parametrize(("side", "name"), [("left", "town"), ("right", "place"), ("left", "mail"), ("left", "phone")])
def test_another_type(world: World, direction: str, policy: str, side: str, name: str):
    """The run stops where the rule says so, or cannot be compiled; else records are mapped or parked."""
    publish(world, direction, drift={"type_change": policy})
    world.run()
    table, system = NAMES[side]
    sql = getattr(world, system)
    sql(f"ALTER TABLE {table} RENAME COLUMN {name} TO was_{name}")
    sql(f"ALTER TABLE {table} ADD COLUMN {name} INTEGER")
    run_id = world.request()
    assert world.work(run_id)
    run = world.look(run_id)
    told = str(run.message)
    fits = policy == "quarantine" and (name == "phone" or (name == "place" and direction == "left_to_right"))
    if fits:
        assert run.state == "succeeded", told
        assert run.counts["read"] == sum(n for what, n in run.counts.items() if what not in ("read", "deleted"))
        return
    assert run.state == "suspended", (run.state, told)
    assert f"'{name}' of {system} {table} was text and is integer now." in told
    assert "publish" in told
    sql(f"ALTER TABLE {table} DROP COLUMN {name}")
    back(world, side, name)
    resume(world.house, run_id, ADMIN)
    assert world.work(run_id, "w2")
    assert world.look(run_id).state == "succeeded"
