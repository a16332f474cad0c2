"""Parquet files: read in pages with their own types, rewritten with everything that is not changed as it was.

Values are exact: decimals keep their digits, moments are given in UTC, and what does not fit (fractions below a
microsecond, whole numbers beyond 64 bits) is put aside instead of being rounded. Nested columns are refused in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.builtin.files_format import SAMPLE_BYTES, SAMPLE_RECORDS, RawPage, Texts
from connectors.builtin.files_options import Options
from connectors.builtin.files_overlay import Overlay
from connectors.builtin.files_parquet_types import column_of, exact, field_of, raw, shown, type_of
from connectors.builtin.files_parquet_write import ParquetWriter, unstorable
from connectors.casting import short
from connectors.errors import Fatal, Misconfigured
from connectors.sampling import Sample
from connectors.spi import Reject
from rules.schema import Field, Schema
from rules.text import Message, msg

_PAGE = 10_000


class ParquetFile:
    """One Parquet file; places are the numbers of the records."""

    place = "record {}"

    def __init__(self, path: Path, options: Options) -> None:
        """Look at the end of the file, where its columns are described; raises `Fatal` or `Misconfigured`."""
        del options  # the file says it all
        self.path = path
        with self._readable(), self._opened() as file:
            self._arrow = file.schema_arrow if file else pa.schema([])
        names = self._arrow.names
        if len(set(names)) < len(names):
            raise Fatal(
                msg("The file '{name}' has several columns with the same name.", name=path.name),
                msg("Write it again with a name for each."),
                object_name=path.name,
            )
        self.names: tuple[str, ...] = tuple(names)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Return the columns as fields; raises `Misconfigured` for one that is nested."""
        return tuple(self._field(column) for column in self._arrow)

    def sample(self) -> Sample:
        """Return the whole file as text if it is small, else its first records."""
        whole = self.path.stat().st_size <= SAMPLE_BYTES
        frames, seen = [pl.DataFrame({f.name: pl.Series([], dtype=pl.String) for f in self.fields})], 0
        for page in self.pages(Schema(self.fields), 0, 1, _PAGE):
            frames.append(page.columns.select(shown(column) for column in page.columns))
            seen += page.columns.height
            if not whole and seen >= SAMPLE_RECORDS:
                return Sample(pl.concat(frames), complete=False)
        return Sample(pl.concat(frames))

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a number; a column is typed where the file has it as the schema wants it."""
        wanted = [name for name in schema.names if name in self.names]
        with self._readable(), self._opened() as file:
            for before, table in self._tables(file, wanted or list(self.names[:1]), size, after) if file else ():
                page = self._page(table, schema, before, first)
                first += page.columns.height
                yield page

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with a value that the columns of the file cannot hold."""
        return unstorable(records, self._arrow)

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the file anew with the changes: the same columns, types, compression and notes."""
        with self._readable(), self._opened() as file:
            schema = self._arrow if self.names else pa.schema([(f.name, type_of(f)) for f in overlay.schema.fields])
            with ParquetWriter(target, schema, file.metadata if file else None) as writer:
                for group in range(file.num_row_groups) if file else ():
                    key = self._field(self._arrow.field(overlay.key))
                    writer.copy(file.read_row_group(group), overlay, key)  # type: ignore[union-attr]
                writer.append(overlay)

    def _tables(self, file: pq.ParquetFile, wanted: list[str], size: int, after: int) -> Iterator[tuple[int, pa.Table]]:
        """Yield tables of records with the number before their first one."""
        start = 0
        for group in range(file.num_row_groups):
            number, start = start, start + file.metadata.row_group(group).num_rows
            for batch in file.iter_batches(size, row_groups=[group], columns=wanted) if start > after else ():
                skipped = min(max(after - number, 0), batch.num_rows)
                if skipped < batch.num_rows:
                    yield number + skipped, pa.Table.from_batches([batch]).slice(skipped)
                number += batch.num_rows

    def _page(self, table: pa.Table, schema: Schema, before: int, first: int) -> RawPage:
        height, columns = table.num_rows, []
        bad: dict[int, tuple[str, str]] = {}
        for field in schema.fields:
            if field.name not in table.column_names:
                columns.append(pl.Series(field.name, [None] * height, pl.String))
                continue
            own = self._field(self._arrow.field(field.name))
            given = column_of(table.column(field.name), field.name)
            done = exact(given, own)
            for row in (given.is_not_null() & done.is_null()).arg_true().to_list():
                bad.setdefault(row, (field.name, raw(given[row : row + 1])))
            columns.append(done if done.dtype == field.dtype else shown(done))
        frame = pl.DataFrame(columns)
        rejects = [
            Reject(self.place.format(before + row + 1), short(value, 300), _inexact(name, value), name)
            for row, (name, value) in sorted(bad.items())
        ]
        rows = [row for row in range(height) if row not in bad]
        kept = frame[rows] if bad else frame
        places = [before + row + 1 for row in rows]
        return RawPage(kept, places, Texts(kept.height, partial(_shown, kept)), rejects, before + height, first)

    def _field(self, column: pa.Field) -> Field:
        found = field_of(column)
        if found is None:
            raise Misconfigured(
                msg("The column '{field}' of the file '{name}' is nested ({kind}), which cannot be read.",
                    field=column.name, name=self.path.name, kind=short(str(column.type), 60)),
                msg("Write the file with plain columns, or as JSON lines."),
                object_name=self.path.name,
            )  # fmt: skip
        return found

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile | None]:
        if not self.path.stat().st_size:
            yield None
            return
        with pq.ParquetFile(self.path, memory_map=False) as file:
            yield file

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowException as error:
            raise Fatal(
                msg("The file '{name}' is not a readable Parquet file: {problem}.",
                    name=self.path.name, problem=short(str(error).rstrip("."), 200)),
                msg("Write the file again."),
                object_name=self.path.name,
            ) from error  # fmt: skip


def _shown(frame: pl.DataFrame, row: int) -> str:
    return " | ".join("" if value is None else str(value) for value in frame.row(row))


def _inexact(name: str, value: str) -> Message:
    return msg("Field '{field}' holds '{value}', which cannot be kept exactly.", field=name, value=short(value, 60))
