"""One-way: what was decided about a page of records is put into a chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from connectors.spi import Page
from rules.documents.sync import Action
from rules.reconcile.one_way import Batch, Decision, key_text, key_values
from rules.reconcile.situations import REJECTED, Outcome, Situation
from rules.schema import Change, Op
from webapp.runs.pipeline.chunk import OUTCOMES, ROW, Chunk, Write
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.links import SCHEMA as LINK_SCHEMA
from webapp.runs.pipeline.links import unlinked
from webapp.runs.pipeline.outcomes import put, reasons, rejected
from webapp.runs.pipeline.places import at
from webapp.runs.pipeline.steady import left_behind

if TYPE_CHECKING:
    from webapp.runs.pipeline.planning import Planner

OUTCOME_OF: Mapping[str, Outcome] = {
    Action.CREATE: Outcome.CREATED,
    Action.RECREATE: Outcome.CREATED,
    Action.UPDATE: Outcome.UPDATED,
    Action.MERGE: Outcome.UPDATED,
    Action.LINK_UPDATE: Outcome.UPDATED,
    Action.LINK: Outcome.SKIPPED,
    Action.IGNORE: Outcome.SKIPPED,
    Action.UNLINK: Outcome.SKIPPED,
    Action.DELETE: Outcome.SKIPPED,
    Action.CASE: Outcome.QUARANTINED,
}


@dataclass
class Assembly:
    """Puts a chunk together from what was decided."""

    planner: Planner
    draft: Draft
    keys: pl.Series
    known: pl.DataFrame
    batch: Batch
    decision: Decision

    def chunk(self, no: int, page: Page) -> Chunk:
        """Return the chunk with this number."""
        outcomes = self._outcomes()
        writes = (*self._creates(outcomes), *self._updates(outcomes), *self._deletes(outcomes))
        outcomes = pl.concat([self._with_texts(outcomes, writes), self._rejected(page)])
        links = self._links(outcomes)
        outcomes = outcomes.with_columns(pl.col("situation").replace(self.planner.sides.mirrored))
        place = dict(page.position)
        draft = self.draft
        chunk = Chunk(no, outcomes, writes, links, place, checked=draft.checked, left_out=page.left_out)
        return replace(chunk, records=draft.records.with_row_index(ROW))

    def _outcomes(self) -> pl.DataFrame:
        found, draft = self.decision.found, self.draft
        right = key_text(self.decision.partners[self.planner.sides.target_key])
        own = self.planner.sides.target_key
        mapped = self.batch.mapped
        given, known = own_keys(mapped, own), self.known["right_key"]
        outcome = found["action"].replace_strict({a: o.value for a, o in OUTCOME_OF.items()}, default=None)
        frame = found.with_columns(
            record_no=draft.numbers,
            left_key=self.keys,
            right_key=pl.when(outcome == Outcome.CREATED).then(given).otherwise(pl.coalesce(right, known, given)),
            outcome=outcome,
            usable=draft.usable,
            same=found["changed"].list.len() == 0,
        )
        unchanged = (pl.col("outcome") == Outcome.UPDATED) & pl.col("same") | (
            pl.col("situation") == Situation.LINKED_UNCHANGED
        )
        return frame.with_columns(
            situation=pl.when(draft.rejected).then(pl.lit(REJECTED)).otherwise("situation"),
            outcome=pl.when(draft.rejected)
            .then(pl.lit(Outcome.SKIPPED.value))
            .when(~pl.col("usable"))
            .then(pl.lit(Outcome.QUARANTINED.value))
            .when(unchanged)
            .then(pl.lit(Outcome.UNCHANGED.value))
            .otherwise("outcome"),
        )

    def _creates(self, outcomes: pl.DataFrame) -> Iterator[Write]:
        mask = outcomes["outcome"] == Outcome.CREATED
        names = [f.name for f in self.planner.fields if f.on_create]
        left_alone = [n for n in names if n in self.batch.applies]
        rows = mask.arg_true()
        signature = (
            pl.DataFrame({n: self.batch.applies[n] for n in left_alone}).with_row_index("row") if left_alone else None
        )
        for applies, part in groups(rows, signature):
            kept = [n for n in names if applies.get(n, True)]
            records = at(self.batch.mapped.select(kept), part)
            yield Write(Change(Op.CREATE, self.planner.sides.target_key, records), part)

    def _updates(self, outcomes: pl.DataFrame) -> Iterator[Write]:
        key = self.planner.sides.target_key
        rows = (outcomes["outcome"] == Outcome.UPDATED).arg_true()
        if rows.is_empty():
            return
        sets = outcomes.select(fields=pl.col("changed").list.join("\x1f"))[rows].with_columns(row=rows)
        for (fields,), part in sets.group_by("fields", maintain_order=True):
            names = str(fields).split("\x1f")
            values = self.batch.mapped.select(names)[part["row"]]
            values.insert_column(0, self.decision.partners[key][part["row"]])
            yield Write(Change(Op.UPDATE, key, values), part["row"])

    def _deletes(self, outcomes: pl.DataFrame) -> Iterator[Write]:
        key = self.planner.sides.target_key
        mask = (outcomes["action"] == Action.DELETE) & outcomes["usable"] & self.known["right_key"].is_not_null()
        rows = mask.fill_null(value=False).arg_true()
        if not rows.is_empty():
            values = key_values(self.known["right_key"][rows], self.planner.target_schema[key].dtype).alias(key)
            yield Write(Change(Op.DELETE, key, values.to_frame()), rows)

    def _with_texts(self, outcomes: pl.DataFrame, writes: tuple[Write, ...]) -> pl.DataFrame:
        """Add before and after of what is updated; of created records they are made when somebody wants to read."""
        nothing = pl.repeat(None, outcomes.height, dtype=pl.String, eager=True)
        texts = {"before": nothing, "after": nothing}
        for write in writes:
            if write.change.op is Op.UPDATE:
                names = [n for n in write.change.records.columns if n != write.change.key]
                texts["after"] = put(texts["after"], write.rows, write.change.records.select(names))
                texts["before"] = put(texts["before"], write.rows, self.decision.partners.select(names)[write.rows])
        added = [values.alias(name) for name, values in texts.items()]
        added += reasons(self.draft.parked, outcomes["record_no"]).values()
        empty = {name: pl.lit(None, dtype=pl.String) for name in ("record", "raw", "own_before", "own_after")}
        side = pl.lit("right" if self.planner.sides.reverse else "left")
        return outcomes.with_columns(*added, **empty, side=side).select(*OUTCOMES)

    def _rejected(self, page: Page) -> pl.DataFrame:
        side = "right" if self.planner.sides.reverse else "left"
        return rejected(page, side, self.draft.behind)

    def _links(self, outcomes: pl.DataFrame) -> pl.DataFrame:
        """Return the links that are new or gone; those of created records get their right key when it is written."""
        head = outcomes.head(self.draft.records.height).with_columns(
            known=self.known["right_key"], action=self.decision.found["action"], digest=self.known["digest"]
        )
        hashes = left_behind(
            self.planner.hashing, self.draft.records, self.batch, self.decision, head, self.planner.fields
        )
        head = head.hstack(hashes)
        other = [hashes[name].ne_missing(self.known[name]) for name in hashes.columns]
        met = head.filter(
            pl.col("outcome").is_in([Outcome.UPDATED, Outcome.UNCHANGED, Outcome.CREATED])
            | (pl.col("action") == Action.LINK),
            (pl.col("outcome") == Outcome.CREATED)
            | pl.col("known").ne_missing(pl.col("right_key"))
            | pl.any_horizontal(*other),
        )
        gone = head.filter(
            pl.col("situation") == Situation.OUT_OF_SCOPE,
            pl.col("action").is_in([Action.UNLINK, Action.DELETE]),
            pl.col("known").is_not_null(),
        )
        return pl.concat([met.select(*LINK_SCHEMA), unlinked(gone)])


def passed(draft: Draft, no: int, page: Page) -> Chunk:
    """Return the chunk of a page of which nothing has to be decided."""
    nothing, links = pl.DataFrame(schema=OUTCOMES), pl.DataFrame(schema=LINK_SCHEMA)
    chunk = Chunk(no, nothing, (), links, dict(page.position), checked=draft.checked, left_out=page.left_out)
    return replace(chunk, records=draft.records.with_row_index(ROW))


def groups(rows: pl.Series, signature: pl.DataFrame | None) -> Iterator[tuple[dict[str, bool], pl.Series]]:
    """Yield rows that set the same fields together, with which of the conditional fields they set."""
    if rows.is_empty():
        return
    if signature is None:
        yield {}, rows
        return
    names = [n for n in signature.columns if n != "row"]
    for values, part in signature[rows].group_by(names, maintain_order=True):
        yield dict(zip(names, values, strict=True)), part["row"]


def own_keys(mapped: pl.DataFrame, key: str) -> pl.Series:
    """Return the keys that the rule itself gives to records of the target."""
    return key_text(mapped[key]) if key in mapped.columns else pl.Series([None] * mapped.height, dtype=pl.String)
