"""When a run is about to do too much."""

from __future__ import annotations

from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.documents.policies import Guard, GuardAction, Metric
from rules.reconcile.guards import blanked, tripped


@given(
    st.sampled_from(Metric),
    st.one_of(st.integers(0, 30), st.sampled_from(["0%", "5%", "33.3%", "100%"])),
    st.integers(0, 20),
    st.integers(0, 40),
    st.one_of(st.none(), st.integers(0, 200)),
)
def test_a_guard_trips_past_its_limit_and_from_its_minimum_on(
    metric: Metric, over: int | str, least: int, count: int, total: int | None
) -> None:
    """More than the limit and at least the minimum: exactly then; a share is of the records known or read."""
    guard = Guard(metric, over, least)
    base = max(1, total or 50)
    limit = Fraction(over) if isinstance(over, int) else Fraction(over[:-1]) * base / 100
    found = tripped([guard], {metric.value: count}, total, 50)
    assert bool(found) == (count > limit and count >= least)


def test_sentences() -> None:
    """What is said names the count, the limit and what to do."""
    guards = [
        Guard(Metric.DELETES, "5%", 20),
        Guard(Metric.CREATES, 10, do=GuardAction.WARN),
        Guard(Metric.UPDATES, 1),
        Guard(Metric.BLANKED, "1%", 4),
    ]
    counts = {"deletes": 31, "creates": 11, "updates": 1, "blanked": 4}
    found = tripped(guards, counts, 300, 300)
    assert [(trip.number, trip.count) for trip in found] == [(0, 31), (1, 11), (3, 4)]
    assert str(found[0].message) == (
        "31 records are about to be deleted; the guard allows 15 (5% of 300 records). The run has stopped before it "
        "wrote them. Simulate the rule to see its changes; then approve them, or change the guard."
    )
    assert str(found[1].message) == (
        "11 records are about to be created; the guard allows 10. The run goes on, as the guard only warns."
    )
    assert "allows 3 (1% of 300 records)" in str(found[2].message)


def test_nothing_counted_trips_nothing() -> None:
    """A metric that was not counted is 0, and 0 is never too much."""
    assert tripped([Guard(metric, 0) for metric in Metric], {}, None) == ()
    assert tripped([], {"deletes": 5}, 1) == ()


@pytest.mark.parametrize("metric", list(Metric))
def test_each_metric_has_its_sentence(metric: Metric) -> None:
    """Whatever is counted, the sentence has its number."""
    (found,) = tripped([Guard(metric, 0)], {metric.value: 77}, None, 7)
    assert str(found.message).startswith("77 ")


def test_blanked() -> None:
    """Counted are values that were there and are written as none."""
    before = pl.DataFrame({"a": ["x", "y", "", None, "z"], "n": [1, 2, None, 4, 5], "only": [1, 1, 1, 1, 1]})
    after = pl.DataFrame({"a": [None, "", None, "", "w"], "n": [None, 3, None, None, 5], "new": [None] * 5})
    assert blanked(before, after) == 4
    assert blanked(before.head(0), after.head(0)) == 0
