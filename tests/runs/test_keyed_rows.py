"""Laws of rows that are found by key."""

from __future__ import annotations

from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.runs.pipeline.keyed_rows import KeyedRows

SCHEMA = {"key": pl.String(), "value": pl.Int64()}
KEYS = st.sampled_from(["1", "2", "甲", "", "a longer key that does not fit", "😀", "x"])
PARTS = st.lists(st.lists(st.tuples(KEYS, st.none() | st.integers(0, 9)), max_size=5), max_size=8)
ASKED = st.lists(st.none() | KEYS | st.text(max_size=3), max_size=12)


def frame(rows: list[tuple[str, int | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def plays(parts: list[list[tuple[str, int | None]]], asked: list[str | None], look: list[bool]) -> None:
    """Add parts, look up between them where `look` says so, and compare with a dictionary."""
    first, *later = parts or [[]]
    table, model = KeyedRows(frame(first), "key"), dict(first)
    keys = pl.Series("key", asked, dtype=pl.String)
    for number, part in enumerate([[], *later]):
        table.add(frame(part))
        for key, value in part:
            model.pop(key, None)
            model[key] = value
        if look[number % len(look)]:
            found = table.find(keys)
            assert found.columns == ["value"]
            assert found["value"].to_list() == [model.get(key) if key is not None else None for key in asked]
    assert sorted(table.all().iter_rows()) == sorted(model.items())


@given(PARTS, ASKED, st.lists(st.booleans(), min_size=1, max_size=8))
def test_the_last_row_of_a_key_counts(
    parts: list[list[tuple[str, int | None]]], asked: list[str | None], look: list[bool]
) -> None:
    """Whatever was added when, and whenever somebody looked: each key has the row that was added last."""
    plays(parts, asked, look)


@pytest.mark.parametrize("number", [0, 7])
def test_keys_of_one_hash_are_told_apart(number: int) -> None:
    """Keys whose hashes are the same are compared themselves."""
    same = lambda keys, *_: pl.Series([number] * keys.len(), dtype=pl.UInt64)  # noqa: E731
    with mock.patch.object(pl.Series, "hash", same):
        table = KeyedRows(frame([("a", 1), ("b", 2)]), "key")
        table.add(frame([("b", 3), ("c", 4)]))
        assert table.find(pl.Series(["c", "b", "x", "a"]))["value"].to_list() == [4, 3, None, 1]
