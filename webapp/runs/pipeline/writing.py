"""Applying a chunk to the target: once, also when a worker dies between the target's commit and ours."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import polars as pl

from connectors.spi import Connector, Failure, Fence, WriteResult
from rules.reconcile.one_way import key_text
from rules.reconcile.situations import REJECTED, Outcome
from rules.schema import Change, Op, Schema
from rules.text import msg
from webapp.runs.pipeline.checked import warnings_frame
from webapp.runs.pipeline.chunk import OUTCOMES, ROW, Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.joint import End, Joint, joint_of
from webapp.runs.pipeline.made import Made
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.through import through_of

_LOST = msg("The target refused this record just before the worker stopped. Replay it to see the reason.")


class Taken(Protocol):
    """Knows which keys of the target have a link."""

    def taken(self, keys: pl.Series, /) -> pl.Series:
        """Return a mask of the keys that have a link."""


L = TypeVar("L", bound=Taken)


@dataclass(frozen=True)
class Held:
    """Which records of a change a target shows as done; of those that it has given keys to, these."""

    there: pl.Series
    made: pl.Series | None

    def with_keys(self, rows: pl.Series, keys: pl.Series) -> pl.Series:
        """Return the keys of all records: those of `rows` were made only now."""
        before = pl.Series([None] * len(self.there), dtype=keys.dtype) if self.made is None else self.made
        return before.cast(keys.dtype).scatter(rows, keys)


@dataclass(frozen=True)
class Target(Generic[L]):
    """Where a run writes: the connector, the object, the fields that the rule touches."""

    connector: Connector
    object: str
    schema: Schema
    links: L

    @property
    def joint(self) -> Joint | None:
        """Return what writes to all systems of the rule or to none, where the rule asks for that."""
        return joint_of(self.connector)

    def pretend(self, chunk: Chunk) -> Chunk:
        """Return a chunk as it would be if the target took all of it."""
        return settled(chunk, WriteResult())

    def apply(self, chunk: Chunk, fence: Fence, retry: Retry, *, again: bool = False) -> Chunk:
        """Write a chunk and return it with its true outcomes; `again`: an earlier worker may have written it."""
        through = through_of(self.connector)
        if through is not None and through.writes:
            return through.write(self, chunk, fence, retry, again=again)
        joint = self.joint
        if joint is not None and chunk.writes and not (again and retry(lambda: self.connector.applied(fence))):
            return joint.together.write(chunk, [self.end(joint.side, range(len(chunk.writes)), fence)], retry)
        result = self.write(chunk, fence, retry, again=again) if chunk.writes else WriteResult()
        return settled(chunk, result)

    def end(self, side: str, places: Iterable[int], fence: Fence) -> End:
        """Return this system as one of those that are written to together, and which writes of a chunk are for it."""
        connection = self.joint.connection if self.joint else ""
        return End(side, connection, self.object, self.connector, tuple(places), fence)

    def write(
        self, chunk: Chunk, fence: Fence, retry: Retry, *, again: bool = False, ended: bool = False
    ) -> WriteResult:
        """Write a chunk and return what became of it.

        `again`: an earlier worker may have written it; `ended`: it has, or a person has put its part in order by hand.
        """
        if ended:
            return retry(lambda: self._found(chunk))
        attempts = [again]

        def once() -> WriteResult:
            first = not attempts[-1]
            attempts.append(True)
            return self._write(chunk, fence) if first else self._write_again(chunk, fence)

        return retry(once)

    def recover(self, chunk: Chunk, fence: Fence) -> Chunk | None:
        """Return a chunk that another run may have written with its true outcomes; None if it never arrived."""
        if self.connector.arrived(fence) is False:
            return None
        return settled(chunk, self._found(chunk))

    def _write(self, chunk: Chunk, fence: Fence) -> WriteResult:
        return self.connector.write(self.object, self.schema, [w.change for w in chunk.writes], fence)

    def _write_again(self, chunk: Chunk, fence: Fence) -> WriteResult:
        """Find out what is there already: all of it, nothing, or (a system without fences) some records."""
        applied = self.connector.arrived(fence)
        if applied is False:
            return self._write(chunk, fence)
        if applied:
            return self._found(chunk)
        held = [self._held(write.change, fence) for write in chunk.writes]
        return self._write_rest(chunk, held, fence)

    def _found(self, chunk: Chunk) -> WriteResult:
        """Return what became of a chunk that the target holds: what it does not show was refused."""
        keys = [self._made(write.change) for write in chunk.writes]
        there = [
            self._there(write.change) if made is None else made.is_not_null()
            for write, made in zip(chunk.writes, keys, strict=True)
        ]
        lost = (Failure(no, row, _LOST) for no, mask in enumerate(there) for row in (~mask).arg_true().to_list())
        return WriteResult(tuple(lost), tuple(keys))

    def _made(self, change: Change, but: Collection[Any] = ()) -> pl.Series | None:
        """Return the keys that the target gave to records of ours, found by what they hold; None: we gave them.

        Of several records that hold the same, those without a link and with the highest keys are the new ones. Those
        with the keys of `but` are not ours to find: the connector gives them back by itself.
        """
        mine = change.records
        if change.op is not Op.CREATE or change.key in mine.columns:
            return None
        probe = max(mine.columns, key=lambda name: mine[name].drop_nulls().n_unique())
        values = mine[probe].drop_nulls().unique()
        found = self.connector.lookup(self.object, self.schema, probe, values)
        found = found.filter(~self.links.taken(key_text(found[change.key])), ~found[change.key].is_in([*but]))
        found = found.select(change.key, *mine.columns).sort(change.key, descending=True)
        both = [frame.with_columns(__nth=pl.int_range(pl.len()).over(mine.columns)) for frame in (mine, found)]
        on = [*mine.columns, "__nth"]
        return both[0].join(both[1], on=on, how="left", nulls_equal=True, maintain_order="left")[change.key]

    def _held(self, change: Change, fence: Fence) -> Held:
        """Return which records of a change the target shows as done, and the keys that it has given to them."""
        if not self.connector.spec.capabilities.lookup:
            return Held(pl.repeat(value=False, n=change.records.height, eager=True), None)
        remembered = self.connector.remembers(fence)
        made = None if remembered is None else self._made(change, remembered)
        if made is None:
            return Held(self._there(change), None)
        return Held(made.is_not_null(), made)

    def _write_rest(self, chunk: Chunk, held: list[Held], fence: Fence) -> WriteResult:
        missing = [(~one.there).arg_true() for one in held]
        changes = [
            replace(w.change, records=w.change.records[rows]) for w, rows in zip(chunk.writes, missing, strict=True)
        ]
        result = self.connector.write(self.object, self.schema, changes, fence)
        failures = tuple(replace(f, row=missing[f.change][f.row]) for f in result.failures)
        keys = tuple(
            None if made is None else one.with_keys(rows, made)
            for made, one, rows in zip(result.keys, held, missing, strict=False)
        )
        return WriteResult(failures, keys)

    def _there(self, change: Change) -> pl.Series:
        """Return for each record of a change whether the target shows it as done."""
        none = pl.repeat(value=False, n=change.records.height, eager=True)
        if change.key not in change.records.columns:
            return none  # the target makes the keys: its records cannot be told apart
        keys = change.records[change.key]
        found = self.connector.lookup(self.object, self.schema, change.key, keys.unique())
        present = keys.is_in(found[change.key].implode())
        if change.op is Op.DELETE:
            return ~present
        if change.op is Op.CREATE:
            return present
        both = change.records.join(found, on=change.key, how="left", suffix="__now", maintain_order="left")
        same = [both[n].eq_missing(both[f"{n}__now"]) for n in change.records.columns if n != change.key]
        return pl.DataFrame(same).select(pl.all_horizontal(pl.all())).to_series() & present if same else present


def settled(chunk: Chunk, result: WriteResult) -> Chunk:
    """Return the chunk with what really became of its writes."""
    outcomes, links = chunk.outcomes, chunk.links
    failed = [(chunk.writes[f.change].rows[f.row], f) for f in result.failures]
    outcomes = _park(outcomes, failed, "write")
    for write, made in zip(chunk.writes, result.keys, strict=False):
        if made is not None:
            outcomes = _set(outcomes, "right_key", write.rows, key_text(made))
    lost = outcomes["left_key"][[row for row, _ in failed]] if failed else pl.Series([], dtype=pl.String)
    kept = ~pl.col("left_key").is_in(lost.implode())
    links = _linked(links.filter(kept) if failed else links, outcomes)
    checked = chunk.checked.with_warnings(_warned(chunk, result)) if result.warnings else chunk.checked
    outcomes = _with_records(outcomes, chunk.records)
    made_ = tuple(_made(chunk.writes, outcomes))
    read = _without_images(outcomes, chunk.writes).filter(pl.col("outcome").is_not_null())
    whole = pl.concat([read, _deleted(chunk.writes, result, outcomes)])
    told = {"checked": checked, "made": made_, "records": None, **(_agreed(chunk, kept) if failed else {})}
    return replace(chunk, outcomes=whole, links=links, writes=(), **told)


def parked(chunk: Chunk, failures: Mapping[int, Failure], stage: str = "match") -> Chunk:
    """Return a chunk that is not written yet without records that cannot be: they wait, and keep their links."""
    lost = chunk.outcomes["left_key"][list(failures)]
    kept = ~pl.col("left_key").is_in(lost.implode())
    outcomes = _park(chunk.outcomes, failures.items(), stage)
    return replace(chunk, outcomes=outcomes, links=chunk.links.filter(kept), **_agreed(chunk, kept))


def without(chunk: Chunk, rows: Mapping[int, Failure]) -> Chunk:
    """Return a chunk that writes nothing of some records: they are parked."""
    left = parked(chunk, rows, "write")
    return replace(left, writes=tuple(_rest(write, list(rows)) for write in left.writes))


def _rest(write: Write, rows: list[int]) -> Write:
    keep = ~write.rows.is_in(pl.Series(rows, dtype=write.rows.dtype).implode())
    change = replace(write.change, records=write.change.records.filter(keep))
    return replace(write, change=change, rows=write.rows.filter(keep))


def _with_records(outcomes: pl.DataFrame, records: pl.DataFrame | None) -> pl.DataFrame:
    """Return outcomes with the source records of those that are parked or rejected."""
    keep = (outcomes["outcome"] == Outcome.QUARANTINED) | (outcomes["situation"] == REJECTED).fill_null(value=False)
    if records is None or not keep.any():
        return outcomes
    kept = records.filter(pl.col(ROW).is_in(keep.arg_true().implode()))
    texts = pl.Series(to_texts(kept.drop(ROW)), dtype=pl.String)
    return _set(outcomes, "record", kept[ROW], texts)


def _made(writes: tuple[Write, ...], outcomes: pl.DataFrame) -> Iterator[Made]:
    """Yield what was created, as far as the outcomes do not tell it themselves."""
    for write in writes:
        if write.change.op is not Op.CREATE:
            continue
        rows = outcomes[write.rows]
        told = (rows["outcome"] == Outcome.CREATED) & rows["own_after" if write.own else "after"].is_null()
        told &= rows["record_no"].is_not_null()
        if told.any():
            whole = Made(rows["record_no"], write.change.records, write.own)
            yield whole.filter(rows["record_no"].filter(told))


def _linked(links: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return the links of a chunk with the keys that the target has given to what was created."""
    made = outcomes.filter(pl.col("outcome") == Outcome.CREATED, pl.col("right_key").is_not_null())
    if all(links[name].equals(made[name], null_equal=True) for name in ("left_key", "right_key")):
        return links  # most often it is just these; they may be compressed already
    known = links.join(
        made.select("left_key", "right_key"), on="left_key", how="left", suffix="_made", maintain_order="left"
    )
    known = known.with_columns(right_key=pl.coalesce("right_key_made", "right_key")).select(links.columns)
    if "op" not in links.columns:
        again = made.join(links, on="left_key", how="anti")  # what an undone deletion has created again
        return pl.concat([known, again.select(known.columns[:2])], how="diagonal")
    known = known.filter((pl.col("op") != "link") | pl.col("right_key").is_not_null())
    return links if known["right_key"].equals(links["right_key"]) else known  # it may be compressed already


