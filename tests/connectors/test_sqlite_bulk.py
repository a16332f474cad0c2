"""Records written from a stage, row by row and one by one are the same, and so are the reasons of those refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import database_read, sqlite_write
from connectors.builtin.database_types import Column
from connectors.builtin.database_write import Writer
from connectors.builtin.sqlite import SQLite
from connectors.builtin.sqlite_values import decoded, plain
from connectors.errors import ObjectMissing
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Field, FieldType, Op
from tests.connectors import test_database_round_trip as round_trip
from tests.connectors import test_sqlite
from tests.connectors.databases import everything, rows, run

NEVER = 10**9
WAYS = ("one by one", "row by row", "staged")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLite]:
    """A table with a column of each type."""
    folder = tmp_path_factory.mktemp("sqlite")
    (folder / "any.db").touch()
    round_trip.create(f"sqlite:///{folder / 'any.db'}", test_sqlite.NATIVE)
    with SQLite({"path": "any.db"}, Context(file_roots=(folder,))) as source:
        yield source


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "data.db").touch()
    return f"sqlite:///{tmp_path / 'data.db'}"


@pytest.fixture
def source(tmp_path: Path, url: str) -> Iterator[SQLite]:
    """The connector on an empty file."""
    with SQLite({"path": "data.db"}, Context(file_roots=(tmp_path,))) as source:
        yield source


@contextlib.contextmanager
def writing(way: str) -> Iterator[None]:
    """Write and read in one of the ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_write, "_STAGED", 1 if way == "staged" else NEVER)
        patch.setattr(database_read, "BULK", NEVER if way == "one by one" else 1)
        if way == "one by one":
            patch.setattr(sqlite_write.SQLiteLoader, "create_each", lambda *_: None)
        yield


def written(source: SQLite, url: str, statements: list[str], records: pl.DataFrame) -> list[Any]:
    """Create records in each way; return the reasons and the rows of each."""
    found = []
    for way in WAYS:
        run(url, "DROP TABLE IF EXISTS t", *statements)
        with writing(way):
            failures = source.write("t", source.schema("t"), [Change(Op.CREATE, "id", records)]).failures
        reasons = [(failure.row, failure.field, str(failure.message)) for failure in failures]
        found.append((reasons, rows(url, "SELECT *, typeof(v) FROM t ORDER BY id")))
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(round_trip.record, min_size=1, max_size=8))
def test_any_records_are_the_same(filled: SQLite, data: list[dict[str, object]]) -> None:
    """All ways refuse the same and keep the same values with the same types, and read them alike."""
    schema, found = filled.schema("t"), []
    frame = pl.DataFrame([{"id": i, **record} for i, record in enumerate(data)], schema=schema.dtypes())
    kinds = ", ".join(f"typeof({name}), quote({name})" for name in schema.names)
    for way in WAYS:
        with writing(way):
            with filled.transaction() as connection:
                connection.exec_driver_sql("DELETE FROM t")
            failures = filled.write("t", schema, [Change(Op.CREATE, "id", frame)]).failures
            with filled.session() as connection:
                kept = connection.exec_driver_sql(f"SELECT {kinds} FROM t ORDER BY id").fetchall()
            reasons = [(failure.row, failure.field, str(failure.message)) for failure in failures]
            found.append((reasons, kept, [repr(row) for row in everything(filled, "t").rows()]))
    assert found[0] == found[1] == found[2]


def test_the_reasons_are_those_of_single_statements(source: SQLite, url: str) -> None:
    """Each kind of bad value is refused in the same words, and all others are written."""
    run(url, "CREATE TABLE parents (id INTEGER PRIMARY KEY)", "INSERT INTO parents VALUES (1)")
    table = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, parent INT REFERENCES parents, code TEXT UNIQUE, v STRING,"
        " age INT CONSTRAINT grown CHECK (age >= 18), name TEXT NOT NULL, price DECIMAL(20, 8))"
    )
    good = {"parent": 1, "code": None, "v": "x", "age": 20, "name": "ok", "price": "1.5"}
    changes: list[dict[str, Any]] = [
        {}, {"parent": 7}, {"code": "a"}, {"code": "a"}, {"age": 3}, {"name": None}, {"v": "0012"},
        {"price": "12345678901.12345678"}, {"id": 0}, {"parent": 7, "name": None}, {"v": "1e5", "age": 3}, {},
    ]  # fmt: skip
    made = [{"id": i, **good, **change} for i, change in enumerate(changes)]
    records = pl.DataFrame(made, infer_schema_length=None).with_columns(pl.col("price").cast(pl.Decimal(38, 8)))
    first, *others = written(source, url, [table], records)
    assert others == [first] * len(others)
    assert [row for row, _, _ in first[0]] == [1, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    "more",
    [
        "CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.v = 'no' BEGIN SELECT RAISE(FAIL, 'not this one'); END",
        "CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.v = 'no' BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    ],
)
def test_triggers_see_one_record_at_a_time(source: SQLite, url: str, more: str) -> None:
    """A trigger may do more than refuse its record, so each record is undone by itself."""
    records = pl.DataFrame({"id": range(40), "v": ["no" if i % 20 == 3 else "yes" for i in range(40)]})
    first, *others = written(source, url, ["CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", more], records)
    assert others == [first] * len(others)
    assert first[0] == [(row, None, "The database refuses the record: not this one.") for row in (3, 23)]
    assert len(first[1]) == 38


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", "c", "bad"])), max_size=6), max_size=3)
)
def test_batches_in_order(filled: SQLite, batches: list[list[tuple[int, str]]]) -> None:
    """Whichever way batches with repeated keys and values are written, the same records win and are kept."""
    found = []
    for way in WAYS:
        with filled.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS o")
            connection.exec_driver_sql("CREATE TABLE o (id INTEGER PRIMARY KEY, v TEXT UNIQUE, CHECK (v <> 'bad'))")
        told = []
        with writing(way):
            for batch in batches:
                records = pl.DataFrame(batch, schema={"id": pl.Int64, "v": pl.String}, orient="row")
                failures = filled.write("o", filled.schema("o"), [Change(Op.CREATE, "id", records)]).failures
                told.append([(failure.row, failure.field, str(failure.message)) for failure in failures])
            found.append((told, everything(filled, "o").rows()))
    assert found[0] == found[1] == found[2]


