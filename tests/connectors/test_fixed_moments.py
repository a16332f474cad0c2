"""Dates and moments of one layout, read digit by digit."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fixed_moments import days, moments

_MOMENTS = st.lists(st.none() | st.datetimes(), min_size=1, max_size=5)
_NOON = "2024-02-29T12:00:00Z"


@given(_MOMENTS, st.integers(0, 6), st.sampled_from([("Z", "UTC"), ("", None)]))
def test_moments_come_back(values: list[dt.datetime | None], decimals: int, end: tuple[str, str | None]) -> None:
    """Every moment of the calendar, with as many decimals as the layout has, is read as it was written."""
    step = 10 ** (6 - decimals)
    kept = [v and v.replace(microsecond=v.microsecond // step * step) for v in values]
    length = 19 + (decimals and decimals + 1)
    texts = [v and v.isoformat(timespec="microseconds")[:length] + end[0] for v in kept]
    found = moments(pl.Series("at", texts, pl.String), *end)
    if texts.count(None) == len(texts):
        assert found is None
        return
    assert found is not None
    assert found.dtype == pl.Datetime("us", end[1])
    assert [v and v.replace(tzinfo=None) for v in found.to_list()] == kept


@given(st.lists(st.none() | st.dates(), min_size=1, max_size=5))
def test_days_come_back(values: list[dt.date | None]) -> None:
    """Every day of the calendar is read as it was written."""
    found = days(pl.Series("on", [v and v.isoformat() for v in values], pl.String))
    assert found is None if values.count(None) == len(values) else found is not None and found.to_list() == values


@pytest.mark.parametrize(
    "texts",
    [
        ["2023-02-29T12:00:00Z"], ["2024-00-01T12:00:00Z"], ["2024-13-01T12:00:00Z"], ["2024-01-00T12:00:00Z"],
        ["0000-00-00T00:00:00Z"], ["2024-01-01T24:00:00Z"], ["2024-01-01T00:60:00Z"], ["2024-01-01T00:00:60Z"],
        ["2024-01-01 00:00:00Z"], ["2024-01-01T00:00:0xZ"], ["2024-01-01T00:00:00+"], ["客-01-01T00:00:00.0Z"],
        ["2024-01-01T00:00:00.1Z"], ["2024-01-01"], [],
    ],
)  # fmt: skip
def test_others_are_left_to_the_careful_reader(texts: Any) -> None:
    """What is not in the calendar, or not of the layout of its neighbours, is not read here."""
    assert moments(pl.Series("at", [*texts, *[_NOON][: len(texts)]], pl.String), "Z", "UTC") is None
    assert days(pl.Series("on", [text[:9] + "x" for text in texts], pl.String)) is None
