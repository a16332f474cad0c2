"""The loop of a two-way run: the left side's pages, then the right side's, each chunk written to both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.spi import Fence, Page, ReadRequest
from rules.documents.sync import DetectBy, SideName
from rules.reconcile.agreement import looks_at_all, scans
from rules.reconcile.tombstones import by_events, told
from rules.schema import Schema
from webapp.runs.models import quarantine
from webapp.runs.pipeline import cursors, inputs, stopping
from webapp.runs.pipeline.absent import UNREADABLE
from webapp.runs.pipeline.both import Both, SideTaken
from webapp.runs.pipeline.chunk import Chunk, dump, touched
from webapp.runs.pipeline.codec import plain_value
from webapp.runs.pipeline.correlating import End, correlate
from webapp.runs.pipeline.deciding import asked_of
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.foresight import Appending, Underway, look_aside
from webapp.runs.pipeline.held import Held
from webapp.runs.pipeline.images import imaged
from webapp.runs.pipeline.journal import Cancelled, Suspended
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.leftovers import settle_both
from webapp.runs.pipeline.limits import Limits, heeding_drift
from webapp.runs.pipeline.named import Lookup, Parked, asked_keys, unmet
from webapp.runs.pipeline.overlap import OnCall, closed
from webapp.runs.pipeline.pairs import Pairs
from webapp.runs.pipeline.parking import settle_entries, settle_rest
from webapp.runs.pipeline.part import Part
from webapp.runs.pipeline.planning import without_deletes
from webapp.runs.pipeline.reading import Start, begun, high_of, highest, pages, replayed, whole
from webapp.runs.pipeline.schemes import scheme_of
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.told import Notices, Told
from webapp.runs.pipeline.two_way import TwoWayPlanner
from webapp.runs.pipeline.views import View, views
from webapp.runs.pipeline.writing import Target

_ROOM = 4 * 1024 * 1024
"""A page holds as many records as fit into so many bytes: it is kept in some ten forms while it is decided about."""


class TwoWayExecution(Execution):
    """One worker's work on one run of a two-way rule."""

    def run(self, systems: Systems) -> None:
        """Carry the run to its end; raises what stops it (ConnectorError, Suspended, Cancelled)."""
        sides = {"left": self.rule.left, "right": self.rule.right}
        schemas = {name: systems.schema(side.connection, side.object) for name, side in sides.items()}
        with contextlib.ExitStack() as stack:
            connectors = {n: stack.enter_context(systems.connect(side.connection)) for n, side in sides.items()}
            with heeding_drift(self.house, self.journal, self.rule, {SideName(n): s for n, s in schemas.items()}):
                both = views(self.rule, schemas, connectors, systems.library)
                for view in both.values():
                    view.planner.validating = self._validating(systems, view.mapping.source, stack, view.planner.rule)
            for view in both.values():
                view.planner.retry, view.planner.at = self.retry, self.claim.requested_at
                view.planner.full = self._reads(view.name) is DetectBy.FULL
                view.planner.replaying = self.claim.kind != "sync"
            self._note(schemas)
            with self.house.db.read() as tx:
                pairs = Pairs.load(tx, self.claim.rule_id, scheme_of(self.claim.document, self.claim.uses, schemas))
                asked = asked_of(tx, self.claim.rule_id)
            self.planner = TwoWayPlanner(self.rule, both, pairs, self._baselines, asked, systems.library)
            self.planner.holding, self.planner.keeping = not self.claim.live, self.rule.explain
            self._library = systems.library
            if self.claim.kind == "part":
                self.planner.actions = without_deletes(self.planner.actions)
            self.limits = Limits(self.rule, len(pairs), self.journal.log)
            self.connectors = connectors
            ahead = look_aside(self.planner, self.claim, systems.connect, stack)
            self._underway = Underway(self._take_over, ahead=ahead)
            stack.callback(self._underway.close)
            targets = {
                name: Target(connectors[name], sides[name].object, schemas[name], SideTaken(pairs, name))
                for name in sides
            }
            self.both = Both(targets, pairs)
            self._go()

    def _note(self, schemas: Mapping[str, Schema]) -> None:
        noted = inputs.noted(self.claim.schemas, self.claim.chunks + 1, (schemas["left"], schemas["right"]))
        if noted is not None:
            self.journal.note(schemas=noted)

    def _baselines(self, side: str, keys: pl.Series, segments: pl.Series) -> pl.DataFrame:
        with self.house.db.read() as tx:
            return self.planner.pairs.baselines(tx, side, keys, segments)

    def _detect(self, side: str) -> Any:
        return self.rule.detect.left if side == "left" else self.rule.detect.right

    def _reads(self, side: str) -> DetectBy | None:
        """Return how a side is read; None where only the records are looked up that something is to be done about."""
        return self._detect(side).by if looks_at_all(self.rule, side) else None

    def _go(self) -> None:
        try:
            self._resume()
            self._scan()
            self._find_partners()
            for side in OTHER:
                self._pass(side)
            self._forget()
        except (Suspended, Cancelled):
            self._finish()
            raise
        self._close()

    def _finish(self) -> None:
        if self.claim.live:
            self.retry(self.both.finish)

    def _resume(self) -> None:
        """Go on where an earlier worker stopped: its finished chunks, and the one it was about to write."""
        self._place_in: Mapping[str, Any] = self.claim.position or {"side": "left", "at": None}
        self._highs: dict[str, Any] = dict(self.claim.high or {})
        self._seen = {"left": KeySet(), "right": KeySet()}
        self._retried: dict[str, Parked] = {}
        self._notices: dict[str, Notices] = {}
        self._coming: OnCall[Page] | None = None
        for outcomes, marks in self.journal.handled():
            self._recall(outcomes, marks)
            self.numbered += outcomes["record_no"].count()
        if self.claim.live:
            fence = Fence(self.scope, self.claim.token, self.claim.run_id, 0)
            self.retry(lambda: settle_both(self.house, self.claim, self.both, fence, self.retry))
        half = self.journal.planned()
        if half is not None:
            settled = self.both.apply(half, self._fence(half), self.retry, again=True)
            self._place_in, self._highs = half.position or self._place_in, dict(half.high or {})
            self.numbered += settled.read
            self._record(settled)
            self._take_over(settled)
        self._no = self.journal.chunks
        self._heed()

    def _recall(self, outcomes: pl.DataFrame, marks: pl.DataFrame) -> None:
        """Take note of the records that the run has handled."""
        side = str(outcomes["side"].drop_nulls().first() or "left")
        self.planner.views[side].planner.remember(outcomes, marks)
        if self._detect(side).by is not DetectBy.FULL:
            self._seen[side].add(outcomes["left_key"])

    def _scan(self) -> None:
        """Find the linked records that are gone: read the keys of both sides, all of them or none."""
        for side, view in self.planner.views.items():
            if self.claim.kind != "sync":
                continue
            heard = told(self.rule, SideName(side))
            if heard and self._listen(view):
                continue
            if not heard and not scans(self.rule, side):
                continue
            if len(self.planner.pairs):
                present = self._side(view).keys(self._heed)
                if present is None:
                    self.journal.log("warning", UNREADABLE)
                    continue
                for linked in self.planner.pairs.linked(side):
                    self.planner.memory.absent[side].add(linked["own"].filter(~present.has(linked["own"])))
        self._guard_deletions()

    def _listen(self, view: View) -> bool:
        """Note the linked records of a side that are gone by what it tells since the last run; False: it cannot say."""
        side = self._side(view)
        events = by_events(self.rule, SideName(view.name))
        matters = partial(self.planner.pairs.taken, view.name)
        gone = side.gone(self._cursor_on(view), None if events else matters)
        if gone is None:
            return False
        self._notices[view.name] = Notices(view.key, gone, matters, events=events, resumed=self.claim.chunks > 0)
        self.planner.memory.absent[view.name] = KeySet(gone.filter(matters(gone)))
        return True

    def _side(self, view: View) -> Told:
        thing = (self.connectors[view.name], view.object, view.schema, view.key)
        return Told(*thing, self.house.settings.page_size, self.retry)

    def _guard_deletions(self) -> None:
        """Stop before the first deletion where there are too many: they are all known by now."""
        stop = self.limits.deleting(self.planner.taking())
        if stop is not None and self.claim.live:
            raise Suspended(stop)

    def _find_partners(self) -> None:
        """Find the partners of records without a link that look-ups do not find."""
        if self.claim.kind == "sync" and self.rule.correlate:
            self.planner.found = correlate(self.rule, self._ends(), self._whole)
        if self.planner.found is not None:
            self.planner.found.tell(self.journal)
            for view in self.planner.views.values():
                view.planner.matches = ()

    def _ends(self) -> dict[str, End]:
        pairs = self.planner.pairs
        return {
            name: End(view.schema, view.object, view.key, lambda k, name=name: pairs.find(name, k)["op"].is_not_null())  # type: ignore[misc]
            for name, view in self.planner.views.items()
        }

    def _whole(self, side: str, request: ReadRequest) -> pl.DataFrame:
        return whole(self.connectors[side], request, self.retry)

    def _pass(self, side: str) -> None:
        """Work through one side; where an earlier worker was further already, nothing is left to do."""
        if side == "left" and self._place_in["side"] == "right":
            return
        if self.claim.kind == "part" and (self.claim.parameters or {}).get("side", side) != side:
            return
        at = self._place_in["at"] if self._place_in["side"] == side else None
        view = self.planner.views[side]
        cursor = self._cursor_on(view)
        high = high_of(view.schema, cursor, self._highs.get(side))
        with self._underway, closed(self._pages_of(view, cursor, at)) as read:
            for page in read:
                high = high if self._aside else highest(page, cursor, high)
                if cursor:
                    self._highs[side] = plain_value(high)
                self._take(side, page)
                stopping.check()
            self._underway.settle()

    def _take(self, side: str, page: Page) -> None:
        """Decide about a page, while the chunk before is done, and begin to do it.

        What is written to its own side is waited for: a page that is read before would look like an edit.
        """
        first = int(page.position["replayed"]) if self.claim.kind == "replay" else self.numbered + 1
        placed = replace(page, position={"side": side, "at": dict(page.position)})
        plan = partial(self.planner.plan, side, placed, self._no + 1, first)
        chunk = self.journal.ahead(plan())
        if self.planner.ground.touched(*self._underway.settle()):
            chunk = plan()
        self.planner.memory.accept()
        own = any(write.own for write in chunk.writes)
        if self._coming is not None and not own:
            self._coming.call()  # what the chunk writes is on the other side: this one is read on meanwhile
        if chunk.read == 0 and not chunk.left_out:
            self._heed()
            return
        self._no, self.numbered = chunk.no, self.numbered + chunk.read
        self._underway.begin(replace(chunk, high=dict(self._highs)), self._do, wait=own)

    def _forget(self) -> None:
        """Let go of the pairs of which neither record is left."""
        for chunk in self.planner.forgotten(self._no + 1, self.journal.place):
            self._take_over(self._do(chunk))

    def _take_over(self, chunk: Chunk) -> None:
        if self.claim.live:
            self.planner.pairs.merge(chunk)
        self._recall(chunk.outcomes, chunk.checked.marks)

    def _pages_of(self, view: View, cursor: Start | None, at: Any) -> Iterator[Page]:
        size = self.house.settings.page_size
        if self.claim.kind == "replay":
            yield from replayed(
                self.house.db, self._selected(view.name), view.schema, size, (at or {}).get("replayed", 0)
            )
            return
        if self.claim.kind == "records":
            yield from self._named(view, (at or {}).get("looked_up", 0))
            return
        request = begun(ReadRequest(view.object, view.schema, after=at or None, page_size=size), cursor)
        if self.claim.kind == "part":
            part = Part(self.claim.parameters or {}, view.schema, self._library)
            yield from part.pages(self.connectors[view.name], request, self.retry, self._tell_unclear)
            return
        position = at or {}
        read = self._reads(view.name) is not None
        for page in self._read(view, request) if read else ():
            yield self._notices[view.name].there(page) if view.name in self._notices else page
            position = page.position
        self._underway.settle()  # the following goes by what the run has met
        self._aside = True  # what is looked up says nothing of how far the side has been read
        for page in chain(self._widowed(view), self._again(view)):
            yield replace(page, position=position)
        self._aside = False

    def _read(self, view: View, request: ReadRequest) -> Iterator[Page]:
        """Yield the pages of a side; where that is safe, the next one is read while a chunk is written."""
        connector = self.connectors[view.name]
        found = pages(connector, request, self.retry, _ROOM)
        ends = {(end.connection, end.object) for end in (self.rule.left, self.rule.right)}
        if not connector.spec.capabilities.concurrent or len(ends) == 1:
            yield from found
            return
        self._coming = coming = OnCall(found)
        try:
            yield from coming
        finally:
            self._coming = None
            coming.close()

    def _selected(self, side: str) -> tuple[int, ...]:
        with self.house.db.read() as tx:
            mine = (quarantine.c.id.in_(self.claim.selection), quarantine.c.side == side)
            known = set(tx.scalars(sa.select(quarantine.c.id).where(*mine)))
        return tuple(number if number in known else 0 for number in self.claim.selection)

    def _lookup(self, view: View) -> Lookup:  # type: ignore[override]
        thing = (view.object, view.schema, view.key)
        return Lookup(self.connectors[view.name], thing, self.house.settings.page_size, self.retry)

    def _named(self, view: View, done: int) -> Iterator[Page]:  # type: ignore[override]
        """Yield the records that a run was asked for, as the side holds them now."""
        for page in self._lookup(view).read(asked_keys(self.claim.parameters, view.name), done):
            if page.records.height or page.rejects:
                yield page

    def _again(self, view: View) -> Iterator[Page]:
        """Yield the parked records of a side read by cursor that this run has not met."""
        if self.claim.kind != "sync" or self._reads(view.name) is DetectBy.FULL:
            return
        with self.house.db.read() as tx:
            parked = Parked(tx, self.claim, view.name)
        parked.met_among(self._seen[view.name])
        self._retried[view.name] = parked
        yield from (Page(records, {}) for records in parked.pages(self._lookup(view)))

    def _widowed(self, view: View) -> Iterator[Page]:
        """Yield records of a side read by cursor whose partners are gone: nothing else would bring them up."""
        gone = self.planner.memory.absent[OTHER[view.name]]
        if not gone or self._reads(view.name) is DetectBy.FULL:
            return
        pairs = self.planner.pairs.linked(view.name)
        lost = pl.concat([part["own"].filter(gone.has(part["other"])) for part in pairs])
        unseen = lost.filter(~self._seen[view.name].has(lost))
        for page in self._lookup(view).read(unseen):
            if page.records.height or page.rejects:
                yield page

    def _do(self, chunk: Chunk) -> Chunk:
        chunk = imaged(chunk, lambda own: self._held(chunk.side if own else OTHER[chunk.side]))
        self._guard(chunk)
        if self.claim.live:
            if chunk.writes:
                self.journal.plan(chunk)
                chunk = replace(chunk, inputs=None)
            chunk = self.both.apply(chunk, self._fence(chunk), self.retry)
        else:
            plan = dump(chunk, touched(chunk)) if self.claim.mode == "simulate" else None
            chunk = replace(self.both.pretend(chunk), plan=plan)
        self._record(chunk)
        return chunk

    def _held(self, side: str) -> Held:
        view, part = self.planner.views[side], self.rule.left if side == "left" else self.rule.right
        return Held(self.connectors[side], part, view.schema, view.key, self.retry)

    def _record(self, chunk: Chunk) -> None:
        self.journal.check_in(chunk, Appending(self.both.links))
        self._heed()
        self._stop(chunk)

    def _cursor_on(self, view: View) -> Start | None:
        if self.claim.kind != "sync" or self._reads(view.name) in (None, DetectBy.FULL):
            return None
        part = self.rule.left if view.name == "left" else self.rule.right
        place = (part, view.key, view.name)
        return self.starts.of_both(self.connectors[view.name], place, view.schema, self._detect(view.name))

    def _source(self, side: str) -> str:
        part = self.rule.left if side == "left" else self.rule.right
        return cursors.name_of(part, self._detect(side), side)

    def _close(self) -> None:
        self._finish()
        with self.house.db.begin() as tx:
            self.journal.guard(tx, read_complete=True)
            if self.claim.live:
                if self.claim.kind == "sync":
                    self._settle_sides(tx)
                self.planner.pairs.compact(tx, self.claim.run_id)
            settle_entries(tx, unmet(tx, self.claim), self.house.clock())
            self.journal.end(tx, "succeeded", None)

    def _settle_sides(self, tx: sa.Connection) -> None:
        """Move the cursors now that all is durable; a side that was read whole settles what it had parked."""
        for side in OTHER:
            high = self._highs.get(side)
            if side in self._retried:
                settle_entries(tx, self._retried[side].gone(tx), self.house.clock())
            if self._reads(side) is DetectBy.FULL:
                settle_rest(tx, self.claim, self.house.clock(), side)
            elif high is not None and not (side in self._notices and self._notices[side].late):
                cursors.put(tx, self.claim, self._source(side), high)