def _agreed(chunk: Chunk, kept: pl.Expr) -> dict[str, Any]:
    """Return the parts of a two-way chunk that follow its links, without the records that were refused."""
    return {} if chunk.baseline is None else {"baseline": chunk.baseline.filter(kept)}


def _warned(chunk: Chunk, result: WriteResult) -> pl.DataFrame:
    """Return what the target says of records that it has taken, under the names that the target gives to its checks."""
    rows = []
    for warning in result.warnings:
        row = chunk.writes[warning.change].rows[warning.row]
        rows.append(
            {
                "validation": warning.name,
                "record_no": chunk.outcomes["record_no"][row],
                "left_key": chunk.outcomes["left_key"][row],
                "field": warning.field,
                "reason": json.dumps(warning.message.to_json(), ensure_ascii=False),
            }
        )
    return warnings_frame(rows)


def _park(outcomes: pl.DataFrame, failed: Iterable[tuple[int, Failure]], stage: str) -> pl.DataFrame:
    rows = [
        {
            "row": row,
            "outcome": Outcome.QUARANTINED.value,
            "stage": stage,
            "field": failure.field,
            "reason": json.dumps(failure.message.to_json(), ensure_ascii=False),
            "place": _place(outcomes["record_no"][row], outcomes["left_key"][row]),
        }
        for row, failure in failed
    ]
    if not rows:
        return outcomes
    schema = {"row": pl.UInt32(), **{n: OUTCOMES[n] for n in ("outcome", "stage", "field", "reason", "place")}}
    patch = pl.DataFrame(rows, schema=schema).unique("row", keep="first", maintain_order=True)  # both sides may refuse
    numbered = outcomes.with_row_index("row")
    return numbered.update(patch, on="row", how="left").drop("row")


