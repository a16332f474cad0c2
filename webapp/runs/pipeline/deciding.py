"""Two-way: what becomes of the records of a page that may have changed, and of their partners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from rules.documents.sync import Action
from rules.reconcile.one_way import key_text, key_values
from rules.reconcile.situations import APART, REVIEW, Situation
from rules.text import msg
from webapp.runs.pair_cases import answers, pair_name
from webapp.runs.pipeline import hits, waiting
from webapp.runs.pipeline.alone import Alone
from webapp.runs.pipeline.assembling import FLOWS, MADE, Assembly
from webapp.runs.pipeline.chunk import WAITING, Write
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.meeting import SAID, meet, situations
from webapp.runs.pipeline.merging import Merging, any_of
from webapp.runs.pipeline.outcomes import outcomes_of
from webapp.runs.pipeline.views import View
from webapp.runs.pipeline.written import check_written

if TYPE_CHECKING:
    from webapp.runs.pipeline.two_way import TwoWayPlanner


@dataclass(frozen=True)
class Asked:
    """A pair that waits for a person: what was shown (`seen`), and the answer if there is one."""

    seen: str
    answer: Mapping[str, Any] | None


class Deciding:
    """Decides about records of one side; after `work` its frames are what a chunk is made of, a row a record."""

    def __init__(
        self,
        planner: TwoWayPlanner,
        sides: tuple[View, View],
        draft: Draft,
        numbers: pl.Series,
        keys: pl.Series,
        known: pl.DataFrame,
    ) -> None:
        self.planner = planner
        self.view, self.other = sides
        self.draft, self.numbers, self.keys, self.known = draft, numbers, keys, known
        self.outcomes = outcomes_of(pl.DataFrame(schema={"record_no": pl.Int64()}))
        self.writes: tuple[Write, ...] = ()
        self.links: pl.DataFrame | None = None
        self.baselines: pl.DataFrame | None = None
        self.waiting = pl.DataFrame(schema=WAITING)
        self.answered: list[str] = []
        self.details: dict[int, tuple[str, str]] = {}
        self.hits = hits.nothing()

    def work(self) -> None:
        """Decide about all records."""
        if self.keys.is_empty():
            return
        asked = self._asked()
        self.named = {**self._found(), **_named(asked)}
        self.met = meet(self.view, self.draft, self.numbers, self.keys, self.known, self.named)
        self.hits = self.met.hits
        self._miss_named(_named(asked))
        self.base = self.planner.baseline(self.view.name, self.keys, self.known["segment"])
        found = situations(self.met, self.view, self.other, self.planner.pairs, self._changed())
        found = self._in_question(found)
        self.merging = self._merging(found)
        conflicts = self.merging.conflicts()
        rows = self.merging.rows
        answers = {at: a for at, (_, seen) in conflicts.items() if (a := _fits(asked.get(int(rows[at])), seen))}
        self.merging.choose(answers)
        self.answers = answers
        self.situation = self._situation(found)
        self.action = self._action()
        self._ask(conflicts, asked)
        self._guard_partners()
        check_written(self)
        self._put_together()
        self._answer(asked)

    def _asked(self) -> dict[int, Asked]:
        """Return the pairs of these records that wait for people, by row."""
        if not self.planner.asked:
            return {}
        found = {}
        for row, (key, partner) in enumerate(zip(self.keys, self.known["partner"], strict=True)):
            for name in (self.pair(key, partner), self.pair(key, None)):
                if name in self.planner.asked:
                    found[row] = self.planner.asked[name]
        return found

    def pair(self, key: str | None, partner: str | None) -> str:
        """Return what names a record and its partner among the pairs that wait."""
        return pair_name(key, partner) if self.view.name == "left" else pair_name(partner, key)

    def _found(self) -> dict[int, str]:
        """Return the partners that comparing all records has found, by row."""
        if self.planner.found is None:
            return {}
        partner = self.planner.found.partners(self.view.name, self.keys).set(self.known["op"].is_not_null(), None)
        return {row: key for row, key in enumerate(partner) if key is not None}

    def _in_question(self, found: pl.Series) -> pl.Series:
        """Return what is found, with those records whose partner a person has to name."""
        if self.planner.found is None:
            return found
        open_ = self.planner.found.still(self.planner.pairs).situations(self.view.name, self.keys)
        alone = found.is_in([Situation.UNMATCHED_LEFT.value, Situation.UNMATCHED_RIGHT.value]).fill_null(value=False)
        return open_.zip_with(alone & open_.is_not_null(), found)

    def _miss_named(self, named: Mapping[int, str]) -> None:
        """Park records for which a person has named a partner that is not there any more."""
        for row, key in named.items():
            if not self.met.there[row]:
                text = msg(
                    "The record {key} of {object} that was chosen as its partner is gone.",
                    key=key,
                    object=self.other.object,
                )
                self.draft.park(row, "match", text)

    def _changed(self) -> pl.Series:
        """Tell which records give something else than at the last agreement."""
        mark = "l:" if self.view.name == "left" else "r:"
        changed = pl.repeat(value=False, n=self.keys.len(), dtype=pl.Boolean, eager=True)
        given = self.view.given(self.draft.records, self.met.mapped.records, self.planner.fields)
        for name, values in given:
            changed |= values.ne_missing(self.base[f"{mark}{name}"])
        return changed

    def _merging(self, found: pl.Series) -> Merging:
        """Merge the linked pairs, and those that have found each other now and are to take over values."""
        linked = found.is_null() & self.met.linked & self.met.there & self.draft.usable
        flows = pl.repeat(self.planner.actions[Situation.UNLINKED] == Action.LINK_UPDATE, self.keys.len(), eager=True)
        flows |= pl.int_range(self.keys.len(), eager=True).is_in(list(self.named))
        fresh = found.eq_missing(pl.Series([Situation.UNLINKED.value])) & flows & self.draft.usable
        rows = (linked | fresh).arg_true()
        base = self.base[rows]
        known = linked[rows] & any_of((column.is_not_null() for column in base), len(rows))
        return Merging(self.view, self.other, self.planner.fields, self.met, rows, base, known, self.planner.resolvers)

    def _situation(self, found: pl.Series) -> pl.Series:
        rows, merged = self.merging.rows, self.merging.merged.situation
        fresh = found[rows].is_not_null() & (merged != Situation.LINKED_CONFLICT)
        return found.scatter(rows, merged.zip_with(~fresh, found[rows])) if len(rows) else found

    def _action(self) -> pl.Series:
        actions = {**self.planner.actions, APART: Action.IGNORE.value, REVIEW: Action.CASE.value}
        action = self.situation.replace_strict(actions, default=None, return_dtype=pl.String)
        for row in self.named:
            if self.situation[row] == Situation.UNLINKED:
                action = action.scatter(row, Action.LINK_UPDATE.value)
        return action.set(~self.draft.usable, None)

    def _ask(self, conflicts: Mapping[int, tuple[str, str]], asked: Mapping[int, Asked]) -> None:
        """Find the pairs that have to wait for a person; where one has answered already, its action is taken."""
        merged = {int(row): at for at, row in enumerate(self.merging.rows.to_list())}
        open_ = self.merging.merged.conflicts
        left_over = any_of(open_, self.merging.rows.len())
        for row in (self.action == Action.CASE.value).fill_null(value=False).arg_true().to_list():
            text = self._why(row, merged.get(row), conflicts)
            answer = _fits(asked.get(row), waiting.seen(text))
            if answer and answer.get("record") in SAID:
                self.action = self.action.scatter(row, SAID[answer["record"]])
            elif not (answer and answer.get("fields")):
                self.details[row] = (text, waiting.seen(text))
            else:
                self.action = self.action.scatter(row, Action.MERGE.value)
        for at in left_over.arg_true().to_list():
            row = int(self.merging.rows[at])
            if self.action[row] in FLOWS and at in conflicts:
                self.details[row] = conflicts[at]

    def _why(self, row: int, at: int | None, conflicts: Mapping[int, tuple[str, str]]) -> str:
        """Return the details of a pair that waits as a whole."""
        if at is not None:
            return conflicts[at][0] if at in conflicts else waiting.text(self._whole(at))
        own = waiting.records_of(self.draft.records[[row]])[0]
        details: dict[str, Any] = {self.view.name: own}
        if self.planner.found is not None and self.situation[row] in (REVIEW, Situation.DISPUTED):
            details["candidates"] = self._candidates(self.keys[row])
        elif self.met.there[row]:
            possible = self.met.possible(row).select(self.other.schema.names)
            listed = zip(key_text(possible[self.other.key]), waiting.records_of(possible), strict=True)
            details["candidates"] = [{"key": key, "confidence": 1.0, "record": record} for key, record in listed]
        return waiting.text(details)

    def _candidates(self, key: str) -> list[dict[str, Any]]:
        """Return the possible partners of a record as a person is shown them, the best first."""
        listed = self.planner.found.candidates(self.view.name, key) if self.planner.found else pl.DataFrame()
        values = key_values(listed["key"], self.other.schema[self.other.key].dtype).alias(self.other.key)
        system = self.view.planner.target
        thing = (self.other.object, self.other.schema, self.other.key, values)
        records = self.view.planner.retry(lambda: system.lookup(*thing))
        plain = dict(zip(key_text(records[self.other.key]), waiting.records_of(records), strict=True))
        return [
            {"key": row["key"], "confidence": row["confidence"], "tier": row["tier"], "record": plain[row["key"]]}
            for row in listed.iter_rows(named=True)
            if row["key"] in plain
        ]

    def _whole(self, at: int) -> dict[str, Any]:
        frames = {"left": self.merging.left, "right": self.merging.right, "base": self.merging.base}
        values = {name: waiting.records_of(frame[[at]])[0] for name, frame in frames.items()}
        names = [item.name for item in self.planner.fields]
        return waiting.conflict(self.view.rule, self.planner.fields, names, values)

    def _guard_partners(self) -> None:
        """Park records whose partner's key would change, and those that want the partner of another record."""
        for at, side in self.merging.moved_keys():
            view = self.planner.views[side]
            text = msg(
                "The rule would change the key '{field}' of its record in {object}. Keys are not changed: map the field"
                " only on create.",
                field=view.key,
                object=view.object,
            )
            self.draft.park(int(self.merging.rows[at]), "match", text, view.key)
        acts = self.action.is_in([*FLOWS, Action.LINK.value, *MADE]).fill_null(value=False) & self.draft.usable
        partner = key_text(self.met.partners[self.other.key])
        given = self.given_keys()
        wanted = pl.select(pl.coalesce(partner, given)).to_series().set(~acts, None)
        again = ~wanted.is_first_distinct() & wanted.is_not_null()
        again |= self.planner.memory.handled[self.other.name].has(wanted) & ~self.met.linked
        for row in again.arg_true():
            text = msg(
                "Another record has the record '{key}' of {target} as its partner already; make the key or the match"
                " unique.",
                key=wanted[row],
                target=self.other.object,
            )
            self.draft.park(row, "match", text, self.other.key)

    def given_keys(self) -> pl.Series:
        """Return the keys that the rule itself gives to records of the other side."""
        mapped = self.met.mapped.records
        if self.other.key in mapped.columns:
            return key_text(mapped[self.other.key])
        return pl.repeat(None, self.keys.len(), dtype=pl.String, eager=True)

    def _put_together(self) -> None:
        merging, rows, assembly = self.merging, self.merging.rows, Assembly(self)
        baselines, hashes = merging.agreed()
        held = pl.Series(list(self.details), dtype=pl.UInt32)
        whole = pl.Series([r for r in self.details if self.action[r] not in FLOWS], dtype=pl.UInt32)
        flows = (
            self.action[rows].is_in(FLOWS).fill_null(value=False)
            & self.draft.usable[rows]
            & ~rows.is_in(whole.implode())
        )
        writes = list(merging.writes(~flows))
        alone = Alone(
            self.view,
            self.other,
            self.planner.fields,
            self.met,
            self.action.set(~self.draft.usable, None),
            self.situation,
        )
        writes += alone.writes()
        self.writes = tuple(writes)
        self.outcomes = assembly.outcomes(held, writes)
        self._remember()
        self.links, self.baselines = assembly.links(flows, baselines, hashes, alone)
        self.waiting = assembly.waiting()

    def _remember(self) -> None:
        """Note which partners a simulation has dealt with, and which pairs wait."""
        memory, other = self.planner.memory, self.other.name
        partner = key_text(self.met.partners[self.other.key])
        if self.planner.holding:
            memory.coming.append((memory.handled[other], partner[self.merging.rows]))
        rows = pl.Series(list(self.details), dtype=pl.UInt32)
        memory.coming.append((memory.waits[other], partner[rows]))
        if self.planner.found is not None:
            for row in self.details:
                named = self.planner.found.candidates(self.view.name, self.keys[row])["key"]
                memory.coming.append((memory.waits[other], named))

    @property
    def sought(self) -> tuple[pl.Series, ...]:
        """Return the keys of the other side that were looked at."""
        if self.keys.is_empty():
            return ()
        return key_text(self.met.partners[self.other.key]), self.given_keys()

    def _answer(self, asked: Mapping[int, Asked]) -> None:
        """Note the pairs that have waited and need not any more."""
        if not self.planner.asked:
            return
        partner = key_text(self.met.partners[self.other.key])
        for row in asked:
            if row in self.details or not self.draft.usable[row]:
                continue
            names = {self.pair(self.keys[row], p) for p in (self.known["partner"][row], partner[row], None)}
            self.answered += [name for name in names if name in self.planner.asked]


def asked_of(tx: sa.Connection, rule_id: int) -> dict[str, Asked]:
    """Return the pairs of a rule that wait for people, by name."""
    rows = answers(tx, rule_id).iter_rows(named=True)
    return {row["pair"]: Asked(row["seen"], json.loads(row["answer"]) if row["answer"] else None) for row in rows}


def _named(asked: Mapping[int, Asked]) -> dict[int, str]:
    """Return the partners that people have named, by row."""
    answers = {row: one.answer for row, one in asked.items() if one.answer}
    return {row: str(answer["key"]) for row, answer in answers.items() if answer.get("record") == "link"}


def _fits(asked: Asked | None, seen: str) -> Mapping[str, Any] | None:
    """Return the answer to a question, None where there is none or the values have changed since."""
    return asked.answer if asked is not None and asked.seen == seen else None
