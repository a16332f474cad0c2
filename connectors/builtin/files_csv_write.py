"""Rewriting a CSV file: untouched lines as they are, changed ones with their other fields as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TextIO

import polars as pl

from connectors.builtin.files_csv_scan import Dialect, Record, Scanner
from connectors.builtin.files_overlay import Overlay, Values
from connectors.casting import cast
from connectors.value_text import PLAIN, Style

_BATCH = 10_000


class Destination:
    """A text file that knows whether its last line is ended."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.ended = True

    def write(self, text: str) -> None:
        """Write a text."""
        if text:
            self._file.write(text)
            self.ended = text.endswith(("\n", "\r"))


class CsvWriter:
    """Copies a file record by record with the changes of an overlay."""

    def __init__(
        self,
        dialect: Dialect,
        names: Sequence[str],
        styles: Mapping[str, Style],
        overlay: Overlay,
        destination: Destination,
    ) -> None:
        self.dialect = dialect
        self.names = names
        self.styles = [styles.get(name, PLAIN) for name in names]
        self.overlay = overlay
        self.destination = destination
        self._there: list[Any] = []

    def head(self, text: str) -> None:
        """Write the lines up to the names, or the names if the file has none."""
        self.destination.write(text)
        if not text and self.dialect.header:
            self._line(self.dialect.token(name) for name in self.names)

    def copy(self, scanner: Scanner) -> None:
        """Write the records of the file with their changes."""
        records = iter(scanner)
        while batch := list(islice(records, _BATCH)):
            verdicts = self.overlay.verdicts(self._keys(batch))
            for record in batch:
                values = next(verdicts) if record.cells is not None else {}
                if values is not None:
                    self.destination.write(self._changed(record, values) if values else record.text)

    def append(self) -> None:
        """Write the new records."""
        known = pl.Series(self._there, dtype=self.overlay.schema[self.overlay.key].dtype)
        for record in self.overlay.new(self.overlay.schema, known).iter_rows(named=True):
            self._line(self._token(number, record.get(name)) for number, name in enumerate(self.names))

    def _keys(self, batch: Sequence[Record]) -> list[Any]:
        cells = [record.cells for record in batch if record.cells is not None]
        place = self.names.index(self.overlay.key)
        text = pl.Series(self.overlay.key, [row[place] for row in cells], pl.String)
        keys = cast(text, self.overlay.schema[self.overlay.key]).to_list()
        self._there += [key for key in keys if key in self.overlay.created]
        return keys

    def _changed(self, record: Record, values: Values) -> str:
        tokens = self.dialect.tokens(record.text) or []
        for name, value in values.items():
            number = self.names.index(name)
            tokens[number] = self._token(number, value)
        body = record.text.rstrip("\r\n")
        return self.dialect.delimiter.join(tokens) + record.text[len(body) :]

    def _token(self, number: int, value: Any) -> str:
        return self.dialect.token(self.styles[number].text(value))

    def _line(self, tokens: Iterable[str]) -> None:
        if not self.destination.ended:
            self.destination.write(self.dialect.newline)
        self.destination.write(self.dialect.delimiter.join(tokens) + self.dialect.newline)
