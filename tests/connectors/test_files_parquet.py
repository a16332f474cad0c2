"""Parquet files: their own types, exactly; what they cannot hold is refused; what is not changed stays as it was."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.errors import Fatal, Misconfigured
from connectors.spi import ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files_folder import files, rows

MOMENT = dt.datetime(2024, 1, 31, 8, 30, tzinfo=dt.timezone(dt.timedelta(hours=8)))
COLUMNS: dict[str, pa.Array] = {
    "id": pa.array([1, 2, 3], pa.int32()),
    "big": pa.array([1, 2**64 - 1, None], pa.uint64()),
    "price": pa.array([Decimal("1.10"), None, Decimal("-99999999999999999999999999999999.99")], pa.decimal128(38, 2)),
    "wide": pa.array([Decimal("1.5"), None, None], pa.decimal256(40, 1)).cast(pa.decimal256(38, 1)),
    "short": pa.array([0.5, None, 1.5], pa.float32()),
    "colour": pa.array(["red", "blue", "red"]).dictionary_encode(),
    "when": pa.array([MOMENT, None, MOMENT], pa.timestamp("ns", "Asia/Shanghai")),
    "wall": pa.array([0, 1_500, 2_000], pa.timestamp("ns")),
    "clock": pa.array([1_000, None, 1], pa.time64("ns")),
    "day": pa.array([dt.date(2024, 2, 29)] * 3, pa.date64()),
    "code": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "void": pa.nulls(3),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder / "a.parquet"


def write(path: Path, columns: dict[str, pa.Array], **options: Any) -> None:
    pq.write_table(pa.table(columns).replace_schema_metadata({"note": "kept"}), path, row_group_size=2, **options)


def test_every_kind_of_column(path: Path) -> None:
    """Columns become fields with their values as they are; what cannot be kept exactly is put aside with its field."""
    write(path, COLUMNS)
    connector = files(path.parent)
    schema = connector.schema("a.parquet")
    assert {f.name: f.type.value for f in schema.fields} == {
        "id": "integer", "big": "integer", "price": "decimal", "wide": "decimal", "short": "float", "colour": "text",
        "when": "datetime", "wall": "local_datetime", "clock": "time", "day": "date", "code": "binary", "void": "text",
    }  # fmt: skip
    assert (schema["price"].precision, schema["price"].scale) == (38, 2)
    assert schema.key == ("id",)
    pages = list(connector.read(ReadRequest("a.parquet", schema)))
    assert [(r.place, r.field, r.raw) for page in pages for r in page.rejects] == [
        ("record 2", "big", "18446744073709551615"),
        ("record 3", "clock", "00:00:00.000000001"),
    ]
    (record,) = [record for page in pages for record in page.records.rows(named=True)]
    assert record == {
        "id": 1, "big": 1, "price": Decimal("1.10"), "wide": Decimal("1.5"), "short": 0.5, "colour": "red",
        "when": MOMENT, "wall": dt.datetime(1970, 1, 1), "clock": dt.time(0, 0, 0, 1), "day": dt.date(2024, 2, 29),
        "code": b"ab", "void": None,
    }  # fmt: skip
    wall = Schema((schema["id"], schema["wall"]))
    rejects = [r for page in connector.read(ReadRequest("a.parquet", wall)) for r in page.rejects]
    assert [(r.place, r.field) for r in rejects] == [("record 2", "wall")]
    text = Schema((Field("price"), Field("when")))
    assert rows(connector, "a.parquet", schema=text, page_size=1) == [
        ("1.1", "2024-01-31T00:30:00Z"),
        (None, None),
        ("-99999999999999999999999999999999.99", "2024-01-31T00:30:00Z"),
    ]


def test_changes_leave_the_rest_as_it_was(path: Path) -> None:
    """Types, notes, compression and values that are not changed stay, also those that cannot be read as fields."""
    write(path, COLUMNS, compression="gzip")
    before = pq.read_table(path)
    connector = files(path.parent)
    whole = connector.schema("a.parquet")
    schema = whole.select(("id", "price", "colour", "when"))
    new = pl.DataFrame([{"id": 4, "price": Decimal("2.25"), "colour": "green", "when": MOMENT}], schema.dtypes())
    changed = pl.DataFrame(
        [{"id": 1, "price": Decimal("7"), "colour": "blue"}], schema.select(("id", "price", "colour")).dtypes()
    )
    deleted = pl.DataFrame({"id": [2]})
    changes = [Change(Op.CREATE, "id", new), Change(Op.UPDATE, "id", changed), Change(Op.DELETE, "id", deleted)]
    assert not connector.write("a.parquet", schema, changes).failures
    connector.finish("a.parquet")
    after = pq.read_table(path)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "GZIP"
    assert after["id"].to_pylist() == [1, 3, 4]
    assert after["price"].to_pylist() == [Decimal("7.00"), COLUMNS["price"][2].as_py(), Decimal("2.25")]
    assert after["colour"].to_pylist() == ["blue", "red", "green"]
    assert after["when"].to_pylist()[2] == MOMENT
    for name in set(COLUMNS) - {"id", "price", "colour"}:
        left, right = after[name].slice(0, 2), before[name].take([0, 2])
        assert left.combine_chunks().equals(right.combine_chunks()), name


def test_what_a_column_cannot_hold(path: Path) -> None:
    """A value that the file's column cannot hold is refused for its record."""
    write(
        path,
        {"id": COLUMNS["id"], "short": COLUMNS["short"], "price": pa.array([Decimal("1.1")] * 3, pa.decimal128(3, 1))},
    )
    connector = files(path.parent)
    schema = connector.schema("a.parquet")
    wrong = [
        {"id": 2**40, "short": 0.5, "price": Decimal(1)},
        {"id": 7, "short": 0.1, "price": Decimal(1)},
        {"id": 8, "short": float("nan"), "price": Decimal("1.5")},
        {"id": 9, "short": 0.5, "price": Decimal("999.5")},
    ]
    result = connector.write("a.parquet", schema, [Change(Op.CREATE, "id", pl.DataFrame(wrong, schema.dtypes()))])
    assert [(f.row, f.field) for f in result.failures] == [(0, "id"), (1, "short"), (3, "price")]


