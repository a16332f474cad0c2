"""The run that compares both systems of a rule field by field and writes to neither.

The first side (the source, or the left one of a two-way rule) is read page by page, mapped, and compared with its
partners, which are found by their links, else by the key that the rule gives. Then the second side is read for what has
no partner. Memory holds one page and nine bytes a record. A worker that takes the run up again starts anew.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.spi import ReadRequest
from rules.documents.sync import Direction
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM
from webapp.runs import pair_waits
from webapp.runs.models import pair_case, quarantine, run_difference, run_verification
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.chunk import add_counts
from webapp.runs.pipeline.codec import column_text, to_texts
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.pairs import Pairs
from webapp.runs.pipeline.schemes import scheme_of
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.verifying_ends import Book, End, OneWayBook, TwoWayBook, opened
from webapp.runs.pipeline.verifying_fields import Sum
from webapp.runs.pipeline.verifying_pages import Compared, Comparer, Found, Result, Waiting
from webapp.runs.pipeline.verifying_part import Chosen, beside

LISTED = 1_000
"""So many differences are kept, of all that are counted."""
OFF = (Found.DIFFERING, Found.ALONE, Found.WAITING, Found.QUARANTINED)
"""What says that the systems do not agree."""


class Verifying(Execution):
    """One worker's work on one comparison."""

    def run(self, systems: Systems) -> None:
        """Compare; raises what stops it (ConnectorError, Suspended, Cancelled)."""
        with contextlib.ExitStack() as stack:
            ends = opened(stack, self.rule, systems, self.claim.requested_at)
            planner = ends[0].planner
            if planner is not None:
                planner.validating = self._validating(systems, planner.mapping.source, stack)
            with self.house.db.read() as tx:
                book, waiting = self._book(tx, ends), _waiting(tx, self.claim.rule_id)
            self._tally = Tally(ends)
            self.journal.counts = add_counts([])
            self._heed()
            comparer = Comparer(self.rule, ends, book, waiting, self.retry)
            chosen = Chosen(self.claim.parameters, systems.library, self.retry, self._tell_unclear)
            self._note_expected(chosen, ends)
            for page in chosen.pages(ends[0], self._request(ends[0])):
                result = comparer.page(page, self._tally.read(ends[0].name) + 1)
                self._take(result)
                if not chosen.whole:
                    self._take(beside(result, ends[1]), listing=False)
            if chosen.whole:
                for page in chosen.pages(ends[1], self._request(ends[1])):
                    self._take(comparer.rest(page))
        self._close()

    def _book(self, tx: sa.Connection, ends: tuple[End, End]) -> Book:
        if self.rule.direction is not Direction.TWO_WAY:
            return OneWayBook(Links.load(tx, self.claim.rule_id, reverse=Sides.of(self.rule).reverse))
        schemas = {end.name: end.schema for end in ends}
        scheme = scheme_of(self.claim.document, self.claim.uses, schemas)
        return TwoWayBook(Pairs.load(tx, self.claim.rule_id, scheme))

    def _request(self, end: End) -> ReadRequest:
        return ReadRequest(end.object, end.schema, page_size=self.house.settings.page_size)

    def _note_expected(self, chosen: Chosen, ends: tuple[End, End]) -> None:
        """Note how many records are to come, where both sides know it, so that progress has an end."""
        numbers = [chosen.records(end) for end in ends] if chosen.whole else [None]
        if None not in numbers:
            self.journal.note(expected=sum(number or 0 for number in numbers))

    def _take(self, result: Result, *, listing: bool = True) -> None:
        self._tally.add(result, listing=listing)
        self.journal.counts = self._tally.counts
        self.journal.note(counts=self._tally.counts)
        self._heed()
        stopping.check()

    def _close(self) -> None:
        tally, now, mine = self._tally, self.house.clock(), self.claim.run_id
        with self.house.db.begin() as tx:
            self.journal.guard(tx, read_complete=True)
            for table in (run_verification, run_difference):
                tx.execute(sa.delete(table).where(table.c.run_id == mine))
            tx.execute(sa.insert(run_verification).values(run_id=mine, at=now, **tally.result()))
            rows = [{"run_id": mine, "no": number, **row} for number, row in enumerate(tally.listed, 1)]
            if rows:
                tx.execute(sa.insert(run_difference), rows)
            told = {name: value for name, value in tally.result().items() if name != "fields"}
            event = Event(Tag.RUN_VERIFIED, Subject("rule", self.claim.rule_name), None, told, run_id=mine)
            record(tx, SYSTEM, now, event)
            self.journal.end(tx, "succeeded", None)


