"""Rows of pairs by key: what is found is what a look at the whole log would find."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from webapp.runs.pipeline import pair_index as module
from webapp.runs.pipeline.chunk import PAIRS
from webapp.runs.pipeline.pair_index import APART, GONE, LINK, PairIndex

KEYS = "abcdefgh"
KEY = st.sampled_from(KEYS)
ROW = st.one_of(
    st.tuples(KEY, KEY, st.sampled_from([LINK, APART, GONE])),
    st.tuples(KEY, st.none(), st.sampled_from([APART, GONE])),
    st.tuples(st.none(), KEY, st.sampled_from([APART, GONE])),
)
LOGS = st.lists(st.lists(ROW, max_size=5), max_size=12)


def frame_of(rows, first, segment):
    held = [(*row[:2], first + at, None, row[2]) for at, row in enumerate(rows)]
    return pl.DataFrame(held, schema=PAIRS, orient="row").with_columns(segment=pl.lit(segment, dtype=pl.Int64))


def settled(log):
    """Return the rows of a log that no later one takes the place of."""
    numbered = log.with_row_index("at")
    sides = ("left_key", "right_key")
    last = [pl.col(name).is_null() | (pl.col("at") == pl.col("at").max().over(name)) for name in sides]
    return numbered.filter(*last, pl.col("op") != GONE).drop("at")


@limits(max_examples=300, deadline=None)
@given(log=LOGS, spread=st.sampled_from([1, 2, 5, None]), spare=st.sampled_from([0, 3, 100]))
def test_what_is_found_is_what_the_whole_log_says(log, spread, spare):
    """However pairs are linked, parted and taken over, and whatever hashes their keys share, each key finds its row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SPARE", spare)
        patch.setattr(module, "_SLICE", 3)
        if spread is not None:
            patch.setattr(module, "_hashes", lambda keys: (keys.hash() % spread).to_numpy())
        index, whole = PairIndex(), []
        for segment, rows in enumerate(log):
            index.add(frame_of(rows, 10 * segment, segment))
            whole.append(frame_of(rows, 10 * segment, segment))
        known = settled(pl.concat([frame_of([], 0, 0), *whole]))
        assert sorted(map(str, pl.concat([known.clear(), *index.slices()]).rows())) == sorted(map(str, known.rows()))
        assert len(index) == known.filter(op=LINK).height
        assert index.sizes() == dict(known.group_by("segment").len().iter_rows())
        for side in ("left", "right"):
            keys = pl.Series([*KEYS, None, KEYS[0]], dtype=pl.String)
            asked = pl.DataFrame({"key": keys}).join(
                known.filter(pl.col(f"{side}_key").is_not_null()).with_columns(key=f"{side}_key"),
                on="key",
                how="left",
                maintain_order="left",
            )
            assert index.rows(index.find(side, keys)).rows() == asked.drop("key").rows()


def test_rows_are_found_by_the_segment_that_they_were_moved_to():
    """Rows that were put together with others lie in the new segment and nowhere else."""
    index = PairIndex()
    for segment, rows in enumerate(([("a", "x", LINK), ("b", "y", LINK)], [("c", "z", LINK)])):
        index.add(frame_of(rows, 0, segment))
    index.move(index.inside(1), 7)
    assert (index.sizes(), index.inside(1).to_list()) == ({0: 2, 7: 1}, [])
    assert index.rows(index.find("right", pl.Series(["z"])))["segment"].to_list() == [7]
