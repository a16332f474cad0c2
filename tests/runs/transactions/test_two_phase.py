"""`transaction: two_phase` between PostgreSQL, MariaDB and the hub: a chunk arrives on both sides or on neither."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from connectors.builtin.mysql import MySQL
from connectors.builtin.mysql_two_phase import MySQLBranches
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.postgresql_two_phase import PostgreSQLBranches
from connectors.spi import Context, Fence, ReadRequest
from rules.schema import Change, Op
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_crash import Killed, dies, sleeps
from tests.runs.test_two_way_servers import ROWS, RULE, Two
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.entities.hub import hub_connector, register
from webapp.rulebook import services as rulebook
from webapp.rulebook.checking import check
from webapp.rulebook.errors import NotPublishable
from webapp.runs.models import installation
from webapp.runs.pipeline.journal import Journal
from webapp.runs.transactions import deciding, finishing, forcing, reading, recovery
from webapp.runs.transactions.models import global_transaction
from webapp.runs.transactions.states import BranchState


@pytest.fixture
def two(world: World, postgres_url: str, mariadb_url: str) -> Iterator[Two]:
    made = Two(world, postgres_url, mariadb_url)
    rulebook.save_draft(world.house, "customers", {**RULE, "transaction": "two_phase"}, ADMIN)
    rulebook.publish(world.house, "customers", ADMIN)
    yield made
    made.close()


def states(world: World) -> list[str]:
    with world.house.db.read() as tx:
        return list(tx.scalars(sa.select(global_transaction.c.state).order_by(global_transaction.c.id)))


def in_doubt(two: Two) -> list[Any]:
    found = two.sql("pg", "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
    return found + two.sql("my", "XA RECOVER")


def test_edits_of_both_sides_arrive_together(two: Two):
    """Creations, and updates of both sides of one record, go through transactions that all end committed."""
    two.put("pg", *ROWS)
    two.put("my", ("T2", "别名", "7", None, True, 2.5), ("T9", "Zoë", "0.5", "2000-02-29", True, -0.0))
    run = two.world.run()
    assert (run.state, run.counts["created"]) == ("succeeded", 3), str(run.message)
    two.sql("pg", "UPDATE person SET name = name || '!'")
    two.sql("my", "UPDATE partner SET amount = amount + 1")
    assert numbers(two.world.run())["updated"] == 4
    left, right = two.state()
    assert left == right
    assert set(states(two.world)) == {"committed"}
    assert in_doubt(two) == []
    assert numbers(two.world.run()) == {"read": 8, "unchanged": 8}


def test_a_record_that_one_side_refuses_is_written_to_neither(two: Two):
    """Both records of the refused pair keep their values and wait in the quarantine; all others arrive."""
    two.put("pg", *ROWS)
    two.world.run()
    two.sql("my", "ALTER TABLE partner ADD CONSTRAINT fine CHECK (title <> 'bad')")
    two.sql("pg", "UPDATE person SET name = CASE WHEN tax = 'T1' THEN 'bad' ELSE 'good' END")
    two.sql("my", "UPDATE partner SET amount = 5")
    run = two.world.run()
    assert (run.state, run.counts["quarantined"]) == ("succeeded", 2)
    assert two.sql("pg", "SELECT limit_ = 5 FROM person WHERE tax = 'T1'") == [(False,)]
    assert two.sql("pg", "SELECT count(*) FROM person WHERE limit_ = 5") == [(2,)]
    assert two.sql("my", "SELECT count(*) FROM partner WHERE title = 'good'") == [(2,)]
    assert "aborted" in states(two.world)
    assert in_doubt(two) == []


def test_a_refused_pair_is_not_half_written_when_the_worker_dies(two: Two):
    """Who finds that one side has taken the chunk does not write what the other one was spared."""
    two.put("pg", *ROWS)
    two.world.run()
    two.sql("my", "ALTER TABLE partner ADD CONSTRAINT fine CHECK (title <> 'bad')")
    two.sql("pg", "UPDATE person SET name = CASE WHEN tax = 'T1' THEN 'bad' ELSE 'good' END")
    two.sql("my", "UPDATE partner SET amount = 5 WHERE vat = 'T1'")
    run_id = two.world.request()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, Journal, "check_in", 1, before=True)
        with pytest.raises(Killed):
            two.world.work(run_id)
    two.world.shift += timedelta(seconds=two.world.house.settings.lease_seconds + 1)
    assert two.world.work(run_id, "w2")
    run = two.world.look(run_id)
    assert (run.state, run.counts["quarantined"]) == ("succeeded", 2)
    assert two.sql("pg", "SELECT limit_ = 5 FROM person WHERE tax = 'T1'") == [(False,)]
    assert two.sql("my", "SELECT count(*) FROM partner WHERE title = 'good'") == [(2,)]


POINTS = [
    (Journal, "plan"), (deciding, "begin"), (PostgreSQL, "write_prepared"), (MySQL, "write_prepared"),
    (PostgreSQLBranches, "prepare"), (MySQLBranches, "prepare"), (deciding, "commit"),
    (PostgreSQL, "commit_prepared"), (MySQL, "commit_prepared"), (finishing, "conclude"), (Journal, "check_in"),
    (Journal, "end"),
]  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("owner", "name"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_worker_that_dies_leaves_no_half(two: Two, owner: Any, name: str, before: bool):
    """Wherever the worker dies, recovery leaves both sides with all or nothing, and the next worker ends it."""
    two.put("pg", *ROWS)
    two.put("my", ("T8", "Yan", "7", None, True, 2.5), ("T9", "Zoë", "0.5", "2000-02-29", True, 0.25))
    two.world.run()
    two.sql("pg", "UPDATE person SET name = name || '!'")
    two.sql("my", "UPDATE partner SET amount = amount + 1")
    run_id = two.world.request()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, owner, name, 1, before)
        with pytest.raises(Killed):
            two.world.work(run_id)
    two.world.shift += timedelta(seconds=two.world.house.settings.lease_seconds + 1)
    assert recovery.recover(two.world.house) == 0
    recovery.sweep(two.world.house)
    assert in_doubt(two) == []
    one = two.sql("pg", "SELECT count(*) FROM person WHERE name LIKE '%%!'")[0][0]
    other = two.sql("my", "SELECT count(*) FROM partner WHERE title LIKE '%%!'")[0][0]
    moved = two.sql("pg", "SELECT count(*) FROM person WHERE limit_ IN (0.999999, 1, 8, 1.5, 12345678901235.123456)")
    assert (one, other, moved[0][0]) in ((5, 0, 0), (5, 5, 5))
    if two.world.look(run_id).state != "succeeded":
        assert two.world.work(run_id, "w2")
    assert two.world.look(run_id).state == "succeeded"
    left, right = two.state()
    assert left == right
    assert not {"created", "updated", "cases", "quarantined"} & set(numbers(two.world.run()))
    assert set(states(two.world)) <= {"committed", "aborted"}


PERSON = {
    "kind": "entity",
    "name": "member",
    "fields": [
        {"name": "tax", "type": "text", "unique": True, "required": True},
        {"name": "name", "type": "text"},
        {"name": "score", "type": "decimal"},
    ],
}
HUB_RULE = {
    **RULE,
    "transaction": "two_phase",
    "right": {"connection": "hub", "object": "member"},
    "key": {"left": "tax", "right": "tax"},
    "correlate": [],
    "fields": [
        {"left": "tax", "right": "tax"},
        {"left": "name", "right": "name"},
        {"left": "limit_", "right": "score"},
    ],
}


@pytest.fixture
def hubbed(two: Two) -> Two:
    register(two.world.house)
    entities.define(two.world.house, PERSON, ADMIN)
    rulebook.save_draft(two.world.house, "customers", HUB_RULE, ADMIN)
    rulebook.publish(two.world.house, "customers", ADMIN)
    return two


def members(two: Two) -> list[Any]:
    connector = hub_connector(two.world.house)({}, Context())
    request = ReadRequest("member", connector.schema("member"))
    rows = pl.concat([page.records for page in connector.read(request)]).select("tax", "name", "score").sort("tax")
    return [(tax, name, float(score)) for tax, name, score in rows.iter_rows()]


def edit(two: Two) -> None:
    """Change a name in PostgreSQL and a score in the hub, of the same records."""
    two.sql("pg", "UPDATE person SET name = name || '!'")
    connector = hub_connector(two.world.house)({}, Context())
    frame = pl.DataFrame({"tax": ["T1", "T2"], "score": ["5", "5"]}).cast({"score": pl.Decimal(38, 10)})
    connector.write("member", connector.schema("member"), [Change(Op.UPDATE, "tax", frame)])


@pytest.mark.parametrize("point", [(deciding, "commit"), (PostgreSQL, "write_prepared"), (finishing, "conclude")])
@pytest.mark.parametrize("before", [True, False])
def test_the_hub_is_written_with_the_decision(hubbed: Two, point: tuple[Any, str], before: bool):
    """The hub's part stands or falls with the decision row, on either kind of metadata database."""
    hubbed.put("pg", ("T1", "Ann", "1", None, True, 1.0), ("T2", "Bea", "2", None, True, 1.0))
    run = hubbed.world.run()
    assert (run.state, run.counts["created"]) == ("succeeded", 2), str(run.message)
    edit(hubbed)
    run_id = hubbed.world.request()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, *point, 1, before)
        with pytest.raises(Killed):
            hubbed.world.work(run_id)
    hubbed.world.shift += timedelta(seconds=hubbed.world.house.settings.lease_seconds + 1)
    assert recovery.recover(hubbed.world.house) == 0
    left = hubbed.sql("pg", "SELECT count(*) FROM person WHERE limit_ = 5")[0][0]
    right = sum(name.endswith("!") for _, name, _ in members(hubbed))
    assert (left, right) in ((0, 0), (2, 2))
    assert in_doubt(hubbed) == []
    assert hubbed.world.work(run_id, "w2")
    assert members(hubbed) == [("T1", "Ann!", 5.0), ("T2", "Bea!", 5.0)]