def test_a_table_that_has_refused_is_written_row_by_row(source: SQLite, url: str) -> None:
    """After a refusal the stage is not tried again; both batches are complete."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)")
    schema, records = source.schema("t"), pl.DataFrame({"id": range(10), "v": ["x", "x", *"abcdefgh"]})
    with writing("staged"):
        first = source.write("t", schema, [Change(Op.CREATE, "id", records)]).failures
        second = source.write("t", schema, [Change(Op.CREATE, "id", records.with_columns(pl.col("id") + 5))]).failures
    assert [failure.row for failure in first] == [1]
    assert [failure.row for failure in second] == list(range(10))
    assert rows(url, "SELECT count(*) FROM t") == [(9,)]


def test_a_table_that_is_gone(source: SQLite, url: str) -> None:
    """An error that is no record's ends a write and a page as a whole, and leaves no stage behind."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    schema, change = source.schema("t"), Change(Op.CREATE, "id", pl.DataFrame({"id": [1], "v": ["x"]}))
    run(url, "DROP TABLE t")
    for way in WAYS:
        with writing(way), pytest.raises(ObjectMissing):
            source.write("t", schema, [change])
        with writing(way), pytest.raises(ObjectMissing):
            list(source.read(ReadRequest("t", schema)))


def test_keys_that_do_not_tell(source: SQLite, url: str) -> None:
    """Keys of two fields, or none among the records, tell no rows apart, so these are written row by row."""
    run(
        url,
        "CREATE TABLE t (id INT, v TEXT, PRIMARY KEY (id, v))",
        "CREATE TABLE n (id INTEGER PRIMARY KEY, v TEXT UNIQUE)",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT REFERENCES n (v))",
    )
    with writing("staged"):
        for name, fields in (("t", ["id", "v"]), ("n", ["id", "v"]), ("p", ["id", "v"])):
            records = pl.DataFrame({"id": [1, 2, 2], "v": ["x", "y", "y"]}).select(fields)
            for expected in ([2], [0, 1, 2]):
                made = source.write(name, source.schema(name), [Change(Op.CREATE, "id", records)]).failures
                assert [failure.row for failure in made] == expected
        records = pl.DataFrame({"id": [7, 8], "v": ["x", "gone"]})
        made = source.write("p", source.schema("p"), [Change(Op.CREATE, "id", records)]).failures
        assert [failure.row for failure in made] == [1]


