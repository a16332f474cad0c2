"""What was written to a file that can only be rewritten as a whole: a journal beside it, put in place when a run ends.

Beside `customers.csv` lie, hidden:

    .customers.csv.syncline-journal   one checked, synced entry a write, with the fence of the writer
    .customers.csv.syncline-fence     who wrote last in each scope, and what the file looked like then
    .customers.csv.syncline-new       the next version, only while it is being written

The file is replaced in one step. After a crash the journal is found and counts again; when the replaced file is already
the one the journal announced, only the tidying up is done again.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from connectors.spi import Fence
from rules.schema import Change, Op, Schema

_HEAD = struct.Struct(">4sIII")
_MAGIC = b"SLJ1"


@dataclass(frozen=True)
class Fingerprint:
    """What tells one version of a file from another."""

    inode: int
    size: int
    modified: int
    etag: str = ""
    """Of places that are not this machine, where there is no inode."""

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """Return the fingerprint of a file as it is now."""
        stat = path.stat()
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True)
class Entry:
    """One write: who made it, and the changes; or the announcement of the file that contains all entries before."""

    fence: Fence | None = None
    schema: Schema = field(default_factory=lambda: Schema(()))
    changes: tuple[Change, ...] = ()
    placed: Fingerprint | None = None


class Journal:
    """The files beside an object's file. All methods but `locked` want the lock to be held."""

    def __init__(self, path: Path) -> None:
        self.file = path
        self.path = path.with_name(f".{path.name}.syncline-journal")
        self.record = path.with_name(f".{path.name}.syncline-fence")
        self.next = path.with_name(f".{path.name}.syncline-new")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes away from the files of this folder."""
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def is_there(self) -> bool:
        """Tell whether anything was ever written to the file."""
        return self.path.exists() or self.record.exists()

    def generation(self) -> int:
        """Return what tells this journal from an earlier one; 0 if there is none."""
        return self.path.stat().st_ino if self.size() else 0

    def size(self) -> int:
        """Return the length of the journal in bytes; 0 if there is none."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def entries(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """Yield the whole entries from an offset on, each with the offset behind it."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while (entry := unpacked(file)) is not None:
                yield file.tell(), entry

    def append(self, entry: Entry, end: int) -> int:
        """Add an entry behind offset `end`, make it durable and return the new end; a torn entry there is dropped."""
        data = packed(entry)
        created = not self.path.exists()
        with self.path.open("r+b" if not created else "w+b") as file:
            file.truncate(end)
            file.seek(end)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if created:
            sync_folder(self.file.parent)
        return end + len(data)

    def drop(self) -> None:
        """Remove the journal."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.file.parent)

    def fences(self) -> dict[str, Fence]:
        """Return who wrote last in each scope, as far as the record of finished runs knows."""
        return {scope: Fence(**data) for scope, data in self._record().get("scopes", {}).items()}

    def ours(self) -> Fingerprint | None:
        """Return what the file looked like when we replaced it last."""
        found = self._record().get("file")
        return Fingerprint(**found) if found else None

    def note(self, fences: dict[str, Fence], placed: Fingerprint | None) -> None:
        """Keep who wrote last and what the file looks like."""
        kept = placed or self.ours()
        data = {"scopes": {s: asdict(f) for s, f in fences.items()}, "file": asdict(kept) if kept else None}
        temporary = self.record.with_name(self.record.name + "-new")
        with temporary.open("w") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.record)
        sync_folder(self.file.parent)

    def _record(self) -> dict[str, Any]:
        try:
            found = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def packed(entry: Entry) -> bytes:
    """Return an entry as it is stored, with a sum by which a torn one is known."""
    bodies = [_frame(change.records) for change in entry.changes]
    head = {
        "fence": asdict(entry.fence) if entry.fence else None,
        "schema": entry.schema.to_json(),
        "changes": [[c.op, c.key, len(body)] for c, body in zip(entry.changes, bodies, strict=True)],
        "placed": asdict(entry.placed) if entry.placed else None,
    }
    text, body = json.dumps(head).encode(), b"".join(bodies)
    return _HEAD.pack(_MAGIC, len(text), len(body), zlib.crc32(body, zlib.crc32(text))) + text + body


def unpacked(file: Any) -> Entry | None:
    """Return the next entry, or None at the end or at an entry that was not written to its end."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, text_size, body_size, check = _HEAD.unpack(head)
    text, body = file.read(text_size), file.read(body_size)
    if magic != _MAGIC or len(body) < body_size or zlib.crc32(body, zlib.crc32(text)) != check:
        return None
    data = json.loads(text)
    return Entry(
        Fence(**data["fence"]) if data["fence"] else None,
        Schema.from_json(data["schema"]),
        tuple(_changes(data["changes"], body)),
        Fingerprint(**data["placed"]) if data["placed"] else None,
    )


def _changes(heads: Sequence[Sequence[Any]], body: bytes) -> Iterator[Change]:
    start = 0
    for op, key, size in heads:
        yield Change(Op(op), key, pl.read_ipc_stream(BytesIO(body[start : start + size])))
        start += size


def _frame(records: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    records.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()
