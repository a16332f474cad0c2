"""What the merge writes for given pairs: policies, first links, conditions, answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rules.documents import parse_sync
from rules.documents.sync import ConflictPolicy, Strength
from rules.reconcile.merge import MergeField, merge, merge_fields
from tests.rules.reconcile.cases import DECIMAL, Setting, field, paired, rebased, setting

NAN = float("nan")


def after(found: Setting) -> list[tuple[Any, Any, bool]]:
    """Return for each pair what left and right hold after the merge, and whether a person has to settle it."""
    merged, pairs = found.merged(), found.pairs
    left = next((values for _, values in merged.left.values()), pairs.left.to_series())
    right = next((values for _, values in merged.right.values()), pairs.right.to_series())
    return list(zip(left.to_list(), right.to_list(), merged.conflicts["0"].to_list(), strict=True))


def one(policy: str, left: Any, right: Any, base: Any, dtype: Any = pl.String, **other: Any) -> tuple[Any, Any, bool]:
    """Return what becomes of one pair under a policy."""
    (found,) = after(setting(field(policy), [(left, right, base)], dtype, **other))
    return found


@pytest.mark.parametrize(
    ("policy", "left", "right", "expected"),
    [
        ("left", "l", "r", ("l", "l", False)),
        ("left", None, "r", (None, None, False)),
        ("right", "l", "r", ("r", "r", False)),
        ("manual", "l", "r", ("l", "r", True)),
        ("expression", "l", "r", ("l", "r", True)),
        ("max", "l", "r", ("r", "r", False)),
        ("max", "𠮷", "顾", ("𠮷", "𠮷", False)),
        ("max", None, "r", ("r", "r", False)),
        ("min", "l", None, ("l", "l", False)),
        ("min", "l", "r", ("l", "l", False)),
        ("first_non_empty", "l", "r", ("l", "l", False)),
        ("first_non_empty", "", "r", ("r", "r", False)),
        ("first_non_empty", None, "😀", ("😀", "😀", False)),
        ("first_non_empty", "", None, ("", "", False)),
        ("union", "l", "r", ("l", "r", True)),
        ("union", "[1,2]", "[2,3]", ("[1,2,3]", "[1,2,3]", False)),
        ("union", '["a"]', None, ('["a"]', '["a"]', False)),
        ("union", "", '["b"]', ('["b"]', '["b"]', False)),
        ("union", ' [ "a,]" , {"k":[1.10]} ] ', '[{"k":[1.10]},"c"]', ('["a,]",{"k":[1.10]},"c"]',) * 2 + (False,)),
        ("union", "[0.1]", "[0.10]", ("[0.1,0.10]", "[0.1,0.10]", False)),
        ("union", "{}", "[1]", ("{}", "[1]", True)),
        ("union", "[1", "[1]", ("[1", "[1]", True)),
        ("union", "[" * 100_000, "[1]", ("[" * 100_000, "[1]", True)),
    ],
)
def test_policies(policy: str, left: Any, right: Any, expected: tuple[Any, Any, bool]) -> None:
    """Both sides changed to different values: the policy says what both hold, or nothing is written."""
    assert one(policy, left, right, "before") == expected


def test_union_writes_only_what_a_side_lacks() -> None:
    """The side that has all items already is left as it is; the order of left is kept."""
    merged = setting(field("union"), [("[3,1]", "[1]", "[]"), ("[1]", "[2,1]", "[]")]).merged()
    assert merged.left["a0"][0].to_list() == [False, True]
    assert merged.right["b0"][0].to_list() == [True, True]
    assert merged.right["b0"][1].to_list() == ["[3,1]", "[1,2]"]


def test_union_is_of_lists_only() -> None:
    """Numbers have no items, so a person settles them."""
    assert one("union", 1, 2, 0, pl.Int64) == (1, 2, True)


@pytest.mark.parametrize(
    ("newer", "tie", "expected"),
    [("left", "right", "l"), ("right", "left", "r"), (None, "right", "r"), (None, "left", "l")],
)
def test_newer(newer: str | None, tie: str, expected: str) -> None:
    """The newer record wins; where neither is newer beyond the skew, the side that the rule names."""
    found = one("newer", "l", "r", "before", newer=pl.Series([newer], dtype=pl.String), tie=tie)
    assert found == (expected, expected, False)


def test_numbers() -> None:
    """Decimals compare by value whatever their scale; NaN equals NaN, and loses against a number."""
    assert one("max", Decimal("9.5"), Decimal("10.25"), Decimal(1), DECIMAL) == (
        Decimal("10.25"),
        Decimal("10.25"),
        False,
    )
    assert one("manual", NAN, 2.0, NAN, pl.Float64) == (2.0, 2.0, False)
    assert one("max", NAN, 2.0, 1.0, pl.Float64) == (2.0, 2.0, False)
    assert one("min", 2.0, NAN, 1.0, pl.Float64) == (2.0, 2.0, False)
    for values in ((None, NAN), (NAN, None)):  # whichever side it is on
        left, right, open_ = one("max", *values, 1.5, pl.Float64)
        assert (str(left), str(right), open_) == ("nan", "nan", False)
    assert one("max", 3, 2, 1, pl.Int64) == (3, 3, False)
    moments = datetime(2024, 1, 2), datetime(2024, 1, 1)
    assert one("min", *moments, datetime(2023, 1, 1), pl.Datetime("us")) == (moments[1], moments[1], False)


def test_decimals_of_another_scale_are_the_same_number() -> None:
    """A field and a baseline with more or fewer decimals differ only if their values do."""
    left = pl.DataFrame({"a0": pl.Series([Decimal("1.5"), Decimal("2.5")], dtype=pl.Decimal(38, 2))})
    right = pl.DataFrame({"b0": pl.Series([Decimal("1.5"), Decimal("1.5")], dtype=pl.Decimal(38, 4))})
    base = pl.Series([Decimal("1.5")] * 2, dtype=pl.Decimal(38, 1))
    pairs = paired(left, right, pl.DataFrame({"l:0": base, "r:0": base}), pl.Series([True, True]))
    pairs = replace(
        pairs,
        to_right=pairs.to_right.cast(pl.Decimal(38, 4)),
        to_left=pairs.to_left.cast(pl.Decimal(38, 2)),
    )
    merged = merge(pairs, [field()])
    assert merged.situation.to_list() == ["linked_unchanged", "linked_changed"]
    assert merged.right["b0"][1].to_list() == [Decimal("1.5"), Decimal("2.5")]
    assert merged.right["b0"][1].dtype == pl.Decimal(38, 4)


@pytest.mark.parametrize(
    ("left", "right", "expected", "situation"),
    [
        ("a", "a", ("a", "a", False), "linked_unchanged"),
        ("a", None, ("a", "a", False), "linked_changed"),
        ("", "b", ("b", "b", False), "linked_changed"),
        (None, "", (None, "", False), "linked_unchanged"),
        ("a", "b", ("a", "b", True), "linked_conflict"),
    ],
)
def test_first_link(left: Any, right: Any, expected: tuple[Any, Any, bool], situation: str) -> None:
    """Without an agreement: the same is agreed, a value goes where there is none, else the policy decides."""
    found = setting(field(), [(left, right, ...)])
    assert after(found) == [expected]
    assert found.merged().situation.to_list() == [situation]


def test_first_link_of_a_field_that_flows_one_way() -> None:
    """It flows, over what is there and over nothing; the other side is never asked."""
    rows = [("a", "b", ...), (None, "b", ...), ("a", "a", ...)]
    assert after(setting(field(way="left_to_right"), rows)) == [
        ("a", "a", False),
        (None, None, False),
        ("a", "a", False),
    ]
    assert after(setting(field(way="right_to_left"), rows[:1])) == [("b", "b", False)]


def test_strengths() -> None:
    """Strong is enforced without a change, normal follows changes, weak fills what is empty."""
    rows = [("a", "b", "a"), ("a", "", "a"), ("c", "b", "a"), ("", None, "x")]
    right = {
        strength: [r for _, r, _ in after(setting(field(way="left_to_right", strength=strength), rows))]
        for strength in Strength
    }
    assert right == {
        "strong": ["a", "a", "c", ""],
        "normal": ["b", "", "c", ""],
        "weak": ["b", "a", "b", None],
    }
    both = [("c", "b", "a"), ("", "b", "x"), (None, "b", None)]
    assert after(setting(field(strength="weak"), both)) == [("c", "b", False), ("b", "b", False), ("b", "b", False)]
    assert after(setting(field(strength="strong"), both[:1])) == [("c", "b", True)]


def test_enforcing_is_a_change() -> None:
    """A pair in which nothing changed is worked on where a strong or weak field has something to write."""
    found = setting(field(way="left_to_right", strength="strong"), [("a", "b", "a"), ("a", "a", "a")]).merged()
    assert found.situation.to_list() == ["linked_changed", "linked_unchanged"]
    assert not found.changed_left.any()


def test_set_on_create_only() -> None:
    """A field that updates never set has no part in the merge."""
    merged = setting(field(on_update=False), [("a", "b", "c")]).merged()
    assert (merged.left, merged.right) == ({}, {})
    assert merged.situation.to_list() == ["linked_unchanged"]
    assert not merged.conflicts["0"].any()


def test_conditions() -> None:
    """A change that a condition holds back stays open, so that it flows when the condition says so."""
    rows = [("new", "old", "old"), ("old", "new", "old"), ("l", "r", "old")]
    no, yes = pl.Series([False] * 3), pl.Series([True] * 3)
    found = setting(field("left"), rows, applies_right={"0": no}, applies_left={"0": yes})
    assert after(found) == [("new", "old", False), ("new", "new", False), ("l", "r", False)]
    assert found.merged().held["0"].to_list() == [True, False, False]
    neither = setting(field(), rows, applies_right={"0": no}, applies_left={"0": no})
    assert after(neither) == [("new", "old", False), ("old", "new", False), ("l", "r", False)]
    assert neither.merged().held["0"].to_list() == [True, True, True]


def test_what_is_held_back_at_the_first_meeting_does_not_look_like_a_change_of_the_other_side() -> None:
    """The empty text that should have been filled does not come back and empty the side that filled it."""
    no, yes = pl.Series([False]), pl.Series([True])
    found = setting(field("right"), [("a", "", ...)], applies_right={"0": no}, applies_left={"0": yes})
    assert after(found) == [("a", "", False)]
    again = replace(found, pairs=rebased(found.pairs, found.merged()))
    assert after(again) == [("a", "", False)]
    free = replace(again, pairs=replace(again.pairs, applies_right={"0": yes}))
    assert after(free) == [("a", "a", False)]


def test_answers_go_before_everything() -> None:
    """What a person chose is written: one side's value, or a new one for both; null is an answer, no answer is none."""
    rows = [("l", "r", "old")] * 5
    takes = pl.Series(["left", "right", "value", "value", None], dtype=pl.String)
    values = pl.Series([None, None, "v", None, "x"], dtype=pl.String)
    chosen = {"0": pl.DataFrame({"take": takes, "to_right": values, "to_left": values})}
    found = after(setting(field("manual"), rows, chosen=chosen))
    assert found == [("l", "l", False), ("r", "r", False), ("v", "v", False), (None, None, False), ("l", "r", True)]
    assert after(setting(field("left"), rows, chosen=chosen))[1] == ("r", "r", False)


