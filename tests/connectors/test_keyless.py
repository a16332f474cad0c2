"""An object without a key is read on where it was left, whatever others have written before that place meanwhile."""

from __future__ import annotations

import ast
import gc
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from connectors.builtin.sqlite import SQLite
from connectors.errors import Fatal, Retriable
from connectors.spi import Connector, Context, Cursor, Page, Position, ReadRequest
from tests.connectors.databases import settings_of

Row = tuple[Any, ...]
Write = Callable[..., None]
LONG = "long " * 40_000
TITLES = (None, "", "a", "A", "a ", "ä", "客", "=", "x" * 59, "x" * 60, LONG, LONG + "A", LONG + "a")
NUMBERS = (None, -1, 0, 2, 10)
RATES = (None, 0.0, 1.0, 0.1, -1e300)
BY_NUMBER = Cursor("no", "title", -1)
READS = pytest.mark.parametrize("cursor", [None, BY_NUMBER], ids=["all", "by cursor"])
SIZES = pytest.mark.parametrize("size", [1, 2, 5])
TYPES = {
    "postgresql": "title text, no numeric, rate double precision, raw bytea",
    "mysql": "title longtext, no decimal(20, 2), rate double, raw longblob",
    "sqlite": "title text COLLATE NOCASE, no integer, rate real, raw blob",
}


