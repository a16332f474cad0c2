"""The loop of a run: pages in, chunks out, until the source is exhausted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import polars as pl

from connectors.errors import Retriable
from connectors.spi import Capture, Connector, Fence, Page, ReadRequest
from rules.documents.sync import DetectBy, SideName, SyncRule
from rules.language.library import EMPTY
from rules.schema import Op, Schema
from rules.text import N_, msg
from webapp.connections.references import References
from webapp.extensions import House
from webapp.runs.pipeline import cursors, inputs, stopping
from webapp.runs.pipeline.absent import Absent
from webapp.runs.pipeline.checked import marks_since
from webapp.runs.pipeline.chunk import Chunk, behind, dump, touched
from webapp.runs.pipeline.codec import plain_value
from webapp.runs.pipeline.compiled import compiled
from webapp.runs.pipeline.correlating import for_one_way
from webapp.runs.pipeline.digests import Light, digests, sent_pages
from webapp.runs.pipeline.filtering import again, filtered, unseen
from webapp.runs.pipeline.held import Held
from webapp.runs.pipeline.images import imaged
from webapp.runs.pipeline.journal import Cancelled, Claim, Journal, Suspended
from webapp.runs.pipeline.leftovers import settle_leftovers
from webapp.runs.pipeline.limits import Limits, heeding_drift
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.named import Lookup, Parked, asked_keys, expected, unmet
from webapp.runs.pipeline.overlap import Behind, closed
from webapp.runs.pipeline.parking import parked_first, settle_entries, settle_rest
from webapp.runs.pipeline.part import Part
from webapp.runs.pipeline.planning import Planner, without_deletes
from webapp.runs.pipeline.posting import in_full
from webapp.runs.pipeline.reading import Start, begun, high_of, highest, replayed
from webapp.runs.pipeline.refusals import stop_behind
from webapp.runs.pipeline.reread import known_as_left
from webapp.runs.pipeline.retry import Notes, Retry
from webapp.runs.pipeline.schemes import scheme_of
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.starting import Starts
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.told import note_high
from webapp.runs.pipeline.validating import Validating
from webapp.runs.pipeline.writing import Target


class Execution:
    """One worker's work on one run."""

    filters: ClassVar[bool] = True
    """Let the source leave out what is out of scope; off to see that this changes nothing."""

    def __init__(
        self, house: House, claim: Claim, rule: SyncRule, wait: Callable[[float], None], installation: str
    ) -> None:
        self.house = house
        self.claim = claim
        self.rule = rule
        self.sides = Sides.of(rule)
        self.journal = Journal(house, claim)
        self.full = self.sides.detect.by is DetectBy.FULL
        self.kept: tuple[str, ...] = ()
        self.scope = f"{installation}:{claim.rule_name}"
        transient = rule.errors.transient
        self.numbered = 0
        self._behind: Behind[bool] = Behind(off=True)
        self._aside = False
        self._parked: Parked | None = None
        self._library = EMPTY
        notes = Notes(partial(self.journal.log, "warning"))
        self.retry = Retry(transient.retry, transient.backoff == "exponential", wait, self._tell, notes)
        self.starts = Starts(self.journal, installation, self.retry)

    def run(self, systems: Systems) -> None:
        """Carry the run to its end; raises what stops it (ConnectorError, Suspended, Cancelled)."""
        source, target = self.sides.source, self.sides.target
        schemas = (systems.schema(source.connection, source.object), systems.schema(target.connection, target.object))
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(systems.connect(source.connection))
            writer = stack.enter_context(systems.receiver(target.connection))
            ordered = schemas[::-1] if self.sides.reverse else schemas
            with heeding_drift(self.house, self.journal, self.rule, dict(zip(SideName, ordered, strict=True))):
                mapping = compiled(self.rule, *ordered, systems.library)
                validating = self._validating(systems, mapping.source, stack)
            planner = Planner(self.rule, mapping, writer, schemas)
            planner.fields = planner.fields if systems.posted is None else in_full(planner.fields)
            planner.retry = self.retry
            planner.replaying = self.claim.kind in ("replay", "records")
            planner.asks_links = self.claim.kind != "sync"
            if self.claim.kind == "part":
                planner.actions = without_deletes(planner.actions)
            planner.at = self.claim.requested_at
            planner.validating = validating
            self._keep(schemas, planner)
            planner.digests = digests(planner, reader) if self.full and self.claim.kind == "sync" else None
            scanner = stack.enter_context(systems.connect(source.connection)) if planner.digests else reader
            self._light = stack.enter_context(Light(scanner, partial(self._whole_source, planner), self.retry))
            scheme = scheme_of(self.claim.document, self.claim.uses, dict(zip(SideName, ordered, strict=True)))
            links = self._links(systems, scheme, planner.digested)
            self.limits = Limits(self.rule, len(links) if self.rule.guards else 0, self.journal.log)
            self._library = systems.library
            self._overlap(planner, systems, stack)
            self._work(reader, planner, Target(writer, target.object, planner.written, links))

    def _links(self, systems: Systems, *schemes: str) -> Links:
        if systems.posted is not None:
            return systems.posted.links(self.house.db.read, (schemes[0], schemes[1]))
        way = Links.whole if self.full else Links.lazy
        return way(self.house.db.read, self.claim.rule_id, *schemes, reverse=self.sides.reverse)

    def _overlap(self, planner: Planner, systems: Systems, stack: contextlib.ExitStack) -> None:
        """Decide about a page while the chunk before is written, where the one cannot change the other.

        Where partners are found by value, a record may find what the chunk before creates. The planner looks things up
        over a connection of its own, which sees what is committed.
        """
        if self.claim.kind != "sync" or not self.full or not planner.apart:
            return  # by cursor a record that changes meanwhile comes again, maybe on the next page
        planner.target = stack.enter_context(systems.receiver(self.sides.target.connection))
        self._behind = Behind()
        stack.callback(self._behind.close)

    def _validating(
        self, systems: Systems, schema: Schema, stack: contextlib.ExitStack, rule: SyncRule | None = None
    ) -> Validating | None:
        rule = rule or self.rule
        if not rule.validations:
            return None
        references = References(systems.connect, systems.schema, self.retry)
        stack.callback(references.close)
        return Validating(rule, schema, references, systems.library)

    def _keep(self, schemas: tuple[Schema, Schema], planner: Planner) -> None:
        """Note the fields of both sides, for the next run, and which the rule reads, to explain records later."""
        if self.rule.explain:
            self.kept = planner.read
        noted = inputs.noted(self.claim.schemas, self.claim.chunks + 1, schemas)
        if noted is not None:
            self.journal.note(schemas=noted)

    def _work(self, reader: Connector, planner: Planner, target: Target[Links]) -> None:
        links = target.links
        try:
            self._take_up(planner, target, links)
            number = expected(self.claim, reader, self.sides, self.retry)
            if number is not None:
                self.journal.note(expected=number)
            self._correlate(reader, planner, target, links)
            if self.claim.kind == "sync":
                planner.expected = self.journal.read_before() if self.full and planner.digests else None
                planner.steady = known_as_left(planner, links, self.retry, full=self.full, light=self._light)
            cursor = self._exhaust(reader, planner, target)
        except (Suspended, Cancelled):
            self._place(target)  # what is counted as written shall be there
            raise
        self._end(target, links, cursor)

    def _exhaust(self, reader: Connector, planner: Planner, target: Target[Links]) -> Start | None:
        """Do all that the source asks for; return where it was read from."""
        cursor = self._cursor(reader, planner.source_schema)
        high = high_of(planner.source_schema, cursor, self._high)
        # a log that was read from where the run has begun has named all that is gone
        self._none_gone = isinstance(cursor, Capture) and cursor.since is not None and self._position is None
        with self._behind, closed(self._pages(reader, planner, target.links, cursor)) as read:
            for no, page in enumerate(read, self.journal.chunks + 1):
                self._none_gone &= page.deleted is None and not page.emptied
                high = high if self._aside else highest(page, cursor, high)
                self._handle(page, no, plain_value(high), planner, target)
                stopping.check()
        self._remove_absent(reader, planner, target, target.links)
        return cursor

    def _handle(self, page: Page, no: int, high: Any, planner: Planner, target: Target[Links]) -> None:
        """Decide about a page while the chunk before it is written, and let its own be written."""
        first, links = self._first(page), target.links
        kept = inputs.keep(page, self.kept, first)
        chunk = self.journal.ahead(replace(planner.plan(page, no, first, links), high=high, inputs=kept))
        if self._behind.wait():  # refused or deleted records: what was decided meanwhile may differ
            chunk = replace(planner.plan(page, no, first, links), high=high, inputs=kept)
        self.numbered += chunk.read
        planner.expect(chunk)
        self._behind.start(partial(self._finish_chunk, chunk, planner, target, links))

    def _place(self, target: Target[Links]) -> None:
        if self.claim.live:
            self.retry(lambda: target.connector.finish(target.object))

    def _first(self, page: Page) -> int:
        """Return the number of the page's first record; that of a replayed record is its place in the selection."""
        return int(page.position["replayed"]) if self.claim.kind == "replay" else self.numbered + 1

    def _pages(self, reader: Connector, planner: Planner, links: Links, cursor: Start | None) -> Iterator[Page]:
        size, schema, position = self.house.settings.page_size, planner.source_schema, self._position or {}
        if self.claim.kind == "replay":
            return replayed(self.house.db, self.claim.selection, schema, size, position.get("replayed", 0))
        if self.claim.kind == "records":
            return self._named(self._lookup(reader, planner))
        request = begun(self._whole_source(planner), cursor)
        if self.claim.kind == "part":
            return Part(self.claim.parameters or {}, schema, self._library).pages(
                reader, request, self.retry, self._tell_unclear
            )
        return self._sent(reader, self._filtered(reader, request, planner, links), planner, links)

    def _whole_source(self, planner: Planner) -> ReadRequest:
        size, after = self.house.settings.page_size, self._position or None
        return ReadRequest(self.sides.source.object, planner.source_schema, after=after, page_size=size)

    def _lookup(self, reader: Connector, planner: Planner) -> Lookup:
        thing = (self.sides.source.object, planner.source_schema, self.sides.source_key)
        return Lookup(reader, thing, self.house.settings.page_size, self.retry)

    def _named(self, lookup: Lookup) -> Iterator[Page]:
        """Yield the records that the run was asked for, as the source holds them now."""
        texts = asked_keys(self.claim.parameters, self.sides.source_name)
        for page in lookup.read(texts, (self._position or {}).get("looked_up", 0)):
            done = int(page.position["looked_up"])
            self._tell_missing(lookup, texts[max(0, done - lookup.size) : done], page.records)
            yield page

    def _tell_unclear(self, number: int) -> None:
        text = N_("For {count} records it cannot be said whether they belong to the part; they were left out.")
        self.journal.log("warning", msg(text, count=number))

    def _tell_missing(self, lookup: Lookup, texts: pl.Series, found: pl.DataFrame) -> None:
        if missing := lookup.words(texts, found):
            self.journal.log("warning", missing)

    def _filtered(self, reader: Connector, request: ReadRequest, planner: Planner, links: Links) -> ReadRequest:
        if not self.filters:
            return request
        found = filtered(reader, request, planner, links, self._library)
        planner.partial |= found.request.filter is not None
        if found.told is not None and self.claim.chunks == 0:
            self.journal.log("info", found.told)
        return found.request

    def _sent(self, reader: Connector, request: ReadRequest, planner: Planner, links: Links) -> Iterator[Page]:
        """Yield what the source sends, then the linked records that it has left out."""
        position = self._position or {}
        for page in sent_pages((self._light, reader), request, planner, links, self.retry):
            yield page
            position = page.position
        self._behind.wait()  # the following goes by what the run has met
        for records in unseen(reader, request, planner, links, self.retry):
            yield again(records, position)
        if self._parked is not None:
            self._aside = True  # they say nothing of how far the source has been read
            for records in self._parked.pages(self._lookup(reader, planner)):
                yield Page(records, position)

    def _take_up(self, planner: Planner, target: Target[Links], links: Links) -> None:
        """Go on where an earlier worker stopped: its finished chunks, and the one it was about to write."""
        self._position, self._high = self.claim.position, self.claim.high
        self._recollect(planner)
        if self.claim.live:
            whole = replace(target, schema=planner.whole_target)
            self.retry(lambda: settle_leftovers(self.house, self.claim, self.sides.target, whole, self.scope))
        half = self.journal.planned()
        if half is not None:
            settled = target.apply(half, self._fence(half), self.retry, again=True)
            self.numbered += settled.read
            planner.expect(settled)
            self._check_in(settled, planner, links)
            self._position, self._high = half.position, half.high
        self._heed()

    def _recollect(self, planner: Planner) -> None:
        """Bring back what has been met: by this run before it stopped, and by others where it does not meet all."""
        if planner.asks_links and planner.validating is not None:
            with self.house.db.read() as tx:
                planner.validating.remember(marks_since(tx, self.claim.rule_id, parked_first(tx, self.claim)))
        if self.claim.kind == "sync" and not self.full:
            with self.house.db.read() as tx:
                self._parked = Parked(tx, self.claim, self.sides.source_name)
        if self.claim.kind == "replay":
            return
        for outcomes, marks in self.journal.handled():
            planner.remember(outcomes, marks)
            self._met(outcomes)
            self.numbered += outcomes["record_no"].count()

    def _met(self, outcomes: pl.DataFrame) -> None:
        if self._parked is not None:
            self._parked.met(outcomes["left_key"].drop_nulls())

    def _heed(self) -> None:
        with self.house.db.read() as tx:
            self.journal.heed(tx)

    def _finish_chunk(self, chunk: Chunk, planner: Planner, target: Target[Links], links: Links) -> bool:
        """Write a chunk and check it in; return whether the next page may find something else than it has."""
        if chunk.outcomes.is_empty() and not chunk.left_out:
            note_high(self.journal, chunk.high)
            self._heed()
            return False
        parked = chunk.outcomes["stage"].count()
        deletes = any(write.change.op is Op.DELETE for write in chunk.writes)
        chunk = imaged(chunk, lambda _own: self._receiver(planner, target))
        self._guard(chunk)
        if self.claim.live:
            if chunk.writes:
                self.journal.plan(chunk)
                chunk = replace(chunk, inputs=None)
            chunk = target.apply(chunk, self._fence(chunk), self.retry)
        else:
            plan = dump(chunk, touched(chunk)) if self.claim.mode == "simulate" else None
            chunk = target.pretend(replace(chunk, plan=plan))
        self._check_in(chunk, planner, links)
        return deletes or chunk.outcomes["stage"].count() > parked

    def _receiver(self, planner: Planner, target: Target[Links]) -> Held:
        return Held(target.connector, self.sides.target, planner.whole_target, self.sides.target_key, self.retry)

    def _correlate(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:
        """Find the partners of records without a link that look-ups by value do not find."""
        if not self.rule.correlate or self.claim.kind == "replay":
            return
        planner.found = for_one_way(planner, (reader, target.connector), links, self.retry)
        if planner.found is not None:
            planner.matches = ()
            planner.found.tell(self.journal)

    def _remove_absent(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:
        """Do what the rule says about linked records that are gone from the source, once all others are done."""
        if self.claim.kind != "sync" or self._none_gone:
            return
        size, cursor = self.house.settings.page_size, self._cursor(reader, planner.source_schema)
        ends = (reader, self._receiver(planner, target))
        absent = Absent(self.rule, planner, *ends, self.retry, size, cursor, self._heed)
        for chunk in absent.chunks(links, self.journal, self.limits):
            self._finish_absent(chunk, planner, target, links)

    def _finish_absent(self, chunk: Chunk, planner: Planner, target: Target[Links], links: Links) -> None:
        """Do what is said about records that are gone, and number what was read for that."""
        chunk, self.numbered = behind(chunk, self.numbered), self.numbered + chunk.read
        self._finish_chunk(chunk, planner, target, links)

    def _guard(self, chunk: Chunk) -> None:
        """Stop before a chunk is written that would do more than the rule's guards allow."""
        stop = self.limits.passed(chunk, self.journal.counts)
        if stop is not None and self.claim.live:
            raise Suspended(stop)

    def _check_in(self, chunk: Chunk, planner: Planner, links: Links) -> None:
        self.journal.check_in(chunk, links)
        planner.confirm(chunk.outcomes)
        self._met(chunk.outcomes)
        self._heed()
        self._stop(chunk)

    def _stop(self, chunk: Chunk) -> None:
        """Stop the run behind a chunk where the rule says so."""
        parked = self.journal.counts["quarantined"]
        stop = stop_behind(self.rule, chunk, parked, strict=self.claim.strict)
        if stop is not None:
            raise Suspended(stop)

    def _fence(self, chunk: Chunk) -> Fence:
        return Fence(self.scope, self.claim.token, self.claim.run_id, chunk.no)

    def _cursor(self, reader: Connector, schema: Schema) -> Start | None:
        """Return where the source is read from, None for everything."""
        if self.claim.kind != "sync" or self.full:
            return None
        sides = self.sides
        return self.starts.one_way(reader, (sides.source, sides.source_key, sides.source_name), schema, sides.detect)

    def _end(self, target: Target[Links], links: Links, cursor: Start | None) -> None:
        self._place(target)
        with self.house.db.begin() as tx:
            self.journal.guard(tx, read_complete=True)
            if self.claim.live and self.claim.kind == "sync":
                if self.full:
                    settle_rest(tx, self.claim, self.house.clock())
                elif cursor is not None:
                    cursors.advance(tx, self.claim, cursors.name_of(self.sides.source, self.sides.detect))
                if self._parked is not None:
                    settle_entries(tx, self._parked.gone(tx), self.house.clock())
                links.compact(tx, self.claim.run_id)
            settle_entries(tx, unmet(tx, self.claim), self.house.clock())
            self.journal.end(tx, "succeeded", None)

    def _tell(self, error: Retriable, attempt: int, seconds: float) -> None:
        self.journal.log("warning", self.retry.words(error, attempt, seconds))
        self.journal.note()