def test_nothing_is_kept_of_a_stage(source: SQLite, url: str) -> None:
    """The stage is empty after a write, and several changes of a call use it one after the other."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    changes = [Change(Op.CREATE, "id", pl.DataFrame({"id": range(n, n + 5), "v": ["x"] * 5})) for n in (0, 5, 10)]
    with writing("staged"):
        assert not source.write("t", source.schema("t"), changes).failures
    assert rows(url, "SELECT count(*) FROM t") == [(15,)]
    with source.session() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM syncline_stage.records").scalar() == 0


def test_refused_updates_leave_the_connection_as_it_was(source: SQLite, url: str) -> None:
    """What is switched off for an update of many records is on again when a record of them is refused."""
    run(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'))")
    records = pl.DataFrame({"id": [1, 2], "v": ["a", "b"]})
    with writing("staged"), source.transaction("t") as connection:
        writer = Writer(source.flavor, connection, source._stored(source._table("t")), source._table("t"))
        writer.write(0, Change(Op.CREATE, "id", records))
        writer.write(1, Change(Op.UPDATE, "id", records.with_columns(v=pl.Series(["c", "bad"]))))
        assert [(failure.change, failure.row) for failure in writer.failures] == [(1, 1)]
        assert connection.exec_driver_sql("PRAGMA automatic_index").scalar() == 1


def test_texts_that_are_no_utf8_are_read_with_care(source: SQLite, url: str) -> None:
    """One such text makes its record a reject, on pages read at once, too."""
    run(
        url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (1, 'a'), (2, CAST(x'ff41' AS TEXT))",
    )
    with writing("staged"):
        (page,) = (page for page in source.read(ReadRequest("t", source.schema("t"))) if page.records.height)
    assert page.records["v"].to_list() == ["a"]
    assert [(reject.place, reject.field) for reject in page.rejects] == [("id 2", "v")]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | st.integers(-(10**17), 10**17), min_size=1, max_size=4), st.integers(0, 18))
def test_decimals_as_floats(units: list[int | None], scale: int) -> None:
    """A decimal that is stored as a float is the float next to it, and is read again as itself."""
    numbers = [None if unit is None else Decimal(unit).scaleb(-scale) for unit in units]
    column = Column(Field("n", FieldType.DECIMAL, precision=38, scale=scale), "numeric")
    found = plain(column, pl.Series("n", numbers, dtype=pl.Decimal(38, scale)))
    if found is not None:
        assert found.to_list() == [None if number is None else float(number) for number in numbers]
        whole = [None if v is None else int(v) if v == int(v) else v for v in found.to_list()]
        assert decoded(column, whole).values.to_list() == numbers


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4), st.integers(0, 18))
def test_numbers_as_decimals(values: list[float | None], scale: int) -> None:
    """Whatever number stands in a column of decimals is read as its shortest text says, or not at all."""
    field = Field("n", FieldType.DECIMAL, precision=38, scale=scale)
    typed = decoded(Column(field, "numeric"), values)
    for value, got in zip(values, typed.values, strict=True):
        assert got is None or got == Decimal(repr(value))
        if value is not None and got is None:
            number = Decimal(repr(value))
            assert not number.is_finite() or abs(number) >= 10**15 or number != round(number, scale)


def test_columns_of_mixed_values(source: SQLite, url: str) -> None:
    """Decimals among texts, truths that are none and stamps without seconds are read one by one."""
    run(
        url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p NUMERIC, b BOOLEAN, s DATETIME, m TIME)",
        "INSERT INTO t VALUES (1, 1.5, 1, '2024-01-01 10:00', '10:00')",
        "INSERT INTO t VALUES (2, 2, 0, '2024-01-01 10:00:00.5', '10:01:01')",
        "INSERT INTO t VALUES (3, 1e300, 'x', '2024-01-01', NULL), (4, NULL, NULL, NULL, NULL)",
        "INSERT INTO t VALUES (5, 'x', 2, 'now', 'x')",
        "INSERT INTO t VALUES (6, 0.123456, 1, NULL, NULL), (7, 3, 0, NULL, NULL)",
    )
    found = []
    for way in ("one by one", "staged"):
        with writing(way):
            pages = list(source.read(ReadRequest("t", source.schema("t"), page_size=2)))
        found.append([(page.records.rows(), [(r.place, r.field) for r in page.rejects]) for page in pages])
    assert found[0] == found[1]


_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["a", "A", "b", "c", "c ", "0", "客"]), st.integers(0, 5), st.none() | st.text("xy", max_size=2)
    ),
    max_size=8, unique_by=lambda move: move[0],
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_MOVES, st.sampled_from(["INTEGER", "TEXT", "TEXT COLLATE NOCASE", "varchar(9) COLLATE RTRIM", "BLOB"]))
def test_updates_and_deletions(filled: SQLite, moves: list[tuple[str, int, str | None]], kind: str) -> None:
    """Whichever way records are changed and deleted, those with exactly their key are, and the same are missing."""
    numbers = kind == "INTEGER"
    keys = pl.Series(
        "id", [ord(key[0]) if numbers else key for key, *_ in moves], dtype=pl.Int64 if numbers else pl.String
    )
    if kind == "BLOB":
        keys = keys.cast(pl.Binary)
    others = pl.DataFrame([move[1:] for move in moves], schema={"v": pl.Int64, "w": pl.String}, orient="row")
    records = pl.DataFrame([keys, *others]).unique("id", keep="first", maintain_order=True)
    found: list[Any] = []
    for way in ("one by one", "staged"):
        with filled.transaction() as connection:
            for statement in (
                "DROP TABLE IF EXISTS m",
                f"CREATE TABLE m (id {kind} PRIMARY KEY NOT NULL, v INT CHECK (v <> 5), w TEXT)",
                "INSERT INTO m VALUES (97, 0, 'x'), (98, 1, 'x'), (48, 2, 'x')" if numbers
                else "INSERT INTO m VALUES ('a', 0, 'x'), ('b', 1, 'x'), ('c', 2, 'x'), ('0', 9, 'x')",
            ):  # fmt: skip
                connection.exec_driver_sql(statement)
        with writing(way):
            schema = filled.schema("m")
            told = []
            for op, some in ((Op.UPDATE, records), (Op.DELETE, records.head(3).select("id"))):
                failures = filled.write("m", schema, [Change(op, "id", some)]).failures
                told.append([(failure.row, str(failure.message)) for failure in failures])
            found.append((told, everything(filled, "m").sort("id").rows()))
    assert found[0] == found[1]
