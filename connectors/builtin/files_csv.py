"""CSV files: read in pages with bounded memory, rewritten with every untouched line as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import polars as pl

from connectors.builtin.files_csv_blocks import Blocks, is_bytewise
from connectors.builtin.files_csv_dialect import dialect_of, opened
from connectors.builtin.files_csv_scan import Record, Scanner
from connectors.builtin.files_csv_write import CsvWriter, Destination
from connectors.builtin.files_format import SAMPLE_BYTES, SAMPLE_RECORDS, RawPage
from connectors.builtin.files_options import Options
from connectors.builtin.files_overlay import Overlay
from connectors.casting import SHOWN, short
from connectors.errors import Fatal
from connectors.sampling import Sample
from connectors.spi import Reject
from connectors.value_text import styles_of
from rules.schema import Schema
from rules.text import Message, msg

_PAGE = 10_000
_STYLE_RECORDS = 1_000


class CsvFile:
    """One CSV file; places are line numbers."""

    place = "line {}"

    def __init__(self, path: Path, options: Options) -> None:
        """Look at the beginning of the file; raises `Fatal` if that cannot be read."""
        self.path = path
        try:
            self.dialect = dialect_of(path, options)
            first, self._head_end = self._first_record()
        except UnicodeError as error:
            raise self._undecodable(error) from error
        if not self.dialect.header:
            self._head_end = 0
        self.names: tuple[str, ...] = names_of_columns(first, header=self.dialect.header)

    def sample(self) -> Sample:
        """Return the whole file if it is small, else its first records."""
        whole = self.path.stat().st_size <= SAMPLE_BYTES
        frames, seen = [self._frame([])], 0
        for page in self.pages(Schema(()), 0, 1, _PAGE):
            frames.append(page.columns)
            seen += page.columns.height
            if not whole and seen >= SAMPLE_RECORDS:
                return Sample(pl.concat(frames), complete=False)
        return Sample(pl.concat(frames))

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a line."""
        begin = max(after, self._head_end)
        if is_bytewise(self.dialect, len(self.names)):
            yield from self._blocks(schema, begin, first, size)
            return
        try:
            with opened(self.path, self.dialect.encoding) as file:
                for _ in islice(file, begin):
                    pass
                scanner = Scanner(file, self.dialect, len(self.names), begin)
                records = iter(scanner)
                while found := list(islice(records, size)):
                    page = self._page(found, first, scanner.line)
                    first += page.columns.height
                    yield page
        except UnicodeError as error:
            raise self._undecodable(error) from error

    def _blocks(self, schema: Schema, begin: int, first: int, size: int) -> Iterator[RawPage]:
        blocks = Blocks(self.path, self.dialect, self.names, schema)
        for part in blocks.parts(begin, size):
            page = self._page(part, first, blocks.line) if isinstance(part, list) else replace(part, first=first)
            first += page.columns.height
            yield page

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with characters that the file's encoding does not have."""
        encoding = self.dialect.encoding
        if encoding.startswith(("utf", "gb18030")):
            return {}
        found: dict[int, tuple[str, Message]] = {}
        for column in records.select(pl.col(pl.String)):
            for row, value in enumerate(column):
                if value is not None and value.encode(encoding, "ignore").decode(encoding) != value:
                    found[row] = (column.name, _no_character(column.name, value, encoding))
        return found

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the file anew: untouched lines as they are, changed ones with their other fields as they are."""
        page = next(self.pages(Schema(()), 0, 1, _STYLE_RECORDS), None)
        styles = styles_of(Sample(page.columns if page else self._frame([])))
        names = self.names or overlay.schema.names
        errors = "strict" if self.dialect.encoding.startswith("utf-16") else "surrogateescape"
        with (
            opened(self.path, self.dialect.encoding) as source,
            target.open("w", encoding=self.dialect.encoding, errors=errors, newline="") as file,
        ):
            writer = CsvWriter(self.dialect, names, styles, overlay, Destination(file))
            writer.head("".join(islice(source, self._head_end)))
            writer.copy(Scanner(source, self.dialect, len(names), self._head_end))
            writer.append()

    def _first_record(self) -> tuple[Sequence[str | None], int]:
        """Return the values of the first record, which may be the names, and the line where it ends."""
        with opened(self.path, self.dialect.encoding) as file:
            scanner = Scanner(file, self.dialect)
            for record in scanner:
                if record.cells is not None:
                    return record.cells, scanner.line
                if record.problem and self.dialect.header:
                    raise self._no_names(record.problem)
        return (), 0

    def _page(self, found: Sequence[Record], first: int, end: int) -> RawPage:
        good = [record for record in found if record.cells is not None]
        texts = [record.text.rstrip("\r\n") for record in good]
        rejects = [
            Reject(self.place.format(r.line), short(r.text.rstrip("\r\n"), 300), r.problem) for r in found if r.problem
        ]
        columns = self._frame([record.cells or [] for record in good])
        return RawPage(columns, [r.line for r in good], texts, rejects, end, first)

    def _frame(self, rows: Sequence[Sequence[str | None]]) -> pl.DataFrame:
        columns = zip(*rows, strict=True) if rows else ((),) * len(self.names)
        return pl.DataFrame([pl.Series(n, c, pl.String) for n, c in zip(self.names, columns, strict=True)])

    def _no_names(self, problem: Message) -> Fatal:
        return Fatal(
            msg("The first line of '{name}' cannot be read: {problem}", name=self.path.name, problem=str(problem)),
            msg("Correct the line with the names of the columns."),
            object_name=self.path.name,
        )

    def _undecodable(self, error: UnicodeError) -> Fatal:
        return Fatal(
            msg("The file '{name}' is not {encoding} text: {problem}.",
                name=self.path.name, encoding=getattr(error, "encoding", "UTF-16"), problem=str(error)),
            msg("Choose the right encoding in the connection's settings."),
            object_name=self.path.name,
        )  # fmt: skip


def names_of_columns(cells: Sequence[str | None], *, header: bool) -> tuple[str, ...]:
    """Return the names of the columns: trimmed, filled in where there is none, and each once."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = (cell or "").strip() if header else ""
        name = name or f"column_{number}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(names)


def _no_character(field: str, value: str, encoding: str) -> Message:
    return msg(
        "Field '{field}': '{value}' has a character that a file in {encoding} cannot hold.",
        field=field, value=short(value, SHOWN), encoding=encoding,
    )  # fmt: skip
