"""One-way runs that the database of both sides carries out itself, range by range of the key (`execute: pushdown`).

The database says of each record what becomes of it, and creates and updates by one statement each, in a transaction
that sees one moment and holds the fence. What is noted of a range before it is committed is what it has done: of
each record both keys, the situation and the outcome, of an updated one what changed. Syncline looks itself, as in
any other run, at records of which the database is not certain (a value that may not fit, a check that is not met, a
link that says something else), at ranges that the database refuses, and at what is gone from the source.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.errors import Misconfigured
from connectors.pushing import Push, Pushing, PushRequest, RefusedRange
from connectors.spi import Connector
from rules.documents.pushdown import NO_DATABASE
from rules.mapping.pushed import pushed
from rules.text import msg
from rules.validations import compile_validations
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.named import Lookup, expected
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.pushed_chunk import ASIDE, Range
from webapp.runs.pipeline.reading import pages
from webapp.runs.pipeline.writing import Target

RANGES = 5
"""A range has so many times the records of a page."""
_END: Mapping[str, Any] = {"phase": 1, "behind": []}
"""Where a source is read on when all ranges are done; readers know it."""
_KEPT = msg(
    "The database carries the rule out itself. Of each record its keys and what became of it are kept, of an updated"
    " one also what changed; values that were read, or that a new record got, are not."
)


class PushedExecution(Execution):
    """One worker's work on one run that the database carries out; runs over some records are like all others."""

    def _work(self, reader: Connector, planner: Planner, target: Target[Links]) -> None:
        if self.claim.kind != "sync":
            super()._work(reader, planner, target)
            return
        planner.digests, self._none_gone = None, False
        self._pushing, self._request = self._able(reader, planner, target)
        if self.claim.chunks == 0:
            self.journal.log("info", _KEPT)
        self._written(target)
        self._take_up(planner, target, target.links)
        number = expected(self.claim, reader, self.sides, self.retry)
        if number is not None:
            self.journal.note(expected=number)
        self._ranges(reader, planner, target)
        self._end(target, target.links, None)

    def _overlap(self, *_: object) -> None:
        """Decide about nothing ahead: what Syncline looks at itself lies between two ranges."""

    def _able(self, reader: Connector, planner: Planner, target: Target[Links]) -> tuple[Pushing, PushRequest]:
        """Return the database and what it is asked for; raises `Misconfigured` where it cannot do it."""
        where = f"{self.sides.source_name}/where"
        checks = compile_validations(self.rule.validations, planner.mapping.source, self._library)
        rule = pushed(planner.mapping, checks, planner.source_schema, where)
        objects = (self.sides.source.object, target.object)
        keys = (self.sides.source_key, self.sides.target_key)
        request = PushRequest(reader, objects, (planner.source_schema, planner.target_schema), keys, rule)
        pushing = target.connector
        why = pushing.unable(request) if isinstance(pushing, Pushing) else NO_DATABASE
        if why is not None or not isinstance(pushing, Pushing):
            text = msg("The rule cannot be carried out inside the database: {problem}", problem=why)
            raise Misconfigured(text, msg("Change that, or let Syncline carry the rule out."))
        return pushing, request

    def _ranges(self, reader: Connector, planner: Planner, target: Target[Links]) -> None:
        """Carry out all ranges that are left, and what is gone from the source."""
        place: dict[str, Any] = dict(self._position or {})
        asked, refused = 0, 0
        while place.get("phase") != _END["phase"] or place.get(ASIDE):
            if place.get(ASIDE):
                place, number = self._look(reader, planner, target, place)
                asked += number
            else:
                found = self._range(planner, target, place)
                refused += found is None
                place = self._one_by_one(reader, planner, target, place) if found is None else found
            stopping.check()
        self._tell_rest(asked, refused)
        self._remove_absent(reader, planner, target, target.links)

    def _range(self, planner: Planner, target: Target[Links], place: dict[str, Any]) -> dict[str, Any] | None:
        """Carry out a range and return the place behind it; None where the database refuses it."""
        try:
            chunk = self.retry(lambda: self._attempt(planner, target, place))
        except RefusedRange:
            return None
        planner.expect(chunk)
        self.numbered += chunk.read
        if chunk.outcomes.is_empty():
            self._heed()
        else:
            self._check_in(chunk, planner, target.links)
        return dict(chunk.position or _END)

    def _attempt(self, planner: Planner, target: Target[Links], place: dict[str, Any]) -> Chunk:
        done = self._written(target)
        if done is not None:
            return done
        size, live = RANGES * self.house.settings.page_size, self.claim.live
        with self._pushing.push(self._request, place, size, writes=live) as push:
            found = Range(planner, target.links, push, self.numbered)
            chunk = found.chunk(self.journal.chunks + 1, push.position or _END, sample=self.claim.mode == "simulate")
            self._guard(chunk)
            if live and found.writes:
                self._write(push, found, chunk)
        return chunk

    def _write(self, push: Push, found: Range, chunk: Chunk) -> None:
        """Write a range; what it does is noted before it is durable."""
        push.write(found.creates, found.updates, found.names, self._fence(chunk))
        self.journal.plan(chunk)

    def _written(self, target: Target[Links]) -> Chunk | None:
        """Return the range that is durable and not checked in yet; one that was noted only is forgotten."""
        noted = self.journal.planned() if self.claim.live else None
        if noted is None or noted.writes:
            return None
        if self.retry(lambda: target.connector.arrived(self._fence(noted))):
            return noted
        self.journal.drop_plan()
        return None

    def _look(
        self, reader: Connector, planner: Planner, target: Target[Links], place: dict[str, Any]
    ) -> tuple[dict[str, Any], int]:
        """Do what Syncline has to look at itself; return the place behind it, and how many records that were."""
        behind = {name: value for name, value in place.items() if name != ASIDE}
        size, keys = self.house.settings.page_size, place[ASIDE]
        now, later = pl.Series(keys[:size], dtype=pl.String), keys[size:]
        rest = {**behind, ASIDE: later} if later else behind
        thing = (self.sides.source.object, planner.source_schema, self.sides.source_key)
        for page in Lookup(reader, thing, size, self.retry).read(now):
            self._handle(replace(page, position=rest), self.journal.chunks + 1, None, planner, target)
        return rest, now.len()

    def _one_by_one(
        self, reader: Connector, planner: Planner, target: Target[Links], place: dict[str, Any]
    ) -> dict[str, Any]:
        """Read and write the pages of a range that the database refuses, as any other run does."""
        request = replace(self._whole_source(planner), after=place or None)
        for page in itertools.islice(pages(reader, request, self.retry), RANGES):
            if not page.records.height and not page.rejects:
                return dict(_END)
            self._handle(page, self.journal.chunks + 1, None, planner, target)
            place = dict(page.position)
            stopping.check()
        return place

    def _tell_rest(self, asked: int, refused: int) -> None:
        if asked:
            text = msg("Syncline looked at {count} records itself, of which the database was not certain.", count=asked)
            self.journal.log("info", text)
        if refused:
            text = msg(
                "The database refused {count} ranges, since a record of them cannot be written. They were written by"
                " Syncline.",
                count=refused,
            )
            self.journal.log("warning", text)
