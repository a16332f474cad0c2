"""Columns of plain texts: what is cast at once is what looking at each text says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import casting, plain_texts
from connectors.plain_texts import plain_column
from rules.schema import Field, FieldType

ODD = st.sampled_from(
    ("", " 1", "1 ", "0x1F", "+5", "-", "1_0", "１", "1e400", "nan(1)", "-inf", "1.", ".5", "1e5", "1.50000", "-0",
     "9223372036854775808", "1" * 39, "1." + "0" * 40, "yes", "是", "TRUE", "T", "2024-1-3", "20240131", "0000-01-01",
     "2024-02-30", "2024-01-31T10Z", "2024-01-31T10+08:00", "2024-01-31T10", "2024-01-31T24:00:00Z",
     "2024-01-31T10:00:00+24:00", "2024-01-31T10:00:00.1234567Z", "2024-01-31T10:00:60Z", "2024-01-31 10:00Z"),
)  # fmt: skip
MOMENTS = st.tuples(
    st.datetimes().map(dt.datetime.isoformat),
    st.sampled_from("T "),
    st.sampled_from(("", "Z", "+08", "-0330", "+05:30")),
).map(lambda m: m[0].replace("T", m[1]) + m[2])
NUMBERS = st.integers().map(str) | st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.floats().map(str)
DAYS, CLOCKS = st.dates().map(str), st.datetimes().map(lambda m: m.isoformat(timespec="minutes"))
TEXTS = st.lists(st.none() | st.one_of(NUMBERS, MOMENTS, DAYS, CLOCKS, ODD), max_size=2)
KINDS = [
    *(Field("f", FieldType.DECIMAL, scale=scale) for scale in (None, 0, 2)),
    *(Field("f", kind) for kind in FieldType if kind is not FieldType.DECIMAL),
]


@pytest.mark.parametrize("field", KINDS, ids=str)
@given(texts=TEXTS)
@settings(deadline=None, max_examples=50)
def test_plain_columns_mean_what_their_texts_mean(field: Field, texts: list[str | None]) -> None:
    """What is cast at once has the values and the type that `casting` gives, whatever the texts are."""
    column = pl.Series("f", texts, pl.String)
    found = plain_column(column, field)
    if found is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(casting, "plain_column", lambda *_: None)
        careful = casting.cast(column, field)
    assert found.dtype == careful.dtype == field.dtype
    assert found.equals(careful)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FieldType.INTEGER, "-42", -42), (FieldType.FLOAT, "1.5e3", 1500.0), (FieldType.BOOLEAN, "true", True),
        (FieldType.DATE, "2024-01-31", dt.date(2024, 1, 31)),
        (FieldType.DATETIME, "2024-01-31T10:00:00.5+0800", dt.datetime(2024, 1, 31, 2, 0, 0, 500_000, dt.UTC)),
        (FieldType.LOCAL_DATETIME, "2024-01-31 10:00:00", dt.datetime.combine(dt.date(2024, 1, 31), dt.time(10))),
    ],
)  # fmt: skip
def test_the_usual_way_to_write_is_plain(kind: FieldType, text: str, value: Any) -> None:
    """Values as most systems write them are cast at once, also in a part of a column and beside missing ones."""
    found = plain_column(pl.Series("x", ["?", text, None]).slice(1), Field("f", kind))
    assert found is not None
    assert (found.name, found.to_list()) == ("f", [value, None])


@given(data=st.text().map(str.encode) | st.binary(), size=st.integers(4, 9))
def test_bytes_are_utf8_if_they_can_be_decoded_however_they_are_cut_into_parts(data: bytes, size: int) -> None:
    """A character that goes over the end of a part is looked at whole, and a broken one is seen wherever it lies."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain_texts, "_PART", size)
        try:
            data.decode()
        except UnicodeDecodeError:
            assert not plain_texts.is_utf8(data)
        else:
            assert plain_texts.is_utf8(data)
