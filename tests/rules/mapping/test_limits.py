"""Whether values fit a field is told by the greatest and least of a column, and of decimals by numbers, not texts."""

from __future__ import annotations

import decimal
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rules.mapping.limits import beyond, within
from rules.schema import Field, FieldType

_NEAR_POWERS = st.builds(
    lambda power, by, sign: sign * (10**power + by), st.integers(0, 37), *map(st.sampled_from, ((-1, 0, 1), (1, -1)))
)
_UNITS = st.one_of(st.none(), st.integers(1 - 10**38, 10**38 - 1), _NEAR_POWERS)


@st.composite
def _decimals(draw: st.DrawFn) -> Field:
    precision = draw(st.integers(1, 38))
    scale = draw(st.one_of(st.none(), st.integers(0, min(precision, 18))))
    return Field("x", FieldType.DECIMAL, precision=precision, scale=scale)


@given(field=_decimals(), units=st.lists(_UNITS, max_size=5))
def test_digits_are_counted(field: Field, units: list[int | None]) -> None:
    """A decimal is beyond the limits where it has more digits before the point; a column is within where none is."""
    scale: int = field.dtype.scale  # type: ignore[attr-defined]
    with decimal.localcontext(prec=80):
        values = [None if unit is None else Decimal(unit).scaleb(-scale) for unit in units]
        column = pl.Series("x", values, dtype=field.dtype)
        room = (field.precision or 0) - (field.scale or 0)
        wanted = [None if value is None else abs(value) >= Decimal(10) ** room for value in values]
        assert column.to_frame().select(beyond(pl.col("x"), field)).to_series().to_list() == wanted
        assert within(column, field) is not any(wanted)


@given(length=st.integers(1, 6), texts=st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=5))
def test_texts_within_are_not_beyond(length: int, texts: list[str | None]) -> None:
    """A column of texts that is told to be within the limits has no text with too many characters."""
    field, column = Field("x", length=length), pl.Series("x", texts, dtype=pl.String)
    too_long = column.to_frame().select(beyond(pl.col("x"), field)).to_series().to_list()
    assert too_long == [None if text is None else len(text) > length for text in texts]
    assert not (within(column, field) and any(too_long))
