"""Both ends of a two-way rule, for runs that work on what is stored.

What an undo leaves behind is what both sides agree on from then on, so that the next run does not repeat what was
undone. A restored field's part of the baseline moves, a record whose partner was taken away again stays alone, and a
record that came back is linked again, unless it is out of scope.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from connectors.spi import Fence
from rules.documents.sync import DetectBy, SideName, SyncRule
from rules.reconcile.merge import MergeField
from rules.reconcile.situations import UNDONE, Outcome
from webapp.extensions import House
from webapp.runs.pipeline.both import Both, SideTaken
from webapp.runs.pipeline.chunk import PAIRS, Chunk
from webapp.runs.pipeline.cursors import field_of, name_of
from webapp.runs.pipeline.ends import CursorEnd, Ends, Run
from webapp.runs.pipeline.held import Held, there
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.leftovers import settle_both
from webapp.runs.pipeline.limits import complete
from webapp.runs.pipeline.meeting import linked
from webapp.runs.pipeline.pairs import APART, GONE, LINK, Pairs
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.schemes import scheme_of
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.two_way import TwoWayPlanner
from webapp.runs.pipeline.views import View, views
from webapp.runs.pipeline.writing import Target

_MARKS = {"left": "l:", "right": "r:"}


class TwoWayEnds(Ends):
    """The ends of a rule that flows both ways."""

    def __init__(self, rule: SyncRule, held: Mapping[str, Held], planner: TwoWayPlanner) -> None:
        self.rule = rule
        self.held = held
        self.planner = planner
        self.pairs = planner.pairs
        self.book = planner.pairs
        targets = {
            name: Target(side.connector, side.side.object, side.schema, SideTaken(planner.pairs, name))
            for name, side in held.items()
        }
        self.both = Both(targets, planner.pairs)

    def sides(self, side: str) -> tuple[Held, Held]:
        """Return the own and the other side of a chunk."""
        return self.held[side], self.held[OTHER[side]]

    def read(self, side: str) -> tuple[str, ...]:
        """Return the fields of its own side that decide about a chunk."""
        return self.planner.views[side].used

    def matches(self, side: str) -> tuple[tuple[str, str], ...]:
        """Return the pairs of an own and another field by which partners are found."""
        planner = self.planner.views[side].planner
        return planner.sides.matches(planner.rule)

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the linked key on the other side of each own key, null where there is no link."""
        known = self.pairs.find(side, keys)
        return known["partner"].set(~linked(known), None)

    def unlinked(self, links: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG002
        """Return nothing: `agreed` says what becomes of the links, once it is known what was written."""
        return pl.DataFrame(schema=PAIRS)

    def relinked(self, links: pl.DataFrame) -> pl.DataFrame:
        """Return nothing, for the same reason."""
        return self.unlinked(links)

    def apply(self, chunk: Chunk, fence: Fence, retry: Retry, *, again: bool = False) -> Chunk:
        """Write a chunk to both sides."""
        return self.both.apply(chunk, fence, retry, again=again)

    def settle(self, house: House, claim: Claim, fence: Fence, retry: Retry) -> None:
        """Finish or forget what stopped runs had begun to write to either side."""
        retry(lambda: settle_both(house, claim, self.both, fence, retry))

    def finish(self) -> None:
        """Let both sides put in place what has been written."""
        self.both.finish()

    def cursors(self, high: Any, since: Any) -> tuple[list[CursorEnd], list[str | None]]:
        """Return the sides that are read by cursor or log, and the names of those that are read whole."""
        found: list[CursorEnd] = []
        whole: list[str | None] = []
        for name, side in self.held.items():
            detect = getattr(self.rule.detect, name)
            if detect.by is DetectBy.FULL:
                whole.append(name)
                continue
            place, ended = name_of(side.side, detect, name), (high or {}).get(name)
            found.append(CursorEnd(place, side, field_of(detect), ended, (since or {}).get(name)))
        return found, whole

    def agreed(self, chunk: Chunk) -> Chunk:
        """Return an undone chunk with its links and what both sides agree on from now on."""
        done = chunk.outcomes.filter(pl.col("record_no").is_not_null(), pl.col("situation") == UNDONE)
        if done.is_empty():
            return replace(chunk, links=pl.DataFrame(schema=PAIRS), baseline=None)
        restored = _Restored(self, chunk.side, done)
        return replace(chunk, links=restored.links(), baseline=restored.baselines())


class _Restored:
    """The records of an undone chunk as both sides hold them now."""

    def __init__(self, ends: TwoWayEnds, side: str, done: pl.DataFrame) -> None:
        self.ends = ends
        self.done = done
        self.side = side
        self.own, self.other = (ends.planner.views[name] for name in (side, OTHER[side]))
        held = ends.sides(side)
        now = [
            end.beside(done[key], end.schema.names) for end, key in zip(held, ("left_key", "right_key"), strict=True)
        ]
        self.present = [there(frame) for frame in now]
        self.records = [frame.select(end.schema.names) for frame, end in zip(now, held, strict=True)]
        self.known = ends.pairs.find(side, done["left_key"])
        was = self.known["op"].eq_missing(pl.Series([LINK])) & self.known["partner"].eq_missing(done["right_key"])
        made = done["outcome"] == Outcome.CREATED
        scopes = [view.mapping.where(part)[0] for view, part in zip((self.own, self.other), self.records, strict=True)]
        self.fresh = ~was
        self.together = self.present[0] & self.present[1] & (was | (made & scopes[0] & scopes[1]))

    def links(self) -> pl.DataFrame:
        """Return pairs that stay or come back, records that are to stay alone, pairs of which nothing is left."""
        keys = self.done.select("left_key", "right_key")
        none = pl.lit(None, dtype=pl.String)
        alone = ~self.together & self.fresh_or_gone
        parts = [
            keys.filter(self.together).with_columns(op=pl.lit(LINK)),
            keys.filter(alone).with_columns(op=pl.lit(GONE)),
            keys.filter(alone & self.present[0]).with_columns(right_key=none, op=pl.lit(APART)),
            keys.filter(alone & self.present[1]).with_columns(left_key=none, op=pl.lit(APART)),
        ]
        unknown = {name: pl.lit(None, dtype=pl.UInt64) for name in ("left_hash", "right_hash")}
        return pl.concat([part.with_columns(**unknown).select(*PAIRS) for part in parts])

    @property
    def fresh_or_gone(self) -> pl.Series:
        """Tell of which pairs a record was taken away or has come back; other pairs keep the link they have."""
        return (self.done["outcome"] != Outcome.UPDATED) | ~(self.present[0] & self.present[1])

    def baselines(self) -> pl.DataFrame | None:
        """Return baselines of the pairs: what both sides give now for restored fields, what it was for all others."""
        rows = self.together.arg_true()
        if rows.is_empty():
            return None
        before = self.ends.planner.baseline(self.side, self.done["left_key"][rows], self.known["segment"][rows])
        columns = [self.done["left_key"][rows].alias("left_key")]
        for view, records in zip((self.own, self.other), self.records, strict=True):
            given, _, _ = view.gives(records[rows], self.ends.planner.fields)
            for name in given.columns:
                column = f"{_MARKS[view.name]}{name}"
                moved = self._moved(name)[rows] | self.fresh[rows]
                columns.append(given[name].zip_with(moved, before[column]).alias(column))
        return self.ends.planner.stored(pl.DataFrame(columns))

    def _moved(self, name: str) -> pl.Series:
        """Tell in which records a field pair was restored, on either side."""
        item = next(field for field in self.ends.planner.fields if field.name == name)
        fields = {"after": _field(item, OTHER[self.side]), "own_after": _field(item, self.side)}
        masks = [
            [text is not None and field in json.loads(text) for text in self.done[column]]
            for column, field in fields.items()
        ]
        return pl.Series([any(pair) for pair in zip(*masks, strict=True)], dtype=pl.Boolean)


def _field(item: MergeField, side: str) -> str | None:
    return item.left if side == "left" else item.right


def opened_both(stack: contextlib.ExitStack, house: House, rule: SyncRule, run: Run, systems: Systems) -> Ends:
    """Return the ends of a two-way rule; their connections close with the stack."""
    sides = {"left": rule.left, "right": rule.right}
    schemas = {name: systems.schema(side.connection, side.object) for name, side in sides.items()}
    connectors = {name: stack.enter_context(systems.connect(side.connection)) for name, side in sides.items()}
    complete(rule, {SideName(name): schema for name, schema in schemas.items()})
    both: dict[str, View] = views(rule, schemas, connectors, systems.library)
    with house.db.read() as tx:
        pairs = Pairs.load(tx, run.rule_id, scheme_of(run.document, run.uses, schemas))

    def baselines(side: str, keys: pl.Series, segments: pl.Series) -> pl.DataFrame:
        with house.db.read() as tx:
            return pairs.baselines(tx, side, keys, segments)

    planner = TwoWayPlanner(rule, both, pairs, baselines, {})
    held = {name: Held(connectors[name], sides[name], schemas[name], both[name].key) for name in sides}
    return TwoWayEnds(rule, held, planner)
