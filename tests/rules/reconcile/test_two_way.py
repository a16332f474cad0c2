"""What is found for linked pairs of which a record is gone."""

from __future__ import annotations

import itertools

import polars as pl
import pytest

from rules.reconcile.situations import Situation
from rules.reconcile.two_way import gone

ACTIONS = {s.value: f"do_{s.value}" for s in Situation}


def one(
    left: bool, right: bool, left_changed: bool | None, right_changed: bool | None
) -> tuple[str | None, str | None]:
    """Return what is found for one pair."""
    columns = [pl.Series([value], dtype=pl.Boolean) for value in (left, right, left_changed, right_changed)]
    return gone(*columns, ACTIONS).row(0)


@pytest.mark.parametrize(("left", "changed"), list(itertools.product([True, False], [True, False, None])))
def test_one_record_is_gone(left: bool, changed: bool | None) -> None:
    """The record that is left decides: edited since the agreement, or not known, it is an edit against a deletion."""
    situation = "edit_vs_delete" if changed in (True, None) else "deleted_right" if left else "deleted_left"
    mine, theirs = (changed, False) if left else (False, changed)
    assert one(left, not left, mine, theirs) == (situation, f"do_{situation}")


def test_the_missing_record_does_not_count_as_edited() -> None:
    """What the baseline says of the record that is gone makes no difference."""
    assert one(True, False, False, True) == one(True, False, False, None) == ("deleted_right", "do_deleted_right")


def test_both_or_none_are_gone() -> None:
    """A pair that is gone from both sides is unlinked; one that is there on both is none of this."""
    for changed in (True, False, None):
        assert one(False, False, changed, changed) == (None, "unlink")
        assert one(True, True, changed, changed) == (None, None)


def test_many_pairs_and_none() -> None:
    """Each pair is looked at alone; no pairs give no rows."""
    there = list(itertools.product([True, False], [True, False], [True, False, None], [True, False, None]))
    columns = [pl.Series(values, dtype=pl.Boolean) for values in zip(*there, strict=True)]
    assert gone(*columns, ACTIONS).rows() == [one(*row) for row in there]
    nothing = gone(*(column.head(0) for column in columns), ACTIONS)
    assert nothing.schema == {"situation": pl.String, "action": pl.String}
    assert nothing.is_empty()