def test_a_pair_that_postgresql_refuses_is_not_written_to_the_hub(hubbed: Two):
    """The hub has nothing left to write then, and takes part all the same; the other pair arrives."""
    hubbed.put("pg", ("T1", "Ann", "1", None, True, 1.0), ("T2", "Bea", "2", None, True, 1.0))
    hubbed.world.run()
    hubbed.sql("pg", "ALTER TABLE person ADD CONSTRAINT fine CHECK (limit_ <> 5 OR tax <> 'T1')")
    edit(hubbed)
    hubbed.sql("pg", "UPDATE person SET name = 'Bea' WHERE tax = 'T2'")
    run = hubbed.world.run()
    assert (run.state, run.counts["quarantined"]) == ("succeeded", 2), str(run.message)
    assert hubbed.sql("pg", "SELECT tax, limit_ = 5 FROM person ORDER BY tax") == [("T1", False), ("T2", True)]
    assert [name for _, name, _ in members(hubbed)] == ["Ann", "Bea"]


def test_a_rule_whose_system_cannot_take_part_is_not_published(two: Two):
    """A file or SQLite cannot; the message says which connection and what can."""
    document = {**RULE, "transaction": "two_phase", "right": {"connection": "erp", "object": "client"}}
    rulebook.save_draft(two.world.house, "customers", document, ADMIN)
    with pytest.raises(NotPublishable) as found:
        rulebook.publish(two.world.house, "customers", ADMIN)
    assert "The connection 'erp' cannot take part in a two-phase commit" in str(found.value)
    settings = {**settings_of(two, "pg"), "own_table": False}
    connections.create(
        two.world.house, {"kind": "connection", "name": "pg2", "connector": "postgresql", "settings": settings}, ADMIN
    )
    asked = {**RULE, "transaction": "two_phase", "left": {"connection": "pg2", "object": "person"}}
    told = [str(problem.message) for problem in check(two.world.house, asked) if problem.path == "transaction"]
    assert ["pg2" in text for text in told] == [True]


