"""What a comparison finds for a page: records of the first side with their partners, then what the second has alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import polars as pl

from connectors.spi import Page
from rules.documents.defaults import actions
from rules.documents.sync import Action, SyncRule
from rules.mapping.results import Mapped
from rules.reconcile.merge import MergeField, merge_fields
from rules.reconcile.one_way import key_text
from rules.text import msg
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.keyset import MetKeys
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.verifying_ends import Book, End
from webapp.runs.pipeline.verifying_fields import FieldResult, Way, any_of, compare, hashed


class Found(IntEnum):
    """What was found for a record."""

    EQUAL = 0
    DIFFERING = 1
    ALONE = 2
    WAITING = 3
    QUARANTINED = 4
    OUT_OF_SCOPE = 5
    LEFT_ALONE = 6


@dataclass
class Waiting:
    """Keys that wait: in cases and in quarantine, by side."""

    cases: Mapping[str, pl.Series]
    parked: Mapping[str, pl.Series]

    def among(self, side: str, keys: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return which keys of a side wait in cases, and which are in quarantine."""
        return (
            keys.is_in(self.cases[side].implode()).fill_null(value=False),
            keys.is_in(self.parked[side].implode()).fill_null(value=False),
        )


@dataclass(frozen=True)
class Compared:
    """One field pair of a page, with the directions in which it flows and the name by which people know it."""

    pair: MergeField
    result: FieldResult
    gives: Way | None
    back: Way | None
    label: str


@dataclass(frozen=True)
class Result:
    """What was found for a page of one side, a row a record; `first` and `second` hash what was compared, or null."""

    side: str
    records: pl.DataFrame
    keys: pl.Series
    partner: pl.Series
    found: pl.Series
    first: pl.Series
    second: pl.Series
    unread: int = 0
    fields: Sequence[Compared] = ()
    one_way_only: int = 0
    waits: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.UInt8))


