"""What every file format offers, so that reading, sampling and writing need not know which one it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import polars as pl

from connectors.builtin.files_overlay import Overlay
from connectors.sampling import Sample
from connectors.spi import Reject
from rules.schema import Schema
from rules.text import Message

SAMPLE_BYTES = 32 * 1024 * 1024
"""Files up to this size are sampled as a whole."""
SAMPLE_RECORDS = 100_000
"""Of larger files, so many records are sampled."""
FIRST_BLOCK = 1024 * 1024
"""Bytes of the first block of a file that is read block by block."""


@dataclass(frozen=True)
class RawPage:
    """Some records as text columns, and where each is in the file.

    `places` are the numbers shown to people (lines, rows, records), `texts` what the records look like. `rejects` are
    those that could not be taken apart; `end` is the place of the last record looked at, `first` the number of the
    first record among the readable ones.
    """

    columns: pl.DataFrame
    places: Sequence[int]
    texts: Sequence[str]
    rejects: list[Reject]
    end: int
    first: int
    named: str = ""
    """How its places are named, if not as those of the file."""


class Texts(Sequence[str]):
    """Texts that are only made when they are asked for, by the number of their record."""

    def __init__(self, count: int, make: Callable[[int], str]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return [self._make(one) for one in range(*row.indices(self._count))]
        if not 0 <= row < self._count:
            raise IndexError(row)
        return self._make(row)


def block_bytes(size: int, seen: int, records: int, most: int) -> int:
    """Return how many bytes have about `size` records, where the `seen` ones had so many; not too few, nor too many."""
    return max(FIRST_BLOCK // 16, min(most, seen * size // max(records, 1)))


class Source(Protocol):
    """One file, opened in its format."""

    @property
    def place(self) -> str:
        """Return how a place is named: `line {}`."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """Return the columns that the file has, or None where each record has fields of its own."""

    def sample(self) -> Sample:
        """Return some or all records."""

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a place in pages; `first` is the number of the next record."""

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with a value that the format cannot hold: field and reason."""

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the file anew with the changes, everything else as it was."""
