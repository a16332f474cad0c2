"""Files that are elsewhere: read from a copy on this server's disk, changed by way of a journal in their place.

Beside `customers.csv` lie, hidden:

    .customers.csv.syncline-journal-00000017   one entry a write, each a file of its own that is made once
    .customers.csv.syncline-fence              who wrote last in each scope, and the last entry that is in the file

No place offers locks. So an entry has the number behind the last one, and its file must be new: of two writers one
succeeds, and the other one looks at the journal again, where it finds the fence of the first.
"""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from connectors.builtin.files_folder import is_pattern
from connectors.builtin.files_journal import Entry, Fingerprint, packed, unpacked
from connectors.builtin.files_options import Options
from connectors.builtin.files_place import Place, Stat, beside, matching
from connectors.errors import ConnectorError, Fatal, ObjectMissing, Unavailable
from connectors.spi import Context, Fence
from rules.text import msg

PLACES: Mapping[str, str] = {
    "local": "files_place_local:LocalPlace",
    "sftp": "files_place_sftp:SftpPlace",
    "ftp": "files_place_ftp:FtpPlace",
    "ftps": "files_place_ftp:FtpPlace",
    "s3": "files_place_s3:S3Place",
    "webdav": "files_place_webdav:WebdavPlace",
    "http": "files_place_http:HttpPlace",
}
_ENTRY, _FENCE = ".syncline-journal-", ".syncline-fence"
_MEGABYTE = 1024 * 1024


def place_of(options: Options, context: Context) -> Place:
    """Return the place that a connection's settings stand for."""
    module, _, name = PLACES[options.place].partition(":")
    kind: Callable[[Options, Context], Place] = getattr(importlib.import_module(f"connectors.builtin.{module}"), name)
    return kind(options, context)


class RemoteFolder:
    """The folder of a connection in another place, with the globs of its files."""

    def __init__(self, place: Place, options: Options, journal: type[RemoteJournal] | None = None) -> None:
        self.place = place
        self.options = options
        self._journal = journal or RemoteJournal
        self.patterns = options.patterns()
        self._copies: Path | None = None
        self._known: dict[str, RemoteFile] = {}

    @property
    def shown(self) -> str:
        """Return the folder as people know it."""
        return self.place.shown

    def names(self, pattern: str | None = None) -> list[str]:
        """Return the matching files, sorted; no hidden ones."""
        return sorted({found.name for wanted in self._wanted(pattern) for found in self.found(wanted)})

    def found(self, pattern: str) -> Iterator[Stat]:
        """Yield the files that match a pattern."""
        return matching(self.place, pattern)

    def stored(self, name: str) -> RemoteFile:
        """Return an object's file; raises `ObjectMissing`."""
        if name not in self._known:
            parts = name.split("/")
            if "\0" in name or any(part in ("", "..") or part.startswith(".") for part in parts):
                raise _missing(name, self.shown)
            try:
                self.place.stat(name)
            except FileNotFoundError as error:
                raise _missing(name, self.shown) from error
            journal = self._journal(self.place, name, self.room())
            self._known[name] = RemoteFile(self.place, journal, self.room(), self.options.largest * _MEGABYTE)
        return self._known[name]

    def discard(self, name: str) -> None:
        """Give up the copy of a file."""
        self._known.pop(name).discard()

    def written(self) -> list[str]:
        """Return the files that were ever written to, as what lies beside them tells."""
        if not self.place.writable:
            return []
        deep = any("/" in pattern for pattern in self.patterns)
        found = set()
        for one in self.place.files(deep=deep):
            folder, slash, own = one.name.rpartition("/")
            base = own[1:].partition(_ENTRY)[0].removesuffix(_FENCE)
            if own.startswith(".") and base != own[1:]:
                found.add(folder + slash + base)
        return sorted(found & set(self.names()))

    def is_writable(self, name: str) -> bool:  # noqa: ARG002 - it is known when it is tried
        """Tell whether the place takes files at all."""
        return self.place.writable

    def probe(self) -> bool:
        """Tell whether files in the folder can be changed, by making one and removing it."""
        if not self.place.writable:
            return False
        probe = self.room() / "probe"
        probe.write_bytes(b"Syncline")
        name = ".syncline-probe"
        try:
            self.place.store(name, probe)
            self.place.delete(name)
        except (PermissionError, Fatal, FileNotFoundError):
            return False
        return True

    def is_pattern(self, name: str) -> bool:
        """Tell whether an object's name is the connection's pattern."""
        return is_pattern(name, self.patterns)

    def close(self) -> None:
        """Give up the connection and the copies."""
        self.place.close()
        if self._copies is not None:
            shutil.rmtree(self._copies, ignore_errors=True)
            self._copies = None

    def _wanted(self, pattern: str | None) -> tuple[str, ...]:
        return (pattern,) if pattern else self.patterns

    def room(self) -> Path:
        """Return a new folder on this server's disk, which is there until the end."""
        if self._copies is None:
            self._copies = Path(tempfile.mkdtemp(prefix="syncline-files-"))
        return Path(tempfile.mkdtemp(dir=self._copies))


