"""`transaction: two_phase` between PostgreSQL, MariaDB and the hub: a chunk arrives on both sides or on neither."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin.mysql import MySQL
from connectors.builtin.mysql_two_phase import MySQLBranches
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.postgresql_two_phase import PostgreSQLBranches
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_crash import Killed, dies
from tests.runs.test_two_way_servers import ROWS, RULE, Two
from webapp.rulebook import services as rulebook
from webapp.runs.pipeline.journal import Journal
from webapp.runs.transactions import deciding, finishing, recovery
from webapp.runs.transactions.models import global_transaction


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
    """Both records of the refused pair keep their values and wait in the quarantine; all others arrive on both sides."""
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


POINTS = [
    (Journal, "plan"), (deciding, "begin"), (PostgreSQL, "write_prepared"), (MySQL, "write_prepared"),
    (PostgreSQLBranches, "prepare"), (MySQLBranches, "prepare"), (deciding, "commit"),
    (PostgreSQL, "commit_prepared"), (MySQL, "commit_prepared"), (finishing, "conclude"), (Journal, "check_in"),
    (Journal, "end"),
]  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("owner", "name"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_worker_that_dies_leaves_no_half(two: Two, owner: Any, name: str, before: bool):
    """Wherever the worker dies, recovery leaves both sides with all or nothing of the chunk, and the next one ends it."""
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
