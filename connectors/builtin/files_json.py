"""JSON and JSON lines files: numbers exact, nested values as JSON, untouched records rewritten as they were."""

from __future__ import annotations

import codecs
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import polars as pl

from connectors.builtin.files_format import FIRST_BLOCK, SAMPLE_BYTES, SAMPLE_RECORDS, RawPage, Texts, block_bytes
from connectors.builtin.files_json_lines import Lines
from connectors.builtin.files_json_write import JsonWriter
from connectors.builtin.files_options import Options
from connectors.builtin.files_overlay import Overlay
from connectors.casting import short
from connectors.errors import Fatal, Misconfigured
from connectors.json_records import columns_of, decoded_or_error, sample_of
from connectors.sampling import Sample
from connectors.spi import Reject
from connectors.value_text import styles_of
from rules.schema import FieldType, Schema
from rules.text import Message, msg

LARGEST = 512 * 1024 * 1024
_STYLE_RECORDS = 1_000
_MOST = 32 * 1024 * 1024
_SEEN = 65536
"""Bytes by which the length of a line is judged."""
Place = tuple[int, bytes]


class JsonRecords(ABC):
    """What both formats share: records that are JSON objects."""

    place = "record {}"
    names: tuple[str, ...] | None = None

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.options = options

    @abstractmethod
    def raw(self, after: int = 0) -> Iterator[Place]:
        """Yield place and text of each record behind a place."""

    @abstractmethod
    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the file anew with the changes."""

    def sample(self) -> Sample:
        """Return the whole file if it is small, else its first records."""
        whole = self.path.stat().st_size <= SAMPLE_BYTES
        records = islice(self.raw(), None if whole else SAMPLE_RECORDS)
        return sample_of([r for _, text in records if isinstance(r := decoded_or_error(text), dict)], complete=whole)

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a place."""
        as_json = [field.name for field in schema.fields if field.type is FieldType.JSON]
        records = self.raw(after)
        while found := list(islice(records, size)):
            page = self._page(found, schema, as_json, first)
            first += page.columns.height
            yield page

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with numbers that JSON does not have."""
        found: dict[int, tuple[str, Message]] = {}
        for column in records.select(pl.col(pl.Float64)):
            for row, value in enumerate(column):
                if value is not None and not math.isfinite(value):
                    found[row] = (column.name, _no_number(column.name, value))
        return found

    def writer(self, overlay: Overlay) -> JsonWriter:
        """Return what writes records the way the file's others are written."""
        first = islice(self.raw(), _STYLE_RECORDS)
        sample = sample_of([r for _, text in first if isinstance(r := decoded_or_error(text), dict)], complete=False)
        return JsonWriter(overlay, styles_of(sample), sample.kinds)

    def _page(self, found: Sequence[Place], schema: Schema, as_json: Sequence[str], first: int) -> RawPage:
        good: list[Mapping[str, Any]] = []
        places: list[int] = []
        texts: list[str] = []
        rejects: list[Reject] = []
        for place, text in found:
            record = decoded_or_error(text)
            if isinstance(record, dict):
                good.append(record)
                places.append(place)
                texts.append(text.decode(errors="replace"))
            else:
                shown = short(text.decode(errors="replace"), 300)
                rejects.append(Reject(self.place.format(place), shown, _no_record(record)))
        columns = columns_of(good, schema.names, as_json)
        return RawPage(columns, places, texts, rejects, found[-1][0] if found else 0, first)


class JsonLinesFile(JsonRecords):
    """A file with one JSON object a line, read with bounded memory; places are line numbers."""

    place = "line {}"

    def raw(self, after: int = 0) -> Iterator[Place]:
        """Yield line number and text of each line that is not blank."""
        with self.path.open("rb") as file:
            for number, line in enumerate(_without_mark(file), 1):
                if number > after and line.strip():
                    yield number, line.rstrip(b"\r\n")

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a line, those of a page at once where each is what its fields want."""
        lines = Lines(schema)
        as_json = [field.name for field in schema.fields if field.type is FieldType.JSON]
        for text in self._texts(after, size):
            taken = cache(BytesIO(text).readlines)
            columns = lines.block(text)
            for start in range(0, len(taken()) if columns is None else columns.height, size):
                if columns is None:
                    page = self._closely(lines, taken()[start : start + size], after, as_json)
                else:
                    page = _page_of(columns.slice(start, size), after, partial(_line, taken, start))
                after = page.end
                yield replace(page, first=first)
                first += page.columns.height

    def _texts(self, after: int, size: int) -> Iterator[bytes]:
        """Yield whole lines behind a line, about `size` at a time."""
        left, wanted = b"", FIRST_BLOCK
        with self.path.open("rb") as file:
            file.seek(len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0)
            for _ in islice(file, after):
                pass
            while data := file.read(wanted):
                end = data.rfind(b"\n") + 1
                if not end:
                    left += data
                    continue
                yield left + data[:end]
                left = data[end:]
                wanted = block_bytes(size, min(end, _SEEN), data.count(b"\n", 0, _SEEN), _MOST)
        if left:
            yield left

    def _closely(self, lines: Lines, taken: list[bytes], after: int, as_json: Sequence[str]) -> RawPage:
        columns = lines.columns(taken)
        if columns is not None:
            return _page_of(columns, after, partial(_line, lambda: taken, 0))
        found = [(n, line.rstrip(b"\r\n")) for n, line in enumerate(taken, after + 1) if line.strip()]
        return replace(self._page(found, lines.schema, as_json, 0), end=after + len(taken))

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the file anew: untouched lines as they are, new records behind them."""
        writer = self.writer(overlay)
        with target.open("wb") as file:
            for text in writer.copy(text for _, text in self.raw()):
                file.write(text + b"\n")
            for text in writer.new():
                file.write(text + b"\n")


