"""A sealed log as one file that explains itself: what `syncline audit export --format sealed` writes, `verify` reads.

It is a ZIP of plain texts: `keys.jsonl`, `checkpoints.jsonl`, `entries.jsonl` (place, hash and event of every leaf, in
their order), `strays.jsonl`, `log.json` and, where asked for, the records of runs as they are stored.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rules.text import Message, msg
from webapp.audit.canonical import encode, instant, stamp
from webapp.audit.keys import KeyLine
from webapp.audit.verification import Entry, Evidence

FORMAT = "syncline-audit/1"
LONGEST = 64 * 1024 * 1024
"""Bytes of the longest line: an export may come from anybody."""
DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError)
"""What reading a file raises that is no ZIP, is cut or encrypted, or is packed in another way."""
_OUTCOMES = re.compile(r"runs/(\d{1,19})/(\d{1,10})\.outcomes", re.ASCII)
_README = """This is an export of a sealed audit log. Check it with: syncline audit verify --file NAME
keys.jsonl         public keys, the oldest first, each with the statement that the one before it has signed
checkpoints.jsonl  signed checkpoints (C2SP tlog-checkpoint)
entries.jsonl      every leaf of the Merkle tree (RFC 9162): place, SHA-256 leaf hash in base64, event
strays.jsonl       events that were not sealed when they should have been
runs/              the records of runs as they were stored; their SHA-256 stand in events runs:run:chunk_applied
"""


class Unreadable(Exception):
    """A file is not an export of a sealed log."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def write(path: Path, log: Evidence, head: Mapping[str, Any], blobs: Iterable[tuple[str, bytes]] = ()) -> None:
    """Write a log to a new file, a line at a time; `head` says of whom and when, `blobs` are the records of runs."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("README.txt", _README)
        keys = log.keys()
        _lines(archive, "keys.jsonl", ({**vars(line), "at": stamp(line.at)} for line in keys))
        _lines(archive, "checkpoints.jsonl", ({"size": size, "note": note} for size, note in log.checkpoints()))
        _lines(archive, "entries.jsonl", map(_entry, log.entries()))
        _lines(archive, "strays.jsonl", ({"event_id": one} for one in log.strays()))
        for name, blob in blobs:
            archive.writestr(f"runs/{name}", blob, zipfile.ZIP_STORED)
        archive.writestr("log.json", encode({"format": FORMAT, "size": log.size, "waiting": log.pending(), **head}))


def _lines(archive: zipfile.ZipFile, name: str, objects: Iterable[Mapping[str, Any]]) -> None:
    with archive.open(name, "w", force_zip64=True) as file:
        for one in objects:
            file.write(encode(one) + b"\n")


def _entry(entry: Entry) -> dict[str, Any]:
    leaf = base64.b64encode(entry.leaf).decode()
    return {"seq": entry.seq, "event_id": entry.event_id, "leaf": leaf, "event": entry.event}


class Bundle:
    """An export that was opened; raises `Unreadable` wherever it is not one."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
            self.head = _object("log.json", self._archive.read("log.json"), {"size": int, "format": str})
            self.size: int = self.head["size"]
        except DAMAGED as error:
            raise unreadable(f"{path.name}: {error}") from None
        if self.head.get("format") != FORMAT:
            raise unreadable(f"{path.name}: {self.head.get('format')}")

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def keys(self) -> list[KeyLine]:
        """Return the public keys, the oldest first."""
        shape = {"no": int, "public": str, "at": str, "statement": str}
        try:
            return [
                KeyLine(one["no"], one["public"], instant(one["at"]), one["statement"])
                for one in self._read("keys.jsonl", shape)
            ]
        except ValueError as error:
            raise unreadable(f"keys.jsonl: {error}") from None

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """Yield size and note of all checkpoints."""
        for one in self._read("checkpoints.jsonl", {"size": int, "note": str}):
            yield one["size"], one["note"]

    def entries(self) -> Iterator[Entry]:
        """Yield all leaves with their events, in the order of the file."""
        for one in self._read("entries.jsonl", {"seq": int, "event_id": int, "leaf": str}):
            try:
                leaf = base64.b64decode(one["leaf"], validate=True)
            except ValueError as error:
                raise unreadable(f"entries.jsonl: {error}") from None
            event = one.get("event")
            if not isinstance(event, dict | None):
                raise unreadable(f"entries.jsonl: {one['seq']}")
            yield Entry(one["seq"], one["event_id"], leaf, event)

    def strays(self) -> Iterator[int]:
        """Yield the ids of events that were not sealed."""
        for one in self._read("strays.jsonl", {"event_id": int}):
            yield one["event_id"]

    def pending(self) -> int:
        """Return how many events waited to be sealed."""
        waiting = self.head.get("waiting", 0)
        return waiting if type(waiting) is int else 0

    def parts(self) -> Iterator[tuple[int, int]]:
        """Yield run and number of the parts of runs whose records are here."""
        for name in self._archive.namelist():
            if found := _OUTCOMES.fullmatch(name):
                yield int(found[1]), int(found[2])

    def blob(self, name: str) -> bytes | None:
        """Return what is stored of a run's part, or None."""
        try:
            return self._archive.read(f"runs/{name}")
        except KeyError:
            return None
        except DAMAGED as error:
            raise unreadable(f"runs/{name}: {error}") from None

    @property
    def has_runs(self) -> bool:
        """Tell whether the records of runs were exported too."""
        return bool(self.head.get("runs"))

    def _read(self, name: str, shape: Mapping[str, type]) -> Iterator[dict[str, Any]]:
        try:
            with self._archive.open(name) as file:
                while line := file.readline(LONGEST):
                    yield _object(name, line, shape)
        except DAMAGED as error:
            raise unreadable(f"{name}: {error}") from None


def _object(name: str, line: bytes, shape: Mapping[str, type]) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise unreadable(f"{name}: {error}") from None
    if not isinstance(found, dict) or any(type(found.get(key)) is not kind for key, kind in shape.items()):
        raise unreadable(f"{name}: {line[:80]!r}")
    return found


def unreadable(why: str) -> Unreadable:
    """Return what is said of a file that is no export."""
    return Unreadable(
        msg(
            "This is not an export of a sealed audit log ({why}). Make one with: syncline audit export --format sealed",
            why=why,
        )
    )
