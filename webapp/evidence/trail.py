"""The history of one record across systems and runs: from any of its places, links are followed to all others.

Links that count now, pairs that runs have written, and keys by which rules know Syncline's own records lead from one
place to the next. What happened at each of them is put in the order of time, and every step comes with its proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asked_by
from webapp.evidence import places as where
from webapp.evidence.places import ID, Ends, Keys, Place
from webapp.evidence.prover import SEALED, WAITING, Prover
from webapp.evidence.stored import StoredLog, opened
from webapp.evidence.trail_people import Named, PeopleSteps
from webapp.evidence.trail_steps import RunSteps, Step
from webapp.evidence.veil import Veil
from webapp.extensions import House
from webapp.policies.who import SYSTEM_WHO
from webapp.runs import reading
from webapp.runs.pipeline.codec import column_text
from webapp.runs.pipeline.pairs import LINK, Pairs
from webapp.runs.pipeline.sides import OTHER

MOST_PLACES = 30
MOST_STEPS = 500


@dataclass(frozen=True)
class Known:
    """By which key a rule knows a record on one of its sides."""

    ends: Ends
    side: str
    key: str


@dataclass
class Trail:
    """All that is known of a record; `steps` are the latest `MOST_STEPS`, the oldest of them first."""

    places: list[Place] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    complete: bool = True
    size: int = 0
    sealed_at: datetime | None = None
    key: str = ""
    titles: dict[str, str] = field(default_factory=dict)

    @property
    def proven(self) -> int:
        """Return how many steps are sealed."""
        return sum(step.seal.state == SEALED for step in self.steps)

    @property
    def broken(self) -> list[Step]:
        """Return the steps that are neither sealed nor about to be."""
        return [step for step in self.steps if step.seal.state not in (SEALED, WAITING)]

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        head = {"places": [vars(place) for place in self.places], "complete": self.complete, "sealed_events": self.size}
        return {**head, "proven": self.proven, "steps": [step.to_json() for step in self.steps]}


def of_record(house: House, start: Iterable[Place]) -> Trail:
    """Return the history of the record that is at these places, as far as who asks may see it."""
    with opened(house) as log:
        with asked_by(SYSTEM_WHO):  # proofs need what is stored; what of it is shown is decided behind them
            found, steps = _gathered(log, list(start))
        veil = Veil(log.tx)
        ordered = [veil.step(step) for step in sorted(_together(steps), key=_when)[-MOST_STEPS:]]
        found.places = [veil.place(place) for place in found.places]
    found.complete = found.complete and len(steps) <= MOST_STEPS
    found.steps = ordered
    return found


def _gathered(log: StoredLog, start: list[Place]) -> tuple[Trail, list[Step]]:
    prover, walk = Prover(log.tx), _Walk(log.tx)
    walk.follow(start)
    found = Trail(list(walk.places), complete=not walk.cut, titles=where.titles(log.tx))
    if prover.newest is not None:
        found.size, found.sealed_at = prover.newest.size, prover.sealed_at
    found.key = next((line.public for line in reversed(log.keys())), "")
    return found, [*_run_steps(log.tx, prover, walk), *PeopleSteps(log.tx, prover).of(walk.own, _named(walk))]


def _when(step: Step) -> tuple[datetime, bool]:
    return step.at, step.deed == "event"


def known_by(tx: sa.Connection, start: Iterable[Place]) -> tuple[list[Place], list[Named]]:
    """Return the records of Syncline's own that links lead to, and what rules know them by."""
    with asked_by(SYSTEM_WHO):
        walk = _Walk(tx)
        walk.follow(list(start))
        return walk.own, _named(walk)


def start_of_pair(house: House, rule: str, side: str, key: str) -> list[Place]:
    """Return where a rule's record with a key is; nothing where there is no such rule."""
    with house.db.read() as tx:
        ends = [one for one in where.all_ends(tx) if one.rule_name == rule]
        return [Keys(tx).place(ends[-1].of(side), key)] if ends and side in OTHER else []