class Tally:
    """What a comparison has found so far."""

    def __init__(self, ends: tuple[End, End]) -> None:
        self._names = (ends[0].name, ends[1].name)
        self._found: dict[str, Counter[int]] = {name: Counter() for name in self._names}
        self._sums = {name: Sum() for name in self._names}
        self._fields: Counter[str] = Counter()
        self._one_way_only = 0
        self.listed: list[dict[str, Any]] = []

    def read(self, side: str) -> int:
        """Return how many records of a side have been read."""
        return self._found[side].total()

    def add(self, result: Result, *, listing: bool = True) -> None:
        """Add what was found for a page; `listing` keeps the first records that do not agree."""
        found = self._found[result.side]
        found.update(dict(result.found.value_counts().iter_rows()))
        found[Found.QUARANTINED] += result.unread
        for name, hashes in zip(self._names, (result.first, result.second), strict=True):
            self._sums[name].add(hashes.drop_nulls())
        self._one_way_only += result.one_way_only
        differing = result.partner.is_not_null() & result.found.is_in(
            pl.Series([Found.DIFFERING, Found.WAITING], dtype=pl.UInt8).implode()
        )
        for one in result.fields:
            if number := int((one.result.differs & differing).sum()):
                self._fields[one.label] += number
        if listing:
            self._list(result)

    def _list(self, result: Result) -> None:
        """Keep what is found for the first records that do not agree."""
        off = result.found.is_in(pl.Series(OFF, dtype=pl.UInt8).implode())
        second = result.side == self._names[1]
        if second:
            off &= result.partner.is_null()  # its pair is listed already
        rows = off.arg_true().head(LISTED - len(self.listed))
        if not len(rows):
            return
        records = to_texts(result.records[rows])
        fields = [_Values(one, rows) for one in result.fields]
        for at, row in enumerate(rows.to_list()):
            partner = None if second else result.partner[row]
            keys = {result.side: result.keys[row], self._other(result.side): partner}
            waits = result.waits[row]
            self.listed.append(
                {
                    "kind": "differing" if partner is not None else f"only_{result.side}",
                    "left_key": column_text(keys["left"]),
                    "right_key": column_text(keys["right"]),
                    "waits": {Found.WAITING: "case", Found.QUARANTINED: "quarantine"}.get(waits),
                    "details": _clean(
                        {"record": json.loads(records[at])}
                        if partner is None
                        else {"fields": [v for one in fields if (v := one.at(at, self._names[0])) is not None]}
                    ),
                }
            )

    def _other(self, side: str) -> str:
        return self._names[1] if side == self._names[0] else self._names[0]

    @property
    def counts(self) -> dict[str, int]:
        """Return the counts as a run shows them: what agrees is unchanged, the rest was only looked at."""
        total = sum(self._found.values(), Counter())
        read, equal = total.total(), total[Found.EQUAL]
        waits = {"cases": total[Found.WAITING], "quarantined": total[Found.QUARANTINED]}
        rest = read - equal - sum(waits.values())
        return add_counts([{"read": read, "unchanged": equal, "skipped": rest, **waits}])

    def result(self) -> dict[str, Any]:
        """Return the columns of `run_verification` that tell what was found."""
        sides = {
            name: {"read": found.total(), **{kind.name.lower(): found[kind] for kind in Found}}
            for name, found in self._found.items()
        }
        off = sum(found[kind] for found in self._found.values() for kind in OFF)
        sums = {f"{name}_sum": str(self._sums[name]) for name in self._names}
        return {
            "agrees": not off and len(set(sums.values())) == 1,
            "counts": sides,
            "fields": dict(self._fields.most_common()),
            "one_way_only": self._one_way_only,
            "listed": len(self.listed),
            **sums,
        }


class _Values:
    """The values of one field for the listed rows, as exact texts."""

    def __init__(self, one: Compared, rows: pl.Series) -> None:
        self._one = one
        self._differs = one.result.differs[rows].to_list()
        ways = {"to": one.gives, "back": one.back}
        self._texts = {
            f"{name}_{part}": [json.loads(t)["v"] for t in to_texts(getattr(way, part)[rows].alias("v").to_frame())]
            for name, way in ways.items()
            if way is not None
            for part in ("gives", "holds")
        }

    def at(self, row: int, first: str) -> dict[str, Any] | None:
        """Return the field of a listed row with what both sides have, None where it does not differ.

        `left` and `right` are in the terms of the side that is written: what the other one gives, and what is there.
        """
        if not self._differs[row]:
            return None
        way = "to" if "to_gives" in self._texts else "back"
        gives, holds = (self._texts[f"{way}_{part}"][row] for part in ("gives", "holds"))
        giver = first if way == "to" else ("right" if first == "left" else "left")
        other = "right" if giver == "left" else "left"
        return {"field": self._one.label, "gives": giver, giver: gives, other: holds}


def _clean(details: Mapping[str, Any]) -> Any:
    """Return details as the database takes them: PostgreSQL stores no NUL."""
    return json.loads(json.dumps(details).replace("\\u0000", "\\ufffd"))


def _waiting(tx: sa.Connection, rule_id: int) -> Waiting:
    cases, possible = {}, list(pair_waits.candidates(tx, rule_id))
    for side, column in (("left", pair_case.c.left_key), ("right", pair_case.c.right_key)):
        mine = (pair_case.c.rule_id == rule_id, pair_case.c.state != "settled", column.is_not(None))
        named = [one.key for one in possible if one.side == side]
        cases[side] = pl.Series([*tx.scalars(sa.select(column).where(*mine)), *named], dtype=pl.String)
    parked = {}
    for side in ("left", "right"):
        open_ = (quarantine.c.rule_id == rule_id, quarantine.c.state == "open", quarantine.c.side == side)
        parked[side] = pl.Series(tx.scalars(sa.select(quarantine.c.left_key).where(*open_)).all(), dtype=pl.String)
    return Waiting(cases, parked)
