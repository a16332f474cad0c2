"""Two-way: from a page of records of one side to a chunk that may write to both sides. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from connectors.spi import Page
from rules.documents.defaults import actions
from rules.documents.sync import Action, ConflictPolicy, SideName, SyncRule
from rules.language.library import EMPTY, Library
from rules.reconcile.agreement import flows_away_from
from rules.reconcile.baseline import field_ids, folded
from rules.reconcile.merge import MergeField, merge_fields
from rules.reconcile.one_way import key_text
from rules.reconcile.resolve import compile_resolvers
from rules.reconcile.situations import Outcome, Situation
from rules.schema import Field, Schema
from webapp import tracing
from webapp.runs.pipeline import pair_inputs
from webapp.runs.pipeline.chunk import PAIRS, ROW, Chunk, Write
from webapp.runs.pipeline.correlating import Found
from webapp.runs.pipeline.deciding import Asked, Deciding
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.foresight import Ground
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.merging import based
from webapp.runs.pipeline.outcomes import outcomes_of, rejected
from webapp.runs.pipeline.pairs import LINK, Pairs
from webapp.runs.pipeline.places import at
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.pipeline.steady import unchanged
from webapp.runs.pipeline.views import View


@dataclass
class Memory:
    """What a run remembers between its pages.

    `absent` are linked keys that a scan has not met, by side. `handled` are keys that a simulation has dealt
    with as partners, by side; `waits` those of pairs that have become cases in this run.
    """

    absent: dict[str, KeySet] = field(default_factory=lambda: {"left": KeySet(), "right": KeySet()})
    handled: dict[str, KeySet] = field(default_factory=lambda: {"left": KeySet(), "right": KeySet()})
    waits: dict[str, KeySet] = field(default_factory=lambda: {"left": KeySet(), "right": KeySet()})
    coming: list[tuple[KeySet, pl.Series]] = field(default_factory=list)
    """What a page adds to these once it is clear that it stays as it was decided."""

    def accept(self) -> None:
        """Add what the last page adds."""
        for known, keys in self.coming:
            known.add(keys)
        self.coming.clear()


class TwoWayPlanner:
    """Plans the chunks of one two-way run; `baselines` reads what was agreed, `asked` is what waits for people."""

    def __init__(
        self,
        rule: SyncRule,
        views: Mapping[str, View],
        pairs: Pairs,
        baselines: Callable[[str, pl.Series, pl.Series], pl.DataFrame],
        asked: Mapping[str, Asked],
        library: Library = EMPTY,
    ) -> None:
        self.rule = rule
        self.views = views
        self.pairs = pairs
        self.baselines = baselines
        self.asked = asked
        self.memory = Memory()
        self.found: Found | None = None
        """Partners that were found by comparing all with all; None where look-ups by value are enough."""
        self.holding = False
        """Writes are held back: what has been dealt with still looks as before when its partner is read."""
        self.keeping = False
        """The values that are looked at are kept, so that each pair can be explained."""
        self.anew: Callable[..., Deciding] | None = None
        """Decides about all records, changed or not, in another way than runs do."""
        self.ground = Ground()
        """What the last plan rests on."""
        self.actions = {name: action.value for name, action in actions(rule).items()}
        self.fields: tuple[MergeField, ...] = settled_fields(rule)
        self.resolvers = compile_resolvers(rule, views["left"].schema, library)
        self.ids = field_ids(rule)
        self.given = {"l:": self._given("left"), "r:": self._given("right")}

    def _given(self, side: str) -> Schema:
        """Return the types of what a side gives, by the number of the field pair."""
        view, other = self.views[side], self.views[OTHER[side]]
        targets = [(item, view.writes(item)) for item in self.fields]
        found = [(item.name, other.schema[target]) for item, target in targets if target in view.mapping.names]
        kept = ((item, view.holds(item)) for item, target in targets if item.guarded and target is None)
        found += [(item.name, view.schema[own]) for item, own in kept if own is not None]
        return Schema(tuple(Field(name, f.type, scale=f.scale) for name, f in found))

    @tracing.step(
        "map",
        lambda _, side, page, no, *__: {
            "syncline.chunk": no,
            "syncline.side": side,
            "syncline.records": page.records.height,
        },
    )
    def plan(self, side: str, page: Page, no: int, first: int) -> Chunk:
        """Return the chunk of a page of a side whose first record has the run-wide number `first`.

        What it rests on is `ground` then. It may be planned again, until `memory` accepts what it adds.
        """
        self.memory.coming.clear()
        work = _Page(self, side, page, first)
        return work.chunk(no)

    def taking(self) -> int:
        """Return how many records are to go, or to be switched off, because their partners are gone."""
        doing = (Action.DELETE.value, Action.DEACTIVATE.value)
        return sum(len(gone) for side, gone in self.memory.absent.items() if self.actions[f"deleted_{side}"] in doing)

    def forgotten(self, no: int, place: tuple[Any, Any]) -> Iterator[Chunk]:
        """Yield the chunk that says of pairs gone from both sides that there are none."""
        gone = self.memory.absent
        lost = self.pairs.lost(gone) if gone["left"] and gone["right"] else pl.DataFrame()
        if not lost.is_empty():
            found = {"situation": pl.lit(Situation.DELETED_LEFT.value), "side": pl.lit("left")}
            outcomes = outcomes_of(lost.select("left_key", "right_key", **found))
            yield Chunk(no, outcomes, links=lost, position=place[0], high=place[1])

    def baseline(self, side: str, keys: pl.Series, segments: pl.Series) -> pl.DataFrame:
        """Return what was agreed for records, under the numbers of the field pairs."""
        return based(self.baselines(side, keys, segments), self.ids, self.given)

    def stored(self, baselines: pl.DataFrame | None) -> pl.DataFrame | None:
        """Return baselines under the names by which they are kept, whatever numbers the field pairs get."""
        if baselines is None:
            return None
        names = {f"{mark}{number}": f"{mark}{name}" for mark in ("l:", "r:") for number, name in self.ids.items()}
        return folded(baselines.rename({old: new for old, new in names.items() if old in baselines.columns}))


def settled_fields(rule: SyncRule) -> tuple[MergeField, ...]:
    """Return the field pairs of a rule; where conflicts are to be updated, the left side (or the source) wins them."""
    found = merge_fields(rule)
    if actions(rule)[Situation.LINKED_CONFLICT] is not Action.UPDATE:
        return found
    winner = ConflictPolicy((flows_away_from(rule) or SideName.LEFT).value)
    return tuple(replace(item, policy=winner) for item in found)


class _Page:
    """One page on its way to a chunk."""

    def __init__(self, planner: TwoWayPlanner, side: str, page: Page, first: int) -> None:
        self.planner = planner
        self.view, self.other = planner.views[side], planner.views[OTHER[side]]
        self.page, self.first = page, first
        self.records = page.records
        self.keys = key_text(self.records[self.view.key])
        self.numbers = pl.int_range(first, first + self.records.height, dtype=pl.Int64, eager=True)

    def chunk(self, no: int) -> Chunk:
        whole = Draft(self.records, self.numbers)
        self.view.planner.check_keys(whole, self.keys)
        known = self.planner.pairs.find(self.view.name, self.keys)
        still = self._still(whole, known)
        rest = (~still).arg_true()
        deciding = self._deciding(whole, known, rest)
        deciding.work()
        self.planner.ground = Ground((self.keys,), (known["partner"], *deciding.sought))
        outcomes = self._in_order(still, rest, self._unchanged(still, known), deciding.outcomes)
        rejects = rejected(self.page, self.view.name, self.first + self.records.height)
        return Chunk(
            no,
            pl.concat([outcomes, rejects]),
            tuple(Write(w.change, rest[w.rows].alias("row"), own=w.own) for w in deciding.writes),
            deciding.links if deciding.links is not None else pl.DataFrame(schema=PAIRS),
            dict(self.page.position),
            left_out=self.page.left_out,
            checked=deciding.draft.checked,
            side=self.view.name,
            baseline=self.planner.stored(deciding.baselines),
            waiting=deciding.waiting,
            answered=tuple(deciding.answered),
            hits=deciding.hits,
            records=self.records.with_row_index(ROW),
            inputs=pair_inputs.kept(deciding, rest, self.records, self.first) if self.planner.keeping else None,
        )

    def _in_order(
        self, still: pl.Series, rest: pl.Series, unchanged_: pl.DataFrame, decided: pl.DataFrame
    ) -> pl.DataFrame:
        if unchanged_.is_empty() or decided.is_empty():
            return decided if unchanged_.is_empty() else unchanged_
        return pl.concat([unchanged_, decided])[pl.concat([still.arg_true(), rest]).arg_sort()]

    def _still(self, draft: Draft, known: pl.DataFrame) -> pl.Series:
        """Return a mask of the linked records that have not changed, nor lost their partner."""
        memory, side, other = self.planner.memory, self.view.name, self.other.name
        if self.planner.anew is not None:
            return pl.repeat(value=False, n=self.keys.len(), dtype=pl.Boolean, eager=True)
        same = known["own_hash"].eq_missing(self.view.hashes(self.records)) & known["own_hash"].is_not_null()
        same &= known["other_hash"].is_not_null() & known["op"].eq_missing(pl.Series([LINK])) & draft.usable
        same &= ~memory.absent[other].has(known["partner"])
        same |= memory.handled[side].has(self.keys) & draft.usable
        return same

    def _unchanged(self, still: pl.Series, known: pl.DataFrame) -> pl.DataFrame:
        rows = still.arg_true()
        links = pl.DataFrame({"left_key": self.keys[rows], "right_key": known["partner"][rows]})
        frame = unchanged(self.numbers[rows], links, self.view.name)
        waits = self.planner.memory.waits[self.view.name].has(self.keys[rows])
        return frame.with_columns(  # a simulation that has dealt with a pair from its other side
            outcome=pl.when(waits).then(pl.lit(Outcome.SKIPPED.value)).otherwise("outcome"),
            situation=pl.when(waits).then(pl.lit(Situation.LINKED_CONFLICT.value)).otherwise("situation"),
        )

    def _deciding(self, whole: Draft, known: pl.DataFrame, rows: pl.Series) -> Deciding:
        every = rows.len() == self.keys.len()
        draft = whole if every else whole.only(pl.int_range(self.keys.len(), eager=True).is_in(rows.implode()))
        sides = (self.view, self.other)
        decide = self.planner.anew or Deciding
        return decide(self.planner, sides, draft, at(self.numbers, rows), at(self.keys, rows), at(known, rows))
