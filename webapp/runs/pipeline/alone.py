"""Two-way: records without a partner at hand: made on the other side, deleted, switched off or left alone."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connectors.errors import Misconfigured
from rules.documents.sync import Action
from rules.mapping.policies import written
from rules.reconcile.merge import MergeField
from rules.reconcile.one_way import key_text, key_values
from rules.reconcile.situations import Situation
from rules.schema import Change, Op
from rules.text import Message
from webapp.runs.pipeline.chunk import PAIRS, Write
from webapp.runs.pipeline.meeting import Met
from webapp.runs.pipeline.one_way_chunk import groups
from webapp.runs.pipeline.pairs import APART, GONE, LINK
from webapp.runs.pipeline.places import at
from webapp.runs.pipeline.views import View

_MADE = (Action.CREATE.value, Action.RECREATE.value)
_NO_HASH = {name: pl.lit(None, dtype=pl.UInt64) for name in ("left_hash", "right_hash")}


class Alone:
    """Writes and links of such records; `action` is null for those that cannot go on."""

    def __init__(
        self,
        view: View,
        other: View,
        fields: tuple[MergeField, ...],
        met: Met,
        action: pl.Series,
        situation: pl.Series,
    ) -> None:
        self.view, self.other, self.fields, self.met = view, other, fields, met
        self.action, self.situation = action, situation
        self._names = [f.name for f in view.planner.fields if f.on_create and f.name in met.mapped.records.columns]

    def writes(self) -> list[Write]:
        """Return what is created, deleted and switched off."""
        return [*self._creates(), *self._removals(Action.DELETE), *self._removals(Action.DEACTIVATE)]

    def _is(self, *actions: str) -> pl.Series:
        return self.action.is_in(list(actions)).fill_null(value=False)

    @property
    def _left_scope(self) -> pl.Series:
        return self.situation.eq_missing(pl.Series([Situation.OUT_OF_SCOPE.value]))

    def _creates(self) -> Iterator[Write]:
        mapped = self.met.mapped
        masks = {name: mapped.applies[name] for name in self._names if name in mapped.applies}
        signature = pl.DataFrame(masks).with_row_index("row") if masks else None
        for applies, rows in groups(self._is(*_MADE).arg_true(), signature):
            kept = [name for name in self._names if applies.get(name, True)]
            records = at(mapped.records.select(kept), rows)
            yield Write(Change(Op.CREATE, self.other.key, records), rows.alias("row"))

    def _removals(self, action: Action) -> Iterator[Write]:
        """Yield deletions (or what stands for them): of the partner of a record out of scope, else of the record."""
        wanted = self._is(action.value) & (self.met.linked | ~self._left_scope)
        if action is Action.DEACTIVATE:  # when it leaves the scope, not in each run behind that
            wanted &= ~(self._left_scope & self.met.known["op"].eq_missing(pl.Series([APART])))
        theirs = self._left_scope & ~self.met.in_scope
        for own in (True, False):
            mask = wanted & (theirs ^ own)
            rows = mask.arg_true().alias("row")
            if rows.is_empty():
                continue
            side = self.view if own else self.other
            texts = self.met.keys[rows] if own else self.met.known["partner"][rows]
            keys = key_values(texts, side.schema[side.key].dtype).alias(side.key)
            if action is Action.DELETE:
                yield Write(Change(Op.DELETE, side.key, keys.to_frame()), rows, own=own)
            else:
                yield Write(Change(Op.UPDATE, side.key, self._switched_off(side, keys)), rows, own=own)

    def _switched_off(self, side: View, keys: pl.Series) -> pl.DataFrame:
        mark = getattr(side.rule.deletes.deactivate, side.name)
        value = written(mark.value, side.schema[mark.field])
        if isinstance(value, Message):
            raise Misconfigured(value)
        return pl.DataFrame([keys, value.new_from_index(0, keys.len()).alias(mark.field)])

    def created(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return links and baselines of records that are made on the other side; keys that it gives come later."""
        rows = self._is(*_MADE).arg_true()
        made = self.made(rows)
        given = self.view.given(self.met.draft.records, self.met.mapped.records, self.fields)
        gives = {name: at(values, rows) for name, values in given}
        theirs, _, _ = self.other.gives(made, self.fields)
        marks = {"left": "l:", "right": "r:"}
        columns = [series.alias(f"{marks[self.view.name]}{name}") for name, series in gives.items()]
        columns += [theirs[name].alias(f"{marks[self.other.name]}{name}") for name in theirs.columns]
        keys = at(self.met.keys, rows).alias("left_key")
        links = pl.DataFrame(
            {
                "left_key": keys,
                "right_key": key_text(made[self.other.key]),
                "left_hash": self.view.hashes(at(self.met.draft.records, rows)),
                "right_hash": self.other.hashes(made),
            }
        ).with_columns(op=pl.lit(LINK))
        return links.select(*PAIRS), pl.DataFrame([keys, *columns])

    def made(self, rows: pl.Series) -> pl.DataFrame:
        """Return the new records of the other side as far as the rule fills them."""
        mapped, applies = at(self.met.mapped.records, rows), self.met.mapped.applies
        columns = []
        for field in self.other.schema.fields:
            none = pl.repeat(None, rows.len(), dtype=field.dtype, eager=True)
            if field.name not in self._names:
                columns.append(none.alias(field.name))
                continue
            kept = mapped[field.name]
            columns.append(kept.set(~applies[field.name][rows], None) if field.name in applies else kept)
        return pl.DataFrame(columns)

    def parted(self) -> pl.DataFrame:
        """Return pairs whose records part: deleted, left alone, or asleep until both are in scope again."""
        asleep = self._left_scope & self.met.linked & self._is(Action.UNLINK.value, Action.DEACTIVATE.value)
        asleep &= self.met.known["op"].ne_missing(pl.Series([APART]))
        lonely = ~self._left_scope & self._is(Action.UNLINK.value, Action.DEACTIVATE.value)
        gone = self._is(Action.DELETE.value) & self.met.linked
        parts = [
            self._rows(asleep, APART, both=True),
            self._rows(lonely, APART, both=False),
            self._rows(gone, GONE, both=True),
        ]
        return pl.concat(parts)

    def _rows(self, mask: pl.Series, op: str, *, both: bool) -> pl.DataFrame:
        rows = mask.arg_true()
        partner = self.met.known["partner"][rows]
        frame = pl.DataFrame(
            {"left_key": self.met.keys[rows], "right_key": partner if both else partner.clear(len(rows))}
        )
        return frame.with_columns(**_NO_HASH, op=pl.lit(op)).select(*PAIRS)
