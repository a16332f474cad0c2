"""Why a two-way run did what it did to a pair of records: what both sides gave, the last agreement, who decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import polars as pl

from connectors.spi import Connector
from rules.documents.sync import SyncRule
from rules.language.library import Library
from rules.reconcile.merge import Pairs
from rules.reconcile.resolve import compile_resolvers
from rules.reconcile.tracing import PairTrace, trace_pair
from rules.schema import Schema
from rules.trace import RecordTrace, RecordTracer, complete
from rules.validations import compile_validations
from webapp.runs.pipeline.codec import from_texts, to_texts
from webapp.runs.pipeline.merging import newer
from webapp.runs.pipeline.pair_inputs import PairInput
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.pipeline.two_way import settled_fields
from webapp.runs.pipeline.views import View, views

Schemas = Mapping[str, Schema]


@dataclass(frozen=True)
class Story:
    """What is told of a pair: what its partner gave, and how each field was decided."""

    partner: RecordTrace | None = None
    fields: tuple[PairTrace, ...] = ()


class PairStory:
    """Works out pairs of a rule once more; raises `DocumentError` where the rule does not fit the fields."""

    def __init__(
        self, rule: SyncRule, schemas: Schemas, library: Library, at: datetime, wins: str | None = None
    ) -> None:
        self._rule, self._schemas, self._library, self._at, self._wins = rule, schemas, library, at, wins
        nowhere = cast(Connector, None)  # nothing is looked up
        self._views = views(rule, schemas, dict.fromkeys(schemas, nowhere), library)
        for view in self._views.values():
            view.planner.at = at
        self._fields = settled_fields(rule)
        self._resolvers = compile_resolvers(rule, schemas["left"], library)

    def tell(self, side: str, known: PairInput) -> Story:
        """Return the story of a record that was read on a side."""
        if known.partner is None:
            return Story()
        other = self._views[OTHER[side]]
        partner = self._trace(other, known.partner)
        if known.base is None:
            return Story(partner)
        records = {side: known.record, OTHER[side]: known.partner}
        whole = {name: complete(records[name], self._schemas[name]) for name in OTHER}
        pair = self._pair(whole, known)
        gives = lambda batch: self._views["left"].gives(batch, self._fields)[::2]  # noqa: E731
        return Story(partner, trace_pair(pair, self._fields, self._rule.fields, self._resolvers, gives))

    def _trace(self, view: View, record: pl.DataFrame) -> RecordTrace:
        plain = view.planner.rule
        checks = compile_validations(plain.validations, view.mapping.source, self._library)
        return RecordTracer(view.mapping, view.schema, self._library, checks).trace(record, self._at)

    def _pair(self, whole: Mapping[str, pl.DataFrame], known: PairInput) -> Pairs:
        given = {name: self._views[name].gives(whole[name], self._fields) for name in OTHER}
        base = known.base if known.base is not None else pl.DataFrame()
        pair = Pairs(
            whole["left"], whole["right"], given["left"][0], given["right"][0], base, pl.Series([known.known]),
            given["left"][1], given["right"][1], newer(self._rule, whole["left"], whole["right"]),
            self._rule.conflict.tie.value, {}, wins=self._wins,
        )  # fmt: skip
        return replace(pair, chosen=dict(self._chosen(whole["left"], known.answer or {})))

    def _chosen(self, left: pl.DataFrame, answer: Mapping[str, Any]) -> Iterator[tuple[str, pl.DataFrame]]:
        for item in self._fields:
            said = answer.get("fields", {}).get(item.name)
            if said is None:
                continue
            frame = pl.DataFrame({"take": [said["take"]]}, schema={"take": pl.String()})
            name = item.left or self._rule.fields[int(item.name)].left
            if said["take"] == "value" and name is not None:
                schema = self._schemas["left"].select((name,))
                values = from_texts([json.dumps({name: said.get("value")})], schema)[0][name]
                given, _, _ = self._views["left"].gives(left.with_columns(values.alias(name)), self._fields)
                frame = frame.with_columns(values.alias("to_left"))
                if item.name in given.columns and item.right is not None:
                    frame = frame.with_columns(given[item.name].alias("to_right"))
            yield item.name, frame

    def again(self, story: Story, side: str) -> dict[str, Any]:
        """Return what a side gets by the story, as outcomes hold it."""
        columns = {}
        for told in story.fields:
            if side in told.writes:
                dtype = self._schemas[side][told.fields[side]].dtype
                columns[told.fields[side]] = pl.Series([told.writes[side]], dtype=dtype)
        return dict(json.loads(to_texts(pl.DataFrame(columns))[0])) if columns else {}
