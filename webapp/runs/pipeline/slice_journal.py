"""The book of one slice: what commits with each of its chunks, guarded by the slice's own token.

What all slices of a run share is changed behind a lock on the run's row, which a transaction takes as late as it can:
numbers of chunks and records, the sum of the counts, what the guards count, and how the run is about to end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.errors import Fenced
from rules.decisions import merge_hits
from rules.documents.policies import Metric
from rules.reconcile.situations import Outcome
from rules.text import Message, msg
from webapp.audit.tags import Tag
from webapp.extensions import House
from webapp.runs.models import run, run_chunk
from webapp.runs.pipeline import chunk as chunks
from webapp.runs.pipeline.codec import pack
from webapp.runs.pipeline.journal import Claim, Journal, Suspended
from webapp.runs.pipeline.slice import Slice
from webapp.runs.slices.models import run_slice, run_split

_OWN = ("state", "announced_at", "ended_at", "missed", "counts", "hits", "chunks", "position", "high")
_SHARED = ("schemas",)
_COUNTED = {
    Metric.CREATES.value: Outcome.CREATED.value,
    Metric.UPDATES.value: Outcome.UPDATED.value,
    Metric.DELETES.value: Outcome.DELETED.value,
    Metric.CONFLICTS.value: Outcome.CASES.value,
    Metric.REJECTS.value: Outcome.QUARANTINED.value,
    "read": "read",
}


class SliceStopped(Suspended):
    """Another slice is ending the run, which says how: this one is to be left where it is."""

    def __init__(self) -> None:
        super().__init__(msg("The run stops."))


class SliceJournal(Journal):
    """Writes the progress of a slice; one per claim."""

    def __init__(self, house: House, claim: Claim, own: Slice, holder: Claim | None = None) -> None:
        super().__init__(house, claim, holder)
        self.slice = own
        self._whole = self.counts
        self._mine = (run_slice.c.run_id == claim.run_id, run_slice.c.no == own.no)
        self._held = (*self._mine, run_slice.c.token == claim.token, run_slice.c.state == "running")
        self._shared = run_split.c.run_id == claim.run_id

    @property
    def whole(self) -> Mapping[str, int]:
        """Return the counts of all slices as of the last chunk."""
        return self._whole

    def guard(self, tx: sa.Connection, **values: Any) -> None:
        """Renew the lease of the slice under its token, setting `values` of it; raises `Fenced`."""
        if self.holder is not self.claim:
            super().guard(tx)
        elif tx.execute(sa.update(run_slice).where(*self._held).values(lease_until=self._until())).rowcount != 1:
            raise Fenced
        if own := {name: values[name] for name in values if name in _OWN}:
            tx.execute(sa.update(run_slice).where(*self._mine).values(own))
        if shared := {name: values[name] for name in values if name in _SHARED}:
            tx.execute(sa.update(run).where(run.c.id == self.claim.run_id).values(shared))

    def heed(self, tx: sa.Connection) -> None:
        """Raise what the run is to stop for: because a person has asked for it, or since another slice has."""
        super().heed(tx)
        if tx.scalar(sa.select(run_split.c.stop).where(self._shared)) is not None:
            raise SliceStopped

    def reserve(self, records: int) -> tuple[int, int]:
        """Return the number of the next chunk, and of the first of so many records: no other slice gets these."""
        with self.house.db.begin() as tx:
            self.guard(tx)
            given = {"chunks": run_split.c.chunks + 1, "records": run_split.c.records + records}
            tx.execute(sa.update(run_split).where(self._shared).values(given))
            row = tx.execute(sa.select(run_split.c.chunks, run_split.c.records).where(self._shared)).one()
        return row.chunks, row.records - records + 1

    def share(self, numbers: Mapping[str, int], read: int) -> tuple[dict[str, int], int]:
        """Return what all slices come to, each with the chunk that it is about to write, for the guards.

        What is noted here is counted by whoever asks next, so that no two pass a limit together.
        """
        with self.house.db.begin() as tx:
            self.guard(tx)
            self._lock(tx)
            tx.execute(sa.update(run_slice).where(*self._mine).values(guarded={**numbers, "read": read}))
            query = sa.select(run_slice.c.guarded).where(run_slice.c.run_id == self.claim.run_id)
            found = [told for told in tx.scalars(query) if told]
        total = {name: sum(told[name] for told in found) for name in numbers}
        return total, sum(told["read"] for told in found)

    def finish(self, tx: sa.Connection, missed: pl.Series | None) -> None:
        """End the slice in the caller's transaction; `missed` are linked keys of it that the source does not hold.

        Behind the last one the run is free for who ends it.
        """
        now = self.house.clock()
        blob = None if missed is None else pack({"missed": missed.to_frame("left_key")})
        self.guard(tx, state="done", ended_at=now, missed=blob)
        self._lock(tx)
        told = {"slice": self.slice.no, "of": self.slice.of, "counts": self.counts, "token": self.claim.token}
        self._audit(tx, Tag.RUN_SLICE, told)
        open_ = sa.select(run_slice.c.no).where(run_slice.c.run_id == self.claim.run_id, run_slice.c.state != "done")
        if tx.execute(open_).first() is None:
            free = now - timedelta(seconds=1)
            tx.execute(sa.update(run).where(run.c.id == self.claim.run_id).values(lease_until=free))

    def release(self, why: Message | None = None) -> None:
        """Give the slice back, to be worked on elsewhere; `why` is kept in the log of the run."""
        with self.house.db.begin() as tx:
            self.guard(tx)
            if why is not None:
                self._line(tx, "warning", why)
            self._lock(tx)
            stop = tx.scalar(sa.select(run_split.c.stop).where(self._shared))
            if stop is None:
                self._leave(tx)
            else:
                self.end(tx, stop["state"], None)

    def end(self, tx: sa.Connection, state: str, message: Message | None, *, paused: bool = False) -> None:
        """Leave the slice, and end the run if no other one is worked on; else whoever leaves last ends it.

        What the first of them has said stands. Raises `Fenced` if the slice is no longer ours.
        """
        self._leave(tx)
        self._lock(tx)
        own = {"state": state, "message": message.to_json() if message else None, "paused": paused}
        stop: dict[str, Any] = tx.scalar(sa.select(run_split.c.stop).where(self._shared)) or own
        others = (run_slice.c.run_id == self.claim.run_id, run_slice.c.state == "running")
        at_work = tx.execute(sa.select(run_slice.c.no).where(*others)).first() is not None
        tx.execute(sa.update(run_split).where(self._shared).values(stop=stop if at_work else None))
        if not at_work:
            why = Message.from_json(stop["message"]) if stop["message"] else None
            super().end(tx, stop["state"], why, paused=stop["paused"])

    def _leave(self, tx: sa.Connection) -> None:
        left = {"state": "queued", "lease_until": None, "announced_at": None}
        if tx.execute(sa.update(run_slice).where(*self._held).values(left)).rowcount != 1:
            raise Fenced

    def _lock(self, tx: sa.Connection) -> None:
        """Wait for other slices of the run that change what is shared; SQLite has one writer anyway."""
        tx.execute(sa.select(run.c.id).where(run.c.id == self.claim.run_id).with_for_update())

    def _add_up(self, tx: sa.Connection) -> None:
        """Set the run's counts to the sum of its slices'."""
        self._lock(tx)
        columns = (run_slice.c.counts, run_slice.c.hits, run_slice.c.chunks)
        rows = tx.execute(sa.select(*columns).where(run_slice.c.run_id == self.claim.run_id)).all()
        total, hits = chunks.add_counts([row.counts for row in rows]), [row.hits for row in rows if row.hits]
        if (guarded := tx.scalar(sa.select(run_slice.c.guarded).where(*self._mine))) is not None:
            own = tx.scalar(sa.select(run_slice.c.counts).where(*self._mine)) or {}
            true = {name: own[counted] for name, counted in _COUNTED.items()}  # without what the target has refused
            tx.execute(sa.update(run_slice).where(*self._mine).values(guarded={**guarded, **true}))
        tables = {name: merge_hits(one.get(name, []) for one in hits) for name in {n for one in hits for n in one}}
        values = {"counts": total, "hits": tables or None, "chunks": max(row.chunks for row in rows)}
        tx.execute(sa.update(run).where(run.c.id == self.claim.run_id).values(values))
        self._whole = total

    def _ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (run.c.id == self.claim.run_id, run.c.state == "running")


def journal_of(house: House, claim: Claim, holder: Claim | None = None) -> Journal:
    """Return the book of a run, or of the slice of it that is claimed."""
    return Journal(house, claim, holder) if claim.slice is None else SliceJournal(house, claim, claim.slice, holder)


def sliced(claim: Claim, row: sa.Row[Any], split: sa.Row[Any]) -> Claim:
    """Return the claim on a slice (a row of `run_slice`) of the run of a claim."""
    own = {name: getattr(row, name) for name in ("chunks", "counts", "hits", "position", "high", "token")}
    part = Slice.of_row(row, split.key, split.slices)
    return replace(claim, **own, worker=row.worker or "", slice=part)


def with_plans(tx: sa.Connection, claim: Claim) -> Iterator[Claim]:
    """Yield what of a stopped run has a chunk that was about to be written: the run itself, or slices of it."""
    planned = (run_chunk.c.run_id == claim.run_id, run_chunk.c.state == "planned")
    numbers = tx.scalars(sa.select(run_chunk.c.slice).where(*planned).order_by(run_chunk.c.no)).all()
    split = tx.execute(sa.select(run_split).where(run_split.c.run_id == claim.run_id)).one_or_none()
    for number in numbers:
        mine = (run_slice.c.run_id == claim.run_id, run_slice.c.no == number)
        row = None if number is None else tx.execute(sa.select(run_slice).where(*mine)).one()
        yield claim if row is None or split is None else sliced(claim, row, split)
