"""One-way: linked records that are on both sides as the rule has left them, told by hashes that stand beside the links.

They are neither mapped nor looked up. What is left goes the long way, where all values are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from connectors.spi import ReadRequest
from rules.reconcile.baseline import row_hash
from rules.reconcile.one_way import Batch, Decision, TargetField, key_text
from rules.reconcile.situations import Outcome, Situation
from webapp.runs.pipeline.digests import Light, beside, split
from webapp.runs.pipeline.keyset import MetKeys
from webapp.runs.pipeline.links import SCHEMA, Links
from webapp.runs.pipeline.outcomes import outcomes_of
from webapp.runs.pipeline.overlap import ahead, closed
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.retry import Retry

if TYPE_CHECKING:
    from webapp.runs.pipeline.planning import Planner

_UNKNOWN = {name: pl.lit(None, dtype=dtype) for name, dtype in SCHEMA.items() if not name.endswith("key")}
LEAST = 1_000
"""With fewer linked records it is not worth while to read the target as a whole."""
SPARE = 0.1
"""Of a source with a condition, so many records may be without a link: each is read by its key in every run."""


@dataclass(frozen=True)
class Hashing:
    """How the records of both sides are hashed: by the fields that the rule reads, and by those that it writes.

    What a record refers to decides as well: `refers` are the fields that hold keys of other rules' records, and
    `referred` tells the keys that these are linked to now. A record of which one has no link has no hash.
    """

    read: tuple[str, ...]
    written: tuple[str, ...]
    refers: tuple[str, ...] = ()
    referred: Callable[[pl.DataFrame], Sequence[pl.Series]] = tuple

    def source(self, records: pl.DataFrame) -> pl.Series:
        """Return a hash of what the rule reads of each record of the source, and of what it refers to."""
        return self._with_links(row_hash(records, self.read), records)

    def digest(self, digests: pl.Series, records: pl.DataFrame) -> pl.Series:
        """Return the digests that a source has made of records as they are kept: with what the records refer to."""
        return digests if digests.null_count() == digests.len() else self._with_links(digests, records)

    def _with_links(self, hashes: pl.Series, records: pl.DataFrame) -> pl.Series:
        if not self.refers:
            return hashes
        linked = [hashes.alias("own"), *self.referred(records)]
        mixed = row_hash(pl.DataFrame(linked), [part.name for part in linked])
        unknown = hashes.is_null()
        for name, partner in zip(self.refers, linked[1:], strict=True):
            unknown |= partner.is_null() & records[name].is_not_null()
        whole = mixed if hashes.dtype == mixed.dtype else mixed.reinterpret(signed=True)
        return whole.set(unknown, None)

    def target(self, records: pl.DataFrame) -> pl.Series:
        """Return a hash of what the rule writes of each record of the target."""
        return row_hash(records, self.written)


@dataclass(frozen=True)
class Steady:
    """Knows what the target holds, by hashes of its keys and records, as it was when the run began.

    Where the systems make `digests`, it knows these too, and `there` is None once the links have learnt enough of them.
    """

    hashing: Hashing
    there: MetKeys | None
    digests: MetKeys | None = None

    def mask(self, records: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
        """Return a mask of the records that are as they were, and whose partners are; `known` are their links."""
        same = known["left_hash"].eq_missing(self.hashing.source(records)) & known["left_hash"].is_not_null()
        if self.there is None:
            return pl.repeat(value=False, n=records.height, dtype=pl.Boolean, eager=True)
        held = self.there.find(known["right_key"])
        return same & held.eq_missing(known["right_hash"]) & known["right_hash"].is_not_null()

    def same(self, known: pl.DataFrame) -> pl.Series:
        """Return a mask of the links of which both systems still have the digest; `digest` is that of the source."""
        if self.digests is None:
            return pl.repeat(value=False, n=known.height, dtype=pl.Boolean, eager=True)
        source = known["left_digest"].eq_missing(known["digest"]) & known["left_digest"].is_not_null()
        target = self.digests.find(known["right_key"])
        return source & target.eq_missing(known["right_digest"]) & known["right_digest"].is_not_null()

    def learnt(self, keys: pl.Series, known: pl.DataFrame, still: pl.Series) -> pl.DataFrame:
        """Return the links of records that are as they were, with the digests that have been learnt of them."""
        if self.digests is None or known["digest"].null_count() == known.height:
            return pl.DataFrame(schema=SCHEMA)
        both = {"left_digest": known["digest"], "right_digest": self.digests.find(known["right_key"])}
        new = both["left_digest"].ne_missing(known["left_digest"])
        new |= both["right_digest"].ne_missing(known["right_digest"])
        return known.with_columns(left_key=keys, **both).filter(still & new).select(*SCHEMA)


def hashing(planner: Planner) -> Hashing | None:
    """Return how the records of a rule are hashed; None where more than its two records decides about a pair."""
    rule, key, mapping = planner.rule, planner.sides.target_key, planner.mapping
    if rule.decisions:
        return None
    written = tuple(name for name in planner.target_schema.names if name != key)
    return Hashing(planner.read, written, mapping.refers, mapping.referred)


def steady(planner: Planner, links: Links, retry: Retry, light: Light | None = None) -> Steady | None:
    """Return what the target holds, if most of what is read from a whole source will be as it was.

    Where digests are known of most records, those of the source begin to be read by `light`.
    """
    if planner.hashing is None or links.hashed < LEAST or not planner.target.spec.capabilities.concurrent:
        return None
    if planner.whole_target.key != (planner.sides.target_key,):
        return None  # two records of the target may have one key, which only a look-up tells
    if planner.sides.source.where is not None and not _few_alone(planner, links):
        planner.digests = None  # rather let the source leave out what is out of scope
    known = planner.digests is not None and links.digested * 2 >= links.hashed
    if known and light is not None:
        light.begin(planner)
    return _scanned(planner, (planner.hashing, known), links, retry)


def _few_alone(planner: Planner, links: Links) -> bool:
    """Tell whether nearly all records of the source are linked; digests say nothing of the others."""
    return planner.expected is not None and planner.expected <= len(links) * (1 + SPARE)


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
        return outcomes.with_columns(**_UNKNOWN).select(*_UNKNOWN)
    ends = [Outcome.UPDATED, Outcome.UNCHANGED]
    if all(field.on_create for field in fields if field.on_update):
        ends.append(Outcome.CREATED)  # else the next run still has something to write
    agreed = outcomes["outcome"].is_in(ends)
    after = _after(batch, decision, outcomes["outcome"], {field.name: field for field in fields}, how.written)
    nothing = pl.repeat(0, records.height, dtype=pl.UInt64, eager=True)  # where the rule writes the key only
    hashes = {"left_hash": how.source(records), "right_hash": how.target(after) if how.written else nothing}
    hashes["left_digest"] = outcomes["digest"]
    hashes["right_digest"] = _read_digests(decision).set(outcomes["outcome"] != Outcome.UNCHANGED, None)
    return pl.DataFrame({name: values.set(~agreed, None) for name, values in hashes.items()})


def _read_digests(decision: Decision) -> pl.Series:
    """Return the digests that were read with the target's records; what is written afterwards has others."""
    return split(decision.partners)[1]


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
        ours = batch.mapped[name].cast(theirs.dtype, strict=False)
        columns.append((ours if written.all() else ours.zip_with(written, theirs)).alias(name))
    return pl.DataFrame(columns)


