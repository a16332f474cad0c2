"""Both ends of a rule, for runs that work on what is stored: what they hold now, how they are written, their links."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl
import sqlalchemy as sa

from connectors.spi import Fence
from rules.documents.sync import DetectBy, SideName, SyncRule
from rules.mapping import compile_mapping
from rules.schema import Schema
from rules.trace import read_fields
from webapp.extensions import House
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.cursors import field_of, name_of
from webapp.runs.pipeline.held import Held
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.journal import Links as Book
from webapp.runs.pipeline.leftovers import settle_leftovers
from webapp.runs.pipeline.limits import complete
from webapp.runs.pipeline.links import Links, unlinked
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.writing import Target


@dataclass(frozen=True)
class Run:
    """What has to be known of a run to open the ends of its rule."""

    rule_id: int
    document: Mapping[str, Any]
    uses: Mapping[str, Mapping[str, int]] | None = None


@dataclass(frozen=True)
class CursorEnd:
    """A side that is read by cursor or by log: under which name its place is kept, and the field (None: a log).

    `value` is where the run has ended, `since` where it began.
    """

    name: str
    held: Held
    field: str | None
    value: Any
    since: Any = None


class LinkBook(Book, Protocol):
    """The links of a rule as runs keep them."""

    def compact(self, tx: sa.Connection, run_id: int, /) -> None:
        """Put segments together."""


class Ends(ABC):
    """The ends of a rule. A chunk is read on one side; `own` is that side, `other` the other one."""

    rule: SyncRule
    book: LinkBook

    @abstractmethod
    def sides(self, side: str) -> tuple[Held, Held]:
        """Return the own and the other side of a chunk."""

    @abstractmethod
    def read(self, side: str) -> tuple[str, ...]:
        """Return the fields of its own side that decide about a chunk."""

    @abstractmethod
    def matches(self, side: str) -> tuple[tuple[str, str], ...]:
        """Return the pairs of an own and another field by which partners are found."""

    @abstractmethod
    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the linked key on the other side of each own key, null where there is no link."""

    @abstractmethod
    def unlinked(self, links: pl.DataFrame) -> pl.DataFrame:
        """Return what a chunk says of links (own key, other key) that are to go."""

    @abstractmethod
    def relinked(self, links: pl.DataFrame) -> pl.DataFrame:
        """Return what a chunk says of links (own key, other key) that are to come back, unless others have come."""

    @abstractmethod
    def agreed(self, chunk: Chunk) -> Chunk:
        """Return an undone chunk with what both sides agree on from now on, where the rule keeps that."""

    @abstractmethod
    def apply(self, chunk: Chunk, fence: Fence, retry: Retry, *, again: bool = False) -> Chunk:
        """Write a chunk and return it with its true outcomes."""

    @abstractmethod
    def settle(self, house: House, claim: Claim, fence: Fence, retry: Retry) -> None:
        """Finish or forget what stopped runs of the rule had begun to write."""

    @abstractmethod
    def finish(self) -> None:
        """Let the sides put in place what has been written."""

    @abstractmethod
    def cursors(self, high: Any, since: Any) -> tuple[list[CursorEnd], list[str | None]]:
        """Return the sides that a run has read by cursor or log from `since` to `high`, and the names of the others.

        The name of the only side that is read is None.
        """


class OneWayEnds(Ends):
    """Source and target of a rule that flows one way."""

    def __init__(self, rule: SyncRule, held: tuple[Held, Held], links: Links, fields: tuple[str, ...]) -> None:
        self.rule = rule
        self.flow = Sides.of(rule)
        self.held = held
        self.book = links
        self.links = links
        self._read = fields
        other = held[1]
        self.target = Target(other.connector, other.side.object, other.schema, links)

    def sides(self, side: str) -> tuple[Held, Held]:  # noqa: ARG002 - there is one source only
        """Return source and target."""
        return self.held

    def read(self, side: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return the fields of the source that the rule reads."""
        return self._read

    def matches(self, side: str) -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        """Return the pairs of a source and a target field by which partners are found."""
        return self.flow.matches(self.rule)

    def partners(self, side: str, keys: pl.Series) -> pl.Series:  # noqa: ARG002
        """Return the linked key of the target, null where there is no link."""
        return self.links.find(keys)

    def unlinked(self, links: pl.DataFrame) -> pl.DataFrame:
        """Return the links with null keys of the target."""
        return unlinked(links)

    def relinked(self, links: pl.DataFrame) -> pl.DataFrame:
        """Return the links whose target is free."""
        free = links.filter(~self.links.taken(links["right_key"]))
        return unlinked(free).with_columns(free["right_key"])

    def agreed(self, chunk: Chunk) -> Chunk:
        """Return the chunk as it is: a rule that flows one way keeps no baseline."""
        return chunk

    def apply(self, chunk: Chunk, fence: Fence, retry: Retry, *, again: bool = False) -> Chunk:
        """Write a chunk to the target."""
        return self.target.apply(chunk, fence, retry, again=again)

    def settle(self, house: House, claim: Claim, fence: Fence, retry: Retry) -> None:
        """Finish or forget what stopped runs had begun to write to the target."""
        retry(lambda: settle_leftovers(house, claim, self.flow.target, self.target, fence.scope))

    def finish(self) -> None:
        """Let the target put in place what has been written."""
        self.target.connector.finish(self.target.object)

    def cursors(self, high: Any, since: Any) -> tuple[list[CursorEnd], list[str | None]]:
        """Return the source, if it is read by cursor or log."""
        detect, own = self.flow.detect, self.held[0]
        if detect.by is DetectBy.FULL:
            return [], [None]
        return [CursorEnd(name_of(own.side, detect), own, field_of(detect), high, since)], []


def opened_one_way(stack: contextlib.ExitStack, house: House, rule: SyncRule, run: Run, systems: Systems) -> Ends:
    """Return the ends of a rule that flows one way; their connections close with the stack."""
    flow = Sides.of(rule)
    schemas = [systems.schema(side.connection, side.object) for side in (flow.source, flow.target)]
    reader = stack.enter_context(systems.connect(flow.source.connection))
    writer = stack.enter_context(systems.receiver(flow.target.connection))
    own = Held(reader, flow.source, schemas[0], flow.source_key)
    other = Held(writer, flow.target, schemas[1], flow.target_key)
    return OneWayEnds(
        rule,
        (own, other),
        _links(house, run, systems, reverse=flow.reverse),
        _fields(rule, schemas, systems, reverse=flow.reverse),
    )


def _links(house: House, run: Run, systems: Systems, *, reverse: bool) -> Links:
    if systems.posted is not None:
        return systems.posted.links(house.db.read, ("", ""))
    with house.db.read() as tx:
        return Links.load(tx, run.rule_id, reverse=reverse)


def _fields(rule: SyncRule, schemas: list[Schema], systems: Systems, *, reverse: bool) -> tuple[str, ...]:
    """Return the fields of the source that the rule reads: a change of any other one does not count."""
    left, right = schemas[::-1] if reverse else schemas
    complete(rule, {SideName.LEFT: left, SideName.RIGHT: right})
    mapping = compile_mapping(rule, left, right, systems.library)
    return read_fields(rule, schemas[0], (name for question in mapping.questions for name in question.fields))
