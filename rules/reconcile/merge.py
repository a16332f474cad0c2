"""The three-way merge of linked pairs: both records and what they agreed on last, field by field.

Left changed for a field when what left gives now differs from what it gave at the last agreement; the same for right.
A change on one side flows to the other; changes on both sides to different values are settled by the field's policy or
wait for a person. Everything is columnar: a row a pair, no row looks at another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from rules.documents.flows import flows
from rules.documents.sync import ConflictPolicy, On, SideName, Strength, SyncRule
from rules.reconcile.agreement import AgreeingRule
from rules.reconcile.policies import LEFT, RIGHT, VALUE, Question, empty, settle
from rules.reconcile.situations import Situation

_ROW = "__row"
_VALUES = ("to_right", "to_left")
MAKES_VALUES = frozenset({ConflictPolicy.MAX, ConflictPolicy.MIN, ConflictPolicy.UNION, ConflictPolicy.EXPRESSION})
"""Policies that compare or make values, which says nothing about keys of records."""


@dataclass(frozen=True)
class MergeField:
    """A field pair: `name` is its number in the rule as text; a side that is never written is None.

    `guarded` tells that a field which flows one way is in conflict where its target was changed as well.
    """

    name: str
    left: str | None
    right: str | None
    strength: Strength
    on_update: bool
    policy: ConflictPolicy
    guarded: bool = False


@dataclass(frozen=True)
class Pairs:
    """Linked pairs with both records at hand; all frames and columns have the same height and order.

    `to_right` and `to_left` hold what each side gives, a column a field `name`, in the type of the field written.
    `base` holds what they gave at the last agreement ("l:<name>", "r:<name>"), nulls where `known` is false.
    `applies_right` and `applies_left` are false where a condition leaves the field of that side alone. `newer` names
    the record that is newer beyond the skew, `tie` who wins where there is none. `chosen` are a person's answers and
    `resolved` what the rule's own expressions say about conflicts, by name: `take`, and `to_right`, `to_left` where it
    is "value". `wins` names the side that is right wherever both differ, whatever was agreed on.
    """

    left: pl.DataFrame
    right: pl.DataFrame
    to_right: pl.DataFrame
    to_left: pl.DataFrame
    base: pl.DataFrame
    known: pl.Series
    applies_right: Mapping[str, pl.Series]
    applies_left: Mapping[str, pl.Series]
    newer: pl.Series
    tie: str
    chosen: Mapping[str, pl.DataFrame]
    resolved: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    wins: str | None = None


@dataclass(frozen=True)
class Merged:
    """What is to be written to each side, by the name of its field: for which pairs, and the values.

    Where nothing is written, the values are what the field holds already. `conflicts` and `held` have a column a field
    `name`: what a person has to settle; and where the field's part of the baseline has to stay as it is, since a change
    has not reached the other side (a conflict, or a condition that leaves the other field alone).
    """

    right: Mapping[str, tuple[pl.Series, pl.Series]]
    left: Mapping[str, tuple[pl.Series, pl.Series]]
    conflicts: pl.DataFrame
    changed_left: pl.Series
    changed_right: pl.Series
    situation: pl.Series
    held: pl.DataFrame
    stays: Mapping[str, pl.DataFrame]
    """By side, where what it gives keeps its part of the baseline: where that is held and the side has changed it.

    At the first meeting the other side has nothing in the baseline; what it gives then must not look like a change.
    """


@dataclass(frozen=True)
class _Way:
    """One direction of a field: what flows, what the target holds, what flowed at the last agreement."""

    gives: pl.Series
    holds: pl.Series
    base: pl.Series
    applies: pl.Series

    @property
    def differs(self) -> pl.Series:
        return self.gives.ne_missing(self.holds)

    @property
    def moved(self) -> pl.Series:
        return self.gives.ne_missing(self.base)


@dataclass(frozen=True)
class _Change:
    """What changed for one field."""

    left: pl.Series
    right: pl.Series
    conflict: pl.Series
    agreed: pl.Series


@dataclass(frozen=True)
class _Write:
    """What one field writes to each side, as a mask and values; None where it never writes."""

    change: _Change
    open: pl.Series
    held: pl.Series
    right: tuple[pl.Series, pl.Series] | None
    left: tuple[pl.Series, pl.Series] | None


def merge_fields(rule: SyncRule) -> tuple[MergeField, ...]:
    """Return the field pairs of a rule that write to a side."""
    written = {flow.target: {entry.path: entry.target for entry in flow.entries} for flow in flows(rule)}
    found = []
    for number, pair in enumerate(rule.fields):
        left = written.get(SideName.LEFT, {}).get(f"fields/{number}")
        right = written.get(SideName.RIGHT, {}).get(f"fields/{number}")
        policy = pair.conflict or rule.conflict.default
        if pair.reference is not None and policy in MAKES_VALUES:
            policy = ConflictPolicy.MANUAL
        if left is not None or right is not None:
            found.append(MergeField(str(number), left, right, pair.strength, On.UPDATE in pair.on, policy))
    return tuple(replace(item, guarded=_guarded(rule, item)) for item in found)


def _guarded(rule: SyncRule, item: MergeField) -> bool:
    """Tell whether a field flows the way of a rule that flows one way."""
    written = item.left if isinstance(rule, AgreeingRule) and rule.target is SideName.LEFT else item.right
    return isinstance(rule, AgreeingRule) and written is not None and (item.left is None or item.right is None)


def merge(pairs: Pairs, fields: Sequence[MergeField]) -> Merged:
    """Return what is to be written to both sides of each pair, and what a person has to settle."""
    write = _write if len(pairs.known) else _write_nothing  # the first load of a rule meets no pairs
    writes = {item.name: write(pairs, item) for item in fields}
    none = _no(pairs)
    changed_left, changed_right, conflict, any_write = none, none, none, none
    for made in writes.values():
        changed_left |= made.change.left
        changed_right |= made.change.right
        conflict |= made.change.conflict
        for written in (made.right, made.left):
            any_write = any_write if written is None else any_write | written[0]
    return Merged(
        right={str(f.right): w for f in fields if (w := writes[f.name].right) is not None},
        left={str(f.left): w for f in fields if (w := writes[f.name].left) is not None},
        conflicts=pl.DataFrame({name: made.open for name, made in writes.items()}),
        changed_left=changed_left.alias("changed_left"),
        changed_right=changed_right.alias("changed_right"),
        situation=_situation(conflict, changed_left | changed_right | any_write),
        held=pl.DataFrame({name: made.held for name, made in writes.items()}),
        stays={
            "left": pl.DataFrame({name: made.held & made.change.left for name, made in writes.items()}),
            "right": pl.DataFrame({name: made.held & made.change.right for name, made in writes.items()}),
        },
    )


def _no(pairs: Pairs) -> pl.Series:
    return pl.repeat(value=False, n=len(pairs.known), dtype=pl.Boolean, eager=True)


def _situation(conflict: pl.Series, changed: pl.Series) -> pl.Series:
    return pl.select(
        pl.when(conflict)
        .then(pl.lit(Situation.LINKED_CONFLICT.value))
        .when(changed)
        .then(pl.lit(Situation.LINKED_CHANGED.value))
        .otherwise(pl.lit(Situation.LINKED_UNCHANGED.value))
        .alias("situation")
    ).to_series()


def _write(pairs: Pairs, item: MergeField) -> _Write:
    none = _no(pairs)
    if not item.on_update:
        return _Write(_Change(none, none, none, none), none, none, None, None)
    right, left = _way(pairs, item, SideName.RIGHT), _way(pairs, item, SideName.LEFT)
    if item.strength is Strength.STRONG and right is not None and left is not None:
        item = replace(item, strength=Strength.NORMAL)  # no side of it is always right
    change = _one_way(pairs, item, right or left) if item.guarded else _change(pairs, item.strength, right, left)
    answers = _answers(pairs, item, change)
    unsettled = change.conflict & answers["take"].is_null()
    blocked = _blocked(right, change.left, none) | _blocked(left, change.right, none)
    waits = blocked & ~change.agreed & ~change.conflict & answers["take"].is_null()
    flows_right = change.left & ~(change.conflict if item.guarded else change.right) & ~change.agreed
    flows_left = change.right & ~(change.conflict if item.guarded else change.left) & ~change.agreed
    return _Write(
        change,
        unsettled,
        unsettled | waits | _edited_alone(item, change),
        None if right is None else _written(right, _wanted(item.strength, right, flows_right), answers, SideName.RIGHT),
        None if left is None else _written(left, _wanted(item.strength, left, flows_left), answers, SideName.LEFT),
    )


def _write_nothing(pairs: Pairs, item: MergeField) -> _Write:
    """Return what one field writes where there are no pairs."""
    none = _no(pairs)
    sides = ((pairs.right, item.right, pairs.to_right), (pairs.left, item.left, pairs.to_left))
    right, left = (
        (none.alias("written"), _typed(records[name], given[item.name].dtype))
        if item.on_update and name is not None
        else None
        for records, name, given in sides
    )
    return _Write(_Change(none, none, none, none), none, none, right, left)


def _way(pairs: Pairs, item: MergeField, target: SideName) -> _Way | None:
    """Return one direction of a field; None where its target is never written."""
    if target is SideName.RIGHT:
        name, given, held, base, applies = item.right, pairs.to_right, pairs.right, "l:", pairs.applies_right
    else:
        name, given, held, base, applies = item.left, pairs.to_left, pairs.left, "r:", pairs.applies_left
    if name is None:
        return None
    gives = given[item.name]
    before = _typed(pairs.base[f"{base}{item.name}"], gives.dtype)
    return _Way(gives, _typed(held[name], gives.dtype), before, applies.get(item.name, ~_no(pairs)))


def _typed(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    return values if values.dtype == dtype else values.cast(dtype, strict=False)


def _change(pairs: Pairs, strength: Strength, right: _Way | None, left: _Way | None) -> _Change:
    none = _no(pairs)
    if right is None or left is None:
        return _Change(_flowed(pairs, right), _flowed(pairs, left), none, none)
    agreed = ~(right.differs & left.differs)
    changed_left = right.moved.zip_with(pairs.known, ~agreed & ~empty(left.holds))
    changed_right = left.moved.zip_with(pairs.known, ~agreed & ~empty(right.holds))
    both = changed_left & changed_right & ~agreed & (right.applies | left.applies)
    return _Change(changed_left, changed_right, none if strength is Strength.WEAK else both, agreed)


def _one_way(pairs: Pairs, item: MergeField, way: _Way | None) -> _Change:
    """Return what changed of a field that flows one way and whose target may have been changed by somebody else."""
    none = _no(pairs)
    if way is None:
        return _Change(none, none, none, none)
    mark = "r:" if item.right is not None else "l:"
    base = _typed(pairs.base[f"{mark}{item.name}"], way.holds.dtype)
    given, edited = _flowed(pairs, way), way.holds.ne_missing(base) & pairs.known
    conflict = given & edited & way.differs & way.applies if item.strength is Strength.NORMAL else none
    left, right = (given, edited) if item.right is not None else (edited, given)
    return _Change(left, right, conflict, ~way.differs)


def _edited_alone(item: MergeField, change: _Change) -> pl.Series:
    """Return where only the target of a field was changed: it stays so, and its source has not agreed to it."""
    given, edited = (change.left, change.right) if item.right is not None else (change.right, change.left)
    return edited & ~given & ~change.agreed & (item.guarded and item.strength is Strength.NORMAL)


def _flowed(pairs: Pairs, way: _Way | None) -> pl.Series:
    """Return where a field that flows one way changed; at the first link, where it differs."""
    return _no(pairs) if way is None else way.moved.zip_with(pairs.known, way.differs)


def _blocked(way: _Way | None, changed: pl.Series, none: pl.Series) -> pl.Series:
    return none if way is None else changed & ~way.applies


def _wanted(strength: Strength, way: _Way, changed: pl.Series) -> pl.Series:
    """Return where a field is to be written as far as nobody has to settle it."""
    if strength is Strength.WEAK:
        return empty(way.holds) & ~empty(way.gives)
    return way.differs if strength is Strength.STRONG else changed


def _answers(pairs: Pairs, item: MergeField, change: _Change) -> pl.DataFrame:
    """Return how each pair is settled: a person's answer, else for conflicts what the rule says."""
    conflict = change.conflict
    answers = pl.DataFrame({"take": pl.repeat(None, len(conflict), dtype=pl.String, eager=True)})
    if pairs.wins is not None and item.strength is Strength.NORMAL:
        return answers.with_columns(pl.when(~change.agreed).then(pl.lit(pairs.wins)).alias("take"))
    if conflict.any():
        answers = _over(answers, _ruled(pairs, item, conflict))
    if item.name not in pairs.chosen or item.strength is not Strength.NORMAL:
        return answers  # strong and weak look at what is there, so no answer would last
    return _over(answers, pairs.chosen[item.name])


