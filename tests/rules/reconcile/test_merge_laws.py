"""What holds for every merge, whatever the records, the baseline and the policies are."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

from rules.documents.sync import Strength
from rules.reconcile.merge import merge
from tests.rules.reconcile import cases
from tests.rules.reconcile.cases import Setting

SYMMETRIC = ("left", "right", "newer", "max", "min", "manual", "expression")


@given(cases.settings())
def test_merging_twice_writes_nothing(found: Setting) -> None:
    """Once the merged records are the baseline, the next run writes nothing, and only what was open is open."""
    first = found.merged()
    second = merge(cases.rebased(found.pairs, first), found.fields)
    for written in (second.left, second.right):
        for mask, _ in written.values():
            assert not mask.any()
    assert_frame_equal(second.conflicts, first.conflicts)


@given(cases.settings(policies=SYMMETRIC))
def test_swapping_the_sides_mirrors_the_merge(found: Setting) -> None:
    """Which side is called left makes no difference to what is written."""
    here, there = found.merged(), cases.swapped(found).merged()
    for one, other in ((here.left, there.right), (here.right, there.left)):
        assert list(one) == list(other)
        for name, (mask, values) in one.items():
            assert_series_equal(mask, other[name][0])
            assert_series_equal(values, other[name][1])
    assert_frame_equal(here.conflicts, there.conflicts)
    assert_frame_equal(here.held, there.held)
    assert_series_equal(here.changed_left, there.changed_right, check_names=False)
    assert_series_equal(here.situation, there.situation)


@given(cases.settings(answers=False))
def test_a_change_on_one_side_flows(found: Setting) -> None:
    """A field that changed on one side since the agreement reaches the other side and is never a conflict."""
    merged, pairs = found.merged(), found.pairs
    for item in found.fields:
        name = item.name
        if not item.on_update or item.strength is not Strength.NORMAL:
            continue
        moved_left = pairs.to_right[name].ne_missing(pairs.base[f"l:{name}"]) & pairs.known
        moved_right = pairs.to_left[name].ne_missing(pairs.base[f"r:{name}"]) & pairs.known
        assert not (merged.conflicts[name] & pairs.known & ~(moved_left & moved_right)).any()
        if item.right is not None:
            alone = moved_left & ~moved_right & pairs.applies_right.get(name, ~(moved_left & False))
            arrived = merged.right[item.right][1].eq_missing(pairs.to_right[name])
            assert (arrived | ~alone).all()
        if item.left is not None:
            alone = moved_right & ~moved_left & pairs.applies_left.get(name, ~(moved_left & False))
            arrived = merged.left[item.left][1].eq_missing(pairs.to_left[name])
            assert (arrived | ~alone).all()


@given(cases.settings(policies=["manual"], answers=False))
def test_no_change_is_overwritten_unasked(found: Setting) -> None:
    """Without a policy that names a winner, no value of a field that flows both ways is lost that changed."""
    merged, pairs = found.merged(), found.pairs
    for item in found.fields:
        if item.left is None or item.right is None or not item.on_update:
            continue
        base, known = pairs.base[f"l:{item.name}"], pairs.known
        for side, written, field in ((pairs.right, merged.right, item.right), (pairs.left, merged.left, item.left)):
            mask = written[field][0]
            unchanged = side[field].eq_missing(base) & known
            blank = side[field].is_null() | side[field].cast(pl.String).eq_missing(pl.Series([""]))
            assert (~mask | unchanged | blank).all()


@given(cases.settings(), st.data())
def test_pairs_do_not_influence_each_other(found: Setting, data: st.DataObject) -> None:
    """Each pair alone, and the pairs in another order, come to what the whole page comes to."""
    order = data.draw(st.permutations(range(len(found.pairs.known))))
    part = order[: data.draw(st.integers(0, len(order)))]
    whole, some = found.merged(), merge(cases.row(found.pairs, part), found.fields)
    for all_of, some_of in ((whole.left, some.left), (whole.right, some.right)):
        for name, (mask, values) in all_of.items():
            assert_series_equal(mask[list(part)], some_of[name][0])
            assert_series_equal(values[list(part)], some_of[name][1])
    assert_frame_equal(whole.conflicts[list(part)], some.conflicts)
    assert_series_equal(whole.situation[list(part)], some.situation)


@given(cases.settings())
def test_a_pair_is_in_one_situation(found: Setting) -> None:
    """What is open is a conflict; a pair that is unchanged gets no write."""
    merged = found.merged()
    unchanged = merged.situation == "linked_unchanged"
    for mask, _ in [*merged.left.values(), *merged.right.values()]:
        assert not (mask & unchanged).any()
    for name in merged.conflicts.columns:
        assert (merged.situation.filter(merged.conflicts[name]) == "linked_conflict").all()
        assert (merged.held[name] | ~merged.conflicts[name]).all()


@given(cases.settings())
def test_conditions_hold_back_every_write(found: Setting) -> None:
    """Where a condition leaves a field alone, it is left alone whatever changed and whoever chose it."""
    merged, pairs = found.merged(), found.pairs
    for item in found.fields:
        for field, written, applies in (
            (item.right, merged.right, pairs.applies_right),
            (item.left, merged.left, pairs.applies_left),
        ):
            if field in written and item.name in applies:
                assert not (written[field][0] & ~applies[item.name]).any()
