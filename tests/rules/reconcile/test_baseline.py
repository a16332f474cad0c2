"""What both sides have given alike is kept once, and read back as two columns."""

from __future__ import annotations

import polars as pl
from polars.testing import assert_frame_equal

from rules.reconcile.baseline import folded, unfolded

FRAME = pl.DataFrame(
    {"left_key": ["1", "2"], "l:a": ["x", None], "r:a": ["x", None], "l:b": [1, 2], "r:b": [1, 3], "l:c": [1, 1]}
)


def test_only_what_is_alike_in_all_records_is_kept_once():
    """Nulls count as alike; other values, other types and fields that flow one way stay as they are."""
    kept = folded(FRAME.with_columns(pl.Series("r:c", [1.0, 1.0])))
    assert sorted(kept.columns) == ["b:a", "l:b", "l:c", "left_key", "r:b", "r:c"]
    assert "l:c" in folded(FRAME).columns
    assert_frame_equal(unfolded(folded(FRAME)), FRAME, check_column_order=False)


def test_parts_that_were_folded_otherwise_are_read_together():
    """Put together, each record keeps its own values, whichever columns its part had."""
    other = pl.DataFrame({"left_key": ["3"], "l:a": ["y"], "r:a": [None], "l:b": [4], "r:b": [4]})
    other = other.with_columns(pl.col("r:a").cast(pl.String))
    whole = pl.concat([FRAME, other], how="diagonal")
    both = pl.concat([folded(FRAME), folded(other)], how="diagonal")
    assert_frame_equal(unfolded(both), whole, check_column_order=False)
