"""One-way: a full comparison by digests that both systems make of their records themselves.

What has the digest that stands beside its link is as the rule has left it, and is not even read; only the others are. A
digest is learnt together with the values it was made of, so the first comparison behind a first load reads everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from connectors.errors import RecordRejected
from connectors.spi import DIGEST, Connector, Digest, Page, ReadRequest, Reject
from rules.reconcile.one_way import key_text
from rules.schema import Schema
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.overlap import ahead, closed
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.unreadable import found_by_halves

if TYPE_CHECKING:
    from webapp.runs.pipeline.planning import Planner


@dataclass(frozen=True)
class Digests:
    """The fields in which both systems give digests: of what the rule reads, and of what it writes."""

    source: Digest
    target: Digest

    @property
    def how(self) -> str:
        """Return how both are made: digests that were made in another way say nothing."""
        return f"{self.source.of}{self.source.how}|{self.target.of}{self.target.how}"


@dataclass(frozen=True)
class Compared(Page):
    """The records of a page that may have changed, and behind them the keys of both sides of the others."""

    passed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"left_key": str, "right_key": str}))


def digests(planner: Planner, reader: Connector) -> Digests | None:
    """Return how both systems make digests; None where the rule has to see all records, or one of them makes none."""
    sides, how = planner.sides, planner.hashing
    if how is None or planner.validating is not None:
        return None
    keys = (planner.source_schema.key, planner.whole_target.key)
    if keys != ((sides.source_key,), (sides.target_key,)) or not reader.spec.capabilities.concurrent:
        return None
    source = reader.digest(sides.source.object, how.read)
    target = planner.target.digest(sides.target.object, how.written) if source else None
    return Digests(source, target) if source and target else None


def beside(schema: Schema, digest: Digest) -> Schema:
    """Return a schema with a digest beside its fields."""
    return Schema((*schema.fields, digest), schema.key)


def split(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Return records without their digests, and these; nulls where there are none."""
    if DIGEST in records.columns:
        return records.drop(DIGEST), records[DIGEST]
    return records, pl.repeat(None, records.height, dtype=pl.Int64, eager=True)


def by_digests(planner: Planner) -> bool:
    """Tell whether digests alone say which records are read: the values of the target were not read as a whole."""
    return planner.comparing is not None and planner.steady is not None and planner.steady.there is None


def sent_pages(
    systems: tuple[Connector, Connector], request: ReadRequest, planner: Planner, links: Links, retry: Retry
) -> Iterator[Page]:
    """Yield what the source sends: all records, or by their digests those that may have changed; see `compared`."""
    made = planner.comparing
    if made is not None and by_digests(planner):
        return compared(systems, request, planner, (links, made.source), retry)
    whole = request if made is None else replace(request, schema=beside(request.schema, made.source))
    return ahead(pages(systems[1], whole, retry))


def compared(
    systems: tuple[Connector, Connector],
    request: ReadRequest,
    planner: Planner,
    knowledge: tuple[Links, Digest],
    retry: Retry,
) -> Iterator[Page]:
    """Yield all that an object holds; what is as the rule has left it only by its links.

    Args:
        systems: The source twice: one connection goes through the digests, the other one looks records up.
        request: What would be read if there were no digests.
        planner: Knows what the target holds, and what of it the run has met.
        knowledge: The links of the rule, and the field with the digests that the source makes.
        retry: Asks again where a system is busy.
    """
    scanner, reader = systems
    key, (links, digest) = planner.sides.source_key, knowledge
    whole = beside(request.schema, digest)
    refers = planner.hashing.refers if planner.hashing is not None else ()
    light = replace(request, schema=beside(request.schema.select(tuple(dict.fromkeys((key, *refers)))), digest))
    with closed(ahead(pages(scanner, light, retry))) as read:
        for page in read:
            records, now = planner.noted(page.records)
            keys = key_text(records[key])
            known = links.known(keys).with_columns(digest=now)
            same = planner.passes(known)
            found, rejects = _read(reader, (request.object, whole, key), records[key].filter(~same), retry)
            passed = pl.DataFrame({"left_key": keys.filter(same), "right_key": known["right_key"].filter(same)})
            yield Compared(found, page.position, (*page.rejects, *rejects), passed=passed)


def _read(
    reader: Connector, thing: tuple[str, Schema, str], keys: pl.Series, retry: Retry
) -> tuple[pl.DataFrame, list[Reject]]:
    """Return the records with these keys, in their order, and those that cannot be read; others are gone by now."""
    name, schema, key = thing
    bad: dict[str, RecordRejected] = {}
    found = [schema.empty()]
    if not keys.is_empty():
        found += found_by_halves(lambda part: retry(lambda: reader.lookup(name, schema, key, part)), keys, bad, "")
    order = pl.DataFrame({key: keys})
    records = order.join(pl.concat(found), on=key, how="inner", maintain_order="left").select(schema.names)
    return records, [Reject(f"{key} {value}", value, error.message, error.field) for value, error in bad.items()]
