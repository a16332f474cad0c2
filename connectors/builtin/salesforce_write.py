"""Writing many records to Salesforce by an ingest job of the Bulk API 2.0, and telling what became of each of them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from connectors.builtin.rest_objects import RestObject
from connectors.builtin.salesforce_begun import Begun, Place
from connectors.builtin.salesforce_jobs import Jobs
from connectors.casting import cast
from connectors.errors import Fatal, Unavailable
from connectors.spi import Failure, WriteResult
from connectors.value_text import PLAIN
from rules.schema import Change, FieldType, Op, Schema
from rules.text import Message, msg

LARGEST = 90_000_000
"""Bytes of one upload; Salesforce takes 150 MB of its Base64 form, which is 112 MB."""
_NULL = "#N/A"
"""How a job is told to empty a field; an empty text leaves it as it is."""
_UNFIT = frozenset({FieldType.JSON, FieldType.BINARY})
_OPERATIONS = {Op.CREATE: "insert", Op.UPDATE: "update", Op.DELETE: "delete"}
_BEGUN_ANEW = 2


@dataclass(frozen=True)
class Bulk:
    """The writes of one change by jobs."""

    jobs: Jobs
    entity: str
    described: RestObject
    schema: Schema
    external: str = ""
    begun: Begun = field(default_factory=Begun)

    def fits(self, change: Change) -> bool:
        """Tell whether a job can hold the records of a change exactly."""
        fields = [self.schema[n] for n in change.records.columns if n in self.schema]
        if any(field.type in _UNFIT for field in fields):
            return False
        texts = (change.records[f.name] for f in fields if f.type is FieldType.TEXT)
        return not any((column == _NULL).any() for column in texts)

    def write(self, changes: Sequence[Change], first: int = 0) -> WriteResult:
        """Write changes one after the other; the records that Salesforce refuses are returned.

        Args:
            changes: What is written.
            first: The place of the first change in its chunk.
        """
        failures, keys = list[Failure](), list[pl.Series | None]()
        for number, change in enumerate(changes):
            refused, made = self._written(first + number, change)
            failures += [Failure(number, row, why) for row, why in refused]
            kept = change.op is Op.CREATE and change.key in self.schema
            keys.append(pl.Series(change.key, made, self.schema[change.key].dtype) if kept else None)
        return WriteResult(tuple(failures), tuple(keys))

    def _written(self, number: int, change: Change) -> tuple[list[tuple[int, Message]], list[Any]]:
        names = [change.key] if change.op is Op.DELETE else self._names(change)
        header = [self.described.written.get(name, name) for name in names]
        rows = [tuple(map(self._text(change.op), row)) for row in change.records.select(names).iter_rows()]
        failures, keys = list[tuple[int, Message]](), list[Any]([None] * len(rows))
        for start, content, count in contents(header, rows):
            place = (number, start, hashlib.sha256(content).digest())
            told = self._done(change, place, content, header)
            for row in range(start, start + count):
                keys[row], refused = told(rows[row])
                if refused is not None:
                    failures.append((row, refused))
        return failures, keys

    def _names(self, change: Change) -> list[str]:
        """Return the fields that are written; Salesforce makes the others itself."""
        key = self.described.key if change.op is Op.UPDATE else ""
        return [n for n in change.records.columns if n == key or not self.schema[n].generated]

    def _text(self, op: Op) -> Callable[[Any], str]:
        empty = _NULL if op is Op.UPDATE else ""
        return lambda value: empty if value is None or value == "" else PLAIN.text(value) or ""

    def _done(self, change: Change, place: Place, content: bytes, header: Sequence[str]) -> Outcomes:
        asked = self._asked(change, header)
        job = self._waiting(place) or self._begun(asked, place, content)
        told = self.jobs.ended(job, doubles=asked["operation"] == "insert")
        outcomes = Outcomes(header, self._key_of(change))
        for row in self.jobs.rows(job, "successfulResults"):
            outcomes.note(row, row.get("sf__Id") or None, None)
        for row in self.jobs.rows(job, "failedResults"):
            said = self.jobs.calls.credentials.hide(row.get("sf__Error") or "-")
            outcomes.note(row, None, msg("The service refuses the record: {said}", said=said))
        if told["state"] == "JobComplete":
            return outcomes
        failed = self.jobs.failed(job, told)
        if not outcomes.any:
            raise failed
        for row in self.jobs.rows(job, "unprocessedrecords"):
            outcomes.note(row, None, msg("The record was not processed: {reason}", reason=failed.message))
        return outcomes

    def _asked(self, change: Change, header: Sequence[str]) -> dict[str, str]:
        asked = {"object": self.entity, "operation": _OPERATIONS[change.op], "contentType": "CSV", "lineEnding": "LF"}
        if change.op is Op.CREATE and self.external in header:
            return {**asked, "operation": "upsert", "externalIdFieldName": self.external}
        return asked

    def _key_of(self, change: Change) -> Callable[[str | None], Any]:
        field = self.schema[change.key]
        return lambda text: None if text is None else cast(pl.Series(field.name, [text], pl.String), field)[0]

    def _waiting(self, place: Place) -> str:
        """Return the job that was given the same when the chunk was written before, empty where none has begun."""
        job = self.begun.jobs.get(place, "")
        if job and self.jobs.told(job)["state"] == "Open":
            self.jobs.abort(job)
            return ""
        return job

    def _begun(self, asked: Mapping[str, str], place: Place, content: bytes) -> str:
        """Return a job that has begun; one that certainly has not is given up for another."""
        for attempt in range(_BEGUN_ANEW):
            job = self.begun.jobs[place] = self.jobs.make(**asked)
            try:
                self.jobs.upload(job, content)
            except Unavailable:
                if self.jobs.told(job)["state"] != "Open":
                    return job
                del self.begun.jobs[place]
                self.jobs.abort(job)
                if attempt + 1 == _BEGUN_ANEW:
                    raise
            except Fatal:
                self.jobs.abort(job)
                raise
            else:
                return job
        raise AssertionError  # pragma: no cover - the loop returns or raises


class Outcomes:
    """What became of the records of a job. They come back in any order and are known by what was sent of them.

    Records that were sent with the same values are told apart by nothing, so each gets one of their outcomes.
    """

    def __init__(self, header: Sequence[str], key: Callable[[str | None], Any]) -> None:
        self._header, self._key = header, key
        self._told: dict[tuple[str, ...], list[tuple[str | None, Message | None]]] = defaultdict(list)

    @property
    def any(self) -> bool:
        """Tell whether anything is known of any record."""
        return bool(self._told)

    def note(self, row: Mapping[str, str], key: str | None, refused: Message | None) -> None:
        """Note what a line of a result says."""
        self._told[tuple(row.get(name) or "" for name in self._header)].append((key, refused))

    def __call__(self, sent: tuple[str, ...]) -> tuple[Any, Message | None]:
        """Return the key of a record that was sent, or why it was refused."""
        told = self._told.get(sent)
        if not told:
            return None, msg("The service does not say what became of this record.")
        key, refused = told.pop()
        return self._key(key), refused


def contents(header: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Iterator[tuple[int, bytes, int]]:
    """Yield rows as CSV files that are not too large: the first row of each, its text, how many rows it has."""
    start, made = 0, _Text(header)
    for place, row in enumerate(rows):
        if made.add(row) > LARGEST and place > start:
            yield start, made.content(), place + 1 - start
            start, made = place + 1, _Text(header)
    if start < len(rows):
        yield start, made.content(), len(rows) - start


class _Text:
    """One CSV file while it is written."""

    def __init__(self, header: Sequence[str]) -> None:
        self._line = io.StringIO(newline="")
        self._writer = csv.writer(self._line, lineterminator="\n")
        self._lines: list[bytes] = []
        self._size = 0
        self.add(tuple(header))

    def add(self, row: tuple[str, ...]) -> int:
        """Write a row; return how many bytes there are."""
        self._line.seek(0)
        self._line.truncate()
        self._writer.writerow(row)
        self._lines.append(self._line.getvalue().encode())
        self._size += len(self._lines[-1])
        return self._size

    def content(self) -> bytes:
        """Return the file."""
        return b"".join(self._lines)
