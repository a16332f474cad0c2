"""Records are validated when they are read: left out, parked or only noted, and every one of them is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import ADMIN, CUSTOMERS, numbers
from tests.runs.test_crash import Killed, dies
from webapp.runs import quarantine, validations
from webapp.runs.models import run_warning
from webapp.runs.pipeline import checked
from webapp.runs.pipeline.journal import Journal

GOOD_PHONE = {"name": "phone", "check": "phone.startsWith('+86')", "message": "Phones start with +86"}


def add(world, *rows: tuple[Any, ...]) -> None:
    """Add customers: number, name, phone."""
    if rows:
        world.crm("INSERT INTO customer VALUES (?, ?, ?, 'active', '2024-01-01')", *rows)


def reasons(world, run_id: int) -> dict[str, str]:
    return {r.row.left_key: str(r.reason) for r in world.records(run_id) if r.reason}


def shown(entry: quarantine.Entry) -> dict[str, Any]:
    return dict(json.loads(entry.record or "{}"))


def tallies(world, run_id: int) -> list[tuple[str, str, int, int]]:
    with world.house.db.read() as tx:
        return [(t.validation, t.severity, t.asked, t.failed) for t in validations.tallies(tx, run_id)]


def warned(world, run_id: int, name: str) -> list[str | None]:
    with world.house.db.read() as tx:
        return [w.left_key for w in validations.warnings(tx, run_id, name, limit=5000)]


def test_a_rejected_record_is_left_out_and_counted_with_its_reason(world):
    add(world, (1, "Ada", "+86 1"), (2, "Bea", "+49 2"))
    world.rule(validations=[{**GOOD_PHONE, "severity": "reject"}])
    done = world.run()
    assert numbers(done) == {"read": 2, "created": 1, "skipped": 1}
    (left_out,) = [r for r in world.records(done.id) if r.row.outcome == "skipped"]
    assert (left_out.row.situation, left_out.row.left_key) == ("rejected", "2")
    assert str(left_out.reason) == "Phones start with +86. Found: phone '+49 2'."
    assert world.clients() == [(1, "Ada", "+86 1")]
    assert tallies(world, done.id) == [("phone", "reject", 2, 1)]


def test_a_linked_record_that_is_rejected_stays_as_it_is(world):
    add(world, (1, "Ada", "+86 1"))
    world.rule(validations=[{**GOOD_PHONE, "severity": "reject"}])
    world.run()
    world.crm("UPDATE customer SET phone = '?', name = 'Eve'")
    assert numbers(world.run()) == {"read": 1, "skipped": 1}
    assert world.clients() == [(1, "Ada", "+86 1")]


def test_a_quarantined_record_is_parked_and_can_be_corrected_and_replayed(world):
    add(world, (1, "Ada", "+86 1"), (2, "Bea", "+49 2"))
    world.rule(validations=[GOOD_PHONE])
    assert numbers(world.run()) == {"read": 2, "created": 1, "quarantined": 1}
    with world.house.db.read() as tx:
        (entry,) = quarantine.listing(tx)
    assert (entry.stage, entry.field, entry.left_key) == ("validate", "phone", "2")
    quarantine.edit(world.house, entry.id, {**shown(entry), "phone": "+86 2"}, entry.version, ADMIN)
    again = quarantine.replay(world.house, "customers", [entry.id], ADMIN)
    world.work(again)
    assert numbers(world.look(again)) == {"read": 1, "created": 1}
    assert world.clients() == [(1, "Ada", "+86 1"), (2, "Bea", "+86 2")]


def test_a_warning_is_noted_and_the_record_written(world):
    add(world, (1, "Ada", "+86 1"), (2, "Bea", "+49 2"))
    world.rule(validations=[{**GOOD_PHONE, "severity": "warn"}])
    done = world.run()
    assert numbers(done) == {"read": 2, "created": 2}
    assert tallies(world, done.id) == [("phone", "warn", 2, 1)]
    with world.house.db.read() as tx:
        (warning,) = validations.warnings(tx, done.id, "phone")
    assert (warning.left_key, warning.record_no, warning.field) == ("2", 2, "phone")
    assert str(warning.message) == "Phones start with +86. Found: phone '+49 2'."


def test_warnings_are_listed_up_to_a_limit_and_counted_exactly(world, monkeypatch):
    monkeypatch.setattr(checked, "LISTED", 3)
    add(world, *((n, "Ada", "?") for n in range(1, 9)))
    world.rule(validations=[{**GOOD_PHONE, "severity": "warn"}])
    done = world.pages_of(2).run()
    assert tallies(world, done.id) == [("phone", "warn", 8, 8)]
    assert warned(world, done.id, "phone") == ["1", "2", "3"]
    with world.house.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(run_warning)) == 3


def test_records_out_of_scope_are_not_asked(world):
    add(world, (1, "Ada", "?"), (2, "Bea", "?"))
    world.rule(
        left={"connection": "crm", "object": "customer", "where": "name == 'Ada'"},
        validations=[{**GOOD_PHONE, "severity": "warn"}],
    )
    done = world.run()
    assert numbers(done) == {"read": 2, "created": 1, "skipped": 1}
    assert tallies(world, done.id) == [("phone", "warn", 1, 1)]


def test_doubles_are_found_over_pages_and_the_first_is_kept(world):
    add(world, (1, "Ada", "1"), (2, "Bea", "2"), (3, "Cid", "1"), (4, "Dan", None), (5, "Eva", None))
    world.rule(validations=[{"name": "once", "unique": ["phone"], "severity": "reject"}])
    done = world.pages_of(2).run()
    assert numbers(done) == {"read": 5, "created": 4, "skipped": 1}
    assert reasons(world, done.id) == {"3": "'once' is not met. The record '1' has the same phone. Found: phone '1'."}


def test_a_parked_double_stays_one_when_it_is_replayed_unchanged(world):
    add(world, (1, "Ada", "1"), (2, "Bea", "1"))
    world.rule(validations=[{"name": "once", "unique": ["phone"]}])
    world.run()
    for _ in range(2):
        with world.house.db.read() as tx:
            (entry,) = quarantine.listing(tx)
        again = quarantine.replay(world.house, "customers", [entry.id], ADMIN)
        world.work(again)
        assert numbers(world.look(again)) == {"read": 1, "quarantined": 1}
    with world.house.db.read() as tx:
        (entry,) = quarantine.listing(tx)
    quarantine.edit(world.house, entry.id, {**shown(entry), "phone": "2"}, entry.version, ADMIN)
    again = quarantine.replay(world.house, "customers", [entry.id], ADMIN)
    world.work(again)
    assert numbers(world.look(again)) == {"read": 1, "created": 1}


def test_records_that_are_replayed_together_are_doubles_of_each_other(world):
    add(world, (1, "Ada", "?"), (2, "Bea", "?"))
    world.rule(validations=[GOOD_PHONE, {"name": "once", "unique": ["phone"]}])
    world.run()
    with world.house.db.read() as tx:
        entries = quarantine.listing(tx)
    for entry in entries:
        quarantine.edit(world.house, entry.id, {**shown(entry), "phone": "+86 7"}, entry.version, ADMIN)
    again = quarantine.replay(world.house, "customers", [entry.id for entry in entries], ADMIN)
    world.work(again)
    assert numbers(world.look(again)) == {"read": 2, "created": 1, "quarantined": 1}


def reference(**keys: Any) -> dict[str, Any]:
    there = {"connection": "erp", "object": "area", "field": "status", "key": "code", **keys}
    return {"name": "area", "reference": there, "severity": "reject"}


@pytest.fixture
def areas(world):
    world.erp("CREATE TABLE area (code TEXT PRIMARY KEY, label TEXT)")
    world.erp("INSERT INTO area VALUES (?, ?)", ("active", "Active"))
    add(world, (1, "Ada", "1"), (2, "Bea", "2"), (3, "Cid", "3"))
    world.crm("UPDATE customer SET status = 'gone' WHERE id = 2")
    return world


def test_a_reference_has_to_exist_in_the_other_system(areas):
    areas.rule(validations=[reference()])
    done = areas.run()
    assert numbers(done) == {"read": 3, "created": 2, "skipped": 1}
    assert reasons(areas, done.id) == {"2": "'area' is not met. There is no record of area with code 'gone'."}


def test_each_value_of_a_reference_is_looked_up_once(areas, monkeypatch):
    asked: list[list[str]] = []
    lookup = SQLite.lookup

    def counted(self, name, schema, key, values):
        if name == "area":
            asked.append(values.to_list())
        return lookup(self, name, schema, key, values)

    monkeypatch.setattr(SQLite, "lookup", counted)
    areas.rule(validations=[reference()])
    areas.pages_of(1).run()
    assert asked == [["active"], ["gone"]]


def test_a_system_without_lookups_is_read_once(areas, monkeypatch):
    reads: list[str] = []
    read = SQLite.read

    def counted(self, request):
        if request.object == "area":
            reads.append(request.object)
        return read(self, request)

    monkeypatch.setattr(SQLite, "read", counted)
    able = replace(SQLite.spec, capabilities=replace(SQLite.spec.capabilities, lookup=False))
    monkeypatch.setattr(SQLite, "spec", able)
    areas.rule(validations=[reference()])
    assert numbers(areas.pages_of(1).run()) == {"read": 3, "created": 2, "skipped": 1}
    assert reads == ["area"]


def test_a_simulation_says_the_same_and_writes_nothing(areas):
    areas.rule(validations=[reference(), {**GOOD_PHONE, "severity": "warn"}])
    simulated = areas.run("simulate")
    assert not areas.clients()
    live = areas.run()
    assert numbers(simulated) == numbers(live)
    assert tallies(areas, simulated.id) == tallies(areas, live.id)
    assert reasons(areas, simulated.id) == reasons(areas, live.id)


RULES = [
    {"name": "once", "unique": ["phone"], "severity": "reject"},
    {"name": "named", "check": "name != null", "severity": "quarantine"},
    {"name": "long", "check": "size(name.orDefault('')) > 3", "severity": "warn"},
]
ROWS = [(1, "Ada", "1"), (2, None, "2"), (3, "Cornelia", "1"), (4, "Dan", "2"), (5, "Eva", "1"), (6, "Fay", "3")]


@pytest.mark.parametrize(
    ("owner", "name", "at", "before"),
    [
        (owner, name, at, before)
        for owner, name in ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"))
        for at in (1, 2, 3)
        for before in (True, False)
    ],
)
def test_a_run_that_is_killed_and_resumed_gives_the_same_verdicts(world, monkeypatch, owner, name, at, before):
    add(world, *ROWS)
    world.rule(validations=RULES)
    world.pages_of(2)
    undisturbed = world.run("simulate")
    run_id = world.request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift = timedelta(hours=1)
    assert world.work(run_id, "w2")
    done = world.look(run_id)
    assert (done.state, numbers(done)) == ("succeeded", numbers(undisturbed))
    assert tallies(world, run_id) == tallies(world, undisturbed.id)
    assert reasons(world, run_id) == reasons(world, undisturbed.id)
    assert warned(world, run_id, "long") == warned(world, undisturbed.id, "long")


CUSTOMER = st.tuples(st.sampled_from([None, "Ada", "Cornelia"]), st.sampled_from(["1", "2", "3", None]))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CUSTOMER, max_size=9), st.lists(st.sampled_from(["reject", "quarantine", "warn"]), min_size=3))
def test_the_numbers_add_up_whatever_the_validations_say(world, rows, severities):
    """Whatever is left out, parked or warned of: every record read has exactly one outcome."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS)
    add(world, *((n, *row) for n, row in enumerate(rows, 1)))
    items = [{**item, "severity": severity} for item, severity in zip(RULES, severities, strict=False)]
    world.rule(validations=items)
    done = world.pages_of(2).run("simulate")
    counts = done.counts
    parts = ("created", "updated", "unchanged", "skipped", "quarantined", "cases")
    assert counts["read"] == len(rows) == sum(counts[name] for name in parts)
    assert done.state == "succeeded"
    blocking = [t for t in tallies(world, done.id) if t[1] != "warn"]
    assert sum(t[3] for t in blocking) >= counts["quarantined"] + counts["skipped"] - sum(r[0] is None for r in rows)