def test_a_required_column_needs_a_value(path: Path) -> None:
    """A column that the file says is never empty is not left empty."""
    fields = pa.schema([pa.field("id", pa.int64()), pa.field("name", pa.string(), nullable=False)])
    pq.write_table(pa.table({"id": [1], "name": ["a"]}, fields), path)
    connector = files(path.parent)
    schema = connector.schema("a.parquet")
    assert not schema["name"].nullable
    loose = Schema((schema["id"], Field("name")), ("id",))
    new = Change(Op.CREATE, "id", pl.DataFrame({"id": [2], "name": [None]}, loose.dtypes()))
    assert [f.field for f in connector.write("a.parquet", loose, [new]).failures] == ["name"]


def test_json_is_kept(path: Path) -> None:
    """Columns that say that they hold JSON are JSON fields, and are written as such."""
    kind = pa.json_()
    values = pa.ExtensionArray.from_storage(kind, pa.array(['{"a":1}', None], kind.storage_type))
    write(path, {"id": pa.array([1, 2]), "more": values})
    connector = files(path.parent)
    schema = connector.schema("a.parquet")
    assert schema["more"].type is FieldType.JSON
    change = Change(Op.UPDATE, "id", pl.DataFrame({"id": [2], "more": ["[1]"]}))
    connector.write("a.parquet", schema, [change])
    connector.finish("a.parquet")
    assert rows(connector, "a.parquet") == [(1, '{"a":1}'), (2, "[1]")]
    assert pq.read_schema(path).field("more").type == kind


def test_what_cannot_be_read_is_told(path: Path) -> None:
    """Nested columns, doubled names and broken files are told in words."""
    write(path, {"id": pa.array([1]), "list": pa.array([[1, 2]])})
    with pytest.raises(Misconfigured, match=r"'list'.*nested"):
        files(path.parent).schema("a.parquet")
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), path)
    with pytest.raises(Fatal, match="same name"):
        files(path.parent).schema("a.parquet")
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(Fatal, match="not a readable Parquet"):
        files(path.parent).schema("a.parquet")


def test_a_new_file_gets_the_fields_of_the_first_write(path: Path) -> None:
    """An empty file becomes one with a column for each field; large files are read without looking at all of it."""
    path.touch()
    schema = Schema(
        (Field("id", FieldType.INTEGER), Field("n", FieldType.DECIMAL, scale=3), Field("j", FieldType.JSON)), ("id",)
    )
    new = pl.DataFrame([{"id": 1, "n": Decimal("1.125"), "j": "[]"}], schema.dtypes())
    connector = files(path.parent)
    connector.write("a.parquet", schema, [Change(Op.CREATE, "id", new)])
    connector.finish("a.parquet")
    assert pq.read_table(path).to_pylist() == [{"id": 1, "n": Decimal("1.125"), "j": "[]"}]