class _Walk:
    """Follows links from place to place, and takes up what runs noted on the way."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx, self._keys, self._ends = tx, Keys(tx), where.all_ends(tx)
        self.places: dict[Place, None] = {}
        self.known: dict[Known, None] = {}
        self.rows: dict[tuple[int, int, int, str], tuple[reading.RecordRow, Ends, str]] = {}
        self.cut = False
        self._pairs: dict[int, Pairs] = {}
        self._newest = {ends.rule_id: ends for ends in self._ends}
        self._runs: dict[int, tuple[reading.RunRow, Ends, str]] = {}

    @property
    def own(self) -> list[Place]:
        """Return the records of Syncline's own entities."""
        return [place for place in self.places if place.own and place.field in ("", ID)]

    def follow(self, waiting: list[Place]) -> None:
        """Visit places until nothing leads on."""
        while waiting:
            place = waiting.pop(0)
            if place in self.places:
                continue
            if len(self.places) >= MOST_PLACES:
                self.cut = True
                return
            self.places[place] = None
            for ends in self._ends:
                for side in OTHER:
                    key = self._keys.of(place, ends.of(side))
                    if key is not None:
                        waiting += self._partners(Known(ends, side, key))
        self._settle()

    def _settle(self) -> None:
        """Leave out a place without a key field where the same record stands with it."""
        exact = {(p.connection, p.object, p.key) for p in self.places if p.field}
        for place in list(self.places):
            if not place.field and (place.connection, place.object, place.key) in exact:
                del self.places[place]

    def _partners(self, known: Known) -> Iterator[Place]:
        if known in self.known:
            return
        self.known[known] = None
        ends, side = known.ends, known.side
        yield self._keys.place(ends.of(side), known.key)
        found = self._linked(known)
        if found is not None:
            yield self._keys.place(ends.beyond(side), found)
        for row, own in self._noted(known):
            self.rows.setdefault((row.run_id, row.id, row.record_no, str(row.left_key)), (row, ends, own))
            partner = row.right_key if own == side else row.left_key
            if partner is not None:
                yield self._keys.place(ends.beyond(side), partner)

    def _linked(self, known: Known) -> str | None:
        rule_id = known.ends.rule_id
        if known.ends != self._newest[rule_id]:  # the pairs that count are of what the rule connects now
            return None
        if rule_id not in self._pairs:
            self._pairs[rule_id] = Pairs.load(self._tx, rule_id, "")
        row = self._pairs[rule_id].find(known.side, pl.Series([known.key], dtype=pl.String)).row(0, named=True)
        return row["partner"] if row["op"] == LINK else None

    def _noted(self, known: Known) -> Iterator[tuple[reading.RecordRow, str]]:
        """Yield what live runs between just these ends noted of the record, each with the side that was read."""
        key = column_text(known.key)
        for row in reading.history(self._tx, known.ends.rule_name, known.key, MOST_STEPS):
            done, ends, source = self.run(row.run_id)
            own = row.side or source
            mine = row.left_key if own == known.side else row.right_key
            if ends == known.ends and done.mode == "live" and mine in (key, known.key):
                yield row, own

    def run(self, run_id: int) -> tuple[reading.RunRow, Ends, str]:
        """Return a run, what it connected, and the side that it read first."""
        if run_id not in self._runs:
            found, document = reading.get(self._tx, run_id), reading.document(self._tx, run_id)
            ends = where.ends_of(found.rule_id, found.rule_name, document)
            self._runs[run_id] = found, ends, where.source_of(document)
        return self._runs[run_id]


def _run_steps(tx: sa.Connection, prover: Prover, walk: _Walk) -> Iterator[Step]:
    steps = RunSteps(tx, prover)
    latest = sorted(walk.rows.values(), key=lambda found: (found[0].run_id, found[0].id))[-MOST_STEPS:]
    for row, ends, own in latest:
        yield steps.step(row, walk.run(row.run_id)[0], ends, own)


def _named(walk: _Walk) -> list[Named]:
    """Return all by which rules know the record."""
    return list(dict.fromkeys(Named(one.ends.rule_name, one.ends.rule_id, one.side, one.key) for one in walk.known))


def _together(steps: Iterable[Step]) -> list[Step]:
    """Leave out what the history of an entity notes of a run that tells of the same change itself."""
    found = list(steps)
    told = {(step.run.id, change.place) for step in found if step.run and step.rule for change in step.changes}
    return [
        step
        for step in found
        if step.rule or step.run is None or not any((step.run.id, change.place) in told for change in step.changes)
    ]


def place_of_record(entity: str, record: str) -> Place:
    """Return where a record of Syncline's own is."""
    return Place(HUB, entity, ID, record)
