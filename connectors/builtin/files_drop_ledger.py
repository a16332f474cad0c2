"""What was processed of the files that arrive: an account in their folder, and what becomes of them then.

`.syncline-<reader>-<pattern's number>.json` says for each file its version, how far it was read, and whether it is
done. A file is done only when all its records are durable. It is noted first and moved or deleted then, so that what a
crash interrupts is found, and done, by the next run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from connectors.builtin.files_drop_options import ARCHIVE, LEAVE, DropOptions
from connectors.builtin.files_journal import Fingerprint
from connectors.builtin.files_place import Place, fits

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True)
class Account:
    """One file: its version, behind which place reading goes on, and whether it is done."""

    version: Fingerprint
    place: int = 0
    first: int = 1
    done: bool = False
    digest: str = ""


class Ledger:
    """The account of one reader of one pattern."""

    def __init__(self, place: Place, pattern: str, options: DropOptions, room: Path) -> None:
        self._place, self._options, self._room = place, options, room
        self._name = f".syncline-{options.reader}-{zlib.crc32(pattern.encode()):08x}.json"
        self._pattern = pattern
        self._known: dict[str, Account] | None = None

    @property
    def accounts(self) -> dict[str, Account]:
        """Return what is known of each file; others can write into the folder, so no more than the pattern's."""
        if self._known is None:
            stored = self._stored().items()
            self._known = {name: _account(found) for name, found in stored if fits(name, self._pattern)}
        return self._known

    def forget(self) -> None:
        """Look at the account in the folder again when it is needed next."""
        self._known = None

    def note(self, changes: Mapping[str, Account]) -> None:
        """Make it durable what is known of some files."""
        known = {**self.accounts, **changes}
        self._save(known)

    def tidy(self, clock: Clock) -> None:
        """Move or delete the files that are done, and strike those that are gone."""
        done = [name for name, account in self.accounts.items() if account.done]
        left = dict(self.accounts)
        for name in done:
            if self._is_gone(name, self.accounts[name], clock):
                del left[name]
        if len(left) < len(self.accounts):
            self._save(left)

    def strike(self, names: frozenset[str]) -> None:
        """Strike the files that are not among those that are there."""
        left = {name: account for name, account in self.accounts.items() if name in names}
        if len(left) < len(self.accounts):
            self._save(left)

    def _is_gone(self, name: str, account: Account, clock: Clock) -> bool:
        if self._options.processed == LEAVE:
            return False
        try:
            if fingerprint(self._place, name) != account.version:
                return True  # a new file of that name, which is still to be read
        except FileNotFoundError:
            return True
        if self._options.processed == ARCHIVE:
            self._place.rename(name, self._free(f"{self._options.archive}/{clock():%Y-%m-%d}/{name}"))
        else:
            self._place.delete(name)
        if self._options.marker:
            self._place.delete(name + self._options.marker)
        return True

    def _free(self, name: str) -> str:
        """Return a name in the archive that no file has yet."""
        path, number, free = PurePosixPath(name), 1, name
        with suppress(FileNotFoundError):
            while self._place.stat(free):
                number += 1
                free = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
        return free

    def _save(self, known: dict[str, Account]) -> None:
        source = self._room / "ledger"
        source.write_text(json.dumps({name: asdict(account) for name, account in known.items()}))
        self._place.store(self._name, source)
        self._known = known

    def _stored(self) -> dict[str, Any]:
        buffer = BytesIO()
        with suppress(FileNotFoundError):
            self._place.fetch(self._name, buffer)
        found = json.loads(buffer.getvalue() or "{}")
        return found if isinstance(found, dict) else {}


def fingerprint(place: Place, name: str) -> Fingerprint:
    """Return the version of a file."""
    stat = place.stat(name)
    return Fingerprint(0, stat.size, stat.modified, stat.etag)


def digest_of(path: Path) -> str:
    """Return a digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _account(data: Mapping[str, Any]) -> Account:
    return Account(**{**data, "version": Fingerprint(**data["version"])})
