"""Approving and undoing on a PostgreSQL target: many types, keys that the database gives, workers that die."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa

from connectors.builtin.postgresql import PostgreSQL
from tests.runs.conftest import ADMIN, numbers
from tests.runs.test_crash import Killed, dies
from webapp.connections import services as connections
from webapp.runs.followups import approve, undo
from webapp.runs.pipeline.journal import Journal

CLIENTS = """
CREATE TABLE client (
  no INTEGER PRIMARY KEY, title VARCHAR(20) NOT NULL, tel TEXT, price NUMERIC(12, 4), at TIMESTAMPTZ, day DATE,
  clock TIME, body BYTEA, extra JSONB, flag BOOLEAN, ratio DOUBLE PRECISION, local TIMESTAMP
);
CREATE TABLE person (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code TEXT UNIQUE, title TEXT);
"""
FULL = """
INSERT INTO client SELECT n, 'old ' || n, NULL, 12345678.1234, '2024-02-29 12:00:00.123456+08', '2024-02-29',
  '23:59:59.5',
  '\\x00ff', '{"b": [1, 2.50], "a": null}', n % 2 = 0, 0.1, '2024-02-29 12:00'
  FROM generate_series(1, 6) n
"""


class Erp:
    """The target in PostgreSQL."""

    def __init__(self, world, url):
        self.world = world
        self.url = sa.make_url(url)
        self.sql(CLIENTS)
        u = self.url
        settings = {"host": u.host, "port": u.port, "database": u.database, "user": u.username}
        settings |= {"password": u.password} if u.password else {}
        document = {"kind": "connection", "name": "pg", "connector": "postgresql", "settings": settings}
        connections.create(world.house, document, ADMIN)

    def sql(self, statement):
        u = self.url
        with psycopg.connect(
            host=u.host, port=u.port, dbname=u.database, user=u.username, password=u.password
        ) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def clients(self):
        return self.sql("SELECT * FROM client ORDER BY no")

    def done(self, run_id):
        assert self.world.work(run_id)
        return self.world.look(run_id)


@pytest.fixture
def erp(world, postgres_url):
    erp = Erp(world, postgres_url)
    world.customers("Ada", "Bea", "Cid", "Dan", "Eva", "Fay", "Gus")
    return erp


def rule(world, target="client", **changes):
    left = {"connection": "crm", "object": "customer", "where": "status != 'draft'"}
    world.rule(
        left=left, right={"connection": "pg", "object": target}, situations={"out_of_scope": "delete"}, **changes
    )


def test_records_of_all_types_come_back_exactly(world, erp):
    """Deleted and updated records hold again what they held, in each type of the database."""
    rule(world)
    erp.sql(FULL)
    world.pages_of(3).run()
    before = erp.clients()
    world.crm("UPDATE customer SET status = 'draft' WHERE id IN (1, 2, 5)")
    world.crm("UPDATE customer SET name = 'New' WHERE id = 3")
    run = world.run()
    assert numbers(run) == {"read": 7, "updated": 1, "unchanged": 3, "skipped": 3, "deleted": 3}
    assert numbers(erp.done(undo(world.house, run.id, ADMIN))) == {"read": 4, "created": 3, "updated": 1}
    assert erp.clients() == before


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("what", ["approve", "undo"])
def test_a_worker_that_dies_around_the_commit_doubles_nothing(world, erp, monkeypatch, what, before):
    """Killed between the commit of PostgreSQL and ours, the run is finished by the next worker, exactly once."""
    rule(world)
    erp.sql(FULL)
    start = erp.clients()
    sim = world.pages_of(3).run("simulate")
    run_id = approve(world.house, sim.id, ADMIN)
    if what == "undo":
        erp.done(run_id)
        run_id = undo(world.house, run_id, ADMIN)
    with monkeypatch.context() as patch:
        dies(patch, Journal if before else PostgreSQL, "check_in" if before else "write", 2, before=before)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    run = erp.done(run_id)
    if what == "undo":
        assert numbers(run) == {"read": 7, "updated": 6, "skipped": 1, "deleted": 1}
        assert erp.clients() == start
    else:
        assert numbers(run) == {"read": 7, "created": 1, "updated": 6}
        assert [row[1] for row in erp.clients()] == ["Ada", "Bea", "Cid", "Dan", "Eva", "Fay", "Gus"]


def test_keys_that_the_database_gives(world, erp):
    """Created records are undone by the key they were given; a deleted one comes back under a new key, linked."""
    rule(
        world,
        "person",
        key={"left": "id", "right": "id"},
        fields=[{"right": "code", "to_right": "'c' + string(id)"}, {"left": "name", "right": "title"}],
        correlate=[{"match": [{"left": "phone", "right": "code"}], "confidence": 1.0}],
    )
    sim = world.run("simulate")
    run = erp.done(approve(world.house, sim.id, ADMIN))
    assert numbers(run) == {"read": 7, "created": 7}
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    deleted = world.run()
    erp.done(undo(world.house, deleted.id, ADMIN))
    (again,) = erp.sql("SELECT id, title FROM person WHERE code = 'c1'")
    assert (again[0] > 7, again[1]) == (True, "Ada")
    world.crm("UPDATE customer SET status = 'active' WHERE id = 1")
    assert numbers(world.run()) == {"read": 7, "unchanged": 7}
    undoing = erp.done(undo(world.house, run.id, ADMIN))
    assert numbers(undoing) == {"read": 7, "skipped": 7, "deleted": 6}
    assert erp.sql("SELECT code FROM person") == [("c1",)]
    (gone,) = [str(r.reason) for r in world.records(undoing.id) if r.reason]
    assert gone == "It is gone from pg › person."


def test_what_appears_as_a_partner_is_not_doubled(world, erp):
    """A record that fits by its match and has appeared since the simulation is not created a second time."""
    match = [{"match": [{"left": "phone", "right": "code"}], "confidence": 1.0}]
    fields = [{"left": "phone", "right": "code"}, {"left": "name", "right": "title"}]
    rule(world, "person", key={"left": "id", "right": "id"}, fields=fields, correlate=match)
    sim = world.run("simulate")
    erp.sql("INSERT INTO person (code, title) VALUES ('+86 3', 'Cid')")
    run = erp.done(approve(world.house, sim.id, ADMIN))
    assert numbers(run) == {"read": 7, "created": 6, "skipped": 1}
    assert len(erp.sql("SELECT * FROM person")) == 7