def test_an_answer_also_decides_where_nothing_conflicts() -> None:
    """A person who keeps an old value sends it back; of a field that flows one way, the target is left alone."""
    chosen = {"0": pl.DataFrame({"take": ["right"]})}
    assert after(setting(field(), [("new", "old", "old")], chosen=chosen)) == [("old", "old", False)]
    assert after(setting(field(way="left_to_right"), [("new", "old", "old")], chosen=chosen)) == [("new", "old", False)]


def test_what_changed() -> None:
    """Changes are told per side, also those that come to the same."""
    rows = [("a", "a", "a"), ("b", "a", "a"), ("a", "b", "a"), ("b", "b", "a"), ("b", "c", "a")]
    merged = setting(field("left"), rows).merged()
    assert merged.changed_left.to_list() == [False, True, False, True, True]
    assert merged.changed_right.to_list() == [False, False, True, True, True]
    assert merged.situation.to_list() == [
        "linked_unchanged", "linked_changed", "linked_changed", "linked_changed", "linked_conflict",
    ]  # fmt: skip
    assert not merged.left["a0"][0][3]
    assert not merged.right["b0"][0][3]


def test_what_one_side_keeps_more_exactly_is_kept() -> None:
    """Where right already holds what left gives, left is not overwritten by the coarser value that comes back."""
    left = pl.DataFrame({"a0": [" 12 ", " 12 "]})
    right = pl.DataFrame({"b0": ["12", "13"]})
    base = pl.DataFrame({"l:0": ["11", "11"], "r:0": ["11", "12"]})
    pairs = replace(paired(left, right, base, pl.Series([True, True])), to_right=pl.DataFrame({"0": ["12", "12"]}))
    merged = merge(pairs, [field()])
    assert merged.left["a0"][1].to_list() == [" 12 ", " 12 "]
    assert merged.right["b0"][1].to_list() == ["12", "13"]
    assert merged.conflicts["0"].to_list() == [False, True]


