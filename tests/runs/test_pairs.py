"""Links of two-way rules as a log of segments: putting segments together changes nothing that is known."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from rules.reconcile.baseline import folded
from webapp.runs.pipeline import pairs as module
from webapp.runs.pipeline.chunk import PAIRS, Chunk
from webapp.runs.pipeline.pairs import APART, GONE, LINK, Pairs


def chunk_of(rows):
    frame = [(left, right, None, None, op) for left, right, op in rows]
    return Chunk(0, pl.DataFrame(), links=pl.DataFrame(frame, schema=PAIRS, orient="row"))


def known(pairs):
    return sorted(map(str, pairs.rows.rows()))


KEY = st.sampled_from("abcdef")
ROW = st.one_of(
    st.tuples(KEY, KEY, st.sampled_from([LINK, APART, GONE])),
    st.tuples(KEY, st.none(), st.sampled_from([APART, GONE])),
    st.tuples(st.none(), KEY, st.sampled_from([APART, GONE])),
)
RUNS = st.lists(st.lists(st.lists(ROW, min_size=1, max_size=4), max_size=3), max_size=8)


@limits(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS, size=st.sampled_from([4, 20, 20_000]))
def test_what_is_compacted_is_known_as_before(world, runs, size):
    """However runs link, part and keep apart, the pairs read back from the database are those in memory."""
    with pytest.MonkeyPatch.context() as patch, world.house.db.begin() as tx:
        patch.setattr(module, "_SEGMENT_ROWS", size)
        tx.execute(module.link_segment.delete())
        log = []
        for number, chunks in enumerate(runs, 1):
            pairs = Pairs.load(tx, 1, "scheme")
            for rows in chunks:
                pairs.append(tx, number, chunk_of(rows))
                pairs.merge(chunk_of(rows))
                log += rows
            pairs.compact(tx, number)
            assert known(Pairs.load(tx, 1, "scheme")) == known(pairs)
        plain = Pairs(1, "scheme")
        for row in log:
            plain.merge(chunk_of([row]))
        assert known(Pairs.load(tx, 1, "scheme")) == known(plain)


AGREED = st.dictionaries(KEY, st.tuples(*[st.sampled_from([None, "x", "y"])] * 4), max_size=4)


@limits(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(st.tuples(st.sampled_from(["left", "right"]), AGREED), max_size=5), put_together=st.booleans())
def test_what_was_agreed_is_read_as_it_was_kept(world, chunks, put_together):
    """Whatever both sides have given, alike or not, and however segments are put together, the baseline is read."""
    names = ("l:a", "r:a", "l:b", "r:b")
    with world.house.db.begin() as tx:
        tx.execute(module.link_segment.delete())
        pairs, expected = Pairs.load(tx, 1, "scheme"), {}
        for number, (side, agreed) in enumerate(chunks, 1):
            keys = [key if side == "left" else key.upper() for key in agreed]
            links = chunk_of([(key, key.swapcase(), LINK) for key in keys]).links
            values = pl.DataFrame(
                [(key, *agreed[key.lower()]) for key in keys], schema=["left_key", *names], orient="row"
            )
            values = values.cast(dict.fromkeys(values.columns, pl.String))
            chunk = Chunk(number, pl.DataFrame(), links=links, side=side, baseline=folded(values))
            pairs.append(tx, 1, chunk)
            pairs.merge(chunk)
            expected |= agreed
        if put_together:
            pairs.compact(tx, 1)
        for side, keys in (("left", list(expected)), ("right", [key.upper() for key in expected])):
            asked = pl.Series(keys, dtype=pl.String)
            found = pairs.baselines(tx, side, asked, pairs.find(side, asked)["segment"])
            rows = [tuple(row.get(name) for name in names) for row in found.iter_rows(named=True)]
            assert rows == list(expected.values())
