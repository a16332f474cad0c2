"""Re-baselining a two-way rule: what was last agreed on is forgotten, and both sides count as they are now.

Only linked pairs are looked at, each once, from one side. Where both sides agree by the mappings of the rule, that is
the new baseline. Where they differ, the side that was chosen beforehand wins, or it is decided as at the first meeting
of the two: what is empty is filled, fields with a policy follow it, and all else waits for a person. It is always a
simulation, whose plan is then approved: nothing is written and no baseline moves before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import polars as pl

from connectors.spi import Page, ReadRequest
from rules.documents.sync import Action
from rules.reconcile.one_way import key_text
from rules.reconcile.situations import Situation
from rules.text import N_, msg
from webapp.runs.pipeline.deciding import Asked, Deciding
from webapp.runs.pipeline.meeting import linked
from webapp.runs.pipeline.merging import Merging
from webapp.runs.pipeline.named import asked_keys
from webapp.runs.pipeline.part import Part
from webapp.runs.pipeline.reading import Start, begun, pages
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.pipeline.two_way_run import TwoWayExecution
from webapp.runs.pipeline.views import View


class Renewing(Deciding):
    """Decides about linked records as if they had never agreed on anything; leaves all others alone."""

    def __init__(self, wins: str | None, *about: Any) -> None:
        super().__init__(*about)
        self.wins = wins

    def _asked(self) -> dict[int, Asked]:
        """Return the linked pairs that wait for people, without what was answered: it is decided here."""
        mask = linked(self.known)
        return {row: Asked(one.seen, None) for row, one in super()._asked().items() if mask[row]}

    def _merging(self, found: pl.Series) -> Merging:
        rows = (found.is_null() & self.met.linked & self.met.there & self.draft.usable).arg_true()
        nothing = self.base.clear(len(rows))
        known = pl.repeat(value=False, n=len(rows), dtype=pl.Boolean, eager=True)
        about = (self.view, self.other, self.planner.fields, self.met, rows, nothing, known, self.planner.resolvers)
        return Merging(*about, wins=self.wins)

    def _situation(self, found: pl.Series) -> pl.Series:
        rows, merged = self.merging.rows, self.merging.merged.situation
        if self.wins is not None:
            merged = merged.replace(Situation.LINKED_CONFLICT.value, Situation.LINKED_CHANGED.value)
        return found.scatter(rows, merged) if len(rows) else found

    def _action(self) -> pl.Series:
        action = pl.repeat(Action.IGNORE.value, n=self.keys.len(), dtype=pl.String, eager=True)
        action = action.scatter(self.merging.rows, Action.MERGE.value)
        return action.set(~self.draft.usable, None)


class Rebaselining(TwoWayExecution):
    """One worker's work on one re-baseline."""

    def _go(self) -> None:
        differing = self._wanted.get("differing")
        self.planner.anew = partial(Renewing, differing if differing in OTHER else None)
        for view in self.planner.views.values():
            view.planner.matches = ()  # links stay as they are
        super()._go()

    @property
    def _wanted(self) -> Mapping[str, Any]:
        return self.claim.parameters or {}

    def _pass(self, side: str) -> None:
        """Work through one side only: a pair is the same from either."""
        if side == (self._wanted.get("side") or "left"):
            super()._pass(side)

    def _pages_of(self, view: View, cursor: Start | None, at: Any) -> Iterator[Page]:
        """Yield the linked records that are wanted."""
        for page in self._wanted_pages(view, cursor, at):
            keys = key_text(page.records[view.key])
            yield Page(page.records.filter(linked(self.planner.pairs.find(view.name, keys))), page.position)

    def _wanted_pages(self, view: View, cursor: Start | None, at: Any) -> Iterator[Page]:
        reader = self.connectors[view.name]
        size = self.house.settings.page_size
        request = begun(ReadRequest(view.object, view.schema, after=at or None, page_size=size), cursor)
        if self._wanted.get("records"):
            return self._named(view, (at or {}).get("looked_up", 0))
        if self._wanted.get("where") or self._wanted.get("range"):
            return Part(self._wanted, view.schema, self._library).pages(reader, request, self.retry, self._tell_unclear)
        return pages(reader, request, self.retry)

    def _named(self, view: View, done: int) -> Iterator[Page]:  # type: ignore[override]
        """Yield the records of the pairs that the run was asked for, by the key of either record."""
        there = asked_keys(self._wanted, OTHER[view.name])
        partners = self.planner.pairs.find(OTHER[view.name], there)
        self._tell_alone(there.filter(~linked(partners)))
        here = asked_keys(self._wanted, view.name)
        self._tell_alone(here.filter(~linked(self.planner.pairs.find(view.name, here))))
        keys = pl.concat([here, partners["partner"].filter(linked(partners)).rename(here.name)])
        for asked, found in self._lookup(view).pages(keys.unique(maintain_order=True), done):
            if not found.is_empty():
                yield Page(found, {"looked_up": asked})

    def _tell_alone(self, keys: pl.Series) -> None:
        if not keys.is_empty():
            text = N_("These records have no partner, so there is nothing to agree on: {keys}")
            self.journal.log("warning", msg(text, keys=", ".join(keys.head(20))))