class RemoteFile:
    """A file in another place, and a copy of it on this server's disk while it is read."""

    def __init__(self, place: Place, journal: RemoteJournal, room: Path, largest: int) -> None:
        self.name = name = journal.name
        self.journal = journal
        self._place, self._largest = place, largest
        self._copy = room / name.rpartition("/")[2]
        self._held: Fingerprint | None = None

    def version(self) -> Fingerprint:
        """Return what the file is now."""
        return _version(self._place.stat(self.name))

    def is_still(self, version: Fingerprint | None) -> bool:
        """Tell whether what is read is of this version: a copy does not change."""
        if self._place.direct(self.name) is not None:
            return self.version() == version
        return self._held in (None, version)

    def discard(self) -> None:
        """Give up the copy."""
        self._held = None
        self._copy.unlink(missing_ok=True)

    def copy(self, version: Fingerprint) -> Path:
        """Fetch a version, unless it is here already."""
        direct = self._place.direct(self.name)
        if direct is not None:
            return direct
        if self._held != version:
            self._held = None
            self._copy.unlink(missing_ok=True)
            if version.size > self._largest:
                raise self._too_large()
            with self._copy.open("wb") as file:
                self._place.fetch(self.name, cast("BinaryIO", Bounded(file, self._largest, self._too_large)))
            if self.version() != version or version.size not in (-1, self._copy.stat().st_size):
                raise Unavailable(
                    msg("The file '{name}' changed while it was fetched.", name=self.name),
                    msg("It is read when it has not changed for a while."),
                    object_name=self.name,
                )
            self._held = version
        return self._copy

    def prepare(self) -> None:
        """Leave it as it is."""

    def announced(self) -> None:
        """Return nothing: changes that are in the file already may be done to it again."""
        return

    def replace(self, before: Fingerprint) -> Fingerprint:
        """Let the file have the bytes of the next version, if it and the journal are still what they were."""
        self.journal.check()
        was = Stat(self.name, before.size, before.modified, before.etag)
        self._place.store(self.name, self.journal.next, replaces=was)
        self.journal.next.unlink()
        return self.version()

    def _too_large(self) -> Fatal:
        return Fatal(
            msg("The file '{name}' is larger than {size} MB.", name=self.name, size=self._largest // _MEGABYTE),
            msg("Ask for smaller files, or allow larger ones in the connection's settings."),
            object_name=self.name,
        )


class RemoteJournal:
    """The files beside a file in another place."""

    def __init__(self, place: Place, name: str, room: Path) -> None:
        self.next = room / "next" / name.rpartition("/")[2]
        self.next.parent.mkdir()
        self._place, self.name, self._room = place, name, room
        self._record_name = beside(name, _FENCE)
        self._folded = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Do nothing: an entry that is not the next one is refused."""
        yield

    def is_there(self) -> bool:
        """Tell whether anything was ever written to the file."""
        return bool(self._numbers() or self._record())

    def generation(self) -> int:
        """Return the number behind the last entry that is in the file; 0 if there are no others."""
        record = self._record()
        return self._done(record) + 1 if self._numbers(record) else 0

    def size(self) -> int:
        """Return the number of the last entry; 0 if there is none."""
        return max(self._numbers(), default=0)

    def entries(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """Yield the entries behind a number."""
        for number in self._numbers():
            self._folded = max(self._folded, number)
            if number > start:
                buffer = BytesIO()
                self._place.fetch(self._entry_name(number), buffer)
                buffer.seek(0)
                entry = unpacked(buffer)
                if entry is None:
                    raise self._damaged(number)
                yield number, entry

    def append(self, entry: Entry, end: int) -> int:
        """Add the entry behind number `end`; raises `Unavailable` if somebody else did."""
        number = max(end, self._done(self._record())) + 1
        try:
            self._put(self._entry_name(number), packed(entry), new=True)
        except FileExistsError as error:
            raise self._taken() from error
        self._folded = number
        return number

    def drop(self) -> None:
        """Remove the entries that were folded, the oldest first: those that are left may be done again."""
        for number in sorted(self._all()):
            if number <= self._folded:
                self._place.delete(self._entry_name(number))

    def check(self) -> None:
        """Refuse to go on where somebody else has added an entry or put all in place."""
        numbers = self._numbers()
        if not numbers or numbers[-1] != self._folded:
            raise self._taken()

    def fences(self) -> dict[str, Fence]:
        """Return who wrote last in each scope."""
        return {scope: Fence(**data) for scope, data in self._record().get("scopes", {}).items()}

    def ours(self) -> Fingerprint | None:
        """Return what the file looked like when we replaced it last."""
        found = self._record().get("file") if self._place.writable else None
        return Fingerprint(**found) if found else None

    def note(self, fences: dict[str, Fence], placed: Fingerprint | None) -> None:
        """Keep who wrote last, what the file looks like, and which entries are in it."""
        kept = placed or self.ours()
        data = {
            "scopes": {s: asdict(f) for s, f in fences.items()},
            "file": asdict(kept) if kept else None,
            "done": self._folded,
        }
        self._put(self._record_name, json.dumps(data).encode())

    def _put(self, name: str, data: bytes, *, new: bool = False) -> None:
        source = self._room / "out"
        source.write_bytes(data)
        self._place.store(name, source, new=new)

    def _entry_name(self, number: int) -> str:
        return beside(self.name, f"{_ENTRY}{number:08d}")

    def _all(self) -> list[int]:
        if not self._place.writable:
            return []
        prefix, folder = beside(self.name, _ENTRY), self.name.rpartition("/")[0]
        ends = (f.name.removeprefix(prefix) for f in self._place.files(folder) if f.name.startswith(prefix))
        return [int(end) for end in ends if end.isdigit()]

    def _numbers(self, record: Mapping[str, Any] | None = None) -> list[int]:
        """Return the numbers of the entries that are not in the file yet."""
        found = self._all()
        if not found:
            return []
        done = self._done(self._record() if record is None else record)
        return sorted(number for number in found if number > done)

    def _done(self, record: Mapping[str, Any]) -> int:
        return int(record.get("done", 0))

    def _record(self) -> dict[str, Any]:
        buffer = BytesIO()
        with suppress(FileNotFoundError, ValueError):
            self._place.fetch(self._record_name, buffer)
            found = json.loads(buffer.getvalue())
            return found if isinstance(found, dict) else {}
        return {}

    def _taken(self) -> Unavailable:
        return Unavailable(
            msg("Somebody else is writing to '{name}' at this moment.", name=self.name),
            msg("Nothing is lost: it is tried again."),
            object_name=self.name,
        )

    def _damaged(self, number: int) -> ConnectorError:
        return Fatal(
            msg("What was written to '{name}' is damaged: {entry}.", name=self.name, entry=self._entry_name(number)),
            msg("Restore this file, or remove it and all later ones; what they hold is then not written."),
            object_name=self.name,
        )


class Unwritten(RemoteJournal):
    """The journal of a file that is never changed."""

    def size(self) -> int:
        """Return 0."""
        return 0

    def ours(self) -> None:
        """Return nothing."""
        return


class Bounded:
    """A file that takes only so many bytes."""

    def __init__(self, file: BinaryIO, most: int, error: Callable[[], Exception]) -> None:
        self._file, self._left, self._error = file, most, error

    def write(self, data: bytes) -> int:
        """Write some bytes."""
        self._left -= len(data)
        if self._left < 0:
            raise self._error()
        return self._file.write(data)

    def tell(self) -> int:
        """Return how many bytes there are."""
        return self._file.tell()


def _version(stat: Stat) -> Fingerprint:
    return Fingerprint(0, stat.size, stat.modified, stat.etag)


def _missing(name: str, place: str) -> ObjectMissing:
    return ObjectMissing(
        msg("There is no file '{name}' in the folder {path}.", name=name, path=place),
        msg("Check the name, and whether the file was moved."),
        object_name=name,
    )
