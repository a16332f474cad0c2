"""Taking a backup: all tables as they are at one moment, while runs go on, and the files beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from webapp.audit import keys as audit_keys
from webapp.audit import marks
from webapp.audit.models import audit_checkpoint
from webapp.audit.sealing import head
from webapp.audit.services import Event, Subject, record
from webapp.audit.stored_tree import snapshot
from webapp.audit.tags import Tag
from webapp.backups import archive, filling, rows, tables
from webapp.backups.archive import FORMAT, Lock, Writer
from webapp.backups.filling import Tell
from webapp.backups.rows import Digest
from webapp.backups.tables import Stored
from webapp.evidence.notary import seal_due
from webapp.extensions import Actor, ForPeople, House, to_json
from webapp.migrations import services as migrations
from webapp.runs.execution import installation_id
from webapp.vault.models import vault_secret

FOLDERS = ("files", "imports", "evidence")
"""Folders of the data folder that belong to a backup."""
SECRET_FOLDERS = ("keys", "secrets")
"""Those that it holds only where it is encrypted and they are asked for."""
PART = 8 << 20
"""Bytes of rows in one member."""


class CannotBackUp(ForPeople):
    """A backup cannot be made in this way."""


@dataclass(frozen=True)
class Taken:
    """A backup that was made."""

    path: Path
    digest: str
    tables: dict[str, int]
    files: int
    about: dict[str, Any]


def take(house: House, path: Path, lock: Lock, actor: Actor, tell: Tell, *, with_keys: bool = False) -> Taken:
    """Write a backup to a new file and tell the audit log.

    Args:
        house: of the installation, which may be at work.
        path: of the new file.
        lock: how it is encrypted.
        actor: who does it.
        tell: is told of each table and how many rows it has.
        with_keys: hold the keys too, with which whoever opens the backup reads all secrets.

    Raises:
        CannotBackUp: keys are wanted in a file that is not encrypted.
        BadArchive: the file exists already or cannot be written.
    """
    if with_keys and not lock:
        raise CannotBackUp("--with-keys: keys go into an encrypted backup only. Add --recipient or --passphrase-file.")
    seal_due(house)
    at = house.clock()
    with archive.written(path, lock, at.timestamp()) as out, snapshot(house) as tx:
        about = {"format": FORMAT, "at": at, "with_keys": with_keys, **_about(house, tx)}
        out.add(archive.ABOUT, to_json(about).encode())
        found = {}
        for stored in (*tables.rooms(), *tables.of_entities(tx)):
            found[stored.name] = _table(tx, stored, out)
            tell(stored.name, found[stored.name].rows)
        files = _files(house, (*FOLDERS, *(SECRET_FOLDERS if with_keys else ())), out)
        out.finish({name: digest.to_json() for name, digest in found.items()})
    taken = Taken(path, archive.file_digest(path), {n: d.rows for n, d in found.items()}, files, about)
    with house.db.begin() as tx:
        after = {"digest": taken.digest, "at": at, "encrypted": bool(lock), "keys": with_keys}
        record(tx, actor, house.clock(), Event(Tag.INSTALLATION_BACKED_UP, Subject("backup", path.name), after=after))
    return taken


def _about(house: House, tx: sa.Connection) -> dict[str, Any]:
    """Return what has to be known before anything of a backup is put back."""
    sealed = head(tx)
    note = tx.scalar(sa.select(audit_checkpoint.c.note).order_by(audit_checkpoint.c.size.desc()).limit(1))
    return {
        "installation": installation_id(house),
        "revision": migrations.current(tx),
        "database": tx.dialect.name,
        "last_ids": filling.last_ids(tx),
        "key_provider": list(house.settings.key_provider),
        "needs_keys": sorted(tx.scalars(sa.select(vault_secret.c.key_id).distinct())),
        "sealed": sealed.size,
        "checkpoint": note,
        "audit_keys": [line.public for line in audit_keys.lines(tx)],
    }


def _table(tx: sa.Connection, stored: Stored, out: Writer) -> Digest:
    digest = Digest()
    for number, part in enumerate(_parts(rows.read(tx, stored)), 1):
        for batch in part:
            digest.add(stored, batch)
        out.add_batches(stored.name, number, part)
    return digest


def _parts(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield batches together that make a part of some size."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.nbytes for one in waiting) >= PART:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _files(house: House, folders: tuple[str, ...], out: Writer) -> int:
    """Add files; one that goes away meanwhile was none that the database knows, and a mark is of its machine."""
    count, data, mark = 0, house.settings.data, marks.place(house)
    found = (p for name in folders for p in (data / name).rglob("*") if p.is_file() and not p.is_symlink())
    for path in sorted(p for p in found if p != mark):
        try:
            with path.open("rb") as file:
                out.add_stream(f"files/{path.relative_to(data)}", file, path.stat().st_size)
        except FileNotFoundError:
            continue
        count += 1
    return count
