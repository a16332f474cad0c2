"""Which records of a stored plan have moved since: their values on either side, their partner, or their link."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from connectors.errors import RecordRejected
from rules.documents.defaults import actions
from rules.documents.sync import Action, Direction
from rules.reconcile.one_way import key_text, key_values
from rules.reconcile.situations import MOVED, Outcome, Situation
from rules.schema import Op
from rules.text import Message, msg
from webapp.runs.pair_cases import pair_name
from webapp.runs.pipeline.checked import Checked
from webapp.runs.pipeline.chunk import ROW, Chunk, Write, touched
from webapp.runs.pipeline.ends import Ends
from webapp.runs.pipeline.held import KEY, Held, differing, there
from webapp.runs.pipeline.unreadable import Bad

_WITHOUT_LINK = (Situation.UNLINKED.value, Situation.UNMATCHED_LEFT.value, Situation.UNMATCHED_RIGHT.value)
_GONE_PARTNER = (Situation.DELETED_LEFT.value, Situation.DELETED_RIGHT.value, Situation.EDIT_VS_DELETE.value)
_PARTING = (*_GONE_PARTNER, Situation.OUT_OF_SCOPE.value)
_TAKING = (Action.DELETE, Action.DEACTIVATE)
"""What is written to a partner that is there: where nothing was, it was gone."""
_WITH_LINK = (
    Situation.LINKED_CHANGED.value,
    Situation.LINKED_CONFLICT.value,
    Situation.LINKED_UNCHANGED.value,
    Situation.OUT_OF_SCOPE.value,
)


@dataclass(frozen=True)
class Moved:
    """Why a record of a plan is left as it is, and the field that shows it."""

    message: Message
    field: str | None = None

    @property
    def reason(self) -> str:
        """Return the message as outcomes hold it."""
        return json.dumps(self.message.to_json(), ensure_ascii=False)


class Watch:
    """Compares chunks of a plan with what both ends of the rule hold now."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends

    def moved(self, chunk: Chunk) -> dict[int, Moved]:
        """Return the rows of a chunk that are not as they were when it was planned; the first reason found counts."""
        looked = _Look(self.ends, chunk.side)
        found: dict[int, Moved] = {}
        for row, why in looked.reasons(chunk):
            found.setdefault(row, why)
        return found


