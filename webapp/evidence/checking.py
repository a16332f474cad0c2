"""Checks of a sealed log together with the records of runs, whose digests stand in its events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.audit.canonical import leaf_of, stamp
from webapp.audit.findings import Kind, Report
from webapp.audit.models import audit_event
from webapp.audit.notes import PublicKey
from webapp.audit.sealing import unsealed
from webapp.audit.tags import Tag
from webapp.audit.verification import Entry, Evidence, verify
from webapp.runs.models import run_chunk, run_input
from webapp.runs.pipeline.codec import digest

PARTS = ("outcomes", "inputs")
Blobs = Callable[[str], bytes | None]
"""Name of a part, such as `17/3.outcomes`, -> its bytes; None where it is not stored."""


@dataclass
class Chunk:
    """What the sealed log says of a chunk's records."""

    run_id: int
    no: int
    digests: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A part of a run whose records are stored; without a time where that is not known."""

    run_id: int
    no: int
    at: datetime | None = None


class _Watched:
    """Evidence that tells of chunks while it is read."""

    def __init__(self, log: Evidence, told: _Told) -> None:
        self._log, self._told = log, told
        self.size = log.size
        self.keys, self.checkpoints, self.strays, self.pending = log.keys, log.checkpoints, log.strays, log.pending

    def entries(self) -> Iterator[Entry]:
        """Yield the leaves; note which of them are chunks."""
        for entry in self._log.entries():
            event = entry.event
            if event is not None and event.get("tag") == Tag.RUN_CHUNK and leaf_of(event) == entry.leaf:
                self._told.take(entry.event_id, event)
            yield entry


class _Told:
    """What the events say of chunks; a chunk is checked in once, so no two events say different things of it."""

    def __init__(self) -> None:
        self.chunks: dict[tuple[int, int], Chunk] = {}
        self.doubtful: dict[tuple[int, int], None] = {}
        self.unreadable: list[int] = []

    def take(self, event_id: int, event: Mapping[str, Any]) -> None:
        """Note what an event says."""
        found = _chunk(event)
        if found is None:
            self.unreadable.append(event_id)
        elif self.chunks.setdefault((found.run_id, found.no), found).digests != found.digests:
            self.doubtful[found.run_id, found.no] = None

    def tell(self, report: Report) -> None:
        """Report what does not fit."""
        for event_id in self.unreadable:
            text = "Event {id} does not say of which part of a run it tells, or what its records were."
            report.add(Kind.RUN_CHANGED, msg(text, id=event_id))
        for run_id, number in self.doubtful:
            text = "Events say different things of part {no} of run {run}, which can be written only once."
            report.add(Kind.RUN_CHANGED, msg(text, run=run_id, no=number))


def check(
    log: Evidence,
    blobs: Blobs | None,
    trusted: Collection[PublicKey] = (),
    elsewhere: Collection[str] = (),
    rows: Iterable[Row] = (),
) -> Report:
    """Verify a log and, where `blobs` and `rows` give them, the records of all runs that it tells of."""
    told = _Told()
    report = verify(_Watched(log, told) if blobs else log, trusted, elsewhere)
    told.tell(report)
    for chunk in told.chunks.values():
        for part, said in chunk.digests.items():
            _hold(report, chunk, said, blobs(f"{chunk.run_id}/{chunk.no}.{part}") if blobs else None)
    for row in rows:
        if (row.run_id, row.no) not in told.chunks and not _may_be_removed(report, row):
            text = "No event tells of part {no} of run {run}, though its records are there."
            report.add(Kind.RUN_CHANGED, msg(text, run=row.run_id, no=row.no))
    report.chunks = len(told.chunks)
    return report


def _may_be_removed(report: Report, row: Row) -> bool:
    """Tell whether the retention may have removed the event of a part."""
    return bool(report.removed_until) and (row.at is None or stamp(row.at) < report.removed_until)


def _chunk(event: Mapping[str, Any]) -> Chunk | None:
    """Return what an event says of a chunk; None where it is not what the sealed log writes."""
    after, run_id = event.get("after"), event.get("run_id")
    if not isinstance(after, Mapping):
        return None
    number, found = after.get("chunk"), {"outcomes": after.get("digest"), "inputs": after.get("inputs")}
    known = {part: said for part, said in found.items() if isinstance(said, str) and said}
    misfit = any(said and part not in known for part, said in found.items())
    if not _number(run_id, 2**63) or not _number(number, 2**31) or "outcomes" not in known or misfit:
        return None
    return Chunk(int(run_id or 0), int(number or 0), known)


def _number(value: object, end: int) -> bool:
    return type(value) is int and 0 <= value < end


def _hold(report: Report, chunk: Chunk, said: str, blob: bytes | None) -> None:
    names = {"run": chunk.run_id, "no": chunk.no}
    if blob is None:
        report.add(Kind.RUN_MISSING, msg("The records of part {no} of run {run} are not there any more.", **names))
    elif digest(blob) != said:
        report.add(Kind.RUN_CHANGED, msg("The records of part {no} of run {run} were changed.", **names))


def stored_blobs(tx: sa.Connection) -> Blobs:
    """Return the records of runs in the database."""

    def read(name: str) -> bytes | None:
        run_id, _, rest = name.partition("/")
        number, _, part = rest.partition(".")
        table, column = (run_chunk, run_chunk.c.outcomes) if part == PARTS[0] else (run_input, run_input.c.blob)
        mine = (table.c.run_id == int(run_id), table.c.no == int(number))
        return tx.scalar(sa.select(column).where(*mine))

    return read


def stored_rows(tx: sa.Connection) -> Iterator[Row]:
    """Yield the parts of runs that are stored, but for those whose events wait to be sealed."""
    waiting = _waiting(tx)
    query = sa.select(run_chunk.c.run_id, run_chunk.c.no, run_chunk.c.at).where(run_chunk.c.state == "done")
    for run_id, number, at in tx.execute(query.order_by(run_chunk.c.run_id, run_chunk.c.no)):
        if (run_id, number) not in waiting:
            yield Row(run_id, number, at)


def _waiting(tx: sa.Connection) -> set[tuple[int, int]]:
    columns = (audit_event.c.run_id, audit_event.c.after)
    rows = tx.execute(unsealed(*columns).where(audit_event.c.tag == Tag.RUN_CHUNK)).mappings()
    found = (_chunk(row) for row in rows)  # type: ignore[arg-type]
    return {(chunk.run_id, chunk.no) for chunk in found if chunk}


def all_blobs(tx: sa.Connection) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of all stored records of runs, but for those whose events wait to be sealed."""
    read, waiting = stored_blobs(tx), _waiting(tx)
    for table, part in ((run_chunk, PARTS[0]), (run_input, PARTS[1])):
        places = tx.execute(sa.select(table.c.run_id, table.c.no).order_by(table.c.run_id, table.c.no)).all()
        for run_id, number in places:
            if (run_id, number) in waiting:
                continue
            name = f"{run_id}/{number}.{part}"
            blob = read(name)
            if blob is not None:
                yield name, blob
