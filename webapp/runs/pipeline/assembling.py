"""Two-way: what was decided about records is put into the frames of a chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from rules.documents.sync import Action
from rules.reconcile.one_way import key_text
from rules.reconcile.situations import REJECTED, REVIEW, Outcome, Situation
from rules.schema import Op
from webapp.runs.pipeline.alone import Alone
from webapp.runs.pipeline.chunk import PAIRS, WAITING, Write
from webapp.runs.pipeline.outcomes import outcomes_of, put, reasons
from webapp.runs.pipeline.pairs import APART as APART_PAIR
from webapp.runs.pipeline.pairs import LINK

if TYPE_CHECKING:
    from webapp.runs.pipeline.deciding import Deciding

FLOWS = (Action.UPDATE.value, Action.MERGE.value, Action.LINK_UPDATE.value)
EDITS = (*FLOWS, Action.DEACTIVATE.value)
"""What updates a record, if there is one: of a record out of scope that was never linked, none is deactivated."""
MADE = (Action.CREATE.value, Action.RECREATE.value)


class Assembly:
    """Makes the frames of a chunk from what was decided, a row a record."""

    def __init__(self, on: Deciding) -> None:
        self.on = on

    def outcomes(self, held: pl.Series, writes: list[Write]) -> pl.DataFrame:
        """Return what became of each record; those of the rows `held` wait for a person."""
        written = pl.concat([w.rows for w in writes]).unique() if writes else pl.Series([], dtype=pl.UInt32)
        partner, known_partner = key_text(self.on.met.partners[self.on.other.key]), self.on.known["partner"]
        frame = pl.DataFrame(
            {
                "record_no": self.on.numbers,
                "left_key": self.on.keys,
                "right_key": pl.select(pl.coalesce(partner, known_partner, self.on.given_keys())).to_series(),
                "situation": self.on.situation,
                "action": self.on.action,
                "usable": self.on.draft.usable,
                "rejected": self.on.draft.rejected,
            }
        ).with_row_index("row")
        col = pl.col
        known = self.on.planner.memory.waits[self.on.view.name].has(self.on.keys)
        frame = frame.with_columns(
            outcome=pl.when("rejected").then(pl.lit(Outcome.SKIPPED.value))
            .when(~col("usable")).then(pl.lit(Outcome.QUARANTINED.value))
            .when(col("row").is_in(held.implode()) & known).then(pl.lit(Outcome.SKIPPED.value))
            .when(col("row").is_in(held.implode())).then(pl.lit(Outcome.CASES.value))
            .when(col("situation") == Situation.LINKED_UNCHANGED).then(pl.lit(Outcome.UNCHANGED.value))
            .when(col("action").is_in(MADE)).then(pl.lit(Outcome.CREATED.value))
            .when(col("action").is_in(EDITS) & col("row").is_in(written.implode())).then(pl.lit(Outcome.UPDATED.value))
            .when(col("action").is_in(FLOWS)).then(pl.lit(Outcome.UNCHANGED.value))
            .otherwise(pl.lit(Outcome.SKIPPED.value)),
            situation=pl.when("rejected").then(pl.lit(REJECTED)).otherwise("situation"),
            side=pl.lit(self.on.view.name),
        )  # fmt: skip
        frame = frame.with_columns(
            pl.when(col("outcome") == Outcome.CREATED.value)
            .then(self.on.given_keys())
            .otherwise("right_key")
            .alias("right_key")
        )
        frame = frame.with_columns(**self._texts(writes), **reasons(self.on.draft.parked, self.on.numbers))
        return outcomes_of(frame.drop("row", "action", "usable", "rejected"))

    def _texts(self, writes: list[Write]) -> dict[str, pl.Series]:
        """Return before and after of what is updated or deleted on each side."""
        height = self.on.keys.len()
        nothing = pl.repeat(None, height, dtype=pl.String, eager=True)
        found = dict.fromkeys(("before", "after", "own_before", "own_after"), nothing)
        for write in writes:
            mark = "own_" if write.own else ""
            for name, frame in self._sides_of(write):
                found[f"{mark}{name}"] = put(found[f"{mark}{name}"], write.rows, frame)
        return found

    def _sides_of(self, write: Write) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield what a write finds and what it leaves behind."""
        if write.change.op is Op.CREATE:
            return
        names = [n for n in write.change.records.columns if n != write.change.key]
        holds = self.on.draft.records if write.own else self.on.met.partners.select(self.on.other.schema.names)
        if write.change.op is Op.DELETE:
            yield "before", holds[write.rows]
            return
        yield "after", write.change.records.select(names)
        if write.own or self.on.met.there[write.rows].all():  # else it is looked up before it is written
            yield "before", holds.select(names)[write.rows]

    def links(
        self, flows: pl.Series, baselines: pl.DataFrame, hashes: pl.DataFrame, alone: Alone
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the links that are new, changed or gone, and the baselines of those that stay, by the record's key."""
        rows = self.on.merging.rows
        partner = key_text(self.on.met.partners[self.on.other.key])
        usable = self.on.draft.usable[rows]
        steady = self.on.action[rows].eq_missing(pl.Series([Action.IGNORE.value])) & self.on.situation[rows].eq_missing(
            pl.Series([Situation.LINKED_UNCHANGED.value])
        )
        kept = (flows | steady) & usable
        own, other = f"{self.on.view.name}_hash", f"{self.on.other.name}_hash"
        pairs = pl.DataFrame(
            {
                "left_key": self.on.keys[rows],
                "right_key": partner[rows],
                "left_hash": hashes[own],
                "right_hash": hashes[other],
            }
        ).with_columns(op=pl.lit(LINK))
        same = pairs["left_hash"].eq_missing(self.on.known["own_hash"][rows]) & pairs["right_hash"].eq_missing(
            self.on.known["other_hash"][rows]
        )
        kept &= ~(same & self.on.met.linked[rows] & pairs["left_hash"].is_not_null())
        agreed = pl.DataFrame({"left_key": self.on.keys[rows]}).hstack(baselines)
        only = self._only_linked()
        made, made_base = alone.created()
        gone = alone.parted()
        asleep = pl.DataFrame({"left_key": self.on.keys}).hstack(self.on.base)
        asleep = asleep.join(
            gone.filter(pl.col("right_key").is_not_null(), pl.col("op") == APART_PAIR), on="left_key", how="semi"
        )
        links = pl.concat([pairs.filter(kept).select(*PAIRS), only, made.select(*PAIRS), gone.select(*PAIRS)])
        return links, pl.concat([agreed.filter(kept), made_base, asleep], how="diagonal_relaxed")

    def _only_linked(self) -> pl.DataFrame:
        """Return pairs that are linked without taking over values; the first run behind it looks at them."""
        rows = (self.on.action.eq_missing(pl.Series([Action.LINK.value])) & self.on.draft.usable).arg_true()
        nothing = pl.lit(None, dtype=pl.UInt64)
        frame = pl.DataFrame(
            {"left_key": self.on.keys[rows], "right_key": key_text(self.on.met.partners[self.on.other.key])[rows]}
        )
        return frame.with_columns(left_hash=nothing, right_hash=nothing, op=pl.lit(LINK)).select(*PAIRS)

    def waiting(self) -> pl.DataFrame:
        """Return the pairs that wait for a person, with the left key left."""
        partner = key_text(self.on.met.partners[self.on.other.key])
        linked, usable = self.on.met.linked, self.on.draft.usable
        asked_already = self.on.planner.memory.waits[self.on.view.name].has(self.on.keys)
        listed = []
        for row, (text, seen) in self.on.details.items():
            matching = self.on.situation[row] in (REVIEW, Situation.DISPUTED)
            if not usable[row] or (matching and asked_already[row]):
                continue
            found = (
                self.on.known["partner"][row]
                if linked[row]
                else (partner[row] if self.on.situation[row] == Situation.LINKED_CONFLICT else None)
            )
            keys = (self.on.keys[row], found) if self.on.view.name == "left" else (found, self.on.keys[row])
            listed.append((*keys, self.on.situation[row], text, seen))
        return pl.DataFrame(listed, schema=WAITING, orient="row")
