"""Where the files of a connection are, if not on this machine: one interface, an implementation for each protocol.

A place has files, named by their path below the folder of the connection. What is written appears under its name in
one step, whole or not at all. Missing files and refused rights are told by Python's own `FileNotFoundError`,
`PermissionError` and `FileExistsError`, all else by the errors of `connectors.errors`.
"""

from __future__ import annotations

import fnmatch
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connectors.builtin.files_options import Options
from connectors.errors import Fatal, Misconfigured, Unavailable
from connectors.spi import Context
from rules.text import Message, msg

BLOCK = 256 * 1024
PART = ".syncline-part-"
"""What the name of a file holds while it is being written."""


@dataclass(frozen=True)
class Stat:
    """One file: its name below the folder, bytes, nanoseconds since 1970 and, where there is one, its entity tag."""

    name: str
    size: int
    modified: int = 0
    etag: str = ""


class Place(ABC):
    """The folder of one connection, reached with one protocol by one thread; it connects when it is first asked."""

    writable = True
    """Whether the protocol can write at all."""

    def __init__(self, options: Options, context: Context) -> None:
        self.options = options
        self.context = context

    @property
    @abstractmethod
    def shown(self) -> str:
        """Return the address of the folder as people may see it."""

    @abstractmethod
    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield what lies in a folder ("" for the outermost), and whether it is a folder itself."""

    @abstractmethod
    def stat(self, name: str) -> Stat:
        """Return a file's size and version; raises `FileNotFoundError`."""

    @abstractmethod
    def fetch(self, name: str, target: BinaryIO) -> None:
        """Write the bytes of a file to `target`, block by block."""

    @abstractmethod
    def store(self, name: str, source: Path, *, new: bool = False, replaces: Stat | None = None) -> None:
        """Let a file have the bytes of a local one, in one step.

        Args:
            name: the file.
            source: the local file.
            new: it must not exist yet, else `FileExistsError`.
            replaces: what it must be until then where the protocol can promise that, else `FileExistsError`.
        """

    @abstractmethod
    def rename(self, old: str, name: str) -> None:
        """Give a file another name, in a folder that is made if there is none; another file there is replaced."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""

    def direct(self, name: str) -> Path | None:  # noqa: ARG002 - only this machine's files have one
        """Return the path of a file that need not be fetched."""
        return None

    def see(self, name: str, expected: Stat | None) -> None:
        """Raise `FileExistsError` for a file that is not what is expected (if anything is)."""
        if expected is not None and self.stat(name) != expected:
            raise FileExistsError(17, "changed", name)

    def close(self) -> None:  # noqa: B027 - some hold nothing
        """Give up the connection."""

    def files(self, folder: str = "", *, deep: bool = False) -> Iterator[Stat]:
        """Yield the files of a folder, and those of the folders in it if asked for; hidden folders are left out."""
        for found, is_folder in self.entries(folder):
            if not is_folder:
                yield found
            elif deep and not found.name.rpartition("/")[2].startswith("."):
                yield from self.files(found.name, deep=True)


def matching(place: Place, pattern: str) -> Iterator[Stat]:
    """Yield the files whose names match a pattern, hidden ones not."""
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts:
        raise Misconfigured(
            msg("The pattern '{pattern}' leads out of the folder.", pattern=pattern),
            msg("Write a pattern such as *.csv."),
        )
    for found in place.files(deep=len(parts) > 1):
        if fits(found.name, pattern):
            yield found


def fits(name: str, pattern: str) -> bool:
    """Tell whether a name matches a pattern and leads to a file in the folder that is not hidden."""
    names = name.split("/")
    return not any(not part or part.startswith(".") for part in names) and _fits(names, pattern.split("/"))


def _fits(names: list[str], parts: list[str]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] == "**":
        return _fits(names, parts[1:]) or (len(names) > 1 and _fits(names[1:], parts))
    return fnmatch.fnmatch(names[0].lower(), parts[0].lower()) and _fits(names[1:], parts[1:])


class RenamingPlace(Place):
    """A place whose files are written under a temporary name and then renamed."""

    @abstractmethod
    def send(self, name: str, source: Path) -> None:
        """Write a local file's bytes to a file that nobody looks at yet, to its end."""

    @abstractmethod
    def move(self, old: str, name: str, *, new: bool) -> None:
        """Rename a file in one step; with `new` nothing may be there (`FileExistsError`), else it is replaced."""

    @abstractmethod
    def make_folder(self, folder: str) -> None:
        """Make a folder if there is none."""

    def store(self, name: str, source: Path, *, new: bool = False, replaces: Stat | None = None) -> None:
        """Let a file have the bytes of a local one; raises as `Place.store`."""
        temporary = beside(name, f"{PART}{secrets.token_hex(6)}")
        try:
            self.send(temporary, source)
            self.see(name, replaces)
            self.move(temporary, name, new=new)
        except BaseException:
            with suppress(OSError, Unavailable, Fatal):
                self.delete(temporary)
            raise

    def rename(self, old: str, name: str) -> None:
        """Give a file another name, in a folder that is made if there is none."""
        folder = name.rpartition("/")[0]
        if folder:
            self.make_folder(folder)
        self.move(old, name, new=False)


def beside(name: str, ending: str) -> str:
    """Return the name of a hidden file beside another one."""
    folder, slash, own = name.rpartition("/")
    return f"{folder}{slash}.{own}{ending}"


def lost(place: str, problem: object) -> Unavailable:
    """Return the error of a connection that cannot be made or that breaks off."""
    text = problem if isinstance(problem, Message) else str(problem) or type(problem).__name__
    return Unavailable(
        msg("The connection to {place} failed: {problem}.", place=place, problem=text),
        msg("Check host and port, and that the server runs."),
    )
