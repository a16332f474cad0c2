"""Two-way: linked pairs are merged field by field against their baseline; what is new on one side is made on the other.

What comes out is the part of a chunk that changes systems and links: writes to both sides, links, baselines, and pairs
that wait for a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rules.documents.policies import duration
from rules.documents.sync import SyncRule
from rules.mapping.results import FieldError
from rules.reconcile.merge import Merged, MergeField, Pairs
from rules.reconcile.one_way import key_text
from rules.reconcile.resolve import Resolver, merge_resolved
from rules.schema import Change, Op, Schema
from rules.text import msg
from webapp.runs.pipeline import waiting
from webapp.runs.pipeline.chunk import Write
from webapp.runs.pipeline.codec import from_texts
from webapp.runs.pipeline.dangling import unchanged
from webapp.runs.pipeline.meeting import Met
from webapp.runs.pipeline.views import View

Answers = Mapping[int, Mapping[str, Any]]


@dataclass
class Merging:
    """Pairs of a page in work: `rows` are their places among the page's records; frames have a row a pair."""

    view: View
    other: View
    fields: tuple[MergeField, ...]
    met: Met
    rows: pl.Series
    base: pl.DataFrame
    known: pl.Series
    resolvers: tuple[Resolver, ...] = ()
    wins: str | None = None
    left: pl.DataFrame = field(init=False)
    right: pl.DataFrame = field(init=False)
    gives: dict[str, pl.DataFrame] = field(init=False)
    applies: dict[str, Mapping[str, pl.Series]] = field(init=False)
    merged: Merged = field(init=False)
    agreed_on: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        own = self.met.draft.records[self.rows]
        partners = self.met.partners.select(self.other.schema.names)[self.rows]
        self.left, self.right = (own, partners) if self.view.name == "left" else (partners, own)
        columns, applies = _given(self.view, self.fields, self.met, self.rows)
        theirs, their_applies, errors = self.other.gives(partners, self.fields)
        errors, self.agreed_on = unchanged(errors, self.other, self.fields, partners, self.base)
        self._park(errors)
        self.gives = {self.view.name: columns, self.other.name: theirs}
        self.applies = {self.view.name: applies, self.other.name: their_applies}
        self.merged = self._merge({})

    def _merge(self, chosen: Mapping[str, pl.DataFrame]) -> Merged:
        left = self.view if self.view.name == "left" else self.other
        return merge_resolved(
            self._pairs(chosen), self.fields, self.resolvers, lambda records: left.gives(records, self.fields)[::2]
        )

    def _park(self, errors: Sequence[FieldError]) -> None:
        keys = key_text(self.met.partners[self.other.key])[self.rows]
        for error in errors:
            text = msg(
                "Its partner {key} in {object}: {problem}",
                key=keys[error.row],
                object=self.other.object,
                problem=error.message,
            )
            self.met.draft.park(int(self.rows[error.row]), error.stage, text, error.field)

    def _pairs(self, chosen: Mapping[str, pl.DataFrame]) -> Pairs:
        rule = self.view.rule
        return Pairs(
            self.left, self.right, self.gives["left"], self.gives["right"], self.agreed_on, self.known,
            self.applies["left"], self.applies["right"],
            newer(rule, self.left, self.right), rule.conflict.tie.value, chosen, wins=self.wins,
        )  # fmt: skip

    def conflicts(self) -> dict[int, tuple[str, str]]:
        """Return details and digest of each pair in which a person has to choose, by its place among the pairs."""
        open_ = self.merged.conflicts
        rows = any_of(open_, self.rows.len()).arg_true()
        records = {"left": self.left[rows], "right": self.right[rows], "base": self.base[rows]}
        plain = {name: waiting.records_of(frame) for name, frame in records.items()}
        found: dict[int, tuple[str, str]] = {}
        for at, (row, asked) in enumerate(zip(rows.to_list(), open_[rows].iter_rows(), strict=True)):
            names = [name for name, is_open in zip(open_.columns, asked, strict=True) if is_open]
            values = {name: part[at] for name, part in plain.items()}
            values["base"] = values["base"] if self.known[row] else {}  # nothing was agreed on, not even emptiness
            text = waiting.text(waiting.conflict(self.view.rule, self.fields, names, values))
            found[row] = (text, waiting.seen(text))
        return found

    def choose(self, answers: Mapping[int, Mapping[str, Any]]) -> None:
        """Merge again with what people have answered, by place among the pairs."""
        if answers:
            self.merged = self._merge(self._chosen(answers))

    def _chosen(self, answers: Mapping[int, Mapping[str, Any]]) -> dict[str, pl.DataFrame]:
        chosen = {}
        for item in self.fields:
            said = {
                row: answer["fields"][item.name]
                for row, answer in answers.items()
                if item.name in answer.get("fields", {})
            }
            if said:
                chosen[item.name] = self._answer(item, said)
        return chosen

    def _answer(self, item: MergeField, said: Mapping[int, Mapping[str, Any]]) -> pl.DataFrame:
        """Return what people have answered for one field; a value is one of the left field."""
        height = self.rows.len()
        take = [said[row]["take"] if row in said else None for row in range(height)]
        frame = pl.DataFrame({"take": pl.Series(take, dtype=pl.String)})
        name = item.left or self.view.rule.fields[int(item.name)].left
        if name is None or "value" not in take:
            return frame
        views = {self.view.name: self.view, self.other.name: self.other}
        values = _typed(views["left"].schema.select((name,)), name, said, height)
        frame = frame.with_columns(values.alias("to_left"))
        if item.right is not None:
            given, _, errors = views["left"].gives(self.left.with_columns(values.alias(name)), self.fields)
            frame = frame.with_columns(given[item.name].alias("to_right"))
            for error in errors:
                if take[error.row] == "value":
                    self.met.draft.park(int(self.rows[error.row]), error.stage, error.message, error.field)
        return frame

    def agreed(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the baselines after the writes (`l:`, `r:` columns), and the hashes of both records.

        What a person still has to settle keeps its old baseline and no hash, so that the pair is looked at again.
        """
        after = {"left": self.after("left"), "right": self.after("right")}
        given = {name: self._given_after(name, after[name]) for name in after}
        columns = []
        for side, mark in (("left", "l:"), ("right", "r:")):
            for name in given[side].columns:
                now, before = given[side][name], self.base[f"{mark}{name}"]
                held = self.merged.stays[side][name] if name in self.merged.held.columns else None
                columns.append(
                    (now if held is None else before.cast(now.dtype, strict=False).zip_with(held, now)).alias(
                        f"{mark}{name}"
                    )
                )
        held = any_of(self.merged.held, self.rows.len())
        views = {self.view.name: self.view, self.other.name: self.other}
        hashes = {f"{name}_hash": views[name].hashes(after[name]) for name in after}
        hashes = {name: values.set(held, None) for name, values in hashes.items()}
        return pl.DataFrame(columns), pl.DataFrame(hashes)

    def after(self, side: str) -> pl.DataFrame:
        """Return the records of a side as they are when all writes have been done."""
        records: pl.DataFrame = getattr(self, side)
        return records.with_columns(values.alias(name) for name, (_, values) in getattr(self.merged, side).items())

    def _given_after(self, side: str, records: pl.DataFrame) -> pl.DataFrame:
        """Return what a side gives after the writes; worked out anew only where it was written."""
        before = self.gives[side]
        written = any_of((mask for mask, _ in getattr(self.merged, side).values()), self.rows.len())
        if not written.any():
            return before
        rows = written.arg_true()
        view = self.view if self.view.name == side else self.other
        now, _, errors = view.gives(records[rows], self.fields)
        for error in errors:
            text = msg("As written to {object}: {problem}", object=view.object, problem=error.message)
            self.met.draft.park(int(self.rows[int(rows[error.row])]), "map", text, error.field)
        return before.with_columns(before[name].scatter(rows, now[name]) for name in before.columns)

    def writes(self, skip: pl.Series) -> Iterator[Write]:
        """Yield the writes to both sides, without the pairs that `skip` names."""
        for side in (self.other, self.view):
            fields = getattr(self.merged, side.name)
            keys = getattr(self, side.name)[side.key]
            own = side is self.view
            for records, rows in _grouped(fields, side.key, keys, skip):
                yield Write(Change(Op.UPDATE, side.key, records), self.rows[rows].alias("row"), own=own)

    def before(self, write: Write) -> pl.DataFrame:
        """Return what the written fields of a write held."""
        side = self.view.name if write.own else self.other.name
        names = [n for n in write.change.records.columns if n != write.change.key]
        places = pl.DataFrame({"row": write.rows}).join(
            pl.DataFrame({"row": self.rows}).with_row_index("at"), on="row", how="left", maintain_order="left"
        )["at"]
        records: pl.DataFrame = getattr(self, side)
        return records.select(names)[places]

    def moved_keys(self) -> Iterator[tuple[int, str]]:
        """Yield the pairs whose key would change on a side, by their place, and that side."""
        for side in (self.view, self.other):
            written = getattr(self.merged, side.name).get(side.key)
            if written is not None:
                yield from ((int(row), side.name) for row in written[0].arg_true())


def any_of(masks: Iterable[pl.Series], height: int) -> pl.Series:
    """Return a mask of the rows in which any of the masks is true."""
    found = pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True)
    for mask in masks:
        found |= mask
    return found


def _given(
    view: View, fields: tuple[MergeField, ...], met: Met, rows: pl.Series
) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    targets = {item.name: view.writes(item) for item in fields}
    columns = {n: values[rows] for n, values in view.given(met.draft.records, met.mapped.records, fields)}
    applies = {n: met.mapped.applies[t][rows] for n, t in targets.items() if t in met.mapped.applies}
    return pl.DataFrame(columns), applies


def based(base: pl.DataFrame, ids: Mapping[str, str], given: Mapping[str, Schema]) -> pl.DataFrame:
    """Return stored baselines under the numbers of the rule's field pairs, nulls where none is known.

    `given` has for `l:` and `r:` the fields, by number, whose types the values have.
    """
    columns = []
    for mark, schema in given.items():
        for item in schema.fields:
            stored = f"{mark}{ids[item.name]}"
            known = base[stored].cast(item.dtype, strict=False) if stored in base.columns else None
            none = pl.repeat(None, base.height, dtype=item.dtype, eager=True)
            columns.append((none if known is None else known).alias(f"{mark}{item.name}"))
    return pl.DataFrame(columns)


def _typed(schema: Schema, name: str, said: Mapping[int, Mapping[str, Any]], height: int) -> pl.Series:
    texts = [json.dumps({name: said[row].get("value")} if row in said else {}) for row in range(height)]
    return from_texts(texts, schema)[0][name]


def newer(rule: SyncRule, left: pl.DataFrame, right: pl.DataFrame) -> pl.Series:
    """Return which record of each pair is newer beyond the skew, null where that cannot be said."""
    names = (rule.detect.left.field, rule.detect.right.field)
    nothing = pl.repeat(None, left.height, dtype=pl.String, eager=True)
    if names[0] not in left.columns or names[1] not in right.columns:
        return nothing
    a, b = left[names[0] or ""], right[names[1] or ""]
    if not (a.dtype.is_temporal() and b.dtype.is_temporal()):
        return nothing
    moments = pl.DataFrame({"left": _moment(a), "right": _moment(b)})
    skew = int(duration(rule.conflict.skew).total_seconds() * 1_000_000)
    apart = pl.col("left") - pl.col("right")
    return moments.select(
        pl.when(apart > skew).then(pl.lit("left")).when(apart < -skew).then(pl.lit("right")).alias("newer")
    ).to_series()


def _moment(values: pl.Series) -> pl.Series:
    return values.cast(pl.Datetime("us"), strict=False).cast(pl.Int64)


def _grouped(
    fields: Mapping[str, tuple[pl.Series, pl.Series]], key: str, keys: pl.Series, skip: pl.Series
) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
    """Yield the records to be updated, those that set the same fields together, and their places."""
    if not fields:
        return
    masks = pl.DataFrame({name: mask & ~skip for name, (mask, _) in fields.items()}).with_row_index("row")
    masks = masks.filter(pl.any_horizontal(pl.exclude("row")))
    for signature, part in masks.group_by(list(fields), maintain_order=True):
        names = [name for name, sets in zip(fields, signature, strict=True) if sets]
        rows = part["row"]
        records = pl.DataFrame([keys[rows].alias(key), *(fields[name][1][rows].alias(name) for name in names)])
        yield records, rows
