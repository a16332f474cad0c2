"""The folder of a connection: which files it has, and no way out of it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from connectors.builtin.files_options import Options
from connectors.builtin.files_stored import LocalFile
from connectors.errors import Forbidden, Misconfigured, ObjectMissing, Unavailable
from rules.text import msg

ROOTS_SETTING = "SYNCLINE_FILE_ROOTS"


@dataclass(frozen=True)
class Folder:
    """A folder that the operator released, with the globs of its files."""

    path: Path
    patterns: tuple[str, ...]

    @classmethod
    def of(cls, options: Options, roots: Sequence[Path]) -> Folder:
        """Return the folder of a connection; raises `Forbidden` or `Misconfigured`."""
        path = _released(options.path, roots)
        if not path.exists():
            raise Misconfigured(
                msg("The folder {path} does not exist.", path=str(path)),
                msg("Create it, or correct the path of the connection."),
            )
        if not path.is_dir():
            raise Misconfigured(
                msg("{path} is not a folder.", path=str(path)), msg("Enter the folder that holds the files.")
            )
        return cls(path, options.patterns())

    def names(self, pattern: str | None = None) -> list[str]:
        """Return the matching files, relative to the folder, sorted; no hidden ones and no links to elsewhere."""
        found: set[str] = set()
        try:
            for wanted in (pattern,) if pattern else self.patterns:
                found.update(self._matching(wanted))
        except (OSError, ValueError, NotImplementedError) as error:
            raise _unreadable(self.path, error) from error
        return sorted(found)

    def file(self, name: str) -> Path:
        """Return the path of an object's file; raises `ObjectMissing` or `Forbidden`."""
        path = self._inside(name)
        if path is None or not path.is_file():
            raise ObjectMissing(
                msg("There is no file '{name}' in the folder {path}.", name=name, path=str(self.path)),
                msg("Check the name, and whether the file was moved."),
                object_name=name,
            )
        return path

    def stored(self, name: str) -> LocalFile:
        """Return an object's file; raises `ObjectMissing` or `Forbidden`."""
        return LocalFile(name, self.file(name))

    def written(self) -> list[str]:
        """Return the files that were ever written to."""
        return [name for name in self.names() if self.stored(name).journal.is_there()]

    def is_writable(self, name: str) -> bool:
        """Tell whether a file can be replaced."""
        return os.access(self.path, os.W_OK) and os.access(self.path / name, os.W_OK)

    def probe(self) -> bool:
        """Tell whether files in the folder can be changed."""
        return self.is_writable(".")

    @property
    def shown(self) -> str:
        """Return the folder as people know it."""
        return str(self.path)

    def close(self) -> None:
        """Hold nothing."""

    def is_pattern(self, name: str) -> bool:
        """Tell whether an object's name is the connection's pattern, which stands for all matching files."""
        return is_pattern(name, self.patterns)

    def _matching(self, pattern: str) -> set[str]:
        if os.path.isabs(pattern) or ".." in PurePosixPath(pattern).parts:
            raise Misconfigured(
                msg("The pattern '{pattern}' leads out of the folder.", pattern=pattern),
                msg("Write a pattern such as *.csv."),
            )
        if "/" not in pattern:
            found = (entry.name for entry in os.scandir(self.path) if _matches(entry.name, pattern))
        else:
            found = (path.relative_to(self.path).as_posix() for path in self.path.glob(pattern))
        return {name for name in found if self._visible(name)}

    def _visible(self, name: str) -> bool:
        if any(part.startswith(".") for part in name.split("/")):
            return False
        try:
            path = self._inside(name)
        except Forbidden:
            return False
        return path is not None and path.is_file()

    def _inside(self, name: str) -> Path | None:
        """Return where a name leads, or None if it cannot be the name of an object."""
        parts = name.split("/")  # one name only for each file: permissions and marks go by it
        if "\0" in name or any(part == "" or part.startswith(".") for part in parts):
            return None
        path = (self.path / name).resolve()
        if not path.is_relative_to(self.path):
            raise Forbidden(
                msg("The file '{name}' is a link that leads out of the folder {path}.", name=name, path=str(self.path)),
                msg("Put the file itself into the folder."),
                object_name=name,
            )
        return path


def is_pattern(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether an object's name is one of the patterns of the connection."""
    return name in patterns and any(sign in name for sign in "*?[")


def _released(text: str, roots: Sequence[Path]) -> Path:
    """Return the folder that a path stands for; a relative path begins at the first root that has it."""
    if not text.strip() or "\0" in text:
        raise Misconfigured(msg("The folder of the connection is not set."), msg("Enter the folder with the files."))
    known = [root.resolve() for root in roots]
    candidates = [(root / text).resolve() for root in known] or [Path(text).resolve()]
    path = next((found for found in candidates if found.exists()), candidates[0])
    if not any(path.is_relative_to(root) for root in known):
        raise Forbidden(
            msg("The folder {path} is not released for connections.", path=str(path)),
            msg("Ask the operator to add it to {setting}.", setting=ROOTS_SETTING),
        )
    return path


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name.lower(), pattern.lower())


def _unreadable(path: Path, error: Exception) -> Unavailable | Forbidden:
    text = msg("The folder {path} cannot be read: {problem}.", path=str(path), problem=reason(error))
    if isinstance(error, PermissionError):
        return Forbidden(text, msg("Give the account that Syncline runs under the right to read it."))
    return Unavailable(text, msg("Check that the folder is there and connected."))


def reason(error: Exception) -> str:
    """Return what the operating system says, without numbers and paths."""
    return str(getattr(error, "strerror", None) or error)
