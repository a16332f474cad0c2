"""Putting a backup back: into an empty database and beside no other files, as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from webapp.audit import marks
from webapp.audit.sealing import head
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.backups import archive, filling, settling
from webapp.backups.archive import BadArchive, Key
from webapp.backups.filling import Tell
from webapp.backups.settling import Settled
from webapp.extensions import Actor, ForPeople, House
from webapp.migrations import services as migrations
from webapp.vault import at_rest
from webapp.vault import services as vault
from webapp.vault.errors import VaultError
from webapp.vault.models import vault_secret
from webapp.vault.sealing import Owner


class CannotRestore(ForPeople):
    """A backup cannot be put back as things are; nothing was changed."""


@dataclass(frozen=True)
class Opened:
    """A backup that was unpacked, with every digest checked."""

    path: Path
    folder: Path
    about: dict[str, Any]
    tables: dict[str, Any]
    digest: str

    @property
    def rows(self) -> int:
        """Return how many rows there are in all."""
        return sum(one["rows"] for one in self.tables.values())


@dataclass(frozen=True)
class Restored:
    """What was put back, and what that means."""

    about: dict[str, Any]
    tables: dict[str, int]
    settled: Settled
    mark: Path | None
    """Where the mark of the log that this machine had sealed was put aside."""
    unreadable: tuple[str, ...]
    """Secrets that the keys of this machine do not open."""


@contextmanager
def opened(path: Path, key: Key, beside: Path | None = None) -> Iterator[Opened]:
    """Unpack a backup into a folder that goes away afterwards; raises `BadArchive`."""
    if not path.is_file():
        raise BadArchive(f"There is no file {path}.")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=beside) as name:
        folder = Path(name)
        manifest = archive.unpacked(path, key, folder)
        yield Opened(path, folder, archive.about(folder), manifest["tables"], archive.file_digest(path))


def restore(house: House, backup: Opened, actor: Actor, tell: Tell) -> Restored:
    """Put a backup back into the empty database of `house` and its data folder, and tell the audit log.

    Raises:
        CannotRestore: it is of another version, something is there already, or the keys are missing.
        NotEmpty: the database holds something.
        Refused: a value does not fit into this kind of database.
    """
    _of_this_version(backup.about)
    _no_other_files(house.settings.data, backup.folder / "files")
    placed: list[Path] = []
    try:
        _place(backup.folder / "files", house.settings.data, placed)
        with house.db.begin() as tx:
            filling.require_empty(tx, "The database")
            found = filling.fill(
                tx,
                lambda stored: archive.batches(backup.folder, stored.name),
                settling.beyond(backup.about["last_ids"]),
                tell,
            )
            _compare(backup, {name: digest.to_json() for name, digest in found.items()})
            unreadable = _unreadable(house, tx)
            with at_rest.brought(house, tx):
                settled = settling.settle(house, tx, actor, ids=False)
            mark = marks.read(marks.place(house))
            after = {
                "digest": backup.digest,
                "taken_at": backup.about["at"],
                "sealed": backup.about["sealed"],
                "had_sealed": mark.said.size if mark else None,
                **settled.to_json(),
            }
            event = Event(Tag.INSTALLATION_RESTORED, Subject("backup", backup.path.name), after=after)
            record(tx, actor, house.clock(), event)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise
    return Restored(backup.about, {n: d.rows for n, d in found.items()}, settled, _set_aside(house), unreadable)


def settle(house: House, actor: Actor) -> Settled:
    """Make a database safe to go on from that was brought back to an earlier moment by other means."""
    with house.db.begin() as tx:
        settled = settling.settle(house, tx, actor)
        mark = marks.read(marks.place(house))
        had = {"sealed": head(tx).size, "had_sealed": mark.said.size if mark else None}
        event = Event(Tag.INSTALLATION_RESTORED, Subject("backup", "database"), after={**had, **settled.to_json()})
        record(tx, actor, house.clock(), event)
    _set_aside(house)
    return settled


def _of_this_version(about: dict[str, Any]) -> None:
    if about["revision"] != migrations.head():
        raise CannotRestore(
            f"The backup has revision {about['revision']} and this version needs {migrations.head()}. Put it back with "
            "the version that made it, then upgrade."
        )


def _no_other_files(data: Path, files: Path) -> None:
    for path in sorted(p for p in files.rglob("*") if p.is_file()):
        place = data / path.relative_to(files)
        if place.exists() and archive.file_digest(place) != archive.file_digest(path):
            raise CannotRestore(f"{place} exists already and is another file. Name an empty data folder.")


def _place(files: Path, data: Path, made: list[Path]) -> None:
    """Copy files to where they were, and note those that were not there."""
    for path in sorted(p for p in files.rglob("*") if p.is_file()):
        place = data / path.relative_to(files)
        if place.exists():
            continue
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made.append(place)
            shutil.copyfile(path, place)
            place.chmod(0o600)
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise CannotRestore(f"{place} cannot be written: {why}. Nothing was changed.") from None


def _compare(backup: Opened, found: dict[str, Any]) -> None:
    other = sorted(name for name in {*found, *backup.tables} if found.get(name) != backup.tables.get(name))
    if other:
        raise CannotRestore(
            f"What was put back is not what was backed up: {', '.join(other[:5])}. Nothing was changed."
        )


def _unreadable(house: House, tx: sa.Connection) -> tuple[str, ...]:
    """Return the secrets that do not open; raises `CannotRestore` where none does, since the key is missing then."""
    named = tx.execute(sa.select(vault_secret.c.owner_kind, vault_secret.c.owner_name, vault_secret.c.name)).all()
    if not named:
        return ()
    ring, found, why = vault.keyring(house), [], ""
    if not ring.exists():  # asking for it would make a new one
        raise CannotRestore(
            f"The key that protects the secrets is missing on this machine. Put {house.settings.key_file} back, which "
            "is kept apart from backups, or set SYNCLINE_KEY_PROVIDER as it was. Nothing was changed."
        )
    for kind, owner, name in named:
        try:
            vault.get(tx, ring, Owner(kind, owner), name)
        except VaultError as error:
            found.append(f"{kind} {owner}: {name}")
            why = str(error)
    if len(found) == len(named):
        raise CannotRestore(f"No secret of the backup opens with the keys of this machine: {why} Nothing was changed.")
    return tuple(found)


def _set_aside(house: House) -> Path | None:
    """Move the mark of the log that was sealed here out of the sealer's way; it stays as evidence."""
    place = marks.place(house)
    if not place.exists():
        return None
    aside = place.with_name(f"audit-mark-before-{house.clock():%Y%m%dT%H%M%S}.txt")
    place.rename(aside)
    return aside
