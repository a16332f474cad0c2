"""The book of one run: what commits together with each chunk, guarded by the run's token.

Every transaction first renews the lease under the token; a worker whose run was taken over learns it there (`Fenced`)
and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import polars as pl
import sqlalchemy as sa

from connectors.errors import Fenced
from rules.reconcile.situations import MOVED, REFUSED, REJECTED, Outcome
from rules.text import Message, msg
from webapp import tracing
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House, insert_rows
from webapp.runs import hooks, pair_cases
from webapp.runs.models import run, run_chunk, run_log, run_record
from webapp.runs.pipeline import checked, hits, inputs
from webapp.runs.pipeline import chunk as chunks
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.codec import column_texts, digest, reason_of, unpack
from webapp.runs.pipeline.made import filled
from webapp.runs.pipeline.packing import NOTHING, Packed
from webapp.runs.pipeline.parking import note_dependants, park, settle
from webapp.runs.pipeline.slice import Slice
from webapp.vault.at_rest import salted

_CHANGES = ("side", "before", "after", "own_before", "own_after")
_SHOWN = (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED, Outcome.QUARANTINED)
LISTED = 10_000
"""So many of the records that a run creates have rows of their own; the others are in the chunks."""


class Links(Protocol):
    """What a run knows of linked records; both kinds of rules keep it in their own form."""

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk, packed: Packed | None = None, /) -> None:
        """Write what a chunk changes, in the caller's transaction; `packed` are frames that are compressed already."""

    def merge(self, chunk: Chunk, /) -> None:
        """Take over what `append` has committed."""


class Cancelled(Exception):
    """Someone has asked to cancel the run."""


def paused_by(name: str) -> Message:
    """Return what is said of a run that a person has paused."""
    return msg("{name} paused the run. Resume it to go on behind its last chunk.", name=name)


class Suspended(Exception):
    """The run stops and waits for a person."""

    def __init__(self, message: Message, *, paused: bool = False) -> None:
        super().__init__(str(message))
        self.message = message
        self.paused = paused
        """Whether it is a person who has paused it."""


@dataclass(frozen=True)
class Claim:
    """A run that a worker holds, as it was when claimed."""

    run_id: int
    rule_id: int
    rule_name: str
    document: Mapping[str, Any]
    mode: str
    kind: str
    token: int
    worker: str
    chunks: int
    counts: Mapping[str, int]
    position: Mapping[str, Any] | None = None
    since: Any = None
    high: Any = None
    selection: tuple[int, ...] = ()
    read_complete: bool = False
    schemas: Sequence[Mapping[str, Any]] | None = None
    uses: Mapping[str, Mapping[str, int]] | None = None
    hits: Mapping[str, list[int]] | None = None
    parameters: Mapping[str, Any] | None = None
    requested_at: datetime = field(default_factory=lambda: datetime.fromtimestamp(0, UTC))
    requested_by: str = ""
    slice: Slice | None = None
    """The part of a split run that is claimed: its own are token, chunks, counts, hits and position."""
    traceparent: str | None = None

    @classmethod
    def of(cls, row: sa.Row[Any]) -> Claim:
        """Return the claim on a run from its row."""
        names = ("rule_id", "rule_name", "document", "mode", "kind", "token", "worker", "chunks", "counts", "position")
        values = {name: getattr(row, name) for name in (*names, *_LATER)}
        return cls(run_id=row.id, selection=tuple(row.selection or ()), **values)

    @property
    def live(self) -> bool:
        """Tell whether the run writes to its target."""
        return self.mode == "live"

    @property
    def strict(self) -> bool:
        """Tell whether the run stops where its rule says so: a simulation goes on, to show all there is."""
        return self.mode != "simulate"


_LATER = (
    "since", "high", "read_complete", "schemas", "uses", "hits", "parameters", "requested_at", "requested_by",
    "traceparent",
)  # fmt: skip


def _told(_journal: Journal, chunk: Chunk, *_: object) -> tracing.About:
    return {"syncline.chunk": chunk.no, "syncline.records": chunk.read}