def settings_of(two: Two, name: str) -> dict[str, Any]:
    url = two.engines[name].url
    named = {"host": url.host, "port": url.port, "database": url.database}
    return {**named, "user": url.username, "password": url.password or ""}


def test_what_a_sleeping_worker_prepares_late_is_swept_away(two: Two):
    """Its attempt was given up meanwhile: it cannot decide any more, and what it has prepared is rolled back."""
    two.put("pg", ("T1", "Ann", "1", None, True, 1.0))
    house, run_id = two.world.house, two.world.request()

    def taken_over() -> None:
        two.world.shift += timedelta(seconds=house.settings.lease_seconds + 1)
        assert recovery.recover(house) == 0

    with pytest.MonkeyPatch.context() as patch:
        sleeps(patch, MySQL, "write_prepared", 1, before=True, sleep=taken_over)
        two.world.work(run_id)
    recovery.sweep(house)
    assert in_doubt(two) == []
    assert two.world.look(run_id).state == "running"
    two.world.shift += timedelta(seconds=house.settings.lease_seconds + 1)
    assert two.world.work(run_id, "w2")
    assert [row[1] for row in two.state()[1]] == ["Ann"]


def test_what_nobody_knows_of_is_left_to_people(two: Two):
    """A prepared write of ours that nothing is stored of is shown, not touched; a person ends it and says why."""
    two.put("pg", ("T1", "Ann", "1", None, True, 1.0))
    two.world.run()
    house = two.world.house
    with house.db.read() as tx:
        prefix = deciding.prefix_of(str(tx.scalar(sa.select(installation.c.uid))))
    gid = f"{prefix}99.abcd:left"
    with PostgreSQL(settings_of(two, "pg"), Context()) as system:
        frame = pl.DataFrame({"tax": ["T7"]})
        system.write_prepared(
            "person", system.schema("person"), [Change(Op.CREATE, "tax", frame)], Fence("else", 1, 1, 1), gid
        )
    assert recovery.recover(house) == recovery.sweep(house) == 0
    (stray,) = reading.strays(house, reading.ask(house))
    assert (stray.connection, stray.found.gid, stray.known) == ("pg", gid, False)
    assert stray.found.locks == ("person", "syncline_fence")
    with pytest.raises(forcing.NotForced):
        forcing.end_stray(house, "pg", gid, " ", ADMIN, commit=True)
    forcing.end_stray(house, "pg", gid, "it was in the backup", ADMIN, commit=True)
    assert two.sql("pg", "SELECT tax FROM person ORDER BY tax") == [("T1",), ("T7",)]
    assert in_doubt(two) == []


