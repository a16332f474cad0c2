"""Archives: packed files (gz, zst, bz2) and containers of files (zip, tar), read as their files one after the other.

Each file is unpacked to this server's disk while it is read. What unpacks to too much, or is packed far too well, is
refused before it fills the disk; so are names that lead out of the archive. Archives within archives are not opened.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import polars as pl
import pyarrow as pa

from connectors.builtin.files_format import RawPage, Source
from connectors.builtin.files_options import ARCHIVE, Options, archive_of
from connectors.builtin.files_overlay import Overlay
from connectors.errors import Fatal, Forbidden, Misconfigured
from connectors.sampling import Sample, together
from rules.schema import Schema
from rules.text import Message, msg

_BLOCK = 1024 * 1024
_FREE = 64 * 1024 * 1024
"""So much may come out of anything."""
_RATIO = 250
"""Behind that, this many times the size of the archive."""
_MEMBERS = 10_000
_SAMPLED = 20
_BRACES = str.maketrans({"{": "{{", "}": "}}"})
_STEP = 10**12
"""Places of the n-th file begin at n times this."""
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, pa.ArrowException,
    NotImplementedError, RuntimeError, OSError,
)  # fmt: skip
Open = Callable[[str, Path, Options], Source]


class Member(NamedTuple):
    """One file of an archive, unpacked."""

    number: int
    name: str
    path: Path


class ArchiveFile:
    """The files of an archive as one."""

    place = "record {}"
    names: tuple[str, ...] | None = None

    def __init__(self, path: Path, options: Options, opened: Open) -> None:
        """Keep what is needed to open the files; nothing is unpacked yet."""
        self.path, self.options, self._opened = path, options, opened

    def sample(self) -> Sample:
        """Return the samples of the first files together."""
        samples: list[Sample] = []
        for member in self._members(0):
            if len(samples) == _SAMPLED:
                return replace(together(samples), complete=False)
            samples.append(self._source(member).sample())
        return together(samples)

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records of all files behind a place."""
        begin = after // _STEP
        for member in self._members(begin):
            source, offset = self._source(member), member.number * _STEP
            inside = after - offset if member.number == begin else 0
            for page in source.pages(schema, inside, first, size):
                rejects = [replace(reject, place=f"{member.name}, {reject.place}") for reject in page.rejects]
                named = f"{member.name.translate(_BRACES)}, {source.place}"
                yield replace(page, rejects=rejects, end=offset + page.end, named=named)
                first += page.columns.height

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Refuse to be written."""
        del records
        raise self._read_only()

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Refuse to be written."""
        del overlay, target
        raise self._read_only()

    def _source(self, member: Member) -> Source:
        return self._opened(member.name, member.path, self.options)

    def _members(self, begin: int) -> Iterator[Member]:
        """Yield the files from a number on, each unpacked until the next one is asked for."""
        budget = Budget(self.path, self.options.largest * 1024 * 1024)
        with tempfile.TemporaryDirectory(prefix="syncline-archive-") as room, self._readable():
            for number, (name, file) in enumerate(self._entries(budget)):
                if number >= _MEMBERS:
                    raise budget.too_much()
                if number < begin:
                    continue
                path = Path(room) / PurePosixPath(name).name
                with path.open("wb") as target:
                    while block := file.read(_BLOCK):
                        budget.take(len(block))
                        target.write(block)
                yield Member(number, name, path)
                path.unlink()

    def _entries(self, budget: Budget) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield names and contents of the files whose format is known, in a fixed order."""
        kind, name = archive_of(self.path.name), self.path.name
        if kind == "zip":
            yield from self._zipped()
        elif kind in ("tar", "tar.gz", "tgz"):
            with _unpacked(self.path, "" if kind == "tar" else "gz") as stream:
                yield from self._taped(_Counted(stream, budget))
        else:
            with _unpacked(self.path, kind) as stream:
                yield name[: -len(kind) - 1], stream

    def _zipped(self) -> Iterator[tuple[str, IO[bytes]]]:
        with zipfile.ZipFile(self.path) as book:
            for entry in sorted(book.infolist(), key=lambda entry: entry.filename):
                if not entry.is_dir() and self._is_wanted(entry.filename):
                    with book.open(entry) as file:
                        yield entry.filename, file

    def _taped(self, stream: Any) -> Iterator[tuple[str, IO[bytes]]]:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for entry in tar:
                if entry.isfile() and self._is_wanted(entry.name) and (file := tar.extractfile(entry)):
                    yield entry.name, file

    def _is_wanted(self, name: str) -> bool:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or name.startswith(("/", "\\")):
            raise Forbidden(
                msg("The archive '{archive}' holds '{name}', which leads out of it.",
                    archive=self.path.name, name=name),
                msg("Ask for an archive with plain names."),
                object_name=self.path.name,
            )  # fmt: skip
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        return not hidden and self.options.format_of(name) not in (None, ARCHIVE)

    def _read_only(self) -> Misconfigured:
        return Misconfigured(
            msg("The archive '{name}' cannot be changed.", name=self.path.name),
            msg("Write to a file that is not packed."),
            object_name=self.path.name,
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise Fatal(
                msg("The archive '{name}' cannot be unpacked: {problem}.",
                    name=self.path.name, problem=str(error).rstrip(".") or type(error).__name__),
                msg("Pack it again, without a password."),
                object_name=self.path.name,
            ) from error  # fmt: skip


class Budget:
    """How much may still be unpacked."""

    def __init__(self, path: Path, largest: int) -> None:
        self.path = path
        self.left = min(largest, max(_FREE, path.stat().st_size * _RATIO))

    def take(self, size: int) -> None:
        """Count bytes that were unpacked; raises `Fatal` when they are too many."""
        self.left -= size
        if self.left < 0:
            raise self.too_much()

    def too_much(self) -> Fatal:
        """Return the error for an archive that holds too much."""
        return Fatal(
            msg("The archive '{name}' unpacks to far more than it should.", name=self.path.name),
            msg("If it is meant, ask for smaller archives, or for files that are not packed."),
            object_name=self.path.name,
        )


class _Counted:
    """A stream whose bytes are counted, those that are skipped, too."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream, self._budget = stream, Budget(budget.path, budget.left * 2)

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        data = self._stream.read(size)
        self._budget.take(len(data))
        return data


@contextmanager
def _unpacked(path: Path, kind: str) -> Iterator[IO[bytes]]:
    if kind == "zst":
        with pa.input_stream(str(path), compression="zstd") as stream:
            yield stream
        return
    kinds: dict[str, Callable[..., Any]] = {"gz": gzip.open, "bz2": bz2.open}
    with kinds.get(kind, open)(path, "rb") as file:
        yield file