class Journal:
    """Writes a run's progress; one per claim.

    With a `holder` the run is a stopped one, whose last chunk is settled under the claim of another run of its rule.
    """

    def __init__(self, house: House, claim: Claim, holder: Claim | None = None) -> None:
        self.house = house
        self.claim = claim
        self.holder = holder or claim
        self.counts = chunks.add_counts([dict(claim.counts)]) if claim.counts else chunks.add_counts([])
        self.chunks = claim.chunks
        self.place: tuple[Any, Any] = (claim.position, claim.high)
        """Where the source is read on, and the highest cursor value read, as of the last chunk."""
        self.hits = dict(claim.hits or {})
        self._packed = Packed()

    def guard(self, tx: sa.Connection, **values: Any) -> None:
        """Renew the lease under our token, setting `values` of the run; raises `Fenced`."""
        held = (run.c.id == self.holder.run_id, run.c.token == self.holder.token, run.c.state == "running")
        if tx.execute(sa.update(run).where(*held).values(lease_until=self._until())).rowcount != 1:
            raise Fenced
        if values:
            tx.execute(sa.update(run).where(run.c.id == self.claim.run_id).values(values))

    @property
    def whole(self) -> Mapping[str, int]:
        """Return the counts of the run, also where this is the book of a part of it."""
        return self.counts

    def _until(self) -> datetime:
        return self.house.clock() + timedelta(seconds=self.house.settings.lease_seconds)

    def heed(self, tx: sa.Connection) -> None:
        """Raise `Cancelled` or `Suspended` if someone has asked for it; only where no chunk is half-way there."""
        asked = sa.select(run.c.cancel_requested, run.c.pause_by).where(run.c.id == self.claim.run_id)
        cancelled, pause_by = tx.execute(asked).one()
        if cancelled:
            raise Cancelled
        if pause_by is not None:
            raise Suspended(paused_by(pause_by), paused=True)

    def ahead(self, chunk: Chunk) -> Chunk:
        """Compress what `plan` will note of a chunk, while the one before it is written; returns the chunk."""
        if self.claim.live and chunk.writes:
            _dumped(chunk, chunk.packed)
        return chunk

    @tracing.step("keep the plan", _told)
    def plan(self, chunk: Chunk) -> None:
        """Note a chunk that is about to be written."""
        self._share(chunk)
        plan = _dumped(chunk, self._packed)  # takes its time, for which nobody else should wait
        with self.house.db.begin() as tx:
            self.guard(tx)
            self.heed(tx)
            tx.execute(sa.insert(run_chunk).values(state="planned", plan=plan, **self._head(chunk)))
            if chunk.inputs:
                inputs.store(tx, self.claim.run_id, chunk.no, chunk.inputs)

    def _share(self, chunk: Chunk) -> None:
        """Take over what was compressed of a chunk already."""
        self._packed.add(chunk.packed)
        if chunk.inputs is not None:
            self._packed.add(chunk.inputs.packed)

    def planned(self) -> Chunk | None:
        """Return the chunk that an earlier worker was about to write, if it did not check it in."""
        with self.house.db.read() as tx:
            found = tx.execute(sa.select(run_chunk).where(*self._chunks("planned"))).one_or_none()
            if found is None:
                return None
            kept = inputs.of_chunk(tx, self.claim.run_id, found.no)
        chunk = chunks.load(found.no, found.plan, found.counts, {} if kept is None else kept.columns)
        if kept is None:
            return chunk
        if chunk.records is not None:
            numbers = chunk.outcomes["record_no"][chunk.records[chunks.ROW]]
            return replace(chunk, records=inputs.completed(chunk.records, numbers, kept))
        places = chunk.outcomes["record_no"] - kept.first
        rows = ((places >= 0) & (places < kept.records.height)).arg_true()
        read = kept.records[places[rows]].with_columns(rows.cast(pl.UInt32).alias(chunks.ROW))
        return replace(chunk, records=read)

    def drop_plan(self) -> None:
        """Forget the chunk that was planned and has not reached the target; it is decided anew."""
        with self.house.db.begin() as tx:
            self.guard(tx)
            mine = self._chunks("planned")
            for number in tx.scalars(sa.select(run_chunk.c.no).where(*mine)).all():
                inputs.forget(tx, self.claim.run_id, number)
            tx.execute(sa.delete(run_chunk).where(*mine))

    def read_before(self) -> int | None:
        """Return how many records the last live run of the rule has read, None where there was none."""
        mine = (run.c.rule_id == self.claim.rule_id, run.c.id < self.claim.run_id, run.c.kind == "sync")
        query = sa.select(run.c.counts).where(*mine, run.c.mode == "live", run.c.state == "succeeded")
        with self.house.db.read() as tx:
            counts = tx.scalar(query.order_by(run.c.id.desc()).limit(1))
        return None if counts is None else int(counts["read"])

    @tracing.step("check in", _told)
    def check_in(self, chunk: Chunk, links: Links) -> None:
        """Commit a chunk: its outcomes, links, parked records, counts and the place to read on from."""
        own = chunks.counts(chunk)
        self._share(chunk)
        blob = chunks.body(chunk, self._packed)
        total, decided = chunks.add_counts([self.counts, own]), hits.added(self.hits, chunk.hits)
        with self.house.db.begin() as tx:
            place = {"position": chunk.position, "high": chunk.high}
            self.guard(tx, counts=total, hits=decided or None, chunks=chunk.no, **place)
            tx.execute(sa.delete(run_chunk).where(run_chunk.c.run_id == self.claim.run_id, run_chunk.c.no == chunk.no))
            blob = salted(tx, blob)
            kept = {**self._head(chunk), "counts": own, "plan": chunk.plan, "outcomes": blob, "digest": digest(blob)}
            tx.execute(sa.insert(run_chunk).values(state="done", **kept))
            if chunk.inputs:
                inputs.store(tx, self.claim.run_id, chunk.no, chunk.inputs)
            self._show(tx, chunk)
            self._add_up(tx)
            checked.store(tx, self.claim.run_id, chunk.checked)
            if self.claim.live:
                self._keep(tx, chunk, links)
            sealed = {"digest": kept["digest"], "inputs": inputs.seal(tx, self.claim.run_id, chunk.no)}
            self._audit(tx, Tag.RUN_CHUNK, {"chunk": chunk.no, "counts": own, **sealed})
        if self.claim.live:
            links.merge(chunk)
        self.counts, self.chunks, self.hits, self._packed = total, chunk.no, decided, Packed()
        self.place = (chunk.position, chunk.high)

    def _keep(self, tx: sa.Connection, chunk: Chunk, links: Links) -> None:
        """Keep what later runs go by: parked records, links, pairs that wait for people."""
        claim, now = self.claim, self.house.clock()
        links.append(tx, claim.run_id, chunk, self._packed)  # first: what waits to be delivered has not passed yet
        settle(tx, claim, chunk.outcomes, now)
        park(tx, claim, chunk.outcomes, now)
        pair_cases.wait(tx, claim.rule_id, claim.rule_name, claim.run_id, chunk.waiting, now)
        pair_cases.settle(tx, claim.rule_id, chunk.answered, claim.run_id, now, SYSTEM.name)

    def handled(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield outcomes and unique values of the chunks that are done, one at a time: all may not fit into memory."""
        with self.house.db.read() as tx:
            mine = self._chunks("done")
            numbers = tx.scalars(sa.select(run_chunk.c.no).where(*mine).order_by(run_chunk.c.no)).all()
            for number in numbers:
                blob = tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine, run_chunk.c.no == number))
                found = unpack(blob or b"")
                yield found["outcomes"], checked.take(found).marks

    def _chunks(self, state: str) -> tuple[sa.ColumnElement[bool], ...]:
        own = None if self.claim.slice is None else self.claim.slice.no
        mine = (run_chunk.c.run_id == self.claim.run_id, run_chunk.c.state == state)
        return (*mine, run_chunk.c.slice.is_(None) if own is None else run_chunk.c.slice == own)

    def _add_up(self, tx: sa.Connection) -> None:
        """Count the chunk for the run as well, where this is the book of a part of it."""

    def note(self, **values: Any) -> None:
        """Set columns of the run, under the token."""
        with self.house.db.begin() as tx:
            self.guard(tx, **values)

    def log(self, level: str, message: Message) -> None:
        """Add a line to the run's log; kept also when the run was taken over."""
        with self.house.db.begin() as tx:
            self._line(tx, level, message)

    def _line(self, tx: sa.Connection, level: str, message: Message) -> None:
        line = {"run_id": self.claim.run_id, "at": self.house.clock(), "level": level, "message": message.to_json()}
        tx.execute(sa.insert(run_log).values(line))

    def release(self, why: Message | None = None) -> None:
        """Give the run back to the queue, to be worked on elsewhere; `why` is kept in its log."""
        with self.house.db.begin() as tx:
            self.guard(tx, state="queued", announced_at=None)
            if why is not None:
                self._line(tx, "warning", why)

    def end(self, tx: sa.Connection, state: str, message: Message | None, *, paused: bool = False) -> None:
        """End the run in the caller's transaction; raises `Fenced` if it is no longer ours.

        Unless it has `paused`, a pause that was asked for has come too late and counts no more.
        """
        now = self.house.clock()
        told = message.to_json() if message else None
        values = {"state": state, "ended_at": now, "lease_until": None, "message": told}
        values |= {} if paused else {"pause_by": None}
        if tx.execute(sa.update(run).where(*self._ours()).values(values)).rowcount != 1:
            raise Fenced
        stored = tx.scalar(sa.select(run.c.counts).where(run.c.id == self.claim.run_id)) or {}
        counts = chunks.add_counts([stored])  # those of the journal may be older, where another one has counted
        self._audit(tx, Tag.RUN_ENDED, {"state": state, "counts": counts, "message": str(message or "")})
        claim = self.claim
        if state == "succeeded":
            note_dependants(tx, claim, now)
        head = (claim.run_id, claim.rule_name, claim.mode, state, claim.token)
        told_of = hooks.Ended(*head, counts, str(message or ""), now)
        for tell in hooks.ended:
            tell(tx, told_of)
        tx.execute(sa.update(run).where(run.c.id == claim.run_id).values(told_chunks=run.c.chunks))

    def _ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (run.c.id == self.claim.run_id, run.c.token == self.claim.token, run.c.state == "running")

    def _head(self, chunk: Chunk) -> dict[str, Any]:
        return {
            "run_id": self.claim.run_id,
            "no": chunk.no,
            "slice": None if self.claim.slice is None else self.claim.slice.no,
            "token": self.claim.token,
            "records": chunk.read,
            "counts": {"position": chunk.position, "high": chunk.high, "left_out": chunk.left_out, "side": chunk.side},
            "at": self.house.clock(),
        }

    def _show(self, tx: sa.Connection, chunk: Chunk) -> None:
        """Write the rows that people look at: what changed, failed, was left out or deleted."""
        columns = ("record_no", "left_key", "right_key", "outcome", "situation", *_CHANGES, "field", "reason")
        asked = pl.col("outcome").is_in([o.value for o in _SHOWN]) | pl.col("situation").is_in(
            [REJECTED, MOVED, REFUSED]
        )
        created = pl.col("outcome") == Outcome.CREATED
        room = max(0, LISTED - self.whole[Outcome.CREATED])
        shown = chunk.outcomes.filter(asked).filter(~created | (created.cum_sum() <= room)).select(columns)
        if shown.is_empty():
            return
        own = pl.lit(self.claim.run_id).alias("run_id"), pl.lit(self.claim.rule_name).alias("rule_name")
        rows = filled(shown, chunk.made).with_columns(pl.col("record_no").fill_null(0), *own)
        rows = rows.with_columns(column_texts(rows[name]) for name in ("left_key", "right_key", "field"))
        reasons = map(reason_of, rows.drop_in_place("reason"))
        insert_rows(tx, run_record, [*rows.columns, "reason"], zip(*(c.to_list() for c in rows), reasons, strict=True))

    def _audit(self, tx: sa.Connection, tag: Tag, after: Mapping[str, Any]) -> None:
        subject = Subject("rule", self.claim.rule_name)
        record(tx, SYSTEM, self.house.clock(), Event(tag, subject, None, after, run_id=self.claim.run_id))


def _dumped(chunk: Chunk, packed: Packed) -> bytes:
    """Return what is noted of a chunk beside the values that are kept of it."""
    if chunk.inputs is not None:
        packed.add(chunk.inputs.packed)
    return chunks.dump(chunk, _not_kept(chunk), packed, NOTHING if chunk.inputs is None else chunk.inputs.columns)


def _not_kept(chunk: Chunk) -> pl.DataFrame | None:
    """Return what has to be noted of the records that are written or parked; what is kept of all is not, once more."""
    kept = {chunks.ROW, *(chunk.inputs.fields if chunk.inputs is not None else ())}
    if chunk.records is None or kept.issuperset(chunk.records.columns):
        return None
    found = chunks.touched(chunk)
    return None if found is None else inputs.beside(found, chunk.inputs)
