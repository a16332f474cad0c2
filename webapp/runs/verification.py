"""Comparing both systems of a rule field by field: asking for it, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents import parse_sync
from rules.text import msg
from webapp.extensions import Actor, House
from webapp.policies.masks import DOTS
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import kind_of
from webapp.runs import pair_waits
from webapp.runs.models import run, run_difference, run_verification
from webapp.runs.parts import Wanted, check, sides
from webapp.runs.pipeline.verifying import LISTED
from webapp.runs.reading import RunRow, document, get, rows
from webapp.runs.requests import RunRefused, insert, records
from webapp.runs.sight import sight_of_run
from webapp.runs.sight_records import Shown, filled

MOST = 100_000
"""The largest sample."""
WAITING = "waiting"
KINDS = ("differing", "only_left", "only_right", WAITING)
"""What differences can be asked for; those that wait for a person are asked for apart."""
FOUND = ("equal", "differing", "alone", "waiting", "quarantined", "out_of_scope", "left_alone")
"""What may be found for a record; the numbers of a side add up to what was read there."""


@dataclass(frozen=True)
class Difference:
    """A record that does not agree; `waits` tells who has it already, a case or the quarantine."""

    no: int
    kind: str
    left_key: str | None
    right_key: str | None
    waits: str | None
    details: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the difference as the API and the command line show it."""
        keys = {"left_key": self.left_key, "right_key": self.right_key}
        return {"no": self.no, "kind": self.kind, **keys, "waits": self.waits, **self.details}


@dataclass(frozen=True)
class Verification:
    """What a comparison has found; `counts` is by side, `fields` tells in how many pairs each field differs."""

    run_id: int
    agrees: bool
    counts: dict[str, dict[str, int]]
    fields: dict[str, int]
    one_way_only: int
    left_sum: str
    right_sum: str
    listed: int
    at: datetime

    @property
    def off(self) -> int:
        """Return how many records do not agree, a pair being one."""
        left, right = self.counts["left"], self.counts["right"]
        pairs = max(left["differing"], right["differing"])
        waits = max(left["waiting"], right["waiting"]) + max(left["quarantined"], right["quarantined"])
        return pairs + waits + left["alone"] + right["alone"]

    @property
    def only_waits(self) -> bool:
        """Tell whether nothing but records that wait for a person keeps the systems from agreeing."""
        off = ("differing", "alone", "quarantined")
        return not self.agrees and not any(side[kind] for side in self.counts.values() for kind in off)

    def to_json(self) -> dict[str, Any]:
        """Return what was found as the API and the command line show it."""
        sums = {"left": self.left_sum, "right": self.right_sum}
        head = {"run": self.run_id, "agrees": self.agrees, "counts": self.counts, "fields": self.fields}
        return {**head, "agree_one_way_only": self.one_way_only, "checksums": sums, "listed": self.listed}


def request(
    house: House, rule_name: str, actor: Actor, *, part: Wanted | None = None, sample: int | None = None
) -> int:
    """Request a comparison of both systems of a published rule and return its run; raises `RunRefused`.

    It waits while another run of the rule is at work, and writes nothing. With a part or a sample only these records of
    the side that the rule reads first, and their partners, are compared.
    """
    parameters = _parameters(house, rule_name, part, sample)
    with house.db.begin() as tx:
        row = _comparable(tx, rule_name)
        head = {"rule_id": row.id, "rule_name": row.name, "rule_version": row.published_version}
        values = {**head, "document": row.published, "mode": "shadow", "kind": "verify", "parameters": parameters}
        return insert(house, tx, values, actor)


def _comparable(tx: sa.Connection, rule_name: str) -> rulebook.RuleRow:
    row = rulebook.find(tx, rule_name)
    if row is None:
        raise RunRefused(msg("There is no rule called '{name}'.", name=rule_name))
    if not kind_of(row.document).runs:
        raise RunRefused(msg("'{name}' is not a rule that runs; other rules ask it.", name=rule_name))
    if row.published is None:
        raise RunRefused(msg("The rule '{name}' is not published yet, so there is nothing to compare.", name=rule_name))
    return row


def _parameters(house: House, rule_name: str, part: Wanted | None, sample: int | None) -> dict[str, Any] | None:
    """Return what the run keeps of what is to be compared; None for all."""
    if sample is not None:
        if not 1 <= sample <= MOST:
            raise RunRefused(msg("A sample has 1 to {most} records.", most=MOST))
        return {"sample": sample}
    if part is None:
        return None
    with house.db.read() as tx:
        rule = parse_sync(_comparable(tx, rule_name).published or {})
    parameters = {**part.parameters, "side": sides(rule)[0]}
    check(house, rule, parameters)
    return parameters


def find(tx: sa.Connection, run_id: int) -> Verification | None:
    """Return what a comparison has found, None while it has not ended well."""
    columns = [run_verification.c[name] for name in Verification.__dataclass_fields__]
    found = tx.execute(sa.select(*columns).where(run_verification.c.run_id == run_id)).one_or_none()
    return None if found is None else Verification(*found)


