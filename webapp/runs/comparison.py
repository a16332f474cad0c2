"""Two versions of a rule on the values that runs have kept: exactly which outputs differ."""

from __future__ import annotations

import csv
import io
import json
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.decisions import compile_table
from rules.documents import DocumentError, decision_table, parse_sync
from rules.documents.decision_table import DecisionTable, parse_decision_table
from rules.documents.flows import flows, seen_from
from rules.documents.sync import SideName, SyncRule
from rules.language.library import Library
from rules.reconcile.agreement import executed
from rules.reconcile.one_way import key_text
from rules.testing.given import Misfit, record
from rules.testing.replay import Change, Compared, Kind, Version, compare
from rules.testing.tables import TableTests
from rules.testing.versions import AskedVersion, Fields, NotStored, SyncVersion, TableVersion, reduced, without
from rules.text import N_, Message, msg
from rules.trace import plain
from webapp.audit.services import Event, Subject
from webapp.audit.services import record as note
from webapp.audit.tags import Tag
from webapp.connections.permitted import as_asked
from webapp.extensions import Actor, House
from webapp.policies.masks import DOTS
from webapp.rulebook import reading as rulebook
from webapp.rulebook.library import library
from webapp.rulebook.reading import RuleRow
from webapp.runs import reading as runs
from webapp.runs.models import run, run_input
from webapp.runs.pair_cases import schemas_of
from webapp.runs.pipeline import inputs
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.sides import Sides
from webapp.runs.sight import SideSight, Sight, other, sight_of, sight_of_run
from webapp.runs.sight_drafts import would_tell
from webapp.runs.unsent import count_unsent
from webapp.web.spreadsheet import safe_cell
from webapp.web.storable import natural

DRAFT = "draft"
SHOWN = 200
_LATEST = 20
_COLUMNS = ("run", "record", "key", "kind", "field", "before", "after", "reason_before", "reason_after")


