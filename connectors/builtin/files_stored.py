"""One file where it is stored: its version, a copy to read, its journal, and the step that replaces it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from connectors.builtin.files_journal import Entry, Fingerprint, Journal, sync_folder
from connectors.spi import Fence


class Log(Protocol):
    """The journal of one file; all methods but `locked` want the lock to be held."""

    next: Path

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes away, where the place can do that."""

    def is_there(self) -> bool:
        """Tell whether anything was ever written to the file."""

    def generation(self) -> int:
        """Return what tells this journal from an earlier one; 0 if there is none."""

    def size(self) -> int:
        """Return where the journal ends; 0 if there is none."""

    def entries(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """Yield the whole entries behind a place, each with the place behind it."""

    def append(self, entry: Entry, end: int) -> int:
        """Add an entry behind place `end`, make it durable and return the new end."""

    def drop(self) -> None:
        """Remove the journal."""

    def fences(self) -> dict[str, Fence]:
        """Return who wrote last in each scope, as far as the record of finished runs knows."""

    def ours(self) -> Fingerprint | None:
        """Return what the file looked like when we replaced it last."""

    def note(self, fences: dict[str, Fence], placed: Fingerprint | None) -> None:
        """Keep who wrote last and what the file looks like."""


class Stored(Protocol):
    """One file where it is stored."""

    @property
    def name(self) -> str:
        """Return its name below the folder of the connection."""

    @property
    def journal(self) -> Log:
        """Return its journal."""

    def version(self) -> Fingerprint:
        """Return what the file is now; raises `FileNotFoundError`."""

    def is_still(self, version: Fingerprint | None) -> bool:
        """Tell whether what is being read is (still) this version."""

    def copy(self, version: Fingerprint) -> Path:
        """Return a local file with the bytes of a version, to be read only."""

    def prepare(self) -> None:
        """Make the next version, which the journal holds, ready to be put in place."""

    def announced(self) -> Fingerprint | None:
        """Return what the file will be when it is replaced, None where that is not known before."""

    def replace(self, before: Fingerprint) -> Fingerprint:
        """Put the next version in place of `before` and return what the file is now."""


class LocalFile:
    """A file in a folder of this server."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.journal = Journal(path)

    def version(self) -> Fingerprint:
        """Return what the file is now."""
        return Fingerprint.of(self.path)

    def is_still(self, version: Fingerprint | None) -> bool:
        """Tell whether the file is still this version."""
        return Fingerprint.of(self.path) == version

    def copy(self, version: Fingerprint) -> Path:  # noqa: ARG002 - there is one, which readers compare
        """Return the file itself."""
        return self.path

    def prepare(self) -> None:
        """Give the new version the old one's owner and rights, and make it durable."""
        stat = self.path.stat()
        shutil.copymode(self.path, self.journal.next)
        with suppress(PermissionError):
            os.chown(self.journal.next, stat.st_uid, stat.st_gid)
        with self.journal.next.open("rb") as file:
            os.fsync(file.fileno())

    def announced(self) -> Fingerprint:
        """Return what the file will be."""
        return Fingerprint.of(self.journal.next)

    def replace(self, before: Fingerprint) -> Fingerprint:  # noqa: ARG002 - the folder is locked and was looked at
        """Rename the new version over the old one."""
        self.journal.next.replace(self.path)
        sync_folder(self.path.parent)
        return Fingerprint.of(self.path)
