"""The history of a record across systems and runs, each step with its proof."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, open_world
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.entities import services as entities
from webapp.entities.hub import register
from webapp.evidence import persons, trail
from webapp.evidence.notary import seal_due
from webapp.evidence.places import Place
from webapp.rulebook import services as rulebook
from webapp.runs.followups import undo
from webapp.runs.models import run_chunk, run_record
from webapp.runs.requests import start

PERSON = {
    "kind": "entity",
    "name": "person",
    "fields": [
        {"name": "no", "type": "integer", "unique": True},
        {"name": "name", "type": "text", "personal": True},
    ],
}
INTO = {
    "kind": "sync",
    "name": "people",
    "left": {"connection": "erp", "object": "client"},
    "right": {"connection": "hub", "object": "person"},
    "direction": "left_to_right",
    "key": {"left": "no", "right": "no"},
    "fields": [{"left": "no", "right": "no"}, {"left": "title", "right": "name"}],
}
CRM, HUB = Place("crm", "customer", "", "1"), Place("hub", "person", "id", "1")
EXPECTED = [
    ("created", "customers", 1, "erp", None),
    ("created", "people", 1, "hub", None),
    ("updated", "", None, "hub", {"name": "Ada Lovelace"}),
    ("updated", "customers", 2, "erp", {"title": "Adaline"}),
    ("updated", "customers", 2, "erp", {"title": "Ada"}),
]


@pytest.fixture(scope="module")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A record of CRM that went to ERP and on to Syncline, was corrected there, changed by a run, which was undone."""
    with open_world(tmp_path_factory.mktemp("trail") / "data") as world:
        register(world.house)
        entities.define(world.house, PERSON, ADMIN)
        world.customers("Ada", "Bea")
        world.rule()
        world.run()
        rulebook.create(world.house, INTO, ADMIN)
        rulebook.publish(world.house, "people", ADMIN)
        assert world.work(start(world.house, "people", "live", ADMIN))
        world.shift += timedelta(minutes=1)
        entities.change_record(world.house, entities.Edit("person", 1, {"name": "Ada Lovelace"}), ADMIN)
        world.shift += timedelta(minutes=1)
        world.crm("UPDATE customer SET name = 'Adaline' WHERE id = 1")
        world.rule(fields=[{"left": "id", "right": "no"}, {"left": "name", "right": "title"}])
        world.run("simulate")
        assert world.work(undo(world.house, world.run().id, ADMIN))
        seal_due(world.house)
        yield world


def told(found: trail.Trail) -> list[tuple[object, ...]]:
    return [
        (s.deed, s.rule, s.version, s.changes[0].place.connection, s.changes[0].after if s.deed == "updated" else None)
        for s in found.steps
    ]


@pytest.mark.parametrize("start_at", [CRM, Place("erp", "client", "no", "1"), HUB, "link"], ids=str)
def test_one_page_tells_the_whole_history_from_wherever_one_starts(travelled, start_at):
    """Two runs, a person's correction, a change and its undoing: in order, with rule and version, each one sealed."""
    first = trail.start_of_pair(travelled.house, "people", "right", "1") if start_at == "link" else [start_at]
    found = trail.of_record(travelled.house, first)
    assert told(found) == EXPECTED
    assert found.proven == len(EXPECTED)
    assert found.complete
    assert found.broken == []
    assert {(p.connection, p.key) for p in found.places} == {("crm", "1"), ("erp", "1"), ("hub", "1")}
    by_person = found.steps[2]
    assert (by_person.who, by_person.via, by_person.run) == (ADMIN.name, "user", None)
    assert found.steps[4].run.kind == "undo"
    assert found.steps[3].worker == "w1"


def test_another_record_has_a_history_of_its_own(travelled):
    """Nothing of the first record stands in that of the second, and nothing at all in that of one nobody has met."""
    found = trail.of_record(travelled.house, [Place("crm", "customer", "", "2")])
    assert [(step.deed, step.rule) for step in found.steps] == [("created", "customers"), ("created", "people")]
    assert trail.of_record(travelled.house, [Place("crm", "customer", "", "999")]).steps == []
    assert trail.start_of_pair(travelled.house, "nobody", "left", "1") == []


class Undone(Exception):
    """Ends a change that a test only tries."""


def of_run(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.run_id == 1


TAMPERED = {
    "records": (sa.update(run_chunk).where(of_run(run_chunk)).values(outcomes=b"gone"), "hold this record no more"),
    "list": (sa.update(run_record).where(of_run(run_record)).values(after='{"no": 1}'), "says something else"),
    "event": (
        sa.update(audit_event)
        .where(of_run(audit_event), audit_event.c.tag == Tag.RUN_CHUNK)
        .values(actor_name="nobody"),
        "was changed after it was sealed",
    ),
    "digest": (
        sa.update(run_chunk).where(of_run(run_chunk)).values(outcomes=sa.select(run_chunk.c.outcomes).where(
            run_chunk.c.run_id == 2).scalar_subquery()),
        "were changed",
    ),
    "removed": (sa.delete(audit_event).where(of_run(audit_event), audit_event.c.tag == Tag.RUN_CHUNK), ""),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_altered_is_named_at_its_step(travelled, how):
    """Stored records, the list of a run, an event, another run's records in place of its own, an event that is gone."""
    statement, said = TAMPERED[how]
    house = travelled.house
    with house.db.begin() as tx:
        kept = {t: tx.execute(sa.select(t)).mappings().all() for t in (run_chunk, run_record, audit_event)}
        tx.execute(statement)
    try:
        found = trail.of_record(house, [CRM])
    finally:
        with house.db.begin() as tx:
            for table, rows in kept.items():
                tx.execute(sa.delete(table))
                tx.execute(sa.insert(table), [dict(row) for row in rows])
    (step,) = found.broken
    assert step is found.steps[0]
    assert step.seal.state == ("missing" if how == "removed" else "broken")
    assert said in " ".join(str(check.claim) for check in step.seal.checks if not check.holds)
    assert trail.of_record(house, [CRM]).broken == []


def test_erasure_leaves_the_proof_and_takes_the_values(travelled):
    """A person's key is destroyed: the event stays sealed, and says that its values are gone; new steps wait first."""
    house = travelled.house
    entities.change_record(house, entities.Edit("person", 2, {"name": "Beatrice"}), ADMIN)
    place = Place("hub", "person", "id", "2")
    assert trail.of_record(house, [place]).steps[-1].seal.state == "waiting"
    seal_due(house)
    assert persons.erase(house, persons.Person("entity", "person", "2"), ADMIN)
    seal_due(house)
    (edited,) = [step for step in trail.of_record(house, [place]).steps if step.deed == "updated"]
    assert edited.seal.state == "sealed"
    assert "erased" in str(edited.seal.checks[-1].claim)