class Comparer:
    """Compares the pages of one run."""

    def __init__(self, rule: SyncRule, ends: tuple[End, End], book: Book, waiting: Waiting, retry: Retry) -> None:
        self.rule = rule
        self.first, self.second = ends
        self.book = book
        self.waiting = waiting
        self.retry = retry
        self.fields = tuple(item for item in merge_fields(rule) if item.on_update)
        self.actions = actions(rule)
        self.met = MetKeys()
        self.own = MetKeys()

    def page(self, page: Page, number: int) -> Result:
        """Compare a page of the first side with its partners."""
        end, records = self.first, page.records
        planner = end.planner
        assert planner is not None  # noqa: S101 - the first side always gives
        keys = key_text(records[end.key])
        draft = Draft(records, pl.int_range(number, number + records.height, dtype=pl.Int64, eager=True))
        planner.check_keys(draft, keys)
        for row in self.own.find(keys).is_not_null().arg_true():
            text = msg("The key '{key}' occurs more than once in {object}.", key=keys[row], object=end.object)
            draft.park(row, "repeated", text, end.key)
        self.own.add(keys, pl.repeat(0, keys.len(), dtype=pl.UInt8, eager=True))
        in_scope = planner.scope(draft)
        asked = planner.decide(draft, in_scope)
        planner.validate(draft, asked.batch, in_scope, keys)
        if planner.validating is not None:
            planner.validating.remember(draft.checked.marks)
        mapped = planner.mapping.apply(asked.batch)
        for error in mapped.errors:
            if in_scope[error.row]:
                draft.park(error.row, error.stage, error.message, error.field)
        return self._compared(page, keys, draft, in_scope, mapped)

    def _compared(self, page: Page, keys: pl.Series, draft: Draft, in_scope: pl.Series, mapped: Mapped) -> Result:
        link, apart = self.book.partners(keys)
        partner = self._sought(link, apart, mapped)
        partners = self.second.lookup(partner, self.retry)
        there = partners[self.second.key].is_not_null()
        taken = there & (self.met.find(partner).is_not_null() | ~partner.is_first_distinct())
        there &= ~taken
        back, inside = self._back(partners, there, draft)
        compared = self._fields(mapped, partners, page.records, back)
        height = keys.len()
        differs = any_of((one.result.differs for one in compared), height)
        missing = self._missing(link.is_not_null())
        pl_found = pl.DataFrame(
            {
                "rejected": draft.rejected, "usable": draft.usable, "scope": in_scope, "apart": apart,
                "there": there, "inside": inside, "differs": differs, "missing": missing,
            }
        ).select(
            pl.when("rejected").then(Found.OUT_OF_SCOPE)
            .when(~pl.col("usable")).then(Found.QUARANTINED)
            .when(~pl.col("scope") | (pl.col("there") & ~pl.col("inside"))).then(Found.OUT_OF_SCOPE)
            .when("apart").then(Found.LEFT_ALONE)
            .when(pl.col("there") & pl.col("differs")).then(Found.DIFFERING)
            .when("there").then(Found.EQUAL)
            .otherwise("missing").cast(pl.UInt8).alias("found")
        )["found"]  # fmt: skip
        found, waits = self._waits(self.first.name, keys, partner, pl_found)
        self.met.add(partner.set(~there, None), found)
        firsts, seconds = self._hashes(keys, partner, there, compared, found)
        lossy = any_of((one.result.one_way_only for one in compared), height) & there & (found == Found.EQUAL)
        return Result(
            self.first.name, page.records, keys, partner.set(~there, None), found, firsts, seconds,
            len(page.rejects), compared, int(lossy.sum()), waits,
        )  # fmt: skip

    def _sought(self, link: pl.Series, apart: pl.Series, mapped: Mapped) -> pl.Series:
        """Return the key under which each record's partner is sought: its link's, else the one that the rule gives."""
        name = self.second.key
        if name not in mapped.records.columns:
            return link
        own = key_text(mapped.records[name]).set(link.is_not_null() | apart, None)
        if own.drop_nulls().len():
            own = own.set(self.book.known(own)[0] & own.is_not_null(), None)
        return pl.select(pl.coalesce(link, own)).to_series()

    def _back(self, partners: pl.DataFrame, there: pl.Series, draft: Draft) -> tuple[Mapped | None, pl.Series]:
        """Return what the partners give to the first side, and which of them are in the rule's scope there."""
        planner, inside = self.second.planner, there
        if planner is None:
            return None, inside
        rows = there.arg_true()
        if planner.mapping.scope is not None and len(rows):
            mask, errors = planner.mapping.where(partners[rows])
            inside = inside.scatter(rows, mask)
            for broken in errors:
                draft.park(int(rows[broken.row]), "scope", broken.message, "where")
        mapped = planner.mapping.apply(planner.mapping.ask(partners, planner.at).batch)
        for error in mapped.errors:
            if there[error.row] and inside[error.row]:
                draft.park(error.row, error.stage, error.message, error.field)
        return mapped, inside

    def _fields(
        self, mapped: Mapped, partners: pl.DataFrame, records: pl.DataFrame, back: Mapped | None
    ) -> list[Compared]:
        made = []
        for item in self.fields:
            to, fro = (item.right, item.left) if self.first.name == "left" else (item.left, item.right)
            forward = _way(mapped, partners, to)
            backward = None if back is None else _way(back, records, fro)
            if forward is not None or backward is not None:
                result = compare(item, forward, backward, records.height)
                made.append(Compared(item, result, forward, backward, self._label(item)))
        return made

    def _label(self, item: MergeField) -> str:
        pair = self.rule.fields[int(item.name)]
        return " / ".join(dict.fromkeys(name for name in (pair.left, pair.right) if name))

    def _missing(self, was_linked: pl.Series, *, second: bool = False) -> pl.Series:
        """Return what a record without a partner is, by what the rule does about it."""
        own, other = (self.second, self.first) if second else (self.first, self.second)
        ignored = {name for name, action in self.actions.items() if action is Action.IGNORE}
        gone = Found.LEFT_ALONE if f"deleted_{other.name}" in ignored else Found.ALONE
        alone = Found.LEFT_ALONE if f"unmatched_{own.name}" in ignored else Found.ALONE
        ones = [pl.repeat(int(f), was_linked.len(), dtype=pl.UInt8, eager=True) for f in (gone, alone)]
        return ones[0].zip_with(was_linked, ones[1])

    def _waits(self, side: str, keys: pl.Series, partner: pl.Series, found: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return what was found where nobody has the record yet, and who has it: a case, or the quarantine."""
        other = self.second.name if side == self.first.name else self.first.name
        cases, parked = self.waiting.among(side, keys)
        also = self.waiting.among(other, partner)
        cases, parked = cases | also[0], parked | also[1]
        off = found.is_in(pl.Series([Found.DIFFERING, Found.ALONE], dtype=pl.UInt8).implode())
        waits = pl.DataFrame({"off": off, "cases": cases, "parked": parked}).select(
            pl.when(pl.col("off") & pl.col("cases")).then(int(Found.WAITING))
            .when(pl.col("off") & pl.col("parked")).then(int(Found.QUARANTINED)).cast(pl.UInt8)
        ).to_series()  # fmt: skip
        return pl.select(pl.coalesce(waits, found)).to_series(), waits

    def _hashes(
        self, keys: pl.Series, partner: pl.Series, there: pl.Series, compared: Sequence[Compared], found: pl.Series
    ) -> tuple[pl.Series, pl.Series]:
        counts = found <= Found.QUARANTINED
        name = pl.select(pl.coalesce(partner, keys)).to_series()
        firsts = hashed([name, *(one.result.first for one in compared)]).set(~counts, None)
        seconds = hashed([name, *(one.result.second for one in compared)]).set(~(counts & there), None)
        return firsts, seconds

    def rest(self, page: Page) -> Result:
        """Return what is found for a page of the second side: as its partners were, else it is alone."""
        end, records = self.second, page.records
        keys = key_text(records[end.key])
        met = self.met.find(keys)
        has_link, apart = self.book.known(keys)
        inside = pl.repeat(value=True, n=keys.len(), dtype=pl.Boolean, eager=True)
        broken = ~inside
        if end.scope is not None:
            inside, errors = end.scope.where(records)
            for error in errors:
                broken = broken.scatter(error.row, values=True)
        fresh = pl.DataFrame(
            {"null": keys.is_null() | broken, "inside": inside, "apart": apart,
             "missing": self._missing(has_link, second=True)}
        ).select(
            pl.when("null").then(Found.QUARANTINED).when(~pl.col("inside")).then(Found.OUT_OF_SCOPE)
            .when("apart").then(Found.LEFT_ALONE).otherwise("missing").cast(pl.UInt8)
        ).to_series()  # fmt: skip
        nobody = pl.repeat(None, keys.len(), dtype=pl.String, eager=True)
        fresh, waits = self._waits(end.name, keys, nobody, fresh)
        hashes = hashed([keys]).set((fresh > Found.QUARANTINED) | met.is_not_null(), None)
        found = pl.select(pl.coalesce(met, fresh)).to_series()
        none = pl.repeat(None, keys.len(), dtype=pl.UInt64, eager=True)
        listed = nobody.zip_with(met.is_null(), keys)  # those that were met are listed already
        return Result(end.name, records, keys, listed, found, none, hashes, len(page.rejects), waits=waits)


def _way(mapped: Mapped, holders: pl.DataFrame, name: str | None) -> Way | None:
    if name is None or name not in mapped.records.columns:
        return None
    gives = mapped.records[name]
    applies = mapped.applies.get(name, pl.repeat(value=True, n=gives.len(), dtype=pl.Boolean, eager=True))
    return Way(gives, holders[name], applies)
