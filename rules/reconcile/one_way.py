"""One direction: compare what a source says with what its target holds.

Everything is columnar: one row a source record, in the order read. Record keys are text here, so that both sides'
keys meet in one type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rules.reconcile.situations import Situation

PARTNER = "__partner"
FOUND = "__found"
TIMES = "__times"


_FORMS: Mapping[type[pl.DataType], str] = {
    pl.Date: "%Y-%m-%d",
    pl.Time: "%H:%M:%S%.9f",
    pl.Datetime: "%Y-%m-%d %H:%M:%S%.6f",
}


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

    `usable` is false for records that are parked already. `linked` tells whether a link is known. `partner` is the text
    under which a record's partner is sought; `partners` holds the target's records and that text as column `__partner`.
    `applies` holds a mask for each field whose `when` condition left some record alone.
    """

    usable: pl.Series
    in_scope: pl.Series
    linked: pl.Series
    partner: pl.Series
    mapped: pl.DataFrame
    applies: Mapping[str, pl.Series]
    partners: pl.DataFrame


@dataclass(frozen=True)
class Decision:
    """What was found and is to be done, a row per record.

    `found` has the columns `situation`, `action` and `changed` (the names of the fields that differ); nulls for records
    that are not usable. `partners` holds each record's partner, nulls where there is none.
    """

    found: pl.DataFrame
    partners: pl.DataFrame


def key_text(series: pl.Series) -> pl.Series:
    """Return keys as text: the form in which links and outcomes hold them."""
    if series.dtype == pl.String:
        return series
    if series.dtype == pl.Binary:
        return series.bin.encode("hex")
    form = _FORMS.get(type(series.dtype))
    return series.cast(pl.String) if form is None else series.dt.strftime(form)


def key_values(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return the keys that texts of `key_text` stand for; null where a text is none of the type."""
    kind = type(dtype)
    if dtype == pl.Boolean:
        return texts.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if dtype == pl.Binary:
        return texts.str.decode("hex", strict=False)
    if kind is pl.Datetime:
        return texts.str.strptime(pl.Datetime("us"), _FORMS[kind], strict=False).cast(pl.Int64).cast(dtype)
    if kind is pl.Date:
        return texts.str.to_date(_FORMS[kind], strict=False)
    if kind is pl.Time:
        return texts.str.to_time(_FORMS[kind], strict=False)
    return texts.cast(dtype, strict=False)


def decide(batch: Batch, fields: Sequence[TargetField], actions: Mapping[str, str]) -> Decision:
    """Return what was found for each record, and the action that `actions` (situation -> action) names for it."""
    met = meet(batch.partner, batch.partners)
    changed = _changed(batch, met, fields)
    situation = _situations(batch, met, changed)
    action = situation.replace_strict(dict(actions), default=None, return_dtype=pl.String)
    found = pl.DataFrame({"situation": situation, "action": action, "changed": changed})
    return Decision(found, met.drop(PARTNER, FOUND, TIMES))


def meet(partner: pl.Series, partners: pl.DataFrame) -> pl.DataFrame:
    """Return the partner of each record, nulls where there is none.

    `partner` is the text under which it is sought, `partners` holds the records found and that text as `PARTNER`. The
    columns `FOUND` and `TIMES` tell whether there is one, and how often it occurs.
    """
    if partners.is_empty():
        rest = [(name, kind) for name, kind in partners.schema.items() if name != PARTNER]
        nobody = {FOUND: pl.lit(value=False), TIMES: pl.lit(None, dtype=pl.UInt32)}
        nothing = {name: pl.lit(None, dtype=kind) for name, kind in rest}
        return partner.alias(PARTNER).to_frame().with_columns(**nothing, **nobody)
    there = partners.with_columns(pl.lit(value=True).alias(FOUND))
    times = there.group_by(PARTNER).len(TIMES)
    one_each = there.unique(PARTNER, keep="first", maintain_order=True)
    asked = pl.DataFrame({PARTNER: partner})
    joined = asked.join(one_each, on=PARTNER, how="left", maintain_order="left")
    joined = joined.join(times, on=PARTNER, how="left", maintain_order="left")
    return joined.with_columns(pl.col(FOUND).fill_null(value=False))


def _changed(batch: Batch, met: pl.DataFrame, fields: Sequence[TargetField]) -> pl.Series:
    """Return the names of the fields that differ, a list a record; lists are made only where there are any."""
    compared = [field for field in fields if field.on_update] if met[FOUND].any() else []
    differs = pl.DataFrame({field.name: _differs(batch, met, field) for field in compared})
    none = pl.repeat([], met.height, dtype=pl.List(pl.String), eager=True).alias("changed")
    rows = differs.select(pl.any_horizontal(pl.all()).arg_true()).to_series() if differs.width else pl.Series([])
    if rows.is_empty():
        return none
    names = (pl.when(pl.col(name)).then(pl.lit(name)).alias(name) for name in differs.columns)
    lists = (
        differs[rows].select(names).select(row=rows.cast(pl.UInt32), changed=pl.concat_list(pl.all()).list.drop_nulls())
    )
    numbered = none.to_frame().with_row_index("row")
    return numbered.update(lists, on="row", how="left")["changed"]


def _differs(batch: Batch, met: pl.DataFrame, field: TargetField) -> pl.Series:
    mine, theirs = batch.mapped[field.name], met[field.name]
    differs = mine.ne_missing(theirs) & met[FOUND]
    if field.weak:
        differs &= theirs.is_null() | (theirs.eq_missing("") if theirs.dtype == pl.String else theirs.is_null())
    if field.name in batch.applies:
        differs &= batch.applies[field.name]
    return differs


def _situations(batch: Batch, met: pl.DataFrame, changed: pl.Series) -> pl.Series:
    table = met.select(FOUND, TIMES).with_columns(
        usable=batch.usable, scope=batch.in_scope, linked=batch.linked, differs=changed.list.len() > 0
    )
    return table.select(
        pl.when(~pl.col("usable"))
        .then(None)
        .when(~pl.col("scope"))
        .then(pl.lit(Situation.OUT_OF_SCOPE.value))
        .when(pl.col(TIMES) > 1)
        .then(pl.lit(Situation.DISPUTED.value))
        .when(pl.col(FOUND) & ~pl.col("linked"))
        .then(pl.lit(Situation.UNLINKED.value))
        .when(pl.col(FOUND) & pl.col("differs"))
        .then(pl.lit(Situation.LINKED_CHANGED.value))
        .when(FOUND)
        .then(pl.lit(Situation.LINKED_UNCHANGED.value))
        .when("linked")
        .then(pl.lit(Situation.DELETED_RIGHT.value))
        .otherwise(pl.lit(Situation.UNMATCHED_LEFT.value))
        .alias("situation")
    ).to_series()