class NotComparable(Exception):
    """Two versions cannot be compared on these records; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Wish:
    """What is to be compared: a rule, two of its versions (`draft` or a number), and the runs whose values are used.

    Without runs a decision table is compared on the values of its own tests.
    """

    rule: str
    old: str
    new: str
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """A record that differs, and the run that read it (None: a test of the table)."""

    run: int | None
    change: Change


@dataclass(frozen=True)
class Comparison:
    """What came of it; `changes` are the first of those that differ, `left_out` the target fields not compared.

    `unsent` counts the records that the sources themselves left out of the runs, so that nothing is known of them.
    """

    wish: Wish
    counts: dict[str, int]
    changes: tuple[Found, ...]
    left_out: tuple[str, ...]
    unsent: int = 0

    @property
    def records(self) -> int:
        """Return how many records were compared."""
        return sum(self.counts.values())

    @property
    def differing(self) -> int:
        """Return how many records differ."""
        return self.records - self.counts[Kind.SAME]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "rule": self.wish.rule,
            "from": self.wish.old,
            "to": self.wish.new,
            "runs": list(self.wish.runs),
            "records": self.records,
            "counts": self.counts,
            "left_out": list(self.left_out),
            "unsent": self.unsent,
            "changes": [{"run": found.run, **found.change.to_json()} for found in self.changes],
        }


@dataclass(frozen=True)
class Kept:
    """A run that has kept values."""

    id: int
    rule_name: str
    requested_at: datetime
    read: int


@dataclass(frozen=True)
class Batch:
    """Records to compare on: the two versions for them, the values, their names, and when they were read."""

    run: int | None
    old: Version
    new: Version
    records: pl.DataFrame
    keys: pl.Series
    first: int
    at: datetime
    sight: Sight | None = None
    side: str = "left"

    def changes(self, found: Compared) -> Iterator[Change]:
        """Yield the records that differ, as far as who asks may see them."""
        for change in found.changes(self.first, self.keys):
            if self.sight is None or self.sight.everything:
                yield change
            elif (seen := self._seen(self.sight, change)) is not None:
                yield seen

    def _seen(self, sight: Sight, change: Change) -> Change | None:
        row = self.records[change.number - self.first]
        read, written = sight.sides[self.side], sight.sides[other(self.side)]
        if not read.sees(dict(json.loads(to_texts(row)[0]))):
            return None
        images = ({name: self._value(written, name, v) for name, v in one.items()} for one in _images(change))
        before, after = images
        key = read.key_text(change.key)
        known = [key, *before.values(), *after.values()]
        told = [one and sight.message(one, known) for one in (change.reason_before, change.reason_after)]
        return replace(change, key=key, before=before, after=after, reason_before=told[0], reason_after=told[1])

    def _value(self, written: SideSight, name: str, value: Any) -> Any:
        """Return a value as it is seen; what a decision table says may come of any field."""
        return written.value(name, value) if written.knows(name) else DOTS


def _images(change: Change) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return change.before, change.after


def runs_with_values(house: House, rule: RuleRow) -> list[Kept]:
    """Return the latest runs whose values can be used, the newest first: of the rule, or of rules that ask it."""
    kept = sa.exists().where(run_input.c.run_id == run.c.id)
    columns = (run.c.id, run.c.rule_name, run.c.requested_at, run.c.counts, run.c.document)
    query = sa.select(*columns).where(kept).order_by(run.c.id.desc()).limit(_LATEST * 5)
    is_table = rule.kind == decision_table.KIND
    with house.db.read() as tx:
        found = tx.execute(query if is_table else query.where(run.c.rule_name == rule.name)).all()
    asks = (row for row in found if not is_table or rule.name in _asked(row.document))
    made = (Kept(row.id, row.rule_name, row.requested_at, int(row.counts.get("read", 0))) for row in asks)
    return list(islice(made, _LATEST))


def compared(house: House, wish: Wish, limit: int = SHOWN, skip: int = 0) -> Comparison:
    """Return how two versions compare, `changes` from behind the first `skip` on.

    Raises `NotComparable` and `RuleMissing`.
    """
    counts = {kind.value: 0 for kind in Kind}
    changes: list[Found] = []
    work = _Work(house, wish)
    for batch in work.batches():
        found = compare(batch.old, batch.new, batch.records, batch.at)
        here = found.counts()
        for kind, number in here.items():
            counts[kind] += number
        shown = islice(batch.changes(found), skip, skip + max(limit - len(changes), 0))
        changes += [Found(batch.run, change) for change in shown]
        skip = max(skip - sum(here.values()) + here[Kind.SAME], 0)
    with house.db.read() as tx:
        unsent = sum(count_unsent(tx, runs.get(tx, number)) for number in wish.runs)
    return Comparison(wish, counts, tuple(changes), work.left_out, unsent)


def difference_lines(house: House, wish: Wish, actor: Actor, say: Callable[[Any], str]) -> Iterator[str]:
    """Return CSV text with a line for each field that differs; texts that a spreadsheet would execute are defused."""
    work = _Work(house, wish)
    batches = work.batches()
    first = next(batches, None)  # what cannot be compared is said before a file is begun
    for number in wish.runs:
        with house.db.begin() as tx:
            sight_of_run(tx, number, doing=True).require("export")
            what = {"file": "comparison", "from": wish.old, "to": wish.new}
            event = Event(Tag.RUN_DOWNLOADED, Subject("rule", wish.rule), None, what, run_id=number)
            note(tx, actor, house.clock(), event)

    def lines() -> Iterator[str]:
        yield _line(_COLUMNS)
        for batch in [] if first is None else [first]:
            yield from _batch_lines(batch, say)
        for batch in batches:
            yield from _batch_lines(batch, say)

    return as_asked(lines())


def _batch_lines(batch: Batch, say: Callable[[Any], str]) -> Iterator[str]:
    for change in batch.changes(compare(batch.old, batch.new, batch.records, batch.at)):
        head = (batch.run, change.number, change.key, change.kind.value)
        reasons = tuple(say(reason) if reason else "" for reason in (change.reason_before, change.reason_after))
        for name in dict.fromkeys((*change.before, *change.after)) or ("",):
            values = (_cell(change.before.get(name)), _cell(change.after.get(name)))
            yield _line((*head, name, *values, *reasons))


def _cell(value: Any) -> Any:
    found = plain(value)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, (dict, list)) else found


def _line(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([safe_cell(value) for value in values])
    return out.getvalue()


class _Work:
    """Finds versions and records for one wish."""

    def __init__(self, house: House, wish: Wish) -> None:
        self.house = house
        self.wish = wish
        self.left_out: tuple[str, ...] = ()
        with house.db.read() as tx:
            row = rulebook.get(tx, wish.rule)
            self.is_table = row.kind == decision_table.KIND
            self._old, self._new = (_document(tx, row, which) for which in (wish.old, wish.new))

    def batches(self) -> Iterator[Batch]:
        """Yield the records to compare on."""
        try:
            if self.is_table and not self.wish.runs:
                yield self._tests()
            for number in self.wish.runs:
                yield from self._run(number)
        except NotStored as error:
            text = N_(
                "{part} needs the field '{fields}', whose values the run has not kept. Simulate the draft instead: that"
                " reads the source again."
            )
            raise NotComparable(msg(text, part=error.part, fields="', '".join(error.fields))) from None
        except DocumentError as error:
            text = N_("One of the versions does not fit the fields of these records: {problem} Simulate it instead.")
            raise NotComparable(msg(text, problem=error.problems[0].message)) from None

    def _run(self, number: int) -> Iterator[Batch]:
        columns = (run.c.document, run.c.schemas, run.c.uses, run.c.requested_at, run.c.rule_name)
        with self.house.db.read() as tx:
            row = tx.execute(sa.select(*columns).where(run.c.id == number)).one_or_none()
            if row is None or (not self.is_table and row.rule_name != self.wish.rule):
                text = N_("There is no run {run} of the rule '{rule}'.")
                raise NotComparable(msg(text, run=number, rule=self.wish.rule))
            known = library(self.house, row.uses)
            sight = self._sight(tx, number, row)
            rule, seen = executed(parse_sync(row.document)), dict[str, tuple[Version, Version] | None]()
            for chunk in inputs.stored(tx, number):
                schemas = inputs.schemas_of(row.schemas, chunk.no)
                if schemas is None:
                    continue
                side = chunk.side or Sides.of(rule).source_name
                read = seen_from(rule, SideName(side))
                ordered = schemas[::-1] if chunk.side is None and side == "right" else schemas
                fields = Fields(*ordered, frozenset(chunk.records.columns))
                if side not in seen:
                    seen[side] = self._versions(read, fields, known)
                versions = seen[side]
                if versions is not None:
                    keys = key_text(chunk.records[Sides.of(read).source_key])
                    yield Batch(number, *versions, chunk.records, keys, chunk.first, row.requested_at, sight, side)
            if seen and not any(seen.values()):
                raise NotComparable(msg("The two versions read different sides, so they have no records in common."))
            if not seen:
                raise NotComparable(msg("Run {run} has kept no values. Choose another run.", run=number))

    def _sight(self, tx: sa.Connection, number: int, row: Any) -> Sight:
        """Return what may be seen of a run's records; raises `NotComparable` where a draft could tell of the others."""
        versions_of = () if self.is_table else (self._old, self._new)
        sight = sight_of(tx, row.document, *versions_of, schemas=schemas_of(tx, number, row.document))
        documents, unpublished = (self._old, self._new, row.document), DRAFT in (self.wish.old, self.wish.new)
        if unpublished and would_tell(tx, sight, documents, row.uses):
            text = N_("You may not see all values that the draft would be compared on. Ask somebody who does.")
            raise NotComparable(msg(text))
        return sight

    def _versions(self, read: SyncRule, fields: Fields, known: Library) -> tuple[Version, Version] | None:
        """Return both versions for the side that a rule was read on; None where there is nothing to compare there."""
        if self.is_table:
            if all(decision.table != self.wish.rule for decision in read.decisions):
                return None
            tables = [_with(known, parse_decision_table(document)) for document in (self._old, self._new)]
            asked = [AskedVersion(self.wish.rule, read, fields, tables_) for tables_ in tables]
            return asked[0], asked[1]
        side = SideName(Sides.of(read).source_name)
        was, now = (_away(executed(parse_sync(document)), side) for document in (self._old, self._new))
        if was is None or now is None:
            return None
        (was, out), (now, more) = reduced(was, fields), reduced(now, fields)
        out = tuple(dict.fromkeys((*out, *more)))
        self.left_out = tuple(dict.fromkeys((*self.left_out, *out)))
        published = library(self.house)  # tables that the run did not ask, and a draft may
        both = replace(
            known, lookups=_both(known.lookups, published.lookups), tables=_both(known.tables, published.tables)
        )
        old, new = (SyncVersion(without(rule, out), fields, both) for rule in (was, now))
        return old, new

    def _tests(self) -> Batch:
        old, new = (parse_decision_table(document) for document in (self._old, self._new))
        known, today = library(self.house), self.house.clock()
        source = TableTests(new, new.day(today), known).source
        given = [(test.name, test.given) for test in new.tests]
        try:
            rows = [record({k: v for k, v in values.items() if k in source}, source) for _name, values in given]
        except Misfit as misfit:
            raise NotComparable(misfit.message) from None
        if not rows:
            text = N_("No run has asked this table, and it has no tests of its own to be compared on. Add a test.")
            raise NotComparable(msg(text))
        was, now = (TableVersion(compile_table(table, library=known)) for table in (old, new))
        keys = pl.Series([name for name, _values in given], dtype=pl.String)
        return Batch(None, was, now, pl.concat(rows), keys, 1, today)


def _away(rule: SyncRule, side: SideName) -> SyncRule | None:
    """Return a rule as it maps the records of a side, None where it takes nothing from them."""
    maps = any(flow.source is side and flow.entries for flow in flows(rule))
    return seen_from(rule, side) if maps else None


def _document(tx: sa.Connection, row: RuleRow, which: str) -> dict[str, Any]:
    if which == DRAFT:
        return row.document
    found = rulebook.version(tx, row.name, natural(which) or 0)
    if found is None:
        raise NotComparable(msg("There is no version {number} of the rule '{rule}'.", number=which, rule=row.name))
    return found.document


def _asked(document: Mapping[str, Any]) -> set[str]:
    return {str(decision.get("table")) for decision in document.get("decisions") or ()}


def _with(known: Library, table: DecisionTable) -> Library:
    return replace(known, tables=_both({table.name: table}, known.tables))


def _both(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return two mappings as one, in which the first wins; nothing is read before it is asked for."""
    return ChainMap(first, second)  # type: ignore[arg-type] # a chain that is only read takes any mapping
