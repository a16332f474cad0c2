"""One tier at work: which pairs meet all its comparisons, how alike they are and how sure that makes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rules.documents.sync import Match, MatchHow, Tier
from rules.reconcile.correlate.alike import Likeness, Rows, Scores
from rules.reconcile.correlate.blocking import Candidates, Field, Side
from rules.reconcile.correlate.deciding import PAIRS
from rules.reconcile.correlate.forms import Pair, alike_forms, equal_forms, kind_of
from rules.reconcile.correlate.keys import columns, equal_pairs
from rules.reconcile.correlate.matches import Skipped
from rules.schema import Schema

MOST = 20
"""So many partners of a record are kept from a tier, the most alike; each keeps its own, whoever else wants them."""

AT_FIRST = 100
"""So many partners of an asking record are kept until all are compared."""

EVIDENCE = 0.5
"""The similarities that could be asked have to carry at least this share of the tier's weight."""


class TierWork:
    """A tier of a rule; `number` is its place there."""

    def __init__(self, number: int, tier: Tier, left: Schema, right: Schema) -> None:
        self.number, self._tier = number, tier
        self.margin = tier.margin
        self._kinds = {match: kind_of(match, left, right) for match in tier.match}
        self._equal = [m for m in tier.match if m.how is not MatchHow.SIMILARITY]
        self._alike = sorted((m for m in tier.match if m.how is MatchHow.SIMILARITY), key=lambda m: -m.weight)

    def pairs(
        self, left: pl.DataFrame, right: pl.DataFrame, free: tuple[pl.Series, pl.Series]
    ) -> tuple[pl.DataFrame, Skipped | None]:
        """Return the pairs (l, r, score, confidence) of free records that meet the tier, and what was not compared."""
        rows = tuple(one.arg_true() for one in free)
        sides = (left.filter(free[0]), right.filter(free[1]))
        skipped = None
        if self._alike:
            found, skipped = self._likely(*sides)
        else:
            found = equal_pairs([self._forms(m, *sides) for m in self._equal])
            found = found.with_columns(score=pl.lit(1.0), confidence=pl.lit(self._tier.confidence, pl.Float64))
        placed = found.with_columns(l=rows[0].gather(found["l"]), r=rows[1].gather(found["r"]))
        return placed.select(pl.col(name).cast(dtype) for name, dtype in PAIRS.items()), skipped

    def _forms(self, match: Match, left: pl.DataFrame, right: pl.DataFrame) -> Pair:
        values = left[match.left], right[match.right]
        if match.how is MatchHow.SIMILARITY:
            return alike_forms(*values, self._kinds[match])
        return equal_forms(*values, match.how, self._kinds[match])

    def _likely(self, left: pl.DataFrame, right: pl.DataFrame) -> tuple[pl.DataFrame, Skipped | None]:
        equal = [self._forms(match, left, right) for match in self._equal]
        alike = [self._forms(match, left, right) for match in self._alike]
        likeness = [Likeness(pair, self._kinds[m], m.threshold) for m, pair in zip(self._alike, alike, strict=True)]
        found = [pl.DataFrame(schema={"l": pl.UInt32, "r": pl.UInt32, "score": pl.Float64})]
        records = values = 0
        for groups in _groups(equal, left.height, right.height):
            sides = [
                Side(tuple(self._field(m, pair, n) for m, pair in zip(self._alike, alike, strict=True)), groups[n])
                for n in (0, 1)
            ]
            turned = left.height > right.height
            candidates = Candidates(sides[turned], sides[not turned])
            for asking, asked in candidates.chunks():
                found.append(self._scored(likeness, *((asked, asking) if turned else (asking, asked)), turned=turned))
            records, values = records + candidates.records, values + candidates.values
        pairs = pl.concat(found).unique(["l", "r"]) if equal else pl.concat(found)
        pairs = _most(pairs, "lr", MOST).with_columns(confidence=self._confidence())
        return pairs, Skipped(self.number, records, values) if records else None

    def _field(self, match: Match, pair: Pair, side: int) -> Field:
        return Field(pair[side], self._kinds[match], pair[0].mixed or pair[1].mixed)

    def _scored(self, likeness: list[Likeness], left: Rows, right: Rows, *, turned: bool) -> pl.DataFrame:
        """Return the pairs of a chunk that are alike enough, of each asking record the best."""
        total, weight = np.zeros(len(left)), np.zeros(len(left))
        whole = rest = sum(match.weight for match in self._alike)
        for match, compare in zip(self._alike, likeness, strict=True):
            scores = compare(left, right)
            missing = np.isnan(scores)
            rest -= match.weight
            total, weight = _added(total, weight, scores, match.weight)
            # What is left could all be the same: only pairs that can still get there are compared further.
            possible = total + rest >= (self._tier.threshold - 1e-9) * (weight + rest)
            enough = weight + rest >= EVIDENCE * whole - 1e-9
            kept = (missing | (scores >= match.threshold - 1e-9)) & possible & enough
            left, right, total, weight = left[kept], right[kept], total[kept], weight[kept]
        score = total / np.where(weight > 0, weight, 1)
        pairs = pl.DataFrame({"l": left, "r": right, "score": score}).cast({"l": pl.UInt32, "r": pl.UInt32})
        return _most(pairs, "r" if turned else "l", AT_FIRST)

    def _confidence(self) -> pl.Expr:
        """Return how sure a pair is: as its tier says, or between its two confidences by how alike the records are."""
        top, low = self._tier.confidence, self._tier.confidence_from
        if low is None:
            return pl.lit(top, pl.Float64)
        weights = sum(match.weight for match in self._alike)
        least = max(self._tier.threshold, sum(match.weight * match.threshold for match in self._alike) / weights)
        share = (pl.col("score") - least) / (1 - least) if least < 1 else pl.lit(1.0)
        return low + (top - low) * share.clip(0, 1)


def _added(total: Scores, weight: Scores, scores: Scores, by: float) -> tuple[Scores, Scores]:
    """Return the sums with a comparison; one that has no value on some side is left out."""
    known = ~np.isnan(scores)
    return total + np.where(known, scores, 0) * by, weight + known * by


def _most(pairs: pl.DataFrame, sides: str, most: int) -> pl.DataFrame:
    """Return the pairs that are among the best of one of the records at the given sides."""
    places = (pl.col("score").rank("ordinal", descending=True).over(side) <= most for side in sides)
    return pairs.sort("l", "r").filter(pl.any_horizontal(*places))


def _groups(equal: list[Pair], left: int, right: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield numbers of the groups of records that are equal where they have to be; 0 where a value is missing."""
    if not equal:
        yield np.ones(left, np.uint64), np.ones(right, np.uint64)
        return
    for lefts, rights in columns(equal):
        keys = lefts.columns[1:]
        groups = lefts.select(keys).unique().join(rights.select(keys).unique(), on=keys, how="semi")
        groups = groups.sort(keys).with_row_index("group", offset=1)
        made = []
        for rows, size, name in ((lefts, left, "l"), (rights, right, "r")):
            found = rows.join(groups, on=keys).select(name, "group")
            numbers = np.zeros(size, np.uint64)
            numbers[found[name].to_numpy()] = found["group"].to_numpy()
            made.append(numbers)
        yield made[0], made[1]
