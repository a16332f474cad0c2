"""Records survive their JSON and Arrow forms exactly."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.schema import Change, Field, FieldType, Op, Schema
from webapp.runs.pipeline import chunk as chunks
from webapp.runs.pipeline.codec import (
    column_text,
    column_texts,
    from_texts,
    pack,
    plain_value,
    to_texts,
    typed_value,
    unpack,
)

SCHEMA = Schema(
    (
        Field("t", FieldType.TEXT),
        Field("i", FieldType.INTEGER),
        Field("d", FieldType.DECIMAL, precision=20, scale=4),
        Field("f", FieldType.FLOAT),
        Field("b", FieldType.BOOLEAN),
        Field("day", FieldType.DATE),
        Field("clock", FieldType.TIME),
        Field("at", FieldType.DATETIME),
        Field("wall", FieldType.LOCAL_DATETIME),
        Field("bytes", FieldType.BINARY),
        Field("json", FieldType.JSON),
    )
)
years = {"min_value": datetime(1, 1, 1), "max_value": datetime(9999, 12, 31)}
records = st.fixed_dictionaries(
    {
        "t": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "d": st.none() | st.decimals(-(10**15), 10**15, places=4, allow_nan=False),
        "f": st.none() | st.floats(allow_nan=False),
        "b": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "clock": st.none() | st.times(),
        "at": st.none() | st.datetimes(**years, timezones=st.just(UTC)),
        "wall": st.none() | st.datetimes(**years),
        "bytes": st.none() | st.binary(),
        "json": st.none() | st.sampled_from(['{"a": 1}', "[]", '"😀"']),
    }
)


@given(st.lists(records, min_size=1, max_size=5))
def test_json_texts_give_the_records_back(rows):
    """Every value of every type survives the JSON text that the quarantine keeps."""
    frame = pl.DataFrame(rows, schema=SCHEMA.dtypes())
    back, errors = from_texts(to_texts(frame), SCHEMA)
    assert not errors
    assert back.equals(frame, null_equal=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("i", "x"), ("i", 2**63), ("i", 1.5), ("d", "1.23456"), ("d", "NaN"), ("b", "perhaps"), ("day", "31.12.2024"),
     ("at", "2024-01-01T00:00:00"), ("wall", "2024-01-01T00:00:00+01:00"), ("bytes", "%%"), ("f", "much")],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named(field, value):
    """A corrected record whose value is of another type is refused with field and value, not bent."""
    frame, errors = from_texts([chunks_json({field: value})], SCHEMA)
    assert errors[0][0] == field
    assert str(value) in str(errors[0][1])
    assert frame.height == 1


def chunks_json(values):
    return json.dumps(values)


def test_people_may_type_numbers_and_truth_as_text():
    """What comes from an input field is text, and is read as the field's type."""
    frame, errors = from_texts(
        ['{"i": "7", "d": "1.50", "b": "True", "f": "2.5", "t": 5, "json": {"b": 1, "a": 2}}'], SCHEMA
    )
    assert not errors
    row = frame.to_dicts()[0]
    assert (row["i"], row["d"], row["b"], row["f"], row["t"]) == (7, Decimal("1.5000"), True, 2.5, "5")
    assert row["json"] == '{"a": 2, "b": 1}'


def test_infinite_floats_are_kept():
    """JSON has no infinity; the text says it in words instead of dropping it."""
    frame = pl.DataFrame({"f": [float("inf"), float("nan"), 1.5]})
    back, errors = from_texts(to_texts(frame), Schema((Field("f", FieldType.FLOAT),)))
    assert not errors
    assert str(back["f"].to_list()) == "[inf, nan, 1.5]"