def latest(tx: sa.Connection, rule_id: int) -> Verification | None:
    """Return what the last finished comparison of all records of a rule has found."""
    mine = sa.select(sa.func.max(run_verification.c.run_id)).join(run, run.c.id == run_verification.c.run_id)
    last = tx.scalar(mine.where(run.c.rule_id == rule_id, run.c.parameters.is_(None)))
    return None if last is None else find(tx, last)


def history(tx: sa.Connection, rule_id: int, limit: int = 10) -> list[tuple[RunRow, Verification | None]]:
    """Return the last comparisons of a rule with what they have found, the latest first."""
    found = rows(tx, run.c.rule_id == rule_id, run.c.kind == "verify", limit=limit)
    return [(row, find(tx, row.id)) for row in found]


def disagreeing(tx: sa.Connection, row: RunRow) -> list[dict[str, str]]:
    """Return the listed records of a comparison that the rule can be run for now.

    What waits for a person is left out, and what only a side has that the rule does not read.
    """
    read = sides(parse_sync(document(tx, row.id)))
    found = []
    for one in stored_differences(tx, row.id, limit=LISTED):
        keys = {"left": one.left_key, "right": one.right_key}
        side = next((side for side in read if keys[side] is not None), None)
        if side is not None and one.waits != "case":
            found.append({"side": side, "key": str(keys[side])})
    return found


def settle(house: House, run_id: int, actor: Actor) -> int:
    """Request a run for the listed records of a comparison that do not agree; raises `RunRefused`."""
    with house.db.begin() as tx:
        row = get(tx, run_id)
        found = disagreeing(tx, row)
        if not found:
            raise RunRefused(msg("No record of this comparison is left that a run could bring into step."))
        return records(house, row.rule_name, found, actor, tx)


def cases(tx: sa.Connection, row: RunRow, found: Sequence[Difference]) -> dict[int, int]:
    """Return the pairs in which differences of a comparison wait for a person now, by their numbers."""
    table = run_difference.c
    numbers = [one.no for one in found if one.waits == "case"]
    query = sa.select(table.no, table.left_key, table.right_key).where(table.run_id == row.id, table.no.in_(numbers))
    asked = {
        one.no: [(side, key) for side, key in (("left", one.left_key), ("right", one.right_key)) if key is not None]
        for one in (tx.execute(query.order_by(table.no)).all() if numbers else ())
    }
    known = pair_waits.pairs_with(tx, row.rule_id, [place for places in asked.values() for place in places])
    ways = {number: [known[place] for place in places if place in known] for number, places in asked.items()}
    return {number: pairs[0] for number, pairs in ways.items() if pairs}


def differences(
    tx: sa.Connection, run_id: int, *, kind: str | None = None, after: int = 0, limit: int = 50
) -> list[Difference]:
    """Return listed differences of a comparison behind number `after`, in the order found, as who asks may see them."""
    seen = SeenDifferences(tx, run_id)

    def fetch(behind: int, count: int) -> list[Difference]:
        return stored_differences(tx, run_id, kind=kind, after=behind, limit=count)

    return filled(fetch, seen.of, lambda one: one.no, after, limit)


def stored_differences(
    tx: sa.Connection, run_id: int, *, kind: str | None = None, after: int = 0, limit: int = 50
) -> list[Difference]:
    """Return listed differences of a comparison behind number `after`, whoever asks."""
    table = run_difference.c
    columns = [table[name] for name in Difference.__dataclass_fields__]
    query = sa.select(*columns).where(table.run_id == run_id, table.no > after)
    if kind:
        waits = table.waits == "case"
        query = query.where(
            waits if kind == WAITING else sa.and_(table.kind == kind, sa.func.coalesce(table.waits, "") != "case")
        )
    return [Difference(*row) for row in tx.execute(query.order_by(run_difference.c.no).limit(limit))]


class SeenDifferences:
    """The differences of one comparison as who asks may see them."""

    def __init__(self, tx: sa.Connection, run_id: int) -> None:
        self._sight = sight_of_run(tx, run_id)
        self._shown = Shown(tx, self._sight, run_id)

    def of(self, found: Sequence[Difference]) -> list[Difference]:
        """Return those of some differences that may be seen."""
        if self._sight.everything:
            for one in found:
                self._sight.looked({"left": one.left_key, "right": one.right_key})
            return list(found)
        return [seen for one in found if (seen := self._one(one)) is not None]

    def _one(self, one: Difference) -> Difference | None:
        keys = {"left": one.left_key, "right": one.right_key}
        lonely = one.kind.removeprefix("only_")
        whole = {lonely: one.details["record"]} if "record" in one.details else {}
        if not all(self._shown.sees(side, key, whole.get(side), ({}, {})) for side, key in keys.items()):
            return None
        told = {side: self._sight.sides[side].key_text(key) for side, key in keys.items()}
        details = dict(one.details)
        if whole:
            details["record"] = self._sight.sides[lonely].values(whole[lonely])
        if "fields" in details:
            details["fields"] = [self._field(field) for field in details["fields"]]
        return replace(one, left_key=told["left"], right_key=told["right"], details=details)

    def _field(self, field: dict[str, Any]) -> dict[str, Any]:
        """Return a field of a pair: both values are in the terms of the side that is written, which its label names."""
        return field if self._sight.plain_pair(field["field"]) else {**field, "left": DOTS, "right": DOTS}