class JsonFile(JsonRecords):
    """A JSON document with a list of records; places are the numbers of the records.

    The document is held in memory as a whole, its records are taken apart page by page.
    """

    def raw(self, after: int = 0) -> Iterator[Place]:
        """Yield number and text of each record."""
        records = self._list(self._levels()[-1])
        for number, record in enumerate(islice(records, after, None), after + 1):
            yield number, bytes(record)

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the document anew: what is around the list and untouched records as they are."""
        writer = self.writer(overlay)
        levels = self._levels()
        texts = [*writer.copy(bytes(raw) for raw in self._list(levels[-1])), *writer.new()]
        inner = b"[" + b",".join(b"\n" + text for text in texts) + b"\n]"
        for part, level in zip(reversed(self._parts()), reversed(levels[:-1]), strict=True):
            members = msgspec.json.decode(level or b"{}", type=dict[str, msgspec.Raw])
            members[part] = msgspec.Raw(inner)
            inner = msgspec.json.encode(members)
        target.write_bytes((inner + b"\n").decode().encode(self._codec))

    def _parts(self) -> list[str]:
        return [part for part in self.options.records_path.split(".") if part]

    def _levels(self) -> list[bytes]:
        """Return the document, what the first part of the path leads to, and so on to the list of records."""
        levels = [self._document()]
        for part in self._parts():
            members = self._decode(levels[-1] or b"{}", dict[str, msgspec.Raw])
            if levels[-1] and part not in members:
                raise self._no_list(part)
            levels.append(bytes(members.get(part, b"")))
        return levels

    def _list(self, text: bytes) -> list[msgspec.Raw]:
        found: list[msgspec.Raw] = self._decode(text or b"[]", list[msgspec.Raw])
        return found

    def _decode(self, text: bytes, kind: Any) -> Any:
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.ValidationError as error:
            raise self._no_list(self.options.records_path) from error
        except msgspec.DecodeError as error:
            raise self._broken(error) from error

    def _document(self) -> bytes:
        size = self.path.stat().st_size
        if size > LARGEST:
            raise Fatal(
                msg("The file '{name}' is too large for JSON: {size} MB.", name=self.path.name, size=size // 1024**2),
                msg("Ask for JSON lines, which can be of any size."),
                object_name=self.path.name,
            )
        data = self.path.read_bytes()
        try:
            return data.decode(self._codec).encode().strip()
        except UnicodeError as error:
            raise self._broken(error) from error

    @property
    def _codec(self) -> str:
        with self.path.open("rb") as file:
            begin = file.read(4)
        if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        return "utf-8-sig" if begin.startswith(codecs.BOM_UTF8) else "utf-8"

    def _no_list(self, path: str) -> Misconfigured:
        return Misconfigured(
            msg("There is no list of records at '{path}' in the file '{name}'.", path=path, name=self.path.name),
            msg("Correct the path to the records in the connection's settings."),
            object_name=self.path.name,
        )

    def _broken(self, error: Exception) -> Fatal:
        return Fatal(
            msg("The file '{name}' is not valid JSON: {problem}.", name=self.path.name, problem=str(error)),
            msg("Write the file again, or correct it at that place."),
            object_name=self.path.name,
        )


def _line(taken: Callable[[], list[bytes]], start: int, row: int) -> str:
    return taken()[start + row].rstrip(b"\r\n").decode(errors="replace")


def _page_of(columns: pl.DataFrame, after: int, text: Callable[[int], str]) -> RawPage:
    end = after + columns.height
    return RawPage(columns, range(after + 1, end + 1), Texts(columns.height, text), [], end, 0)


def _without_mark(file: BinaryIO) -> Iterator[bytes]:
    for number, line in enumerate(file):
        yield line.removeprefix(codecs.BOM_UTF8) if number == 0 else line


def _no_record(value: Any) -> Message:
    if isinstance(value, Exception):
        return msg("This is not valid JSON: {problem}.", problem=str(value))
    return msg("This is not a JSON object with fields.")


def _no_number(field: str, value: float) -> Message:
    return msg("Field '{field}': {value} is no number that JSON has.", field=field, value=str(value))
