"""One-way decisions agree with a model that looks at one record at a time."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rules.reconcile.one_way import PARTNER, Batch, TargetField, decide, key_text
from rules.reconcile.situations import Situation

ACTIONS = {s.value: f"do_{s.value}" for s in Situation}
values = st.sampled_from([None, "", "a", "b"])
keys = st.sampled_from(["1", "2", "3"])


@st.composite
def batches(draw):
    size = draw(st.integers(0, 6))

    def column(strategy):
        return draw(st.lists(strategy, min_size=size, max_size=size))

    partners = draw(st.lists(st.tuples(keys, values, values), max_size=4))
    frame = pl.DataFrame(partners, schema={"id": pl.String, "a": pl.String, "b": pl.String}, orient="row")
    return Batch(
        usable=pl.Series(column(st.booleans()), dtype=pl.Boolean),
        in_scope=pl.Series(column(st.booleans()), dtype=pl.Boolean),
        linked=pl.Series(column(st.booleans()), dtype=pl.Boolean),
        partner=pl.Series(column(st.one_of(st.none(), keys)), dtype=pl.String),
        mapped=pl.DataFrame({"a": column(values), "b": column(values)}, schema={"a": pl.String, "b": pl.String}),
        applies={"b": pl.Series(column(st.booleans()), dtype=pl.Boolean)},
        partners=frame.with_columns(pl.col("id").alias(PARTNER)),
    )


def model(batch: Batch, row: int, fields) -> tuple[str | None, list[str]]:
    there = [p for p in batch.partners.to_dicts() if p["id"] == batch.partner[row]]
    changed = []
    for field in fields:
        mine, applies = batch.mapped[field.name][row], batch.applies.get(field.name, [True] * 99)[row]
        theirs = there[0][field.name] if there else mine
        fillable = not field.weak or theirs in (None, "")
        if applies and field.on_update and mine != theirs and fillable:
            changed.append(field.name)
    return situation_of(batch, row, there, changed), changed


def situation_of(batch: Batch, row: int, there: list, changed: list[str]) -> str | None:
    if not batch.usable[row]:
        return None
    if not batch.in_scope[row]:
        return "out_of_scope"
    if len(there) > 1:
        return "disputed"
    if there and not batch.linked[row]:
        return "unlinked"
    if there:
        return "linked_changed" if changed else "linked_unchanged"
    return "deleted_right" if batch.linked[row] else "unmatched_left"


@given(batches(), st.booleans(), st.booleans())
def test_decide_agrees_with_the_model(batch, weak, on_update):
    """Each record's situation, action and changed fields are what a look at that record alone gives."""
    fields = (TargetField("a", weak=weak), TargetField("b", on_update=on_update))
    decision = decide(batch, fields, ACTIONS)
    assert decision.found.height == len(batch.usable)
    for row, found in enumerate(decision.found.to_dicts()):
        situation, changed = model(batch, row, fields)
        assert found["situation"] == situation
        assert found["action"] == (ACTIONS[situation] if situation else None)
        assert found["changed"] == changed


def test_no_field_that_updates_changes_nothing():
    """A rule whose fields are all set on create only never updates."""
    none = pl.Series([True])
    partners = pl.DataFrame({"id": ["1"], "a": ["x"], PARTNER: ["1"]})
    batch = Batch(none, none, none, pl.Series(["1"]), pl.DataFrame({"a": ["y"]}), {}, partners)
    found = decide(batch, (TargetField("a", on_update=False),), ACTIONS).found
    assert found["situation"].to_list() == ["linked_unchanged"]


def test_weak_fields_fill_empty_targets_only():
    """A weak field is written over null and, in texts, over nothing, but never over a value."""
    partners = pl.DataFrame({"id": ["1", "2"], "n": [None, 5], PARTNER: ["1", "2"]}, schema_overrides={"n": pl.Int64})
    yes = pl.Series([True, True])
    batch = Batch(yes, yes, yes, pl.Series(["1", "2"]), pl.DataFrame({"n": [1, 1]}), {}, partners)
    assert decide(batch, (TargetField("n", weak=True),), ACTIONS).found["changed"].to_list() == [["n"], []]


def test_keys_meet_as_text():
    """Integer keys and text keys of the same digits are the same key."""
    assert key_text(pl.Series([1, None])).to_list() == ["1", None]
    assert key_text(pl.Series(["1"])).to_list() == ["1"]
