"""Two directions: what is found for linked pairs of which a record is gone, and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rules.documents.sync import Action
from rules.reconcile.situations import Situation


def gone(
    left_there: pl.Series,
    right_there: pl.Series,
    left_changed: pl.Series,
    right_changed: pl.Series,
    actions: Mapping[str, str],
) -> pl.DataFrame:
    """Return `situation` and `action` of linked pairs, a row a pair; nulls where both records are there.

    `left_changed` and `right_changed` tell whether a record has changed since the baseline; null, where nobody knows,
    counts as changed, so that an edit is never taken for an old value. A pair that is gone from both sides is unlinked.
    """
    columns = {"left": left_there, "right": right_there, "edited_left": left_changed, "edited_right": right_changed}
    found = pl.DataFrame(columns).select(
        situation=pl.when(pl.col("left") == pl.col("right"))
        .then(None)
        .when(pl.when("left").then("edited_left").otherwise("edited_right").fill_null(value=True))
        .then(pl.lit(Situation.EDIT_VS_DELETE.value))
        .when("right")
        .then(pl.lit(Situation.DELETED_LEFT.value))
        .otherwise(pl.lit(Situation.DELETED_RIGHT.value)),
        both=~pl.col("left") & ~pl.col("right"),
    )
    named = pl.col("situation").replace_strict(
        {k: str(v) for k, v in actions.items()}, default=None, return_dtype=pl.String
    )
    return found.select(
        pl.col("situation").cast(pl.String),
        action=pl.when("both").then(pl.lit(Action.UNLINK.value)).otherwise(named),
    )
