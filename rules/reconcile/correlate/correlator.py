"""Unlinked records of two sides, tier by tier."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from rules.documents.sync import MatchHow, SyncRule
from rules.reconcile.correlate.deciding import PAIRS, settle, without
from rules.reconcile.correlate.matches import SCHEMA, Matches, Skipped
from rules.reconcile.correlate.tiers import TierWork
from rules.reconcile.one_way import key_text
from rules.schema import Schema

FEW = 10
"""So many candidates of a record are shown to a person at most."""


class Correlator:
    """Finds partners by the tiers of a rule, the surest tier first.

    What a tier has linked or left disputed is not decided by another tier.
    """

    def __init__(self, rule: SyncRule, left: Schema, right: Schema) -> None:
        self._rule = rule
        tiers = sorted(enumerate(rule.correlate), key=lambda one: -one[1].confidence)
        self._tiers = [TierWork(number, tier, left, right) for number, tier in tiers]
        matches = [match for tier in rule.correlate for match in tier.match]
        self.fields: tuple[frozenset[str], frozenset[str]] = (
            frozenset(match.left for match in matches),
            frozenset(match.right for match in matches),
        )
        self.needs_candidates = any(match.how is not MatchHow.EXACT for match in matches)

    def match(self, left: pl.DataFrame, right: pl.DataFrame, *, from_side: str = "left") -> Matches:
        """Return the partners among unlinked records.

        Both frames hold their key field and `fields`; a record without a key is left out. `from_side` names the side
        that is asked for: what was found is ordered by its records, and of each at most `FEW` candidates are given.
        """
        lefts, rights = _ordered(left, self._rule.key.left), _ordered(right, self._rule.key.right)
        state = _State(from_side[0])
        for tier in self._tiers:
            state.add(
                tier, tier.pairs(lefts, rights, state.free(lefts, rights)), self._rule.auto_link, self._rule.review
            )
        keys = (key_text(lefts[self._rule.key.left]), key_text(rights[self._rule.key.right]))
        return state.matches(keys)


def _ordered(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the records that have a key in its order, so that nothing depends on the order in which they come."""
    return frame.filter(pl.col(key).is_not_null()).unique(key, keep="first", maintain_order=True).sort(key)


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema={**PAIRS, "tier": pl.Int32})


@dataclass
class _State:
    """What the tiers have found so far, in row numbers; `side` (l or r) is asked for."""

    side: str
    links: pl.DataFrame = field(default_factory=_none)
    open: pl.DataFrame = field(default_factory=_none)
    waiting: pl.DataFrame = field(default_factory=_none)
    doubtful: pl.DataFrame = field(default_factory=_none)
    skipped: tuple[Skipped, ...] = ()

    def free(self, left: pl.DataFrame, right: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return which records are not linked yet."""
        return tuple(  # type: ignore[return-value]
            ~pl.int_range(frame.height, dtype=pl.UInt32, eager=True).is_in(self.links[side].implode())
            for side, frame in (("l", left), ("r", right))
        )

    def add(self, tier: TierWork, found: tuple[pl.DataFrame, Skipped | None], auto_link: float, review: float) -> None:
        """Decide what a tier has found."""
        pairs = found[0].with_columns(tier=pl.lit(tier.number, pl.Int32))
        self.skipped += (found[1],) if found[1] else ()
        sure = pairs.filter(pl.col("confidence") >= auto_link)
        claimed = pl.any_horizontal(*(pl.col(side).is_in(self.open[side].implode()) for side in "lr"))
        links, undecided = settle(sure.filter(~claimed), tier.margin)
        self.waiting = pl.concat([self.waiting, sure.filter(claimed)])
        self.doubtful = pl.concat(
            [self.doubtful, pairs.filter(pl.col("confidence").is_between(review, auto_link, "left"))]
        )
        self.links = pl.concat([self.links, links])
        self.open = pl.concat([self.open, undecided])

    def matches(self, keys: tuple[pl.Series, pl.Series]) -> Matches:
        """Return what was found, as keys."""
        mine = pl.Series(self.open[self.side]).unique().implode()
        waiting = without(self.waiting, self.links).filter(~pl.col(self.side).is_in(mine))
        disputed = pl.concat([self.open, waiting])
        mine = pl.Series(disputed[self.side]).unique().implode()
        doubtful = without(self.doubtful, self.links).filter(~pl.col(self.side).is_in(mine))
        shown = [self._named(pairs, keys) for pairs in (self.links, doubtful, disputed)]
        return Matches(shown[0], shown[1], shown[2], self.skipped)

    def _named(self, pairs: pl.DataFrame, keys: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
        """Return pairs by keys: a pair once, the best candidates first."""
        other = "r" if self.side == "l" else "l"
        best_first = pairs.sort(
            self.side, "confidence", "score", "tier", other, descending=[False, True, True, False, False]
        )
        few = best_first.unique(["l", "r"], keep="first", maintain_order=True)
        few = few.filter(pl.int_range(pl.len()).over(self.side) < FEW)
        named = {
            "left_key": keys[0].gather(few["l"]),
            "right_key": keys[1].gather(few["r"]),
            "confidence": few["confidence"],
            "tier": few["tier"],
        }
        return pl.DataFrame(named, schema=SCHEMA)