class _Look:
    """A look at both ends for a chunk that was read on one side."""

    def __init__(self, ends: Ends, side: str) -> None:
        self.own, self.other = ends.sides(side)
        self.read = ends.read(side)
        self.matches = ends.matches(side)
        self.partners = partial(ends.partners, side)
        self.both = ends.rule.direction is Direction.TWO_WAY
        self.taking = [name for name, action in actions(ends.rule).items() if action in _TAKING]

    def reasons(self, chunk: Chunk) -> Iterator[tuple[int, Moved]]:
        """Yield rows that have moved, and why."""
        yield from self._sources(chunk)
        yield from self._linked(chunk)
        yield from self._written(chunk)

    def _sources(self, chunk: Chunk) -> Iterator[tuple[int, Moved]]:
        """Yield records whose own values have changed; those that were parked for a second key cannot be told."""
        some = touched(chunk)
        if some is None or some.is_empty():
            return
        keys, stages = (chunk.outcomes[name][some[ROW]] for name in ("left_key", "stage"))
        known = keys.is_not_null() & stages.ne_missing(pl.Series(["repeated"]))
        some, rows = some.filter(known), some[ROW].filter(known)
        names = [name for name in self.read if name in self.own.schema]
        bad = Bad()
        now = self.own.beside(keys.filter(known), names, bad)
        then = _as_now(some, now, names)
        for row, key, held, fields in zip(rows, now[KEY], there(now), differing(then, now, names), strict=True):
            if key in bad:
                yield row, self._unreadable(self.own, bad[key])
            elif not held:
                yield row, Moved(msg("It is gone from {place}.", place=self.own.place))
            elif fields:
                yield row, self._changed(self.own, fields[0])

    def _linked(self, chunk: Chunk) -> Iterator[tuple[int, Moved]]:
        """Yield records that have another link, or none, by now; and those whose partner is gone."""
        rows = _rows(chunk.outcomes, pl.col("left_key").is_in(chunk.links["left_key"].implode()))
        touched = sorted({*rows, *(row for write in chunk.writes if not write.own for row in write.rows)})
        some = chunk.outcomes[touched]
        now = self.partners(some["left_key"])
        for row, situation, partner, link in zip(touched, some["situation"], some["right_key"], now, strict=True):
            if situation in _WITHOUT_LINK:
                if link is not None:
                    yield row, Moved(msg("It has got the partner '{key}' since.", key=link))
            elif (situation in _GONE_PARTNER and link is None) or (situation in _WITH_LINK and link != partner):
                yield row, Moved(msg("Its link has changed since."))
        yield from self._partners_gone(chunk, rows)
        yield from self._back(chunk, some.with_columns(now.alias("partner"), pl.Series(ROW, touched, dtype=pl.UInt32)))

    def _partners_gone(self, chunk: Chunk, rows: pl.Series) -> Iterator[tuple[int, Moved]]:
        """Yield records that keep a partner to which nothing is written, and which is gone."""
        written = {row for write in chunk.writes for row in write.rows}
        met = [row for row in rows if row not in written and chunk.outcomes["right_key"][row] is not None]
        met = [row for row in met if chunk.outcomes["situation"][row] not in _PARTING]
        keys = chunk.outcomes["right_key"][met]
        for row, key, held in zip(met, keys, there(self.other.beside(keys, ())), strict=True):
            if not held:
                yield row, self._gone(self.other, key)

    def _back(self, chunk: Chunk, some: pl.DataFrame) -> Iterator[tuple[int, Moved]]:
        """Yield records that were gone and are there again, and those whose partner was."""
        lost = pl.col("situation") == f"deleted_{chunk.side}"
        gone = pl.col("situation").is_in(_GONE_PARTNER) & ~lost
        own = some.filter(lost)
        for row in own.filter(there(self.own.beside(own["left_key"], ())))[ROW]:
            yield row, Moved(msg("It is in {place} again.", place=self.own.place))
        written = [row for write in chunk.writes if not write.own for row in write.rows]
        taken = pl.col("situation").is_in(self.taking) & ~pl.col(ROW).is_in(
            pl.Series(written, dtype=pl.UInt32).implode()
        )
        taken &= pl.col("outcome").ne_missing(Outcome.UNCHANGED.value)  # deactivated already
        neither = lost & self.both  # of a rule that works on both sides, such a record is read nowhere
        other = some.filter(gone | taken | neither)
        for row, key in other.filter(there(self.other.beside(other["partner"], ()))).select(ROW, "partner").iter_rows():
            yield row, self._by_now(self.other, key)

    def _written(self, chunk: Chunk) -> Iterator[tuple[int, Moved]]:
        for write in chunk.writes:
            if write.change.op is Op.CREATE:
                yield from self._created(chunk, write)
            else:
                yield from self._replaced(chunk, write)

    def _created(self, chunk: Chunk, write: Write) -> Iterator[tuple[int, Moved]]:
        """Yield records that are to be created and are there by now, under their key or as a partner that fits."""
        side, records = (self.own if write.own else self.other), write.change.records
        if side.key in records.columns:
            keys = key_text(records[side.key])
            for row, key, held in zip(write.rows, keys, there(side.beside(keys, ())), strict=True):
                if held:
                    yield row, self._by_now(side, key)
        for source, target in () if write.own else self.matches:
            values = key_text(key_values(key_text(_records_of(chunk, write.rows)[source]), side.schema[target].dtype))
            fits = values.is_in(side.find(target, values.filter(values != ""), ())[KEY].implode())
            for row in write.rows.filter(fits.fill_null(value=False)):
                yield row, Moved(msg("A record that fits is in {place} by now.", place=side.place), target)

    def _replaced(self, chunk: Chunk, write: Write) -> Iterator[tuple[int, Moved]]:
        """Yield records that are to be updated or deleted and are not as they were."""
        side, change = (self.own if write.own else self.other), write.change
        keys = key_text(change.records[change.key])
        texts = chunk.outcomes["own_before" if write.own else "before"][write.rows].to_list()
        if change.op is Op.UPDATE:
            names = [name for name in change.records.columns if name != change.key]
        else:
            names = [name for name in side.schema.names if any(name in json.loads(text or "{}") for text in texts)]
        bad = Bad()
        then, now = side.typed([text or "{}" for text in texts], names), side.beside(keys, names, bad)
        for row, key, held, fields in zip(write.rows, keys, there(now), differing(then, now, names), strict=True):
            if key in bad:
                yield row, self._unreadable(side, bad[key])
            elif not held:
                yield row, self._gone(side, key)
            elif fields:
                yield row, self._changed(side, fields[0])

    @staticmethod
    def _gone(side: Held, key: str) -> Moved:
        return Moved(msg("Its record '{key}' is gone from {place}.", key=key, place=side.place))

    @staticmethod
    def _by_now(side: Held, key: str) -> Moved:
        return Moved(msg("A record with the key '{key}' is in {place} by now.", key=key, place=side.place), side.key)

    @staticmethod
    def _unreadable(side: Held, error: RecordRejected) -> Moved:
        text = msg("It cannot be read in {place} any more: {problem}", place=side.place, problem=error.message)
        return Moved(text, error.field)

    @staticmethod
    def _changed(side: Held, field: str) -> Moved:
        return Moved(msg("'{field}' has changed in {place} since.", field=field, place=side.place), field)


