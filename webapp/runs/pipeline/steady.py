"""One-way: linked records that are on both sides as the rule has left them, told by hashes that stand beside the links.

They are neither mapped nor looked up. What is left goes the long way, where all values are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from connectors.spi import Connector, ReadRequest
from rules.reconcile.baseline import row_hash
from rules.reconcile.one_way import Batch, Decision, TargetField, key_text
from rules.reconcile.situations import Outcome, Situation
from rules.schema import Schema
from webapp.runs.pipeline.keyset import MetKeys
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.outcomes import outcomes_of
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.retry import Retry

if TYPE_CHECKING:
    from webapp.runs.pipeline.planning import Planner

LEAST = 1_000
"""With fewer linked records it is not worth while to read the target as a whole."""


@dataclass(frozen=True)
class Hashing:
    """How the records of both sides are hashed: by the fields that the rule reads, and by those that it writes."""

    read: tuple[str, ...]
    written: tuple[str, ...]

    def source(self, records: pl.DataFrame) -> pl.Series:
        """Return a hash of what the rule reads of each record of the source."""
        return row_hash(records, self.read)

    def target(self, records: pl.DataFrame) -> pl.Series:
        """Return a hash of what the rule writes of each record of the target."""
        return row_hash(records, self.written)


@dataclass(frozen=True)
class Steady:
    """Knows what the target holds, by hashes of its keys and records, as it was when the run began."""

    hashing: Hashing
    there: MetKeys

    def mask(self, records: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
        """Return a mask of the records that are as they were, and whose partners are; `known` are their links."""
        same = known["left_hash"].eq_missing(self.hashing.source(records)) & known["left_hash"].is_not_null()
        held = self.there.find(known["right_key"])
        return same & held.eq_missing(known["right_hash"]) & known["right_hash"].is_not_null()


def hashing(planner: Planner) -> Hashing | None:
    """Return how the records of a rule are hashed; None where more than its two records decides about a pair."""
    rule, key = planner.rule, planner.sides.target_key
    if rule.decisions or any(pair.reference for pair in rule.fields):
        return None
    return Hashing(planner.read, tuple(name for name in planner.target_schema.names if name != key))


def steady(planner: Planner, links: Links, retry: Retry) -> Steady | None:
    """Return what the target holds, if most of what is read from a whole source will be as it was."""
    if planner.hashing is None or links.hashed < LEAST or not planner.target.spec.capabilities.concurrent:
        return None
    key = planner.sides.target_key
    if planner.whole_target.key != (key,):
        return None  # two records of the target may have one key, which only a look-up tells
    thing = (planner.sides.target.object, planner.target_schema, key)
    return scanned(planner.hashing, planner.target, thing, 2 * links.hashed, retry)


def left_behind(
    how: Hashing | None,
    records: pl.DataFrame,
    batch: Batch,
    decision: Decision,
    outcomes: pl.DataFrame,
    fields: Sequence[TargetField],
) -> pl.DataFrame:
    """Return the hashes of both records as they are after the writes; null where a pair has to be looked at again."""
    if how is None:
        none = pl.repeat(None, records.height, dtype=pl.UInt64, eager=True)
        return pl.DataFrame({"left_hash": none, "right_hash": none})
    ends = [Outcome.UPDATED, Outcome.UNCHANGED]
    if all(field.on_create for field in fields if field.on_update):
        ends.append(Outcome.CREATED)  # else the next run still has something to write
    agreed = outcomes["outcome"].is_in(ends)
    after = _after(batch, decision, outcomes["outcome"], {field.name: field for field in fields}, how.written)
    nothing = pl.repeat(0, records.height, dtype=pl.UInt64, eager=True)  # where the rule writes the key only
    hashes = {"left_hash": how.source(records), "right_hash": how.target(after) if how.written else nothing}
    return pl.DataFrame({name: values.set(~agreed, None) for name, values in hashes.items()})


def _after(
    batch: Batch, decision: Decision, outcome: pl.Series, fields: Mapping[str, TargetField], names: Sequence[str]
) -> pl.DataFrame:
    """Return the target's records as they are after the writes."""
    created, updated = outcome == Outcome.CREATED, outcome == Outcome.UPDATED
    columns = []
    for name in names:
        theirs = decision.partners[name]
        if name not in fields:
            columns.append(theirs)
            continue
        written = created & fields[name].on_create
        if name in batch.applies:
            written &= batch.applies[name]
        if updated.any():
            written |= updated & decision.found["changed"].list.contains(name).fill_null(value=False)
        columns.append(batch.mapped[name].cast(theirs.dtype, strict=False).zip_with(written, theirs).alias(name))
    return pl.DataFrame(columns)


def scanned(
    how: Hashing, connector: Connector, thing: tuple[str, Schema, str], most: int, retry: Retry
) -> Steady | None:
    """Return what an object holds; None where that is more than `most` records, or some cannot be read."""
    name, schema, key = thing
    there, request = MetKeys(pl.UInt64()), ReadRequest(name, schema, page_size=50_000)
    for page in pages(connector, request, retry):
        there.add(key_text(page.records[key]), how.target(page.records))
        if page.rejects or len(there) > most:
            return None
    return Steady(how, there)


def unchanged(numbers: pl.Series, keys: pl.Series, partners: pl.Series, side: str) -> pl.DataFrame:
    """Return the outcomes of records that are as they were."""
    frame = pl.DataFrame({"record_no": numbers, "left_key": keys, "right_key": partners})
    found, became = pl.lit(Situation.LINKED_UNCHANGED.value), pl.lit(Outcome.UNCHANGED.value)
    return outcomes_of(frame.with_columns(situation=found, outcome=became, side=pl.lit(side)))
