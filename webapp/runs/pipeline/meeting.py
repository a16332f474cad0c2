"""Two-way: records of a page that may have changed meet their partners, and what is found is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rules.documents.defaults import actions
from rules.documents.sync import Action
from rules.mapping.results import Mapped
from rules.reconcile.agreement import AgreeingRule
from rules.reconcile.one_way import FOUND, PARTNER, TIMES, key_text
from rules.reconcile.one_way import meet as join
from rules.reconcile.situations import APART, Situation
from rules.reconcile.two_way import gone
from rules.text import msg
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.pairs import APART as KEPT_APART
from webapp.runs.pipeline.pairs import LINK, Pairs
from webapp.runs.pipeline.views import View


@dataclass
class Met:
    """Records of one side, a row each, and what is found for them; `known` is what `Pairs.find` says of their keys.

    `mapped` is what they give to the other side, `partners` are that side's records (nulls where not `there`).
    """

    draft: Draft
    numbers: pl.Series
    keys: pl.Series
    known: pl.DataFrame
    batch: pl.DataFrame
    in_scope: pl.Series
    mapped: Mapped
    partners: pl.DataFrame
    there: pl.Series
    times: pl.Series
    sought: pl.Series
    offers: pl.DataFrame
    hits: pl.DataFrame

    def possible(self, row: int) -> pl.DataFrame:
        """Return the records of the other side that fit a record."""
        return self.offers.filter(pl.col(PARTNER) == self.sought[row]).drop(PARTNER)

    @property
    def linked(self) -> pl.Series:
        """Return a mask of the records that have a link, also one that sleeps while a record is out of scope."""
        return linked(self.known)

    @property
    def apart(self) -> pl.Series:
        """Return a mask of the records that are to stay alone."""
        return _apart(self.known)


def linked(known: pl.DataFrame) -> pl.Series:
    """Return which records have a partner, by what `Pairs.find` says of their keys."""
    return known["op"].eq_missing(pl.Series([LINK])) | (known["op"].is_not_null() & known["partner"].is_not_null())


def _apart(known: pl.DataFrame) -> pl.Series:
    return known["op"].eq_missing(pl.Series([KEPT_APART])) & known["partner"].is_null()


def meet(
    view: View, draft: Draft, numbers: pl.Series, keys: pl.Series, known: pl.DataFrame, chosen: Mapping[int, str]
) -> Met:
    """Return the records with their partners; `chosen` has the partners that people have named, by row."""
    planner = view.planner
    in_scope = planner.scope(draft)
    asked = planner.decide(draft, in_scope)
    planner.validate(draft, asked.batch, in_scope, keys)
    mapped = view.mapping.apply(asked.batch)
    for error in mapped.errors:
        if in_scope[error.row]:
            draft.park(error.row, error.stage, error.message, error.field)
    partner = known["partner"].set(~linked(known), None)
    for row, key in chosen.items():
        partner = partner.scatter(row, key)
    wanted = draft.usable & in_scope & ~_apart(known)
    sought, found = planner.partners(draft, partner, mapped.records, wanted)
    met = join(sought, found)
    partners = met.drop(PARTNER, TIMES, FOUND)
    there = met[FOUND]
    about = (partners, there, met[TIMES], sought, found, asked.hits(in_scope))
    return Met(draft, numbers, keys, known, asked.batch, in_scope, mapped, *about)


def situations(met: Met, view: View, other: View, pairs: Pairs, changed: pl.Series) -> pl.Series:
    """Return what is found for each record, null for those that cannot go on and for pairs that are to be merged.

    `changed` tells which records give something else than at the last agreement.
    """
    there_key = key_text(met.partners[other.key])
    partner_in = _partner_in_scope(met, other)
    here = pl.repeat(value=True, n=met.keys.len(), dtype=pl.Boolean, eager=True)
    sides = (here, met.there) if view.name == "left" else (met.there, here)
    edited = ~here if _unguarded(view) else changed
    lost = gone(*sides, edited, edited, actions(view.rule))["situation"]
    alone = Situation.UNMATCHED_LEFT if view.name == "left" else Situation.UNMATCHED_RIGHT
    disputed = (met.times > 1).fill_null(value=False) | pairs.taken(other.name, there_key).fill_null(value=False)
    table = pl.DataFrame(
        {
            "usable": met.draft.usable, "scope": met.in_scope, "linked": met.linked, "apart": met.apart,
            "there": met.there, "disputed": disputed, "partner_in": partner_in, "lost": lost,
        }
    )  # fmt: skip
    col = pl.col
    return table.select(
        pl.when(~col("usable"))
        .then(None)
        .when(~col("scope"))
        .then(pl.lit(Situation.OUT_OF_SCOPE.value))
        .when("apart")
        .then(pl.lit(APART))
        .when(col("linked") & col("there") & ~col("partner_in"))
        .then(pl.lit(Situation.OUT_OF_SCOPE.value))
        .when(col("linked") & col("there"))
        .then(None)
        .when("linked")
        .then("lost")
        .when(col("there") & col("disputed"))
        .then(pl.lit(Situation.DISPUTED.value))
        .when(col("there") & ~col("partner_in"))
        .then(pl.lit(Situation.OUT_OF_SCOPE.value))
        .when("there")
        .then(pl.lit(Situation.UNLINKED.value))
        .otherwise(pl.lit(alone.value))
        .alias("situation")
    ).to_series()


def _unguarded(view: View) -> bool:
    """Tell whether edits on a side do not count against deletions on the other one.

    They do not on the source of a rule that flows one way and says nothing about edits against deletions: what is gone
    from its target is `deleted_right` (or `deleted_left`).
    """
    rule = view.rule
    return isinstance(rule, AgreeingRule) and view.name == rule.source.value and rule.situations.edit_vs_delete is None


def _partner_in_scope(met: Met, other: View) -> pl.Series:
    mask = met.there.clone()
    rows = met.there.arg_true()
    if other.mapping.scope is None or rows.is_empty():
        return mask
    inside, errors = other.mapping.where(met.partners[rows])
    for error in errors:
        key = key_text(met.partners[other.key])[int(rows[error.row])]
        text = msg("Its partner {key} in {object}: {problem}", key=key, object=other.object, problem=error.message)
        met.draft.park(int(rows[error.row]), "scope", text, "where")
    return mask.scatter(rows, inside)


SAID = {
    "delete": Action.DELETE.value,
    "recreate": Action.RECREATE.value,
    "unlink": Action.UNLINK.value,
    "keep": Action.UNLINK.value,
    "create": Action.CREATE.value,
    "ignore": Action.IGNORE.value,
}
"""What people answer about a record as a whole, and the action that it stands for."""
