"""Laws of all formats: what is written is read, and what is not touched stays."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.spi import ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files_folder import files

FORMATS = ["a.csv", "a.json", "a.jsonl", "a.xml", "a.xlsx"]
XML_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda c: c >= " " or c in "\t\n\r"
)
ANY_TEXT = st.characters(exclude_categories=["Cs"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(XML_TEXT, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(XML_TEXT, max_size=3), inner, max_size=3),
    max_leaves=5,
).map(lambda v: json.dumps(v, ensure_ascii=False, separators=(",", ":"), sort_keys=True))
JSON_VALUES = JSON_VALUES.filter(lambda text: text != "null")  # in a JSON file that is no value

VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.DECIMAL: st.decimals(-(10**15), 10**15, places=4),
    FieldType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: st.dates(),
    FieldType.TIME: st.times(),
    FieldType.DATETIME: st.datetimes(timezones=st.just(dt.UTC)),
    FieldType.LOCAL_DATETIME: st.datetimes(),
    FieldType.BINARY: st.binary(max_size=20),
    FieldType.JSON: JSON_VALUES,
}


@st.composite
def tables(draw: st.DrawFn, text: st.SearchStrategy[str]) -> tuple[Schema, pl.DataFrame]:
    kinds = draw(st.lists(st.sampled_from(list(FieldType)), min_size=1, max_size=6))
    values = VALUES | {FieldType.TEXT: st.text(text, max_size=12)}
    fields = [Field("id", FieldType.INTEGER, nullable=False)]
    fields += [Field(f"f{n}", kind, scale=4 if kind is FieldType.DECIMAL else None) for n, kind in enumerate(kinds)]
    keys = draw(st.lists(st.integers(0, 10**6), unique=True, max_size=8))
    columns = {"id": pl.Series(keys, dtype=pl.Int64)}
    for field in fields[1:]:
        found = [draw(st.none() | values[field.type]) for _ in keys]
        if field.type is FieldType.DECIMAL:
            found = [None if v is None else Decimal(v) for v in found]
        columns[field.name] = pl.Series(found, dtype=field.dtype)
    schema = Schema(tuple(fields), ("id",))
    return schema, pl.DataFrame(columns, schema=schema.dtypes())


def text_for(name: str) -> st.SearchStrategy[str]:
    return XML_TEXT if name == "a.xml" else ANY_TEXT


def content(path: Path, name: str, schema: Schema) -> pl.DataFrame:
    pages = list(files(path).read(ReadRequest(name, schema, page_size=3)))
    assert not [reject for page in pages for reject in page.rejects]
    return pl.concat([page.records for page in pages])


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_table_survives(name: str, data: st.DataObject) -> None:
    """Any table of any types is read from a file exactly as it was written, before and behind the end of the run."""
    schema, table = data.draw(tables(text_for(name)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inbox"
        path.mkdir()
        (path / name).touch()
        connector = files(path)
        result = connector.write(name, schema, [Change(Op.CREATE, "id", table)])
        assert not result.failures
        assert content(path, name, schema).equals(table)
        connector.finish(name)
        assert content(path, name, schema).equals(table)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_changes_change_what_they_say(name: str, data: st.DataObject) -> None:
    """Updates and deletes of any records give the same file as the same changes of the table."""
    schema, table = data.draw(tables(text_for(name)))
    gone = data.draw(st.sets(st.sampled_from(table["id"].to_list()))) if table.height else set()
    rest = table.filter(~pl.col("id").is_in(list(gone)))
    moved = rest.with_columns(pl.exclude("id").reverse())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inbox"
        path.mkdir()
        (path / name).touch()
        connector = files(path)
        connector.write(name, schema, [Change(Op.CREATE, "id", table)])
        connector.finish(name)
        changes = [
            Change(Op.DELETE, "id", pl.DataFrame({"id": pl.Series(list(gone), dtype=pl.Int64)})),
            Change(Op.UPDATE, "id", moved),
        ]
        assert not connector.write(name, schema, changes).failures
        assert content(path, name, schema).equals(moved)
        connector.finish(name)
        assert content(path, name, schema).equals(moved)
