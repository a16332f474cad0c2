"""One-way: a full comparison by digests that both systems make of their records themselves.

What has the digest that stands beside its link is as the rule has left it, and is not even read; only the others are. A
digest is learnt together with the values it was made of, so the first comparison behind a first load reads everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import polars as pl

from connectors.errors import RecordRejected
from connectors.spi import DIGEST, Connector, Digest, Page, ReadRequest, Reject
from rules.reconcile.one_way import key_text, key_values
from rules.schema import Schema
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.overlap import OnCall, ahead, closed
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


Look = Callable[[pl.Series], tuple[pl.DataFrame, list[Reject]]]
_AHEAD = 40
"""So many pages of keys and digests, most often of 50,000, are read while the target is."""


@dataclass(frozen=True)
class Compared(Page):
    """The records of a page that may have changed, and behind them the keys of both sides of the others."""

    passed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"left_key": str, "right_key": str}))


class Light:
    """The keys and digests of a source: read over a connection of its own, from when they are sure to be wanted."""

    def __init__(self, scanner: Connector, request: Callable[[], ReadRequest], retry: Retry) -> None:
        self._scanner, self._request, self._retry = scanner, request, retry
        self._pages: OnCall[Page] | None = None

    def begin(self, planner: Planner) -> None:
        """Begin to read."""
        assert planner.digests is not None  # noqa: S101 - they are wanted
        request, refers = self._request(), planner.hashing.refers if planner.hashing is not None else ()
        names = dict.fromkeys((planner.sides.source_key, *refers))
        wanted = replace(request, schema=beside(request.schema.select(tuple(names)), planner.digests.source))
        self._pages = OnCall(pages(self._scanner, wanted, self._retry), _AHEAD)
        self._pages.call()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __iter__(self) -> Iterator[Page]:
        """Yield pages; more are read meanwhile."""
        assert self._pages is not None  # noqa: S101 - it has begun
        for page in self._pages:
            self._pages.call()
            yield page

    def __exit__(self, *_: object) -> None:
        """Read no more."""
        if self._pages is not None:
            self._pages.close()


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
    source: tuple[Light, Connector], request: ReadRequest, planner: Planner, links: Links, retry: Retry
) -> Iterator[Page]:
    """Yield what the source sends: all records, or by their digests those that may have changed; see `compared`."""
    (light, reader), made = source, planner.comparing
    if made is not None and by_digests(planner):
        thing = (request.object, beside(request.schema, made.source), planner.sides.source_key)
        return compared(light, planner, links, lambda keys: _read(reader, thing, keys, retry))
    whole = request if made is None else replace(request, schema=beside(request.schema, made.source))
    return ahead(pages(reader, whole, retry))


def compared(light: Light, planner: Planner, links: Links, look: Look) -> Iterator[Page]:
    """Yield all that an object holds; what is as the rule has left it only by its links.

    A page is compared, and what may have changed of it is read, while the one before is decided about. What that one
    has taken for its own in the meantime is read behind it.

    Args:
        light: The keys and digests of the source.
        planner: Knows what the target holds, and what of it the run has met.
        links: The links of the rule.
        look: Reads records of the source by their keys.
    """
    refers = planner.hashing is not None and planner.hashing.refers
    made = _compared(light, planner, links, look)
    with closed(made if refers else ahead(made)) as read:  # what is referred to is asked for by one thread at a time
        for page in read:
            taken = planner.taken(page.passed["right_key"])
            yield _with_taken(page, taken, planner, look) if taken.any() else page


def _compared(light: Light, planner: Planner, links: Links, look: Look) -> Iterator[Compared]:
    assert planner.steady is not None  # noqa: S101 - who asks has compared
    for page in light:
        records, now = planner.noted(page.records)
        values = records[planner.sides.source_key]
        keys = key_text(values)
        known = links.known(keys).with_columns(digest=now)
        same = planner.steady.same(known)
        found, rejects = look(values.filter(~same))
        passed = pl.DataFrame({"left_key": keys.filter(same), "right_key": known["right_key"].filter(same)})
        yield Compared(found, page.position, (*page.rejects, *rejects), passed=passed)


def _with_taken(page: Compared, taken: pl.Series, planner: Planner, look: Look) -> Compared:
    """Return a page with the records whose partners another record has taken, which have to be looked at."""
    keys, key = page.passed["left_key"].filter(taken), planner.sides.source_key
    found, rejects = look(key_values(keys, planner.source_schema[key].dtype).alias(key))
    records, unread = pl.concat([page.records, found]), (*page.rejects, *rejects)
    return replace(page, records=records, rejects=unread, passed=page.passed.filter(~taken))


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