def _ruled(pairs: Pairs, item: MergeField, conflict: pl.Series) -> pl.DataFrame:
    """Return what the rule says about conflicts, nulls for the other pairs."""
    if item.policy is ConflictPolicy.EXPRESSION and item.name in pairs.resolved:
        return pairs.resolved[item.name].with_columns(pl.when(conflict).then("take").alias("take"))
    rows = conflict.arg_true()
    question = _question(pairs, item).at(rows)
    answers = settle(item.policy, question).with_columns(rows.alias(_ROW))
    every = conflict.to_frame().with_row_index(_ROW).select(_ROW)
    return every.join(answers, on=_ROW, how="left", maintain_order="left").drop(_ROW)


def _question(pairs: Pairs, item: MergeField) -> Question:
    """Return what both sides say; of a field that flows one way, its source says what it gives."""
    to_right = pairs.to_right[item.name] if item.right is not None else pairs.left[str(item.left)]
    to_left = pairs.to_left[item.name] if item.left is not None else pairs.right[str(item.right)]
    return Question(
        left=pairs.left[item.left] if item.left is not None else to_right,
        right=pairs.right[item.right] if item.right is not None else to_left,
        to_right=to_right,
        to_left=to_left,
        newer=pairs.newer.cast(pl.String).fill_null(pairs.tie),
    )


def _over(below: pl.DataFrame, above: pl.DataFrame) -> pl.DataFrame:
    """Return the answers of one frame where it has some, else those of the other."""
    above = above.select("take", *(name for name in _VALUES if name in above.columns))
    answered = above["take"].is_not_null()
    columns = [
        above[name].zip_with(answered, below[name]) if name in below.columns else above[name] for name in above.columns
    ]
    return below.with_columns(columns)


def _written(way: _Way, wanted: pl.Series, answers: pl.DataFrame, target: SideName) -> tuple[pl.Series, pl.Series]:
    """Return which pairs are written to a side, and the values."""
    giver = LEFT if target is SideName.RIGHT else RIGHT
    take, column = answers["take"], f"to_{target.value}"
    given = take.eq_missing(pl.Series([giver], dtype=pl.String))
    values, valued = way.gives, given & False
    if column in answers.columns:
        valued = take.eq_missing(pl.Series([VALUE]))
        values = _typed(answers[column], way.gives.dtype).zip_with(valued, values)
    mask = (given | valued | (wanted & take.is_null())) & values.ne_missing(way.holds) & way.applies
    return mask.alias("written"), values.zip_with(mask, way.holds).alias(way.holds.name)