def test_a_decision_against_which_somebody_has_acted_stays_in_sight(two: Two):
    """Rolled back by hand in one database, it is named as such and blocks the rule until somebody takes it for done."""
    two.put("pg", ("T1", "Ann", "1", None, True, 1.0))
    house, run_id = two.world.house, two.world.request()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, MySQL, "commit_prepared", 1, before=True)
        with pytest.raises(Killed):
            two.world.work(run_id)
    with MySQL(settings_of(two, "my"), Context()) as system:
        assert system.rollback_prepared(system.in_doubt("syncline:")[0].gid)
    two.world.shift += timedelta(seconds=house.settings.lease_seconds + 1)
    assert recovery.recover(house) == 1
    (shown,) = reading.listing(house)
    assert [branch.state for branch in shown.branches] == [BranchState.LOST]
    assert "somebody else has rolled it back" in str(shown.branches[0].problem)
    two.world.work(run_id, "w2")
    assert two.world.look(run_id).state == "failed"
    forcing.forget(house, shown.id, "right", "put in order by hand", ADMIN)
    assert reading.listing(house) == []


def test_what_was_put_in_order_by_hand_is_not_written_over(two: Two):
    """A part that is taken for done is looked at and not written again: what differs waits for the next comparison."""
    two.put("pg", ("T1", "Ann", "1", None, True, 1.0))
    two.world.run()
    two.sql("pg", "UPDATE person SET name = 'Anna'")
    two.sql("my", "UPDATE partner SET amount = 5")
    house, run_id = two.world.house, two.world.request()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, MySQL, "commit_prepared", 1, before=True)
        with pytest.raises(Killed):
            two.world.work(run_id)
    with MySQL(settings_of(two, "my"), Context()) as system:
        assert system.rollback_prepared(system.in_doubt("syncline:")[0].gid)
    two.sql("my", "UPDATE partner SET title = 'Anne'")
    two.world.shift += timedelta(seconds=house.settings.lease_seconds + 1)
    assert recovery.recover(house) == 1
    forcing.forget(house, reading.listing(house)[0].id, "right", "put in order by hand", ADMIN)
    with pytest.MonkeyPatch.context() as patch:
        written: list[Any] = []
        patch.setattr(MySQL, "write", lambda *_: written.append(1))
        dies(patch, Journal, "check_in", 1, before=False)
        with pytest.raises(Killed):
            two.world.work(run_id, "w2")
    assert written == []
    assert two.sql("my", "SELECT title FROM partner") == [("Anne",)]


def test_recovery_goes_on_behind_an_error_that_nobody_has_foreseen(world: World, monkeypatch: pytest.MonkeyPatch):
    """What is in doubt would stay locked for good if the thread that recovers it ended."""
    again, rounds = threading.Event(), list[int]()

    def recover(_: Any) -> int:
        rounds.append(1)
        if len(rounds) == 1:
            raise sa.exc.TimeoutError
        again.set()
        return 0

    monkeypatch.setattr(recovery, "recover", recover)
    recoverer = recovery.Recoverer(world.house, 0.01)
    recoverer.start()
    assert again.wait(30)
    recoverer.close()
