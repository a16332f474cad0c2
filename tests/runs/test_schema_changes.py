"""The fields of a source or a target change in the middle of a run, between two pages.

The run goes on where that is possible, and ends with one sentence where it is not; never is a value written that the
record does not have, and what was written stays counted. Once the fields are as they were, the run is resumed and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers, open_world
from webapp.connections import services as connections
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import resume

RECORDS = 9
PAIRS = {"id": "no", "name": "title", "size": "tall"}
LEFT = "CREATE TABLE l (id bigint PRIMARY KEY, name text, size integer, note text)"
RIGHT = "CREATE TABLE r (no bigint, title text, tall integer, memo text)"


class Both:
    """Two tables of PostgreSQL, of which the right one has no unique key, and the rule between them."""

    def __init__(self, world: World, url: str, direction: str) -> None:
        self.world = world.pages_of(3)
        parsed = sa.make_url(url)
        self.login = {
            "host": parsed.host, "port": parsed.port, "dbname": parsed.database, "user": parsed.username,
            "password": parsed.password,
        }  # fmt: skip
        settings = {"database": parsed.database, **{k: v for k, v in self.login.items() if k != "dbname"}}
        document = {"kind": "connection", "name": "pg", "connector": "postgresql", "settings": settings}
        connections.create(world.house, document, ADMIN)
        self.sql(LEFT, RIGHT, f"INSERT INTO l SELECT n, 'n' || n, n, 'x' FROM generate_series(1, {RECORDS}) n")
        both = direction == "two_way"
        fields: list[dict[str, Any]] = [{"left": left, "right": right} for left, right in PAIRS.items()]
        world.rule(
            left={"connection": "pg", "object": "l"},
            right={"connection": "pg", "object": "r"},
            direction=direction,
            fields=[{**fields[0], **({"on": ["create"]} if both else {})}, *fields[1:]],
            deletes={"detect": "full_scan"},
            situations={"deleted_left": "delete"},
        )

    def sql(self, *statements: str) -> list[Any]:
        with psycopg.connect(**self.login) as db:
            found = [db.execute(statement) for statement in statements][-1]
            return found.fetchall() if found.description else []

    def rows(self) -> tuple[list[Any], list[Any]]:
        return (
            self.sql("SELECT id, name, size FROM l ORDER BY id"),
            self.sql("SELECT no, title, tall FROM r ORDER BY no"),
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a world on SQLite: nothing here depends on the metadata database."""
    with open_world(tmp_path / "data") as made:
        yield made


@pytest.fixture
def both(request: pytest.FixtureRequest, change: str, world: World, postgres_url: str) -> Both:
    """Return the tables with a rule that flows as the test says, else in turn one way and both ways."""
    known = list(HARMLESS) + list(BREAKING) + list(TYPES)
    asked = getattr(request, "param", None)
    return Both(world, postgres_url, asked or ["left_to_right", "two_way"][known.index(change) % 2])


def run_while(both: Both, monkeypatch: pytest.MonkeyPatch, *statements: str) -> int:
    """Run the rule, change the tables behind its first chunk, and return the number of the run."""
    run_id, check_in = both.world.request(), Journal.check_in

    def changes(self: Journal, chunk: Any, links: Any) -> Any:
        result = check_in(self, chunk, links)
        if chunk.no == 1:
            both.sql(*statements)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", changes)
        assert both.world.work(run_id)
    return run_id