def test_no_fields_and_no_pairs() -> None:
    """Without fields nothing has changed; without pairs nothing is found."""
    nothing = setting(field(), [("a", "b", "c")]).pairs
    merged = merge(nothing, [])
    assert (merged.left, merged.right, merged.situation.to_list()) == ({}, {}, ["linked_unchanged"])
    none = setting(field("union"), []).merged()
    assert_frame_equal(none.conflicts, pl.DataFrame({"0": pl.Series([], dtype=pl.Boolean)}))


def test_merge_fields() -> None:
    """The pairs of a rule that write somewhere, with the sides that they write and their own or the default policy."""
    document: dict[str, Any] = {
        "kind": "sync",
        "name": "x",
        "left": {"connection": "a", "object": "b"},
        "right": {"connection": "c", "object": "d"},
        "direction": "two_way",
        "key": {"left": "id", "right": "no"},
        "conflict": {"default": "newer"},
        "fields": [
            {"left": "a", "right": "b", "conflict": "max", "on": ["create"]},
            {"left": "a", "right": "c", "direction": "left_to_right", "strength": "strong"},
            {"left": "d", "right": "e", "direction": "right_to_left"},
            {"right": "f", "to_right": "a"},
            {"left": "g", "to_left": "b", "direction": "left_to_right"},
        ],
    }
    normal, newer = Strength.NORMAL, ConflictPolicy.NEWER
    assert merge_fields(parse_sync(document)) == (
        MergeField("0", "a", "b", normal, False, ConflictPolicy.MAX),
        MergeField("1", None, "c", Strength.STRONG, True, newer),
        MergeField("2", "d", None, normal, True, newer),
        MergeField("3", None, "f", normal, True, newer),
    )


@pytest.mark.parametrize("base", ["l", "r", None, ...])
@pytest.mark.parametrize(("wins", "expected"), [("left", "l"), ("right", "r")])
def test_a_side_that_wins_is_right_whatever_was_agreed_on(wins: str, expected: str, base: Any):
    """Where both differ, the other side gets its value, be it empty; no policy and no person is asked."""
    assert one("manual", "l", "r", base, wins=wins) == (expected, expected, False)
    assert one("max", "l", "r", base, wins=wins) == (expected, expected, False)
    empty = None if wins == "left" else "r"
    assert one("manual", None, "r", base, wins=wins) == (empty, empty, False)


def test_a_side_that_wins_leaves_alone_what_agrees_and_weak_fields():
    """What both agree on by the mappings is not written, and a weak field only fills what is empty."""
    assert one("manual", "same", "same", "other", wins="right") == ("same", "same", False)
    weak = setting(field("manual", strength="weak"), [("l", "r", ...)], wins="right")
    assert after(weak) == [("l", "r", False)]