def _scanned(planner: Planner, way: tuple[Hashing, bool], links: Links, retry: Retry) -> Steady | None:
    """Return what the target holds; None where that is twice what is linked, or some of it cannot be read."""
    key, made, most = planner.sides.target_key, planner.digests, 2 * links.hashed
    how, known = way
    read = planner.target_schema.select((key,)) if known else planner.target_schema
    schema = read if made is None else beside(read, made.target)
    there = None if known else MetKeys(pl.UInt64())
    digests = None if made is None else MetKeys(pl.Int64())
    within = planner.within and replace(planner.within, key=key)
    request = ReadRequest(planner.sides.target.object, schema, page_size=50_000, within=within)
    with closed(ahead(pages(planner.target, request, retry))) as scan:
        for page in scan:
            records, told = split(page.records)
            keys = key_text(records[key])
            if there is not None:
                there.add(keys, how.target(records))
            if digests is not None:
                digests.add(keys, told)
            most -= records.height
            if page.rejects or most < 0:
                return None
    return Steady(how, there, digests)


def unchanged(numbers: pl.Series, links: pl.DataFrame, side: str) -> pl.DataFrame:
    """Return the outcomes of records that are as they were."""
    frame = links.with_columns(record_no=numbers)
    found, became = pl.lit(Situation.LINKED_UNCHANGED.value), pl.lit(Outcome.UNCHANGED.value)
    return outcomes_of(frame.with_columns(situation=found, outcome=became, side=pl.lit(side)))
