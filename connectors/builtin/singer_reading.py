"""One scan of a tap's stream: from its messages to pages, and the proof that it was complete.

A tap's records are counted and chained into a digest. So a later read can start the tap anew, pass over what was taken,
and be sure that it was the same; where it was not, the read is refused and the next run begins at the first record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from connectors.builtin.singer_catalog import DELETED, Stream, unfinished
from connectors.builtin.singer_process import Running
from connectors.casting import Places, short, typed
from connectors.errors import Fatal, Retriable, Unavailable
from connectors.json_records import columns_of, decoded_or_error, encode
from connectors.spi import Page, ReadRequest
from rules.schema import FieldType
from rules.text import msg


@dataclass
class Taken:
    """What has been taken from a tap so far."""

    seen: int = 0
    digest: str = ""
    state: Any = None
    described: bool = False
    activated: bool = False
    rows: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one record."""
        self.seen += 1
        self.digest = hashlib.blake2b(self.digest.encode() + encode(row), digest_size=16).hexdigest()
        self.rows.append(row)


class Reading:
    """Reads one stream of a running tap."""

    def __init__(self, running: Running, stream: Stream, request: ReadRequest) -> None:
        self.running = running
        self.stream = stream
        self.request = request
        self.schema = request.schema
        self.taken = Taken(state=dict(request.capture.since) if request.capture and request.capture.since else None)
        self._as_json = [f.name for f in self.schema.fields if f.type is FieldType.JSON]

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position; ends without an error only if the tap came to its end.

        A full page waits for the next record, so that it knows the state that follows its last one.
        """
        taken = self.taken
        after = dict(self.request.after or {})
        behind = int(after.get("seen", 0))
        for line in self.running.lines():
            row = self._row(line)
            if row is None:
                continue
            if len(taken.rows) == self.request.page_size:
                yield self._page()
            taken.add(row)
            if taken.seen <= behind:
                taken.rows.clear()
                if taken.seen == behind and after.get("digest") != taken.digest:
                    raise self._changed()
        self._complete()
        if taken.seen < behind:
            raise self._changed()
        yield self._page()

    def _row(self, line: bytes) -> Mapping[str, Any] | None:
        """Return the record of a line; note what the other messages say."""
        message = decoded_or_error(line) if line.endswith(b"\n") else None
        if not isinstance(message, dict) or "type" not in message:
            self._noise(line)
            return None
        kind, mine = message["type"], message.get("stream") == self.stream.name
        if kind == "STATE":
            self.taken.state = message.get("value")
        if not mine:
            return None
        if kind == "RECORD":
            return self._record(message)
        self.taken.described |= kind == "SCHEMA"
        self.taken.activated |= kind == "ACTIVATE_VERSION"
        return None

    def _noise(self, line: bytes) -> None:
        if not line.strip():
            return
        if not line.endswith(b"\n"):
            self.running.end()  # what it died of says more than half a line
        raise Fatal(
            msg(
                "The tap sends a line that is no Singer message: {line}",
                line=short(line.decode("utf-8", "replace").strip(), 100),
            ),
            msg("Ask its makers to write nothing else to the standard output."),
        )

    def _record(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        row = message.get("record")
        if not self.taken.described or not isinstance(row, dict):
            raise Fatal(
                msg("The tap sends a record of '{stream}' before it has described it.", stream=self.stream.name),
                msg("Use another version of the tap."),
            )
        return row

    def _complete(self) -> None:
        """Make sure that the tap came to its end: its exit code, its last state, and its own count of records."""
        self.running.end()
        counted = self.running.counted.get(self.stream.name, self.running.counted.get(self.stream.id))
        if unfinished(self.taken.state, self.stream):
            raise self._incomplete(msg("its last state says that it has not come to the end"))
        if counted is not None and counted != self.taken.seen:
            raise self._incomplete(
                msg("it says that it has sent {told} records, and {seen} came", told=counted, seen=self.taken.seen)
            )
        if not self.taken.described:
            raise self._incomplete(msg("it never described the stream"))

    def _incomplete(self, why: Any) -> Retriable:
        return Unavailable(
            msg("The tap ended before all records of '{stream}' were there: {why}.", stream=self.stream.id, why=why),
            msg("Nothing counts as deleted. Try again, and look into what the tap says."),
            object_name=self.stream.id,
        )

    def _changed(self) -> Fatal:
        return Fatal(
            msg("The records of '{stream}' have changed since the read was stopped.", stream=self.stream.id),
            msg("Start the run again; it begins at the first record."),
            object_name=self.stream.id,
        )

    def _page(self) -> Page:
        taken = self.taken
        rows, position = taken.rows, {"seen": taken.seen, "digest": taken.digest}
        first = taken.seen - len(rows) + 1
        taken.rows = []
        if self.request.capture is None:
            kept = [row for row in rows if not row.get(DELETED)]
            return self._typed(kept, position, first)
        key = self.request.capture.key
        last = {encode(row.get(key)): row for row in rows}.values()  # the last word of each key
        gone = [row for row in last if row.get(DELETED)]
        page = self._typed([row for row in last if not row.get(DELETED)], position, first)
        deleted = self._gone(gone, key) if gone else None
        emptied = taken.activated and self.request.capture.since is not None
        captured = taken.state if isinstance(taken.state, dict) else {}
        return Page(page.records, position, page.rejects, first, deleted=deleted, captured=captured, emptied=emptied)

    def _typed(self, rows: list[Mapping[str, Any]], position: Mapping[str, Any], first: int) -> Page:
        if not rows:
            return Page(self.schema.empty(), position, first=first)
        places = Places(lambda row: f"record {first + row}", lambda row: short(encode(rows[row]).decode(), 300))
        frame, rejects, _ = typed(columns_of(rows, self.schema.names, self._as_json), self.schema, places)
        return Page(frame, position, tuple(rejects), first)

    def _gone(self, rows: list[Mapping[str, Any]], key: str) -> pl.DataFrame:
        """Return deleted records by their keys; their other fields are not known."""
        alone = self.schema.select((key,))
        places = Places(lambda row: f"deleted record {row + 1}", lambda row: encode(rows[row].get(key)).decode())
        known, rejects, _ = typed(columns_of(rows, (key,)), alone, places)
        if rejects:
            raise Fatal(rejects[0].message, msg("Correct the key of the rule."), object_name=self.stream.id)
        empty = (pl.lit(None, dtype=kind).alias(name) for name, kind in self.schema.dtypes().items() if name != key)
        return known.with_columns(*empty).select(self.schema.names)
