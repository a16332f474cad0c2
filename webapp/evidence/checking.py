"""Checks of a sealed log together with the records of runs, whose digests stand in its events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.audit.canonical import leaf_of
from webapp.audit.findings import Kind, Report
from webapp.audit.notes import PublicKey
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


class _Watched:
    """Evidence that tells of chunks while it is read."""

    def __init__(self, log: Evidence, told: list[Chunk]) -> None:
        self._log, self._told = log, told
        self.size = log.size
        self.keys, self.checkpoints, self.strays = log.keys, log.checkpoints, log.strays

    def entries(self) -> Iterator[Entry]:
        """Yield the leaves; note which of them are chunks."""
        for entry in self._log.entries():
            event = entry.event
            if event is not None and event.get("tag") == Tag.RUN_CHUNK and leaf_of(event) == entry.leaf:
                self._told.append(_chunk(event))
            yield entry


def check(
    log: Evidence, blobs: Blobs | None, trusted: Collection[PublicKey] = (), elsewhere: Collection[str] = ()
) -> Report:
    """Verify a log and, where `blobs` gives them, the records of all runs that it tells of."""
    chunks: list[Chunk] = []
    report = verify(_Watched(log, chunks) if blobs else log, trusted, elsewhere)
    last = {(chunk.run_id, chunk.no): chunk for chunk in chunks}
    for chunk in last.values():
        for part, said in chunk.digests.items():
            _hold(report, chunk, said, blobs(f"{chunk.run_id}/{chunk.no}.{part}") if blobs else None)
    report.chunks = len(last)
    return report


def _chunk(event: Mapping[str, Any]) -> Chunk:
    after = event["after"]
    found = {"outcomes": after.get("digest"), "inputs": after.get("inputs")}
    return Chunk(event["run_id"], after["chunk"], {part: said for part, said in found.items() if said})


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


def all_blobs(tx: sa.Connection) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of all stored records of runs."""
    read = stored_blobs(tx)
    for table, part in ((run_chunk, PARTS[0]), (run_input, PARTS[1])):
        places = tx.execute(sa.select(table.c.run_id, table.c.no).order_by(table.c.run_id, table.c.no)).all()
        for run_id, number in places:
            name = f"{run_id}/{number}.{part}"
            blob = read(name)
            if blob is not None:
                yield name, blob
