"""Two-way: what becomes of the records of a page that may have changed, and of their partners."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from rules.documents.sync import Action
from rules.reconcile.one_way import key_text, key_values
from rules.reconcile.situations import APART, REJECTED, REVIEW, Outcome, Situation
from rules.text import msg
from webapp.runs.pair_cases import pair_name
from webapp.runs.pipeline import waiting
from webapp.runs.pipeline.alone import Alone
from webapp.runs.pipeline.chunk import PAIRS, WAITING, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.meeting import SAID, meet, situations
from webapp.runs.pipeline.merging import Merging, any_of
from webapp.runs.pipeline.outcomes import outcomes_of, reasons
from webapp.runs.pipeline.pairs import APART as APART_PAIR
from webapp.runs.pipeline.pairs import LINK
from webapp.runs.pipeline.views import View

if TYPE_CHECKING:
    from webapp.runs.pipeline.two_way import TwoWayPlanner

_FLOWS = (Action.UPDATE.value, Action.MERGE.value, Action.LINK_UPDATE.value)
_MADE = (Action.CREATE.value, Action.RECREATE.value)


@dataclass(frozen=True)
class Asked:
    """A pair that waits for a person: what was shown (`seen`), and the answer if there is one."""

    seen: str
    answer: Mapping[str, Any] | None


def among(keys: pl.Series, hashes: Collection[int]) -> pl.Series:
    """Return a mask of the keys whose hash is in a set."""
    return keys.hash().is_in(pl.Series(list(hashes), dtype=pl.UInt64).implode()) & keys.is_not_null()


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
        self._details: dict[int, tuple[str, str]] = {}

    def work(self) -> None:
        """Decide about all records."""
        if self.keys.is_empty():
            return
        asked = self._asked()
        self.named = {**self._found(), **_named(asked)}
        self.met = meet(self.view, self.draft, self.numbers, self.keys, self.known, self.named)
        self._miss_named(_named(asked))
        self.base = self.planner.baseline(self.view.name, self.keys, self.known["segment"])
        found = situations(self.met, self.view, self.other, self.planner.pairs, self._changed())
        found = self._in_question(found)
        self.merging = self._merging(found)
        conflicts = self.merging.conflicts()
        rows = self.merging.rows
        answers = {at: a for at, (_, seen) in conflicts.items() if (a := _fits(asked.get(int(rows[at])), seen))}
        self.merging.choose(answers)
        self.situation = self._situation(found)
        self.action = self._action()
        self._ask(conflicts, asked)
        self._guard_partners()
        self._put_together()
        self._answer(asked)

    def _asked(self) -> dict[int, Asked]:
        """Return the pairs of these records that wait for people, by row."""
        if not self.planner.asked:
            return {}
        found = {}
        for row, (key, partner) in enumerate(zip(self.keys, self.known["partner"], strict=True)):
            for name in (self._pair(key, partner), self._pair(key, None)):
                if name in self.planner.asked:
                    found[row] = self.planner.asked[name]
        return found

    def _pair(self, key: str | None, partner: str | None) -> str:
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
        for item in self.planner.fields:
            target = self.view.writes(item)
            if target in self.met.mapped.records.columns:
                changed |= self.met.mapped.records[target].ne_missing(self.base[f"{mark}{item.name}"])
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
                self._details[row] = (text, waiting.seen(text))
            else:
                self.action = self.action.scatter(row, Action.MERGE.value)
        for at in left_over.arg_true().to_list():
            row = int(self.merging.rows[at])
            if self.action[row] in _FLOWS and at in conflicts:
                self._details[row] = conflicts[at]

    def _why(self, row: int, at: int | None, conflicts: Mapping[int, tuple[str, str]]) -> str:
        """Return the details of a pair that waits as a whole."""
        if at is not None:
            return conflicts[at][0] if at in conflicts else waiting.text(self._whole(at))
        own = waiting.records_of(self.draft.records[[row]])[0]
        details: dict[str, Any] = {self.view.name: own}
        if self.planner.found is not None and self.situation[row] in (REVIEW, Situation.DISPUTED):
            details["candidates"] = self._candidates(self.keys[row])
        elif self.met.there[row]:
            names = self.other.schema.names
            partner = waiting.records_of(self.met.partners.select(names)[[row]])[0]
            candidate = {"key": key_text(self.met.partners[self.other.key])[row], "confidence": 1.0, "record": partner}
            details["candidates"] = [candidate]
        return waiting.text(details)

    def _candidates(self, key: str) -> list[dict[str, Any]]:
        """Return the possible partners of a record as a person is shown them, the best first."""
        listed = self.planner.found.candidates(self.view.name, key) if self.planner.found else pl.DataFrame()
        values = key_values(listed["key"], self.other.schema[self.other.key].dtype).alias(self.other.key)
        system = self.view.planner.target
        records = system.lookup(self.other.object, self.other.schema, self.other.key, values)
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
        acts = self.action.is_in([*_FLOWS, Action.LINK.value, *_MADE]).fill_null(value=False) & self.draft.usable
        partner = key_text(self.met.partners[self.other.key])
        given = self._given_keys()
        wanted = pl.select(pl.coalesce(partner, given)).to_series().set(~acts, None)
        again = ~wanted.is_first_distinct() & wanted.is_not_null()
        if self.planner.memory.handled[self.other.name]:
            again |= among(wanted, self.planner.memory.handled[self.other.name]) & ~self.met.linked
        for row in again.arg_true():
            text = msg(
                "Another record has the record '{key}' of {target} as its partner already; make the key or the match"
                " unique.",
                key=wanted[row],
                target=self.other.object,
            )
            self.draft.park(row, "match", text, self.other.key)

    def _given_keys(self) -> pl.Series:
        """Return the keys that the rule itself gives to records of the other side."""
        mapped = self.met.mapped.records
        if self.other.key in mapped.columns:
            return key_text(mapped[self.other.key])
        return pl.repeat(None, self.keys.len(), dtype=pl.String, eager=True)

    def _put_together(self) -> None:
        merging, rows = self.merging, self.merging.rows
        baselines, hashes = merging.agreed()
        held = pl.Series(list(self._details), dtype=pl.UInt32)
        whole = pl.Series([r for r in self._details if self.action[r] not in _FLOWS], dtype=pl.UInt32)
        flows = (
            self.action[rows].is_in(_FLOWS).fill_null(value=False)
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
        self.outcomes = self._outcomes(held, writes)
        self._remember()
        self.links, self.baselines = self._links(flows, baselines, hashes, alone)
        self.waiting = self._waiting()

    def _outcomes(self, held: pl.Series, writes: list[Write]) -> pl.DataFrame:
        written = pl.concat([w.rows for w in writes]).unique() if writes else pl.Series([], dtype=pl.UInt32)
        partner = key_text(self.met.partners[self.other.key])
        frame = pl.DataFrame(
            {
                "record_no": self.numbers,
                "left_key": self.keys,
                "right_key": pl.select(pl.coalesce(partner, self.known["partner"], self._given_keys())).to_series(),
                "situation": self.situation,
                "action": self.action,
                "usable": self.draft.usable,
                "rejected": self.draft.rejected,
            }
        ).with_row_index("row")
        col = pl.col
        known = among(self.keys, self.planner.memory.waits[self.view.name])
        frame = frame.with_columns(
            outcome=pl.when("rejected").then(pl.lit(Outcome.SKIPPED.value))
            .when(~col("usable")).then(pl.lit(Outcome.QUARANTINED.value))
            .when(col("row").is_in(held.implode()) & known).then(pl.lit(Outcome.SKIPPED.value))
            .when(col("row").is_in(held.implode())).then(pl.lit(Outcome.CASES.value))
            .when(col("situation") == Situation.LINKED_UNCHANGED).then(pl.lit(Outcome.UNCHANGED.value))
            .when(col("action").is_in(_MADE)).then(pl.lit(Outcome.CREATED.value))
            .when(col("action").is_in(_FLOWS) & col("row").is_in(written.implode())).then(pl.lit(Outcome.UPDATED.value))
            .when(col("action") == Action.DEACTIVATE.value).then(pl.lit(Outcome.UPDATED.value))
            .when(col("action").is_in(_FLOWS)).then(pl.lit(Outcome.UNCHANGED.value))
            .otherwise(pl.lit(Outcome.SKIPPED.value)),
            situation=pl.when("rejected").then(pl.lit(REJECTED)).otherwise("situation"),
            side=pl.lit(self.view.name),
        )  # fmt: skip
        frame = frame.with_columns(
            pl.when(col("outcome") == Outcome.CREATED.value)
            .then(self._given_keys())
            .otherwise("right_key")
            .alias("right_key")
        )
        frame = frame.with_columns(**self._texts(writes), **reasons(self.draft.parked, self.numbers))
        return outcomes_of(frame.drop("row", "action", "usable", "rejected"))

    def _texts(self, writes: list[Write]) -> dict[str, pl.Series]:
        """Return before and after of what is written to each side, and the record of whatever may be parked."""
        height = self.keys.len()
        found: dict[str, list[str | None]] = {
            n: [None] * height for n in ("before", "after", "own_before", "own_after", "record")
        }
        for write in writes:
            mark = "own_" if write.own else ""
            for name, frame in self._sides_of(write):
                _put(found[f"{mark}{name}"], write.rows, to_texts(frame))
            _put(found["record"], write.rows, to_texts(self.draft.records[write.rows]))
        parked = pl.Series(sorted(self.draft.parked), dtype=pl.UInt32)
        _put(found["record"], parked, to_texts(self.draft.records[parked]))
        return {name: pl.Series(name, values, dtype=pl.String) for name, values in found.items()}

    def _sides_of(self, write: Write) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield what a write finds and what it leaves behind."""
        names = [n for n in write.change.records.columns if n != write.change.key or write.change.op.value == "create"]
        holds = self.draft.records if write.own else self.met.partners.select(self.other.schema.names)
        if write.change.op.value == "delete":
            yield "before", holds[write.rows]
            return
        yield "after", write.change.records.select(names)
        if write.change.op.value == "update":
            yield "before", holds.select(names)[write.rows]

    def _remember(self) -> None:
        """Note which partners a simulation has dealt with, and which pairs wait."""
        memory, other = self.planner.memory, self.other.name
        partner = key_text(self.met.partners[self.other.key])
        if self.planner.holding:
            memory.handled[other].update(partner[self.merging.rows].drop_nulls().hash().to_list())
        rows = pl.Series(list(self._details), dtype=pl.UInt32)
        memory.waits[other].update(partner[rows].drop_nulls().hash().to_list())
        if self.planner.found is not None:
            for row in self._details:
                named = self.planner.found.candidates(self.view.name, self.keys[row])["key"]
                memory.waits[other].update(named.hash().to_list())

    def _links(
        self, flows: pl.Series, baselines: pl.DataFrame, hashes: pl.DataFrame, alone: Alone
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the links that are new, changed or gone, and the baselines of those that stay, by the record's key."""
        rows = self.merging.rows
        partner = key_text(self.met.partners[self.other.key])
        usable = self.draft.usable[rows]
        steady = self.action[rows].eq_missing(pl.Series([Action.IGNORE.value])) & self.situation[rows].eq_missing(
            pl.Series([Situation.LINKED_UNCHANGED.value])
        )
        kept = (flows | steady) & usable
        own, other = f"{self.view.name}_hash", f"{self.other.name}_hash"
        pairs = pl.DataFrame(
            {
                "left_key": self.keys[rows],
                "right_key": partner[rows],
                "left_hash": hashes[own],
                "right_hash": hashes[other],
            }
        ).with_columns(op=pl.lit(LINK))
        same = pairs["left_hash"].eq_missing(self.known["own_hash"][rows]) & pairs["right_hash"].eq_missing(
            self.known["other_hash"][rows]
        )
        kept &= ~(same & self.met.linked[rows] & pairs["left_hash"].is_not_null())
        agreed = pl.DataFrame({"left_key": self.keys[rows]}).hstack(baselines)
        only = self._only_linked()
        made, made_base = alone.created()
        gone = alone.parted()
        asleep = pl.DataFrame({"left_key": self.keys}).hstack(self.base)
        asleep = asleep.join(
            gone.filter(pl.col("right_key").is_not_null(), pl.col("op") == APART_PAIR), on="left_key", how="semi"
        )
        links = pl.concat([pairs.filter(kept).select(*PAIRS), only, made.select(*PAIRS), gone.select(*PAIRS)])
        return links, pl.concat([agreed.filter(kept), made_base, asleep], how="diagonal_relaxed")

    def _only_linked(self) -> pl.DataFrame:
        """Return pairs that are linked without taking over values; the first run behind it looks at them."""
        rows = (self.action.eq_missing(pl.Series([Action.LINK.value])) & self.draft.usable).arg_true()
        nothing = pl.lit(None, dtype=pl.UInt64)
        frame = pl.DataFrame(
            {"left_key": self.keys[rows], "right_key": key_text(self.met.partners[self.other.key])[rows]}
        )
        return frame.with_columns(left_hash=nothing, right_hash=nothing, op=pl.lit(LINK)).select(*PAIRS)

    def _waiting(self) -> pl.DataFrame:
        partner = key_text(self.met.partners[self.other.key])
        linked = self.met.linked
        asked_already = among(self.keys, self.planner.memory.waits[self.view.name])
        listed = []
        for row, (text, seen) in self._details.items():
            matching = self.situation[row] in (REVIEW, Situation.DISPUTED)
            if not self.draft.usable[row] or (matching and asked_already[row]):
                continue
            found = (
                self.known["partner"][row]
                if linked[row]
                else (partner[row] if self.situation[row] == Situation.LINKED_CONFLICT else None)
            )
            keys = (self.keys[row], found) if self.view.name == "left" else (found, self.keys[row])
            listed.append((*keys, self.situation[row], text, seen))
        return pl.DataFrame(listed, schema=WAITING, orient="row")

    def _answer(self, asked: Mapping[int, Asked]) -> None:
        """Note the pairs that have waited and need not any more."""
        if not self.planner.asked:
            return
        partner = key_text(self.met.partners[self.other.key])
        for row in asked:
            if row in self._details or not self.draft.usable[row]:
                continue
            names = {self._pair(self.keys[row], p) for p in (self.known["partner"][row], partner[row], None)}
            self.answered += [name for name in names if name in self.planner.asked]


def _named(asked: Mapping[int, Asked]) -> dict[int, str]:
    """Return the partners that people have named, by row."""
    answers = {row: one.answer for row, one in asked.items() if one.answer}
    return {row: str(answer["key"]) for row, answer in answers.items() if answer.get("record") == "link"}


def _fits(asked: Asked | None, seen: str) -> Mapping[str, Any] | None:
    """Return the answer to a question, None where there is none or the values have changed since."""
    return asked.answer if asked is not None and asked.seen == seen else None


def _put(target: list[str | None], rows: pl.Series, values: list[str]) -> None:
    for row, value in zip(rows.to_list(), values, strict=True):
        target[row] = value
