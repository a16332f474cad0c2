"""The high-water mark of the seal: the last checkpoint that this machine has seen, in a file outside the database.

Who can write to the database alone can wind it back, but not this file: the sealer finds out, and signs nothing. Each
machine keeps its own mark; one that has none yet believes the log that it finds.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rules.text import Message, msg
from webapp.audit.merkle import Frontier, Tree
from webapp.audit.notes import Checkpoint, PublicKey, checkpoint
from webapp.extensions import House

_LONGEST = 64 * 1024


class SealBroken(Exception):
    """What is sealed already is not what was sealed, so nothing is sealed on top of it."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Mark:
    """A checkpoint and the key that has signed it; the file can be given to `syncline audit verify --checkpoints`."""

    key: PublicKey
    note: str

    @cached_property
    def said(self) -> Checkpoint:
        """Return what the checkpoint says; raises `BadNote`."""
        return checkpoint(self.note, [self.key])


def place(house: House) -> Path:
    """Return the file of this machine's mark."""
    return house.settings.data / "keys" / "audit-mark.txt"


def read(path: Path) -> Mark | None:
    """Return the mark of a file, or None where there is none yet; raises `SealBroken` where it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST)
        key, _, note = text.partition("\n\n")
        mark = Mark(PublicKey.parse(key), note)
        _ = mark.said
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = (error.strerror or type(error).__name__).lower() if isinstance(error, OSError) else str(error)
        raise SealBroken(
            msg("The mark of the audit log in {path} cannot be read: {why}. Put it back.", path=str(path), why=why)
        ) from None
    return mark


def write(path: Path, mark: Mark) -> None:
    """Put a mark in place of a smaller one, whole or not at all; raises `SealBroken` where it cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(path.parent):
            last = read(path)
            if last is None or last.said.size < mark.said.size:
                _replace(path, f"{mark.key}\n\n{mark.note}")
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        text = "The mark of the audit log in {path} cannot be written: {why}. Make its folder writable."
        raise SealBroken(msg(text, path=str(path), why=why)) from error


def hold(path: Path, mark: Mark, tree: Frontier, stored: Tree, keys: Collection[PublicKey]) -> None:
    """Hold a log against the mark of this machine; raises `SealBroken` where it is not the same one, or smaller."""
    said = mark.said
    if said.origin not in {key.name for key in keys} or mark.key not in keys:
        raise _broken(path, "its keys are other ones")
    if tree.size < said.size:
        raise _broken(path, f"it has {tree.size} sealed events, and had {said.size}")
    try:
        root = tree.root() if tree.size == said.size else stored.root(said.size)
    except ValueError as error:
        raise _broken(path, str(error)) from None
    if root != said.root:
        raise _broken(path, f"its first {said.size} events were sealed otherwise")


def _broken(path: Path, why: str) -> SealBroken:
    text = (
        "The audit log is not the one that this machine has sealed: {why}. Nothing is sealed until this is cleared up. "
        "If you have put back a backup, move {path} away; else the database was tampered with."
    )
    return SealBroken(msg(text, why=why, path=str(path)))


def unknown(path: Path) -> SealBroken:
    """Return the error of a log without a key on a machine that has sealed one."""
    return _broken(path, "its keys are gone")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from writing a mark; they wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
