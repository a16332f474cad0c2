"""Partners of records without a link that look-ups by value cannot find: compared all with all, once a run.

Where tiers only compare one field exactly, partners are looked up page by page and nothing is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from connectors.spi import Connector, ReadRequest
from rules.documents.sync import SyncRule
from rules.reconcile.correlate import Correlator
from rules.reconcile.one_way import key_text
from rules.reconcile.situations import REVIEW, Situation
from rules.schema import Schema
from rules.text import N_, msg
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.pairs import Pairs
from webapp.runs.pipeline.reading import whole
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import OTHER

if TYPE_CHECKING:
    from webapp.runs.pipeline.planning import Planner

_OPEN = ("left_key", "right_key", "confidence", "tier")


@dataclass(frozen=True)
class Found:
    """What was found: `links` to be made, and `open`: pairs in doubt or in dispute, with their `situation`."""

    links: pl.DataFrame
    open: pl.DataFrame
    skipped: int = 0
    """So many records were only compared with their neighbours: all that they share is too frequent."""

    def still(self, pairs: Pairs) -> Found:
        """Return the same without questions about records that have a link by now."""
        free = [~pairs.taken(side, self.open[f"{side}_key"]) for side in OTHER]
        return Found(self.links, self.open.filter(*free), self.skipped)

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the partner of each record of a side, null where none was found for sure."""
        links = self.links.select(key=f"{side}_key", partner=f"{OTHER[side]}_key")
        return pl.DataFrame({"key": keys}).join(links, on="key", how="left", maintain_order="left")["partner"]

    def situations(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the situation of each record of a side whose partner a person has to name, null for the others."""
        named = self.open.select(f"{side}_key", "situation").unique(f"{side}_key", keep="first", maintain_order=True)
        asked = pl.DataFrame({f"{side}_key": keys})
        return asked.join(named, on=f"{side}_key", how="left", maintain_order="left")["situation"]

    def tell(self, journal: Journal) -> None:
        """Note in the log of a run what was not compared with all."""
        if self.skipped:
            text = N_("{count} records share only very frequent values; they were compared with their neighbours only.")
            journal.log("info", msg(text, count=self.skipped))

    def candidates(self, side: str, key: str) -> pl.DataFrame:
        """Return the possible partners of a record, the best first: `key`, `confidence`, `tier`."""
        mine = self.open.filter(pl.col(f"{side}_key") == key)
        return mine.select("confidence", "tier", key=f"{OTHER[side]}_key")


def needed(rule: SyncRule, correlator: Correlator) -> bool:
    """Tell whether the tiers of a rule are more than one field compared exactly, sure enough to link."""
    doubtful = any(tier.confidence < rule.auto_link or len(tier.match) > 1 for tier in rule.correlate)
    return correlator.needs_candidates or doubtful


@dataclass(frozen=True)
class End:
    """One side of a rule: its fields, its object, its key field, and which of its keys have a link."""

    schema: Schema
    object: str
    key: str
    linked: Callable[[pl.Series], pl.Series]


def correlate(
    rule: SyncRule, ends: Mapping[str, End], read: Callable[[str, ReadRequest], pl.DataFrame]
) -> Found | None:
    """Return what the tiers find among the records without a link; None where look-ups are enough.

    `read` reads an object of a side whole.
    """
    correlator = Correlator(rule, ends["left"].schema, ends["right"].schema)
    if not needed(rule, correlator):
        return None
    frames = [_unlinked(ends[side], side, fields, read) for side, fields in zip(OTHER, correlator.fields, strict=True)]
    found = correlator.match(*frames)
    marked = [
        part.select(_OPEN).with_columns(situation=pl.lit(name))
        for part, name in ((found.disputed, Situation.DISPUTED.value), (found.doubtful, REVIEW))
    ]
    return Found(found.links, pl.concat(marked), sum(skipped.records for skipped in found.skipped))


def for_one_way(planner: Planner, connectors: tuple[Connector, Connector], links: Links, retry: Retry) -> Found | None:
    """Return partners that look-ups by value do not find, for a one-way rule; the connectors are source and target."""
    sides = planner.sides
    names = ("right", "left") if sides.reverse else ("left", "right")
    ends = (
        End(planner.source_schema, sides.source.object, sides.source_key, lambda keys: links.find(keys).is_not_null()),
        End(planner.whole_target, sides.target.object, sides.target_key, links.taken),
    )
    systems = dict(zip(names, connectors, strict=True))
    return correlate(
        planner.rule, dict(zip(names, ends, strict=True)), lambda side, asked: whole(systems[side], asked, retry)
    )


def _unlinked(
    end: End, side: str, fields: frozenset[str], read: Callable[[str, ReadRequest], pl.DataFrame]
) -> pl.DataFrame:
    """Return the records of a side that have no link and may get one, as far as they are compared."""
    names = tuple(name for name in end.schema.names if name in {end.key, *fields})
    records = read(side, ReadRequest(end.object, end.schema.select(names)))
    return records.filter(~end.linked(key_text(records[end.key])))
