"""Pairs of a plan that would wait for a person, with what is in question, as their cases would show it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import polars as pl
import sqlalchemy as sa

from webapp.runs import pair_waits, reading
from webapp.runs.models import run_chunk
from webapp.runs.pair_cases import pair_name
from webapp.runs.pipeline.codec import frame_of
from webapp.runs.sight import Sight, sight_of_run
from webapp.runs.sight_pairs import seen_details

CASES = "cases"
"""The outcome of records that wait for a person."""
_STEP = 10_000_000
"""A place is the number of a chunk times this, and the row behind it."""
SUMMARY = 120


@dataclass(frozen=True)
class Values:
    """A field as it stands on both sides of a pair; `base` is what both agreed on last, by side."""

    label: str
    left: Any
    right: Any
    base: Mapping[str, Any] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Tell whether both sides hold the same."""
        return bool(self.left == self.right)

    @property
    def agreed(self) -> Any:
        """Return what both sides agreed on, as the left one holds it where it does."""
        return self.base.get("left") if self.base.get("left") is not None else self.base.get("right")


@dataclass(frozen=True)
class Candidate:
    """A possible partner and how sure the rule is of it, with the mapped fields of both records."""

    key: str
    confidence: float | None
    fields: tuple[Values, ...]


@dataclass(frozen=True)
class PlanCase:
    """A pair that would wait; `waits` is the number of the pair that waits already."""

    place: int
    left_key: str | None
    right_key: str | None
    situation: str
    details: Mapping[str, Any]
    maps: tuple[Mapping[str, Any], ...] = ()
    waits: int | None = None

    @property
    def pair(self) -> str:
        """Return what names the pair among those that wait."""
        return pair_name(self.left_key, self.right_key)

    @property
    def key(self) -> str:
        """Return the key by which people know the record."""
        return str(self.left_key if self.left_key is not None else self.right_key)

    @property
    def side(self) -> str:
        """Return the side whose record is there, the left one where both are."""
        return "left" if self.details.get("left") or not self.details.get("right") else "right"

    @property
    def record(self) -> dict[str, Any]:
        """Return the record that is there."""
        return dict(self.details.get(self.side) or {})

    @property
    def fields(self) -> list[Values]:
        """Return the fields that a person would have to choose."""
        asked = self.details.get("fields") or []
        return [
            Values(
                str((one.get("left") or {}).get("name") or (one.get("right") or {}).get("name") or one.get("field")),
                (one.get("left") or {}).get("value"),
                (one.get("right") or {}).get("value"),
                one.get("base") or {},
            )
            for one in asked
        ]

    @property
    def candidates(self) -> list[Candidate]:
        """Return the possible partners, the surest first."""
        found = sorted(self.details.get("candidates") or [], key=lambda one: -(one.get("confidence") or 0))
        return [self._candidate(one) for one in found]

    def _candidate(self, one: Mapping[str, Any]) -> Candidate:
        there = "right" if self.side == "left" else "left"
        records = {self.side: self.record, there: one.get("record") or {}}
        lines = []
        for pair in self.maps:
            names = {side: str(pair.get(side) or "") for side in records}
            held = {side: record.get(names[side]) for side, record in records.items()}
            if any(value is not None for value in held.values()):
                lines.append(Values(names["left"] or names["right"], held["left"], held["right"]))
        sure = one.get("confidence")
        return Candidate(str(one["key"]), None if sure is None else float(sure), tuple(lines))

    @property
    def summary(self) -> str:
        """Return one line: the fields in question, or the first values of the record."""
        asked = ", ".join(one.label for one in self.fields)
        known = dict.fromkeys(str(one.get(self.side) or "") for one in self.maps)
        values = (self.record[name] for name in (known if self.maps else self.record) if name in self.record)
        return asked or " · ".join(str(value) for value in values if value not in (None, "", self.key))[:SUMMARY]

    def to_json(self) -> dict[str, Any]:
        """Return the pair as the API shows it."""
        keys = {"left_key": self.left_key, "right_key": self.right_key}
        return {**keys, "situation": self.situation, "waits_already": self.waits is not None, **self.details}

    def names(self, name: str) -> bool:
        """Tell whether a field of this name is in question."""
        asked = self.details.get("fields") or []
        return any((one.get(side) or {}).get("name") == name for one in asked for side in ("left", "right"))


def numbers(tx: sa.Connection, run_id: int) -> dict[str, int]:
    """Return how many pairs of a plan would wait, by what was found; nothing once the plan is no longer kept."""
    found: Counter[str] = Counter()
    for _no, frame in _frames(tx, run_id):
        found.update(dict(frame["situation"].value_counts().iter_rows()))
    return dict(found)


def listing(
    tx: sa.Connection, run_id: int, *, situation: str = "", name: str = "", after: int = 0, limit: int = 50
) -> list[PlanCase]:
    """Return pairs of a plan that would wait and who asks may see, in the order handled, behind place `after`.

    Raises `NotPermitted` where they ask by a field that they do not see.
    """
    sight = sight_of_run(tx, run_id)
    sight.require_plain(name)
    pairs = ((one, _seen(sight, one)) for one in _matching(tx, run_id, situation, name, after))
    found = list(islice(((one, seen) for one, seen in pairs if seen is not None), limit))
    waits = pair_waits.pairs_of(tx, reading.get(tx, run_id).rule_id, [one.pair for one, _seen in found])
    maps = tuple(reading.document(tx, run_id).get("fields") or ())
    return [replace(seen, maps=maps, waits=waits.get(one.pair)) for one, seen in found]


def _seen(sight: Sight, one: PlanCase) -> PlanCase | None:
    if sight.everything:
        return one
    details = seen_details(sight, one.details)
    if details is None:
        return None
    keys = {"left": one.left_key, "right": one.right_key}
    told = {side: sight.sides[side].key_text(key) for side, key in keys.items()}
    return replace(one, left_key=told["left"], right_key=told["right"], details=details)


def count(tx: sa.Connection, run_id: int, situation: str = "", name: str = "") -> int:
    """Return how many pairs would wait for which this was found, or a field of this name is in question."""
    if name:
        return sum(1 for _ in _matching(tx, run_id, situation, name, 0))
    found = numbers(tx, run_id)
    return found.get(situation, 0) if situation else sum(found.values())


def _matching(tx: sa.Connection, run_id: int, situation: str, name: str, after: int) -> Iterator[PlanCase]:
    for no, frame in _frames(tx, run_id, after // _STEP):
        for row, one in enumerate(frame.iter_rows(named=True)):
            place = no * _STEP + row + 1
            if place <= after or (situation and one["situation"] != situation):
                continue
            details = json.loads(one["details"] or "{}")
            found = PlanCase(place, one["left_key"], one["right_key"], one["situation"], details)
            if not name or found.names(name):
                yield found


def _frames(tx: sa.Connection, run_id: int, first: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the pairs that would wait (columns of `pipeline.chunk.WAITING`) of each chunk, from chunk `first` on."""
    mine = (run_chunk.c.run_id == run_id, run_chunk.c.state == "done", run_chunk.c.plan.is_not(None))
    query = sa.select(run_chunk.c.no, run_chunk.c.counts).where(*mine, run_chunk.c.no >= first)
    for no, counts in tx.execute(query.order_by(run_chunk.c.no)).all():
        if not counts.get(CASES):
            continue
        blob = tx.scalar(sa.select(run_chunk.c.plan).where(*mine, run_chunk.c.no == no))
        frame = frame_of(blob, "waiting") if blob else None
        if frame is not None:
            yield no, frame
