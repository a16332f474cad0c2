"""A folder of this server as a place, with the confinement of `Folder`."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from connectors.builtin.files_folder import Folder
from connectors.builtin.files_journal import sync_folder
from connectors.builtin.files_place import BLOCK, PART, Place, Stat, beside


class LocalPlace(Place):
    """A folder of this server."""

    @property
    def shown(self) -> str:
        """Return the folder."""
        return str(self._root)

    @cached_property
    def _root(self) -> Path:
        return Folder.of(self.options, self.context.file_roots).path

    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield what lies in a folder; links that lead out of it are left out."""
        for entry in os.scandir(self._path(folder)):
            name = f"{folder}/{entry.name}" if folder else entry.name
            with suppress(FileNotFoundError):
                if entry.is_dir():
                    yield Stat(name, 0), True
                elif entry.is_file():
                    yield self.stat(name), False

    def stat(self, name: str) -> Stat:
        """Return a file's size and version."""
        path = self._path(name)
        if not path.is_file():
            raise FileNotFoundError(2, "no such file", name)
        found = path.stat()
        return Stat(name, found.st_size, found.st_mtime_ns, str(found.st_ino))

    def direct(self, name: str) -> Path:
        """Return the file itself."""
        return self._path(name)

    def fetch(self, name: str, target: BinaryIO) -> None:
        """Write the bytes of a file to `target`."""
        with self._path(name).open("rb") as file:
            shutil.copyfileobj(file, target, BLOCK)

    def store(self, name: str, source: Path, *, new: bool = False, replaces: Stat | None = None) -> None:
        """Let a file have the bytes of a local one, which are on the disk before the name is."""
        path, temporary = self._path(name), self._path(beside(name, f"{PART}{secrets.token_hex(6)}"))
        try:
            with temporary.open("wb") as file, source.open("rb") as given:
                shutil.copyfileobj(given, file, BLOCK)
                file.flush()
                os.fsync(file.fileno())
            self.see(name, replaces)
            if new:
                os.link(temporary, path)
            else:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)

    def rename(self, old: str, name: str) -> None:
        """Give a file another name, in a folder that is made if there is none."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path(old).replace(path)
        sync_folder(path.parent)

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise FileNotFoundError(2, "outside of the folder", name)
        return path
