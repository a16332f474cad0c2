"""Values and settings of databases by which a rule that is pushed down could come to another end than any other."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from rules.documents import errors
from tests.runs import pushed
from tests.runs.conftest import ADMIN, numbers
from tests.runs.test_pushing import RULE, fill
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.rulebook.checking import check
from webapp.runs.models import run_record

TARGETS = ("one", "other")


@pytest.fixture
def postgresql(world, postgres_url):
    with pushed.postgresql(world, postgres_url) as ask:
        yield pushed.Story(world, ask, 1)


@pytest.fixture
def sqlite(world):
    with pushed.sqlite(world) as ask:
        yield pushed.Story(world, ask, 1)


def tables(story, source: str, target: str, *rows: tuple[Any, ...]) -> None:
    """Make a table `own` with rows, and two targets."""
    story.ask(f"CREATE TABLE own ({source})")
    for name in TARGETS:
        story.ask(f"CREATE TABLE {name} ({target})")
    for row in rows:
        story.ask(f"INSERT INTO own VALUES ({', '.join('?' * len(row))})", *row)


def both(story, *fields: dict[str, Any], source: str = "own") -> list[tuple[Any, ...]]:
    """Carry a rule out in both ways, which have to come to the same; return what a target holds then."""
    publish(story, *fields, source=source)
    ends = []
    for name in TARGETS:
        done = story.world.look(story.run(name))
        ends.append((done.state, str(done.message), numbers(done), story.held(name)))
    assert ends[0] == ends[1]
    assert ends[0][0] == "succeeded"
    return ends[0][3]


def publish(story, *fields: dict[str, Any], source: str = "own") -> None:
    """Publish a rule for each way."""
    for name, way in zip(TARGETS, ("pushdown", "worker"), strict=True):
        places = {"left": {"connection": "db", "object": source}, "right": {"connection": "db", "object": name}}
        rule = {**RULE, **places, "name": name, "execute": way, "fields": [RULE["fields"][0], *fields]}
        rulebook.create(story.world.house, rule, ADMIN)
        rulebook.publish(story.world.house, name, ADMIN)


def shown_by_both(story, *fields: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Simulate a rule in both ways, which have to show the same; return what is shown before and after, by key."""
    publish(story, *fields)
    query = sa.select(run_record.c.before, run_record.c.after).order_by(run_record.c.left_key)
    shown = []
    for name in TARGETS:
        run_id = story.run(name, "simulate")
        with story.world.house.db.read() as tx:
            shown.append([tuple(row) for row in tx.execute(query.where(run_record.c.run_id == run_id))])
    assert shown[0] == shown[1]
    return shown[0]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_sum_at_the_end_of_the_numbers(request, kind):
    """Two halves of what a whole number can be are no whole number any more: that record is parked."""
    story = request.getfixturevalue(kind)
    key = "BIGINT NOT NULL PRIMARY KEY"
    rows = enumerate((2**62, -(2**62), 2**62 - 1, 1), 1)
    tables(story, f"id {key}, big BIGINT", f"no {key}, amount BIGINT", *rows)
    assert len(both(story, {"right": "amount", "to_right": "big + big"})) == 3


def test_texts_of_several_collations(postgresql):
    """Keys and texts are compared by their characters, whatever collations both sides have."""
    source = 'id TEXT COLLATE "C" PRIMARY KEY, name TEXT COLLATE "POSIX", code TEXT COLLATE "C"'
    rows = [(key, key + "x", "x") for key in ("a", "B", "é", "李", "😀", "", " ", "A")]
    tables(postgresql, source, 'no TEXT COLLATE "POSIX" PRIMARY KEY, title TEXT COLLATE "C"', *rows)
    postgresql.ask("INSERT INTO one VALUES ('B', 'old')")
    postgresql.ask("INSERT INTO other VALUES ('B', 'old')")
    text = "name < code && !isBlank(name) ? name : (name.endsWith(code) ? name + code : code.trim())"
    assert len(both(postgresql, {"right": "title", "to_right": text})) == len(rows)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_text_that_is_not_there_is_blank(request, kind):
    """Like one of spaces only."""
    story = request.getfixturevalue(kind)
    tables(story, "id BIGINT NOT NULL PRIMARY KEY, name TEXT", "no BIGINT NOT NULL PRIMARY KEY, title TEXT", (1, None))
    assert "blank" in both(story, {"right": "title", "to_right": "isBlank(name) ? 'blank' : name"})[0][1]


@pytest.mark.parametrize("way", ["endsWith", "startsWith", "contains"])
def test_a_collation_that_takes_large_letters_for_small_ones(sqlite, way):
    """Parts of texts are looked for by their characters."""
    rows = [(1, "xAX", "ax"), (2, "AXx", "ax"), (3, "ax", "ax")]
    source = "id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, code TEXT COLLATE NOCASE"
    tables(sqlite, source, "no INTEGER PRIMARY KEY, title TEXT", *rows)
    held = both(sqlite, {"right": "title", "to_right": f"name.{way}(code) ? 'yes' : 'no'"})
    assert [row[1] for row in held] == ["'no'text", "'no'text", "'yes'text"]