@dataclass
class Place:
    """A system, and a way past it to its database."""

    name: str
    connector: Connector
    engine: sa.Engine

    def sql(self, *statements: str) -> None:
        with self.engine.begin() as db:
            for statement in statements:
                db.exec_driver_sql(statement)

    def table(self, name: str, columns: str) -> None:
        self.sql(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({columns})")

    def insert(self, rows: list[Row], name: str = "r") -> None:
        with self.engine.begin() as db:
            found = sa.Table(name, sa.MetaData(), autoload_with=db)
            for row in rows:
                db.execute(found.insert().values(row))

    def request(
        self, size: int, cursor: Cursor | None = None, after: Position | None = None, name: str = "r"
    ) -> ReadRequest:
        return ReadRequest(name, self.connector.schema(name), cursor, after, size)

    def rows(self, cursor: Cursor | None = None, name: str = "r") -> list[Row]:
        return rows_of(self.connector.read(self.request(1000, cursor, name=name)))

    def broken(
        self, cursor: Cursor | None, sizes: Callable[[], int], between: Callable[[list[Row]], None], name: str = "r"
    ) -> list[Row]:
        """Read each page by a read of its own, and let others write between two of them."""
        found: list[Row] = []
        after: Position | None = None
        for _ in range(200):
            page = first(self.connector, self.request(sizes(), cursor, after, name))
            if page.records.is_empty():
                return found
            found += page.records.rows()
            after = page.position
            between(found)
        raise AssertionError("it is read again and again")


@pytest.fixture(scope="module", params=["postgresql", "mysql", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    kind: Any = {"postgresql": PostgreSQL, "mysql": MySQL, "sqlite": SQLite}[request.param]
    if kind is SQLite:
        path: Path = tmp_path_factory.mktemp("keyless") / "data.db"
        path.touch()
        url, settings = f"sqlite:///{path}", {"path": path.name}
        context = Context(file_roots=(path.parent,))
    else:
        url = request.getfixturevalue("module_postgres_url" if kind is PostgreSQL else "module_mariadb_url")
        settings, context = settings_of(url), Context()
    engine = sa.create_engine(url)
    with kind(settings, context) as connector:
        yield Place(request.param, connector, engine)
    engine.dispose()


def first(connector: Connector, request: ReadRequest) -> Page:
    """Return a page of a read that goes no further."""
    reading = connector.read(request)
    page = next(reading)
    assert isinstance(reading, Generator)
    reading.close()
    return page


def rows_of(pages: Iterator[Page]) -> list[Row]:
    found: list[Row] = []
    for page in pages:
        assert not page.rejects
        found += page.records.rows()
    return found


def small(place: Place) -> list[Row]:
    """Make nine records, two of which are the same and three of which have no number; return how they are read."""
    place.table("r", "title varchar(9), no bigint")
    titles = [("a", None), ("b", None), ("c", None), ("n1", 1), ("n2", 2), ("n2", 2), ("n3", 3), ("n4", 4), ("n5", 5)]
    place.insert(titles)
    return titles


@READS
@SIZES
def test_what_was_read_is_deleted(place: Place, size: int, cursor: Cursor | None) -> None:
    """Records that were read are deleted while the read rests: all others are read, each once."""
    whole = small(place)

    def clear(found: list[Row]) -> None:
        if len(found) >= 4:
            place.sql("DELETE FROM r WHERE no = 1 OR no IS NULL")

    assert place.broken(cursor, lambda: size, clear) == whole


@READS
@SIZES
def test_what_is_new_before_the_place(place: Place, size: int, cursor: Cursor | None) -> None:
    """Records that come in before the place of reading make none come again."""
    whole = small(place)

    def fill(found: list[Row]) -> None:
        if len(found) >= 4:
            place.insert([("A", None), ("A", -1)])

    assert place.broken(cursor, lambda: size, fill) == whole


@READS
@SIZES
def test_what_changes_behind_the_place(place: Place, size: int, cursor: Cursor | None) -> None:
    """Records behind the place of reading that are updated, deleted or new are read as they are then."""
    whole, done = small(place), list[list[Row]]()

    def change(found: list[Row]) -> None:
        if len(found) >= 3 and not done:
            place.sql("UPDATE r SET title = 'n3*' WHERE no = 3", "DELETE FROM r WHERE no = 4")
            place.insert([("n6", 6)])
            done.append(found[:])

    found = place.broken(cursor, lambda: size, change)
    rest = [("n3*", 3) if row == ("n3", 3) else row for row in [*whole, ("n6", 6)] if row != ("n4", 4)]
    if ("n4", 4) in done[0] or ("n3", 3) in done[0]:  # the first page reaches as far
        rest = done[0] + [row for row in rest if row not in done[0]]
    assert found == rest


@READS
def test_the_same_record_many_times(place: Place, cursor: Cursor | None) -> None:
    """Of records that are the same so many are given as there are, though their number changes at the place."""
    for more, fewer, expected in ((0, 0, 6), (2, 0, 8), (0, 2, 6), (0, 5, 4)):
        place.table("r", "title varchar(9), no bigint")
        place.insert([("same", 7)] * 6 + [("z", 8)])
        done: list[int] = []

        def change(found: list[Row], more: int = more, fewer: int = fewer, done: list[int] = done) -> None:
            if found.count(("same", 7)) == 4 and not done:
                done.append(1)
                place.table("r", "title varchar(9), no bigint")
                place.insert([("same", 7)] * (6 + more - fewer) + [("z", 8)])

        found = place.broken(cursor, lambda: 2, change)
        assert found == [("same", 7)] * (expected if fewer < 2 else 4) + [("z", 8)]


@READS
@pytest.mark.parametrize("seed", range(3))
def test_any_values_in_any_sizes(place: Place, seed: int, cursor: Cursor | None) -> None:
    """Nulls, texts that differ in case or far behind only, and whole rows that repeat are all read, once each.

    Meanwhile records that were read are deleted and come again, and the size of pages changes.
    """
    dice = random.Random(seed)
    place.table("r", TYPES[place.name])
    rows: list[Row] = [
        (dice.choice(TITLES), dice.choice(NUMBERS), dice.choice(RATES), dice.choice((None, b"", b"\x00", b"\xff" * 99)))
        for _ in range(40)
    ]
    place.insert(rows + rows[:9])
    whole = place.rows(cursor)
    assert Counter(map(plain, whole)) == Counter(map(plain, rows + rows[:9]))

    def disturb(found: list[Row]) -> None:
        for no in {row[1] for row in found} - {row[1] for row in whole[len(found) :]}:
            place.sql(f"DELETE FROM r WHERE no {'IS NULL' if no is None else f'= {no}'}")

    assert place.broken(cursor, lambda: dice.randrange(1, 9), disturb) == whole


def plain(row: Row) -> Row:
    """Return a row with numbers that compare, whatever their type."""
    return tuple(float(value) if isinstance(value, int) or hasattr(value, "quantize") else value for value in row)


def test_many_columns(place: Place) -> None:
    """Records that differ in one of very many columns only are told apart, and positions stay small."""
    names = [f"c{number}" for number in range(60)]
    place.table("r", ", ".join(f"{name} integer" for name in names))
    rows = [tuple(1 if number == at else None for number in range(60)) for at in (0, 15, 16, 17, 58, 59)]
    moved = tuple(11 if number == 20 else None for number in range(60))
    apart = tuple(1 if number in {20, 21} else None for number in range(60))
    place.insert([*rows, moved, apart, moved])
    whole = place.rows()
    assert Counter(whole) == Counter([*rows, moved, apart, moved])
    page = first(place.connector, place.request(8))
    assert len(str(page.position)) < 3000
    assert place.broken(None, lambda: 2, lambda _: None) == whole


# the drivers' own cursors mourn a connection that was lost
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_is_lost(place: Place) -> None:
    """A read that breaks off within a pass is one to try again, and goes on behind its last page."""
    if place.name != "postgresql":
        pytest.skip("the driver has read ahead, or there is no connection to lose")
    place.table("r", "title varchar(2000), no bigint")
    place.insert([("x" * 2000, number // 2) for number in range(1500)])
    lost = (
        "pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    reading = place.connector.read(place.request(10))
    page = next(reading)
    place.sql(f"SELECT {lost}")
    pages = [page]
    with pytest.raises(Retriable):
        pages.extend(reading)
    del reading
    gc.collect()  # within this test, which knows of it
    found = [row for page in pages for row in page.records.rows()]
    found += rows_of(place.connector.read(place.request(1000, after=pages[-1].position)))
    assert Counter(found) == Counter(place.rows())


def test_a_place_of_other_fields(place: Place) -> None:
    """A read does not go on where the fields that sort the records are not the same any more."""
    small(place)
    after = first(place.connector, place.request(2)).position
    place.sql("ALTER TABLE r ADD COLUMN more integer")
    with pytest.raises(Fatal, match="'r' have changed"):
        first(place.connector, place.request(2, after=after))


def test_positions_are_small(place: Place) -> None:
    """A position holds no long values."""
    place.table("r", TYPES[place.name])
    place.insert([(LONG, 1, 0.5, b"\xff" * 100_000)])
    page = first(place.connector, place.request(1))
    assert page.records.rows()[0][0] == LONG
    assert len(str(page.position)) < 1000


def test_equal_values_of_different_forms(place: Place) -> None:
    """Values that a database takes for equal, but that are read as different ones, are not taken for one another."""
    if place.name != "postgresql":
        pytest.skip("the others keep each value in one form only")
    place.table("r", "n numeric, j jsonb, x double precision, t text")
    place.sql(
        "INSERT INTO r SELECT v.* FROM (VALUES (1.0, '1.0'::jsonb, 0::float8, 'a'), (1.00, '1.00', '-0', 'a'),"
        " (1.00, '1.0', '-0', 'A'), ('NaN', '2', 'NaN', 'A')) v, generate_series(1, 3)"
    )
    for cursor in (None, Cursor("x", "n"), Cursor("n", "x")):
        schema, after, places = place.connector.schema("r"), None, list[str]()
        for _ in range(12):
            page = first(place.connector, ReadRequest("r", schema, cursor, after, 1))
            after = page.position
            places.append(str(after))
        assert len(set(places)) == 12
        assert first(place.connector, ReadRequest("r", schema, cursor, after, 1)).records.is_empty()
        forms = Counter(str(ast.literal_eval(text)["values"][-4:]) for text in places)
        assert set(forms.values()) == {3}


def test_sqlite_values_of_any_type(tmp_path: Path) -> None:
    """In SQLite a text, a number and bytes of the same digits are told apart, as are texts behind a zero."""
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE r (v)")
        values = [1, 1.0, "1", b"1", "a\0b", "a\0c", "a", None, 0.1 + 0.2, 0.3, "x" * 99, b"x" * 99]
        for value in values * 2:
            db.execute("INSERT INTO r VALUES (?)", (value,))
    db.close()
    with SQLite({"path": "data.db"}, Context(file_roots=(tmp_path,))) as source:
        schema, after, places = source.schema("r"), None, list[str]()
        for _ in range(len(values) * 2):
            page = first(source, ReadRequest("r", schema, None, after, 1))
            after = page.position
            places.append(str(after))
        assert len(set(places)) == len(values) * 2
        assert list(source.read(ReadRequest("r", schema, None, after, 1)))[-1].records.is_empty()