@given(st.lists(st.fixed_dictionaries({"f": st.none() | st.floats(), "g": st.none() | st.floats()}), min_size=1))
def test_the_text_of_a_record_is_its_own(rows):
    """A record's number is a number, whatever stands beside it: infinity in another record makes no text of it."""
    frame = pl.DataFrame(rows, schema={"f": pl.Float64, "g": pl.Float64})
    texts = to_texts(frame)
    assert texts == [to_texts(frame[row])[0] for row in range(frame.height)]
    for row, text in zip(rows, texts, strict=True):
        for name, value in json.loads(text).items():
            assert isinstance(value, str) == (value is not None and not math.isfinite(row[name]))


def test_no_records_are_no_texts():
    """An empty frame has no texts."""
    assert to_texts(pl.DataFrame({"a": []})) == []


@given(st.lists(records, max_size=4))
def test_blobs_give_the_frames_back(rows):
    """A chunk's compressed Arrow blob holds exactly what was put in."""
    frame = pl.DataFrame(rows, schema=SCHEMA.dtypes())
    assert unpack(pack({"x": frame, "y": frame.head(1)}))["x"].equals(frame, null_equal=True)


def outcomes_of(*rows):
    return pl.DataFrame(list(rows), schema=chunks.OUTCOMES)


def test_a_planned_chunk_survives_as_blob():
    """Writes, their rows, links and outcomes come back, so that another worker can finish the chunk."""
    outcomes = outcomes_of(
        {"record_no": 1, "left_key": "a", "outcome": "created"}, {"record_no": 2, "outcome": "updated"}
    )
    write = chunks.Write(
        Change(Op.UPDATE, "id:x", pl.DataFrame({"id:x": [1], "n": [Decimal("1.5")]})),
        pl.Series("row", [1], dtype=pl.UInt32),
    )
    links = pl.DataFrame({"left_key": ["a"], "right_key": ["1"]})
    chunk = chunks.Chunk(
        3, outcomes, (write,), links, {"after": 2}, "2024", left_out=7, side="right", answered=("pair",)
    )
    note = {"position": {"after": 2}, "high": "2024", "left_out": 7, "side": "right"}
    back = chunks.load(3, chunks.dump(chunk, None), note)
    assert back.outcomes.equals(outcomes)
    assert back.links.equals(links)
    assert back.writes[0].change.op is Op.UPDATE
    assert back.writes[0].change.key == "id:x"
    assert back.writes[0].change.records.equals(write.change.records)
    assert back.writes[0].rows.to_list() == [1]
    assert (back.position, back.high, back.left_out) == ({"after": 2}, "2024", 7)
    assert (back.side, back.answered) == ("right", ("pair",))


def test_counts_add_up():
    """`read` counts source records only, so that it is the sum of all outcomes but `deleted`."""
    names = ("created", "created", "skipped")
    rows = [{"record_no": number, "outcome": name} for number, name in enumerate(names, 1)]
    outcomes = outcomes_of(*rows, {"record_no": None, "outcome": "deleted"})
    found = chunks.counts(chunks.Chunk(1, outcomes))
    assert found["read"] == 3 == sum(found[n] for n in chunks.COUNTED if n != "deleted")
    assert chunks.add_counts([found, found])["created"] == 4
    beside = chunks.counts(chunks.Chunk(1, outcomes, left_out=5))
    assert beside == {**found, "read": 8, "skipped": 6}


@pytest.mark.parametrize(
    "value", [None, 5, "x", True, datetime(2024, 1, 1, 1, 2, 3, 4, UTC), date(2024, 1, 1), time(1, 2)]
)
def test_cursor_values_have_a_json_form(value):
    """A cursor's value is kept as JSON and read back as the field's own type."""
    kinds = {int: "i", str: "t", bool: "b", datetime: "at", date: "day", time: "clock"}
    name = kinds.get(type(value), "t")
    assert typed_value(SCHEMA, name, plain_value(value)) == value


@given(st.lists(st.none() | st.sampled_from(["", "客" * 255, "x" * 256, "a\x00b"]), max_size=5))
def test_column_texts(texts: list[str | None]) -> None:
    """Many texts become what each of them does."""
    given_ = pl.Series("t", texts, dtype=pl.String)
    assert column_texts(given_).to_list() == [column_text(text) for text in texts]