def test_a_column_that_takes_texts_for_numbers(sqlite):
    """A text in a column of an own type is compared as a text."""
    rows = list(enumerate(("-x", "5x", "", None, "Z"), 1))
    tables(sqlite, "id INTEGER PRIMARY KEY, code STRING", "no INTEGER PRIMARY KEY, title TEXT", *rows)
    held = both(sqlite, {"right": "title", "to_right": "code != null && code < '5' ? 'less' : 'not'"})
    assert [row[1] for row in held] == ["'less'text", "'not'text", "'less'text", "'not'text", "'not'text"]


def test_an_infinite_number(sqlite):
    """It is parked, as it is by Syncline."""
    tables(sqlite, "id INTEGER PRIMARY KEY, rate REAL", "no INTEGER PRIMARY KEY, rate REAL", (1, 1e308), (2, 1e308))
    sqlite.ask("UPDATE own SET rate = 9e999 WHERE id = 2")
    assert len(both(sqlite, {"left": "rate", "right": "rate"})) == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_sign_of_zero(request, kind):
    """A zero that is negated has a sign, in what a simulation shows as well."""
    story = request.getfixturevalue(kind)
    key = "BIGINT NOT NULL PRIMARY KEY"
    rows = ((1, 0.0), (2, 2.5))
    tables(story, f"id {key}, rate DOUBLE PRECISION", f"no {key}, rate DOUBLE PRECISION", *rows)
    for name in TARGETS:
        for number, _ in rows:
            story.ask(f"INSERT INTO {name} VALUES (?, 1.0)", number)
    shown = shown_by_both(story, {"right": "rate", "to_right": "-rate"})
    assert [after for _, after in shown] == ['{"rate":-0.0}', '{"rate":-2.5}']


def test_a_number_beside_an_infinite_one(postgresql):
    """What a record held is shown as a number, whatever the records beside it hold."""
    key = "BIGINT NOT NULL PRIMARY KEY"
    rows = ((1, 1.0), (2, 2.0))
    tables(postgresql, f"id {key}, rate DOUBLE PRECISION", f"no {key}, rate DOUBLE PRECISION", *rows)
    for name in TARGETS:
        postgresql.ask(f"INSERT INTO {name} VALUES (1, 'infinity'), (2, 6.25)")
    shown = shown_by_both(postgresql, {"left": "rate", "right": "rate"})
    assert shown == [('{"rate":"inf"}', '{"rate":1.0}'), ('{"rate":6.25}', '{"rate":2.0}')]


def test_records_that_another_user_sees_are_not_pushed(postgresql, postgres_url):
    """With row level security the users of both connections may see different records, so the rule is refused."""
    fill(postgresql, "Ada")
    login = sa.make_url(postgres_url)
    settings = {"host": login.host, "port": login.port, "database": login.database, "user": login.username}
    settings |= {"options": {"role": "half_reader"}} | ({"password": login.password} if login.password else {})
    for statement in (
        "DROP ROLE IF EXISTS half_reader",
        "CREATE ROLE half_reader",
        "GRANT USAGE ON SCHEMA public TO half_reader",
        "GRANT SELECT ON src TO half_reader",
        "ALTER TABLE src ENABLE ROW LEVEL SECURITY",
    ):
        postgresql.ask(statement)
    document = {"kind": "connection", "name": "half", "connector": "postgresql", "settings": settings}
    connections.create(postgresql.world.house, document, ADMIN)
    try:
        rule = {**RULE, "left": {"connection": "half", "object": "src"}}
        told = [str(problem.message) for problem in errors(check(postgresql.world.house, rule))]
    finally:
        postgresql.ask("DROP OWNED BY half_reader")
        postgresql.ask("DROP ROLE half_reader")
    assert any("may see different records of 'src'" in text for text in told)


def test_a_database_that_lacks_characters_is_refused(world, postgres_url):
    """What a rule is made of may hold characters that an old encoding has none for."""
    login = sa.make_url(postgres_url)
    keywords = {"host": login.host, "port": login.port, "user": login.username, "password": login.password or ""}
    with psycopg.connect(**keywords, dbname=login.database, autocommit=True) as sql:
        sql.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            url = login.set(database="latin").render_as_string(hide_password=False)
            with pushed.postgresql(world, url):
                told = [str(problem.message) for problem in errors(check(world.house, RULE))]
        finally:
            sql.execute("DROP DATABASE latin WITH (FORCE)")
    assert any("encoding LATIN1" in text for text in told)