HARMLESS = {
    "a field more in the source": ("ALTER TABLE l ADD COLUMN extra text DEFAULT 'x'",),
    "a field more in the target": ("ALTER TABLE r ADD COLUMN extra text DEFAULT 'x'",),
    "a field that the rule does not name goes": ("ALTER TABLE l DROP COLUMN note", "ALTER TABLE r DROP COLUMN memo"),
    "a wider type": ("ALTER TABLE l ALTER COLUMN size TYPE bigint", "ALTER TABLE r ALTER COLUMN tall TYPE bigint"),
    "another order of fields": (
        "ALTER TABLE l RENAME TO old",
        "CREATE TABLE l (size integer, note text, name text, id bigint PRIMARY KEY)",
        "INSERT INTO l SELECT size, note, name, id FROM old",
    ),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_changes_that_matter_to_nothing(both: Both, monkeypatch: pytest.MonkeyPatch, change: str):
    """The run ends as if nothing was, or fails and ends so when it is resumed."""
    run_id = run_while(both, monkeypatch, *HARMLESS[change])
    if both.world.look(run_id).state == "failed":
        resume(both.world.house, run_id, ADMIN)
        assert both.world.work(run_id, "w2")
    run = both.world.look(run_id)
    assert (run.state, run.counts["created"]) == ("succeeded", RECORDS), str(run.message)
    assert both.rows()[0] == both.rows()[1]
    assert len(both.rows()[1]) == RECORDS
    assert not {"created", "updated", "deleted"} & set(numbers(both.world.run()))


BREAKING = {
    "a field of the source goes": ("ALTER TABLE l DROP COLUMN size", "ALTER TABLE l ADD COLUMN size integer"),
    "a field of the target goes": ("ALTER TABLE r DROP COLUMN tall", "ALTER TABLE r ADD COLUMN tall integer"),
    "the source goes": ("ALTER TABLE l RENAME TO gone", "ALTER TABLE gone RENAME TO l"),
    "the target goes": ("ALTER TABLE r RENAME TO gone", "ALTER TABLE gone RENAME TO r"),
    "the key of the source gets another name": (
        "ALTER TABLE l RENAME COLUMN id TO other",
        "ALTER TABLE l RENAME COLUMN other TO id",
    ),
}


@pytest.mark.parametrize("both", ["left_to_right", "two_way"], indirect=True)
@pytest.mark.parametrize("change", BREAKING)
def test_changes_that_stop_a_run(both: Both, monkeypatch: pytest.MonkeyPatch, change: str):
    """The run stops and says what is gone; nothing is deleted, nothing emptied; it ends once the fields are back."""
    break_it, heal = BREAKING[change]
    run_id = run_while(both, monkeypatch, break_it)
    run = both.world.look(run_id)
    if "RENAME TO" in break_it:
        assert run.state == "failed"
        assert str(run.message).startswith("A table or view does not exist (any more).")
    else:
        side, name = break_it.split()[2], break_it.split()[5]
        text = "Undo the change and resume the run, or change the rule, publish it and start it anew."
        assert run.state == "suspended"
        assert str(run.message).startswith(f"'{name}' (")
        assert str(run.message).endswith(f") is gone from pg {side}. The run has stopped. {text}")
    assert (run.counts["deleted"], run.counts["updated"]) == (0, 0)
    both.sql(heal)
    if "field" in change:
        both.sql("UPDATE l SET size = id")
    resume(both.world.house, run_id, ADMIN)
    assert both.world.work(run_id, "w2")
    assert both.world.look(run_id).state == "succeeded", str(both.world.look(run_id).message)
    both.world.run()
    assert both.rows()[0] == both.rows()[1]
    assert len(both.rows()[1]) == RECORDS


TYPES = {
    "text in the source": "ALTER TABLE l ALTER COLUMN size TYPE text USING 'about ' || size",
    "text in the target": "ALTER TABLE r ALTER COLUMN tall TYPE text",
    "a date in the target": "ALTER TABLE r ALTER COLUMN tall TYPE date USING NULL",
    "smaller in the target": "ALTER TABLE r ALTER COLUMN title TYPE varchar(1) USING left(title, 1)",
}


@pytest.mark.parametrize("change", TYPES)
def test_another_type(both: Both, monkeypatch: pytest.MonkeyPatch, change: str):
    """A type that does not fit parks records or fails the run: no record is written with another value than it has."""
    run_id = run_while(both, monkeypatch, TYPES[change])
    run = both.world.look(run_id)
    assert run.state in ("failed", "suspended", "succeeded")
    assert "unexpected" not in str(run.message)
    assert run.counts["deleted"] == 0
    assert run.counts["read"] == sum(n for name, n in run.counts.items() if name not in ("read", "deleted"))
    numbers_there = [row[0] for row in both.sql("SELECT no FROM r ORDER BY no")]
    assert len(numbers_there) == len(set(numbers_there)) == run.counts["created"]
    wrong = "SELECT count(*) FROM r WHERE no > 3 AND (tall::text IS DISTINCT FROM no::text OR title <> 'n' || no)"
    assert both.sql(wrong) == [(0,)]
