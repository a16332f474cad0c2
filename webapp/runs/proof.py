"""The proof that a run is complete: where every record went, and digests by which anybody can check what is stored.

A run's digest is a chain over those of its chunks, `d(n) = SHA-256(d(n-1) + digest of chunk n)`, begun with the run's
number, so that no chunk can be changed, dropped or moved without changing it. Each chunk's digest also stands in the
audit log, written in the transaction that checked the chunk in.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.reconcile.situations import Outcome
from rules.text import Message, msg
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.chunk import COUNTED, add_counts
from webapp.runs.pipeline.codec import digest, unpack
from webapp.runs.reading import RunRow

ADDED = tuple(name for name in COUNTED if name != Outcome.DELETED)
"""The outcomes that add up to what was read; deleted records were not read."""


@dataclass(frozen=True)
class ChunkLine:
    """A finished chunk: how many records it holds, its digest, and the chain's digest behind it."""

    no: int
    records: int
    counts: dict[str, int]
    digest: str
    chain: str


@dataclass(frozen=True)
class Proof:
    """What the chunks say of themselves; `left_out` are records out of scope that the source did not send."""

    counts: dict[str, int]
    chunks: tuple[ChunkLine, ...]
    left_out: int
    digest: str
    agrees: bool

    @property
    def added(self) -> int:
        """Return what the outcomes of the records read add up to."""
        return sum(self.counts[name] for name in ADDED)


@dataclass(frozen=True)
class Gone:
    """Where records went: the side read, what was found for them, what became of them, how many they are."""

    side: str
    situation: str
    outcome: str
    records: int


@dataclass
class Recount:
    """What the stored chunks hold: where every record went, their digest, and what does not match."""

    rows: list[Gone] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    deleted: int = 0
    digest: str = ""
    problems: list[Message] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the recount as the API shows it."""
        rows = [
            {"side": r.side, "situation": r.situation, "outcome": r.outcome, "records": r.records} for r in self.rows
        ]
        return {
            "matches": not self.problems,
            "problems": [str(problem) for problem in self.problems],
            "digest": self.digest,
            "read": self.read,
            "records": rows,
        }


def _chain(before: str, own: str) -> str:
    return hashlib.sha256(bytes.fromhex(before) + bytes.fromhex(own)).hexdigest()


def _start(run_id: int) -> str:
    return hashlib.sha256(f"run {run_id}".encode()).hexdigest()


def proof(tx: sa.Connection, row: RunRow) -> Proof:
    """Return what a run's chunks say of themselves; the chunks as such are not read."""
    names = ("no", "records", "counts", "digest")
    query = sa.select(*(run_chunk.c[name] for name in names)).where(
        run_chunk.c.run_id == row.id, run_chunk.c.state == "done"
    )
    chain, lines = _start(row.id), []
    for found in tx.execute(query.order_by(run_chunk.c.no)):
        chain = _chain(chain, found.digest)
        lines.append(ChunkLine(found.no, found.records, add_counts([found.counts]), found.digest, chain))
    total = add_counts([line.counts for line in lines])
    left_out = total["read"] - sum(line.records for line in lines)
    agrees = total == row.counts and total["read"] == sum(total[name] for name in ADDED)
    return Proof(total, tuple(lines), left_out, chain, agrees)


def recount(tx: sa.Connection, row: RunRow) -> Recount:
    """Read all stored chunks of a run, count their records anew and compare their digests with all that is noted."""
    found, rows, read = Recount(), Counter[tuple[str, str, str]](), Counter[str]()
    known = proof(tx, row)
    noted = _audited(tx, row.id)
    chain = _start(row.id)
    for line, blob in _stored(tx, row.id, known):
        own = digest(blob)
        chain = _chain(chain, own)
        if own != line.digest:
            found.problems.append(msg("The stored records of part {number} have been changed.", number=line.no))
            continue
        if noted.get(line.no) != own:
            found.problems.append(
                msg("The audit log knows part {number} with another digest, or not at all.", number=line.no)
            )
        outcomes = unpack(blob)["outcomes"]
        if not _fits(outcomes, line):
            found.problems.append(msg("The counts of part {number} do not fit its records.", number=line.no))
        for side, situation, outcome, was_read, number in _grouped(outcomes).iter_rows():
            if was_read:
                rows[side or "left", situation or "none", outcome] += number
                read[side or "left"] += number
            else:
                found.deleted += number
    if not known.agrees:
        found.problems.append(msg("The counts of the run are not the sum of its parts."))
    found.rows = [Gone(*key, number) for key, number in sorted(rows.items(), key=lambda item: (item[0][0], -item[1]))]
    found.read, found.digest = dict(read), chain
    return found


def _stored(tx: sa.Connection, run_id: int, known: Proof) -> Iterator[tuple[ChunkLine, bytes]]:
    for line in known.chunks:
        mine = (run_chunk.c.run_id == run_id, run_chunk.c.no == line.no)
        yield line, tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine)) or b""


def _audited(tx: sa.Connection, run_id: int) -> dict[int, str]:
    mine = (audit_event.c.run_id == run_id, audit_event.c.tag == Tag.RUN_CHUNK)
    told = tx.scalars(sa.select(audit_event.c.after).where(*mine).order_by(audit_event.c.id))
    return {after["chunk"]: after["digest"] for after in told}


def _fits(outcomes: pl.DataFrame, line: ChunkLine) -> bool:
    left_out = line.counts["read"] - line.records
    found = dict(outcomes["outcome"].value_counts().iter_rows())
    found[Outcome.SKIPPED] = found.get(Outcome.SKIPPED, 0) + left_out
    same = all(found.get(name, 0) == line.counts[name] for name in COUNTED)
    return same and outcomes["record_no"].count() == line.records


def _grouped(outcomes: pl.DataFrame) -> pl.DataFrame:
    known = outcomes.with_columns(was_read=pl.col("record_no").is_not_null())
    return known.group_by("side", "situation", "outcome", "was_read").len()
