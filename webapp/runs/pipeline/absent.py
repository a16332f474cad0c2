"""One-way: linked records that are gone from the source, noticed by a scan that has met all that is there.

An incomplete scan never deletes: a record that could not be read may be any of the missing ones, so then nothing is
taken for gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import polars as pl

from connectors.errors import Misconfigured
from connectors.spi import Connector, Page, ReadRequest
from rules.documents.sync import Action, DeleteDetect, SideName, SyncRule
from rules.mapping.policies import written
from rules.reconcile.one_way import key_text, key_values
from rules.reconcile.situations import Situation
from rules.reconcile.tombstones import told
from rules.schema import Change, Op, Schema
from rules.text import Message, msg
from webapp.runs.pipeline.chunk import Chunk, Write
from webapp.runs.pipeline.held import Held
from webapp.runs.pipeline.journal import Journal, Suspended
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.limits import Limits
from webapp.runs.pipeline.links import Links, unlinked
from webapp.runs.pipeline.named import Lookup
from webapp.runs.pipeline.outcomes import outcomes_of
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.reading import Start, pages
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.switching import switched_off
from webapp.runs.pipeline.told import Told

ACTS = (Action.DELETE, Action.DEACTIVATE, Action.UNLINK)
"""What can be done with the target's records of what is gone."""
UNREADABLE = msg("Some records of the source cannot be read, so none is taken for deleted.")


@dataclass(frozen=True)
class Absent:
    """Finds the linked records that are gone from the source, and says what becomes of their partners."""

    rule: SyncRule
    planner: Planner
    reader: Connector
    target: Held
    retry: Retry
    page_size: int
    start: Start | None = None
    heed: Callable[[], None] = lambda: None
    """Stops the run behind a page of keys where someone has asked for it."""
    missed: pl.Series | None = None
    """Linked keys that none of the slices of a split run has met, where all of them can tell."""

    @property
    def action(self) -> Action | None:
        """Return what the rule does with the partners; None where it leaves them alone."""
        action = Action(self.planner.actions[Situation.DELETED_LEFT.value])
        return action if action in ACTS else None

    def keys(self, links: Links) -> pl.Series | None:
        """Return the keys of the linked records that are gone; None where the scan has left something open."""
        sides, schema = self.planner.sides, self.planner.source_schema
        if told(self.rule, SideName(sides.source_name)):
            side = Told(self.reader, sides.source.object, schema, sides.source_key, self.page_size, self.retry)
            gone = side.gone(self.start, lambda keys: links.find(keys).is_not_null())
            if gone is not None:
                return gone
        if self.missed is not None:
            return links.keys.filter(links.keys.is_in(self.missed.implode()))
        if self.planner.met_all:
            return links.missing_in(self.planner.seen)
        request = ReadRequest(self.planner.sides.source.object, self._only_key, page_size=self.page_size)
        present = KeySet()
        for page in pages(self.reader, request, self.retry):
            if page.rejects:
                return None
            present.add(self._texts(page))
            self.heed()
        return links.missing_in(present)

    @property
    def _only_key(self) -> Schema:
        return self.planner.source_schema.select((self.planner.sides.source_key,))

    def _texts(self, page: Page) -> pl.Series:
        return key_text(page.records[self.planner.sides.source_key]).drop_nulls()

    def chunks(self, links: Links, journal: Journal, limits: Limits) -> Iterator[Chunk]:
        """Yield what is done about the records that are gone; only those of the target that are read have numbers.

        These begin with 1 in each chunk.
        """
        if self.rule.deletes.detect is DeleteDetect.NONE or self.action is None:
            return
        gone = self.keys(links)
        if gone is None:
            journal.log("warning", UNREADABLE)
            return
        stop = None if self.action is Action.UNLINK else limits.deleting(gone.len())
        if stop is not None and journal.claim.live:
            raise Suspended(stop)
        first, (position, high) = journal.chunks + 1, journal.place
        for number, start in enumerate(range(0, gone.len(), self.page_size)):
            chunk = self.chunk(self._still_gone(gone[start : start + self.page_size]), links, first + number)
            yield replace(chunk, position=position, high=high)

    def _still_gone(self, keys: pl.Series) -> pl.Series:
        """Return the keys that no record has when each is asked for: a list may move while it is read."""
        thing = (self.planner.sides.source.object, self._only_key, self.planner.sides.source_key)
        lookup = Lookup(self.reader, thing, self.page_size, self.retry)
        there = [key_text(found[lookup.key]) for _, found in lookup.pages(keys)]
        return keys.filter(~keys.is_in(pl.concat(there).implode()))

    def chunk(self, keys: pl.Series, links: Links, no: int) -> Chunk:
        """Return what is done about records that are said to be gone; numbers begin with 1."""
        partners = links.find(keys)
        known = partners.is_not_null()
        return self._chunk(keys.filter(known), partners.filter(known), no)

    def _chunk(self, keys: pl.Series, partners: pl.Series, no: int) -> Chunk:
        sides, action = self.planner.sides, self.action
        situation = sides.mirrored.get(Situation.DELETED_LEFT.value, Situation.DELETED_LEFT.value)
        side = "right" if sides.reverse else "left"
        frame = pl.DataFrame({"left_key": keys, "right_key": partners})
        outcomes = outcomes_of(frame.with_columns(situation=pl.lit(situation), side=pl.lit(side)))
        chunk = Chunk(no, outcomes, links=unlinked(frame))
        if action is Action.DEACTIVATE:
            return switched_off(chunk, self.target, self._mark)
        return replace(chunk, writes=() if action is Action.UNLINK else (self._deletion(partners),))

    def _deletion(self, partners: pl.Series) -> Write:
        key = self.target.key
        rows = pl.int_range(partners.len(), dtype=pl.UInt32, eager=True).alias("row")
        values = key_values(partners, self.target.schema[key].dtype).alias(key)
        return Write(Change(Op.DELETE, key, values.to_frame()), rows)

    @property
    def _mark(self) -> pl.Series:
        """Return the value that is written into records of the target, under the name of its field."""
        mark = getattr(self.rule.deletes.deactivate, "left" if self.planner.sides.reverse else "right")
        value = written(mark.value, self.target.schema[mark.field])
        if isinstance(value, Message):
            raise Misconfigured(value)
        return value.alias(mark.field)
