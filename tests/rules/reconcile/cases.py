"""Linked pairs for tests of the merge: copied fields, so that the next baseline follows from the merged records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from hypothesis import strategies as st

from rules.documents.sync import ConflictPolicy, Strength
from rules.reconcile.merge import Merged, MergeField, Pairs, merge

DECIMAL = pl.Decimal(38, 2)
NAMES = ("0", "1")
TEXTS = (None, "", "a", "b", "顾客😀", "𠮷")
FLOATS = (None, float("nan"), 1.5, -2.0, 0.0)


@dataclass(frozen=True)
class Setting:
    """Pairs and the fields they are merged with."""

    pairs: Pairs
    fields: tuple[MergeField, ...]

    def merged(self) -> Merged:
        """Return what the merge says."""
        return merge(self.pairs, self.fields)


def field(policy: str = "manual", way: str = "both", **other: Any) -> MergeField:
    """Return the field `0`: called `a` on the left and `b` on the right."""
    return MergeField(
        other.get("name", "0"),
        None if way == "left_to_right" else f"a{other.get('name', '0')}",
        None if way == "right_to_left" else f"b{other.get('name', '0')}",
        Strength(other.get("strength", "normal")),
        bool(other.get("on_update", True)),
        ConflictPolicy(policy),
    )


def setting(
    item: MergeField,
    rows: Sequence[tuple[Any, Any, Any]],
    dtype: pl.DataType | type[pl.DataType] = pl.String,
    **other: Any,
) -> Setting:
    """Return pairs of one copied field: left value, right value and the value agreed on (`...` if nothing was)."""
    number = item.name
    known = pl.Series([base is not ... for _, _, base in rows], dtype=pl.Boolean)
    bases = [None if base is ... else base for _, _, base in rows]
    base = pl.Series(bases, dtype=dtype)
    pairs = paired(
        pl.DataFrame({f"a{number}": pl.Series([row[0] for row in rows], dtype=dtype)}),
        pl.DataFrame({f"b{number}": pl.Series([row[1] for row in rows], dtype=dtype)}),
        pl.DataFrame({f"l:{number}": base, f"r:{number}": base}),
        known,
    )
    return Setting(replace(pairs, **other), (item,))


def paired(left: pl.DataFrame, right: pl.DataFrame, base: pl.DataFrame, known: pl.Series) -> Pairs:
    """Return pairs whose fields a<name> and b<name> are copies of each other."""
    none = pl.repeat(None, len(known), dtype=pl.String, eager=True)
    to_right = left.rename(lambda name: name[1:])
    to_left = right.rename(lambda name: name[1:])
    return Pairs(left, right, to_right, to_left, base, known, {}, {}, none, "left", {})


def rebased(pairs: Pairs, merged: Merged) -> Pairs:
    """Return the pairs as the next run finds them: the records written, and what they agree on."""
    left = pairs.left.with_columns(values.alias(name) for name, (_, values) in merged.left.items())
    right = pairs.right.with_columns(values.alias(name) for name, (_, values) in merged.right.items())
    after = paired(left, right, pairs.base, pairs.known | True)
    columns = []
    for name in merged.held.columns:
        for side, gives in (("left", after.to_right), ("right", after.to_left)):
            prefix, held = side[0], merged.stays[side][name]
            before = pairs.base[f"{prefix}:{name}"]
            columns.append(before.zip_with(held, gives[name]).alias(f"{prefix}:{name}"))
    kept = {"applies_right": pairs.applies_right, "applies_left": pairs.applies_left}
    settled = {"newer": pairs.newer, "tie": pairs.tie}
    return replace(after, base=pl.DataFrame(columns), **kept, **settled)


_SWAPPED = {"left": "right", "right": "left"}


def swapped(found: Setting) -> Setting:
    """Return the same pairs seen from the other side."""
    p = found.pairs
    pairs = Pairs(
        left=p.right,
        right=p.left,
        to_right=p.to_left,
        to_left=p.to_right,
        base=p.base.rename(lambda name: {"l": "r", "r": "l"}[name[0]] + name[1:]),
        known=p.known,
        applies_right=p.applies_left,
        applies_left=p.applies_right,
        newer=p.newer.replace(_SWAPPED),
        tie=_SWAPPED[p.tie],
        chosen={name: _swapped_answers(frame) for name, frame in p.chosen.items()},
    )
    return Setting(pairs, tuple(_swapped_field(item) for item in found.fields))


def _swapped_answers(frame: pl.DataFrame) -> pl.DataFrame:
    columns = {"to_right": "to_left", "to_left": "to_right"}
    turned = frame.rename({name: f"new_{columns[name]}" for name in columns if name in frame.columns})
    return turned.rename(lambda name: name.removeprefix("new_")).with_columns(pl.col("take").replace(_SWAPPED))


def _swapped_field(item: MergeField) -> MergeField:
    policy = ConflictPolicy(_SWAPPED.get(item.policy.value, item.policy.value))
    return MergeField(item.name, item.right, item.left, item.strength, item.on_update, policy)


def row(pairs: Pairs, order: Sequence[int]) -> Pairs:
    """Return some of the pairs, in the order given."""

    def those(mapping: Mapping[str, Any]) -> dict[str, Any]:
        return {name: values[list(order)] for name, values in mapping.items()}

    places = list(order)
    return Pairs(
        *(frame[places] for frame in (pairs.left, pairs.right, pairs.to_right, pairs.to_left, pairs.base, pairs.known)),
        applies_right=those(pairs.applies_right),
        applies_left=those(pairs.applies_left),
        newer=pairs.newer[places],
        tie=pairs.tie,
        chosen=those(pairs.chosen),
    )


def masks(size: int) -> st.SearchStrategy[pl.Series]:
    """Return columns of truths."""
    return st.lists(st.booleans(), min_size=size, max_size=size).map(lambda found: pl.Series(found, dtype=pl.Boolean))


def sides(size: int) -> st.SearchStrategy[pl.Series]:
    """Return columns of "left", "right" and nothing."""
    names = st.sampled_from(["left", "right", None])
    return st.lists(names, min_size=size, max_size=size).map(lambda found: pl.Series(found, dtype=pl.String))


@st.composite
def settings(draw: st.DrawFn, policies: Sequence[str] = tuple(ConflictPolicy), answers: bool = True) -> Setting:
    """Return pairs of a text and a float field under any policy, with conditions and a person's answers."""
    size = draw(st.integers(0, 5))
    kinds = {"0": (st.sampled_from(TEXTS), pl.String), "1": (st.sampled_from(FLOATS), pl.Float64)}

    def column(name: str) -> pl.Series:
        values, dtype = kinds[name]
        return pl.Series(draw(st.lists(values, min_size=size, max_size=size)), dtype=dtype)

    known = draw(masks(size))
    bases = {name: pl.select(pl.when(known).then(column(name))).to_series() for name in NAMES}
    base = pl.DataFrame({f"{prefix}:{name}": bases[name] for name in NAMES for prefix in "lr"})
    left = pl.DataFrame({f"a{name}": column(name) for name in NAMES})
    right = pl.DataFrame({f"b{name}": column(name) for name in NAMES})
    pairs = replace(
        paired(left, right, base, known), newer=draw(sides(size)), tie=draw(st.sampled_from(["left", "right"]))
    )
    if draw(st.booleans()):
        pairs = replace(pairs, applies_right={"0": draw(masks(size))}, applies_left={"0": draw(masks(size))})
    if answers and draw(st.booleans()):
        pairs = replace(pairs, chosen={"0": _answers(draw, size)})
    return Setting(pairs, tuple(_any_field(draw, name, policies) for name in NAMES))


def _answers(draw: st.DrawFn, size: int) -> pl.DataFrame:
    takes = st.sampled_from(["left", "right", "value", None])
    values = st.lists(st.sampled_from(TEXTS), min_size=size, max_size=size).map(lambda v: pl.Series(v, dtype=pl.String))
    value = draw(values)
    take = pl.Series(draw(st.lists(takes, min_size=size, max_size=size)), dtype=pl.String)
    return pl.DataFrame({"take": take, "to_right": value, "to_left": value})


def _any_field(draw: st.DrawFn, name: str, policies: Sequence[str]) -> MergeField:
    way = draw(st.sampled_from(["both", "both", "left_to_right", "right_to_left"]))
    strengths = ["normal", "normal", "weak"] + (["strong"] if way != "both" else [])
    return field(
        draw(st.sampled_from(list(policies))),
        way,
        name=name,
        strength=draw(st.sampled_from(strengths)),
        on_update=draw(st.sampled_from([True, True, True, False])),
    )
