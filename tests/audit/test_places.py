"""Laws of ranges of places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webapp.audit.places import merged, ranges, without

PLACES = st.integers(0, 30)
RANGES = st.lists(st.tuples(PLACES, PLACES).map(lambda pair: (min(pair), max(pair))))


def places(found: list[tuple[int, int]]) -> set[int]:
    """Return the places of ranges."""
    return {place for first, last in found for place in range(first, last + 1)}


def test_places_that_follow_each_other_are_one_range():
    """Places that follow each other are told as one range."""
    assert ranges([0, 1, 2, 5, 7, 8]) == [[0, 2], [5, 5], [7, 8]]
    assert ranges([]) == []


@given(RANGES)
def test_merged_ranges_hold_the_same_places(found: list[tuple[int, int]]):
    """Merging changes no place, and leaves the fewest ranges, by their places."""
    joined = merged(found)
    assert joined == [tuple(pair) for pair in ranges(sorted(places(found)))]


@given(st.tuples(PLACES, PLACES).map(sorted), RANGES)
def test_what_is_left_lies_in_no_other_range(wanted: list[int], found: list[tuple[int, int]]):
    """What is left of a range are its places that no other range has, by their places."""
    first, last = wanted
    left = list(without(first, last, merged(found)))
    assert left == [tuple(pair) for pair in ranges(sorted(places([(first, last)]) - places(found)))]