def _as_now(then: pl.DataFrame, now: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the named columns as they were, in the types that they have now; null where one does not fit."""
    none = {name: pl.lit(None) for name in names if name not in then.columns}
    return then.with_columns(**none).select(pl.col(name).cast(now[name].dtype, strict=False) for name in names)


def _records_of(chunk: Chunk, rows: pl.Series) -> pl.DataFrame:
    """Return the records that were read behind rows."""
    records = chunk.records if chunk.records is not None else pl.DataFrame(schema={ROW: pl.UInt32})
    return pl.DataFrame({ROW: rows.cast(pl.UInt32)}).join(records, on=ROW, how="left", maintain_order="left")


def without(chunk: Chunk, moved: dict[int, Moved]) -> Chunk:
    """Return the chunk with the rows that have moved left as they are."""
    if not moved:
        return chunk
    rows = sorted(moved)
    keys = chunk.outcomes["left_key"][rows].implode()
    others = ~pl.col("left_key").is_in(keys)
    told = Checked(
        chunk.checked.tallies,
        chunk.checked.warned.filter(others),
        chunk.checked.marks.filter(~pl.col("key").is_in(keys)),
    )
    return replace(
        chunk,
        outcomes=_left_alone(chunk.outcomes, rows, [moved[row] for row in rows]),
        writes=tuple(_kept(chunk.writes, rows)),
        links=chunk.links.filter(others),
        checked=told,
        baseline=None if chunk.baseline is None else chunk.baseline.filter(others),
        waiting=chunk.waiting.filter(others),
        answered=tuple(name for name in chunk.answered if name not in _pairs(chunk, rows)),
    )


def _pairs(chunk: Chunk, rows: Sequence[int]) -> set[str]:
    """Return the names by which the pairs of rows may wait for people."""
    some = chunk.outcomes[rows].select("left_key", "right_key").rows()
    turned = some if chunk.side == "left" else [pair[::-1] for pair in some]
    return {pair_name(*keys) for left, right in turned for keys in ((left, right), (left, None), (None, right))}


def _left_alone(outcomes: pl.DataFrame, rows: Sequence[int], reasons: Sequence[Moved]) -> pl.DataFrame:
    cleared = ("stage", "before", "after", "own_before", "own_after", "record", "raw", "place")
    patch = pl.DataFrame(
        {
            "__row": pl.Series(rows, dtype=pl.UInt32),
            "__field": pl.Series([why.field for why in reasons], dtype=pl.String),
            "__reason": pl.Series([why.reason for why in reasons], dtype=pl.String),
        }
    )
    numbered = outcomes.with_row_index("__row").join(patch, on="__row", how="left", maintain_order="left")
    hit = pl.col("__reason").is_not_null()
    return numbered.with_columns(
        *(pl.when(~hit).then(pl.col(name)).alias(name) for name in cleared),
        outcome=pl.when(hit).then(pl.lit(Outcome.SKIPPED.value)).otherwise("outcome"),
        situation=pl.when(hit).then(pl.lit(MOVED)).otherwise("situation"),
        field=pl.when(hit).then("__field").otherwise("field"),
        reason=pl.when(hit).then("__reason").otherwise("reason"),
    ).select(outcomes.columns)


def _kept(writes: tuple[Write, ...], rows: Sequence[int]) -> Iterator[Write]:
    gone = pl.Series(rows, dtype=pl.UInt32)
    for write in writes:
        stays = ~write.rows.cast(pl.UInt32).is_in(gone.implode())
        if stays.any():
            change = replace(write.change, records=write.change.records.filter(stays))
            yield replace(write, change=change, rows=write.rows.filter(stays))


def _rows(outcomes: pl.DataFrame, which: pl.Expr) -> pl.Series:
    return outcomes.select(which.fill_null(value=False).arg_true()).to_series()
