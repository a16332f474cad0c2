"""A set of keys knows what was added, whatever the order and however many."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.runs.pipeline import keyset
from webapp.runs.pipeline.keyset import KeySet, MetKeys

KEYS = st.lists(st.lists(st.one_of(st.none(), st.integers(0, 300).map(str)), max_size=40), max_size=12)


@given(
    KEYS,
    st.lists(st.one_of(st.none(), st.just("other"), st.integers(0, 300).map(str)), max_size=60),
    st.sampled_from([5, 10**9]),
)
def test_it_has_what_was_added_and_nothing_else(batches, asked, small):
    """With and without its table of bits, like a set of Python's, also where another set has hashed the keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyset, "_SMALL", small)
        keys, plain = KeySet(), set()
        for number, batch in enumerate(batches):
            others = KeySet(pl.Series(batch, dtype=pl.String)) if number % 3 else KeySet(pl.Series(["other"]))
            if number % 3 == 2:
                others.add(pl.Series(["other"]))
            keys.update(others, pl.Series(batch, dtype=pl.String))
            plain |= {key for key in batch if key is not None}
            assert keys.has(pl.Series(asked, dtype=pl.String)).to_list() == [key in plain for key in asked]


@given(KEYS, st.lists(st.one_of(st.none(), st.integers(0, 300).map(str)), max_size=60))
def test_a_number_stands_beside_each_key(batches, asked):
    """The one that was given with it; of several the one of an added batch."""
    keys, plain = MetKeys(pl.UInt64()), {}
    for batch in batches:
        fresh = list(dict.fromkeys(key for key in batch if key is not None and key not in plain))
        numbers = pl.Series([hash(key) % 2**63 for key in fresh], dtype=pl.UInt64)
        keys.add(pl.Series(fresh, dtype=pl.String), numbers)
        plain |= dict(zip(fresh, numbers.to_list(), strict=True))
    assert keys.find(pl.Series(asked, dtype=pl.String)).to_list() == [plain.get(key) for key in asked]


@given(KEYS, KEYS, st.integers(1, 60))
def test_what_is_missing_does_not_depend_on_parts(batches, others, part):
    """Keys that are looked up and merged in parts: none is lost, and a set lies in another if nothing is missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyset, "_PART", part)
        patch.setattr(keyset, "_LARGEST", part)
        there, asked = KeySet(), KeySet()
        for batch in batches:
            there.add(pl.Series(batch, dtype=pl.String))
        for batch in others:
            asked.add(pl.Series(batch, dtype=pl.String))
        plain = {key for batch in batches for key in batch if key is not None}
        keys = [key for batch in others for key in batch if key is not None]
        missing = [key for key in keys if key not in plain]
        assert there.missing(pl.Series(keys, dtype=pl.String)).to_list() == missing
        assert asked.within(there) == (not missing)
