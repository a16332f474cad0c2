"""Which of many candidate pairs are partners: each other's best by a margin, one to one."""

from __future__ import annotations

import polars as pl

ROUNDS = 100
"""A link may free the way for another one; what is still open after so many rounds stays open."""

PAIRS = {"l": pl.UInt32, "r": pl.UInt32, "score": pl.Float64, "confidence": pl.Float64}


def settle(pairs: pl.DataFrame, margin: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the pairs that are links, and those between which nothing decides.

    A pair is a link if it beats every other pair of both its records by `margin`, and by something in any case. Its
    records are taken then, so the next round looks at what is left. Of the open pairs those are kept that are among
    the best of one of their records.
    """
    found, rest = [pairs.clear()], pairs
    for _ in range(ROUNDS):
        links = _clear(rest, margin)
        if links.is_empty():
            break
        found.append(links)
        rest = without(rest, links)
    near = pl.any_horizontal(*(pl.col("score") >= pl.max("score").over(side) - margin for side in "lr"))
    return pl.concat(found), rest.filter(near)


def without(pairs: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs of which neither record is taken."""
    return pairs.join(taken.select("l"), on="l", how="anti").join(taken.select("r"), on="r", how="anti")


def _clear(pairs: pl.DataFrame, margin: float) -> pl.DataFrame:
    """Return the pairs that are clearly the best of both their records."""
    ranked = pairs
    for side in "lr":
        tops = pairs.group_by(side).agg(
            pl.col("score").max().alias(f"best_{side}"), pl.col("score").top_k(2).min().alias("next"), pl.len()
        )
        tops = tops.with_columns(pl.when(pl.col("len") > 1).then("next").alias(f"next_{side}"))
        ranked = ranked.join(tops.select(side, f"best_{side}", f"next_{side}"), on=side)
    clear = pl.lit(value=True)
    for side in "lr":
        following = pl.col(f"next_{side}")
        ahead = (pl.col("score") > following) & (pl.col("score") - following >= margin - 1e-9)
        clear &= (pl.col("score") == pl.col(f"best_{side}")) & (following.is_null() | ahead)
    return ranked.filter(clear).select(pairs.columns)