def _place(number: int | None, key: str | None) -> str:
    """Return where a record stands in its source; one that is gone from there is known by its key only."""
    return f"key {key}" if number is None else f"record {number}"


def _set(outcomes: pl.DataFrame, column: str, rows: pl.Series, values: pl.Series) -> pl.DataFrame:
    return outcomes.with_columns(outcomes[column].scatter(rows, values).alias(column))


def _without_images(outcomes: pl.DataFrame, writes: tuple[Write, ...]) -> pl.DataFrame:
    """Return the outcomes of the records read: what was deleted has its before-image in a row of its own."""
    for write in writes:
        if write.change.op is Op.DELETE:
            nothing = pl.repeat(None, write.rows.len(), dtype=pl.String, eager=True)
            outcomes = _set(outcomes, "own_before" if write.own else "before", write.rows, nothing)
    return outcomes


def _deleted(writes: tuple[Write, ...], result: WriteResult, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each record that was deleted, with all that it held as before-image."""
    refused = {(f.change, f.row) for f in result.failures}
    rows = [
        row
        for number, write in enumerate(writes)
        if write.change.op is Op.DELETE
        for place, row in enumerate(write.rows.to_list())
        if (number, place) not in refused
    ]
    gone = outcomes[rows] if rows else outcomes.clear()
    nothing = pl.lit(None, dtype=pl.String)
    return gone.with_columns(
        record_no=pl.lit(None, dtype=pl.Int64),
        outcome=pl.lit(Outcome.DELETED.value),
        **dict.fromkeys(("after", "own_after", "record"), nothing),
    )
