"""One direction: compare what a source says with what its target holds.

Everything is columnar: one row a source record, in the order read. Record keys are text here, so that both sides'
keys meet in one type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from rules.documents.sync import Action, Situation

_KEY = "__partner"
_FOUND = "__found"
_TIMES = "__times"


class Outcome(StrEnum):
    """What became of a record. A run's `read` is the sum of all but `deleted`, which counts the other side's records."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    QUARANTINED = "quarantined"
    CASE = "cases"
    DELETED = "deleted"


@dataclass(frozen=True)
class TargetField:
    """A mapped field of the target: whether it is set on create and update, and only while empty (`weak`)."""

    name: str
    on_create: bool = True
    on_update: bool = True
    weak: bool = False


@dataclass(frozen=True)
class Batch:
    """One page, mapped, and the partners that the target holds.

    `usable` is false for records that are parked already. `linked` tells whether a link is known; `partner` is the key
    under which the target is asked. `partners` holds the target's records, its key column named `key`.
    `applies` holds a mask for each field whose `when` condition left some record alone.
    """

    usable: pl.Series
    in_scope: pl.Series
    linked: pl.Series
    partner: pl.Series
    mapped: pl.DataFrame
    applies: Mapping[str, pl.Series]
    partners: pl.DataFrame
    key: str


def key_text(series: pl.Series) -> pl.Series:
    """Return keys as text: the form in which links and outcomes hold them."""
    return series if series.dtype == pl.String else series.cast(pl.String)


def decide(batch: Batch, fields: Sequence[TargetField], actions: Mapping[Situation, Action]) -> pl.DataFrame:
    """Return a row per record: `situation`, `action`, and `changed`, the names of the fields that differ.

    Records that are not usable have nulls in all three.
    """
    met = _meet(batch)
    situation = _situations(batch, met, changed := _changed(batch, met, fields))
    table = {s.value: actions[s].value for s in Situation if s in actions}
    return pl.DataFrame(
        {
            "situation": situation,
            "action": situation.replace_strict(table, default=None, return_dtype=pl.String),
            "changed": changed,
        }
    )


def _meet(batch: Batch) -> pl.DataFrame:
    """Join the partners to the records; `__times` counts how often a partner key occurs in the target."""
    there = batch.partners.select(
        key_text(batch.partners[batch.key]).alias(_KEY), pl.all(), pl.lit(value=True).alias(_FOUND)
    )
    times = there.group_by(_KEY).len(_TIMES)
    one_each = there.unique(_KEY, keep="first", maintain_order=True)
    asked = pl.DataFrame({_KEY: batch.partner})
    joined = asked.join(one_each, on=_KEY, how="left", maintain_order="left")
    return joined.join(times, on=_KEY, how="left", maintain_order="left")


def _changed(batch: Batch, met: pl.DataFrame, fields: Sequence[TargetField]) -> pl.Series:
    names: list[pl.Series] = []
    for field in fields:
        if not field.on_update:
            continue
        mine, theirs = batch.mapped[field.name], met[field.name]
        differs = mine.ne_missing(theirs) & met[_FOUND].fill_null(value=False)
        if field.weak:
            differs &= theirs.is_null() | (theirs == "" if theirs.dtype == pl.String else pl.repeat(value=False, n=len(theirs), eager=True))
        if field.name in batch.applies:
            differs &= batch.applies[field.name]
        names.append(pl.select(pl.when(differs).then(pl.lit(field.name)).alias(field.name)).to_series())
    if not names:
        return pl.Series("changed", [[]] * met.height, dtype=pl.List(pl.String))
    return pl.DataFrame(names).select(changed=pl.concat_list(pl.all()).list.drop_nulls()).to_series()


def _situations(batch: Batch, met: pl.DataFrame, changed: pl.Series) -> pl.Series:
    found = pl.col(_FOUND).fill_null(value=False)
    linked = pl.col("linked")
    return (
        met.select(pl.col(_FOUND), pl.col(_TIMES))
        .with_columns(
            usable=batch.usable, scope=batch.in_scope, linked=batch.linked, changes=changed.list.len() > 0
        )
        .select(
            pl.when(~pl.col("usable"))
            .then(None)
            .when(~pl.col("scope"))
            .then(pl.lit(Situation.OUT_OF_SCOPE.value))
            .when(pl.col(_TIMES) > 1)
            .then(pl.lit(Situation.DISPUTED.value))
            .when(found & pl.col("changes"))
            .then(pl.lit(Situation.LINKED_CHANGED.value))
            .when(found)
            .then(pl.lit(Situation.LINKED_UNCHANGED.value))
            .when(linked)
            .then(pl.lit(Situation.DELETED_RIGHT.value))
            .otherwise(pl.lit(Situation.UNMATCHED_LEFT.value))
            .alias("situation")
        )
        .to_series()
    )
