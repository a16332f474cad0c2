"""The file of a backup: a tar archive with a manifest of digests, encrypted in the age format where that is wanted.

`about.json` comes first and says what the backup is; `tables/NAME/NUMBER.arrow` are streams of Arrow batches; `files/`
holds files of the data folder; `manifest.json` comes last, with the SHA-256 of everything before it. With recipients
the file is one that the tool `age` reads as well. With a passphrase its first line is a key of its own, which age has
encrypted with the passphrase; what follows is encrypted to that key.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyrage

from webapp.extensions import ForPeople, to_json

FORMAT = 1
ABOUT, MANIFEST = "about.json", "manifest.json"
AGE, LOCKED = b"age-encryption.org/", b"syncline-backup-passphrase-1 "
PIECE = 1 << 20


class BadArchive(ForPeople):
    """A file is no backup, is damaged, or cannot be opened with what was given."""


@dataclass(frozen=True)
class Lock:
    """What keeps others from reading a backup: public keys of age, a passphrase, or nothing."""

    recipients: tuple[str, ...] = ()
    passphrase: str = ""

    def __bool__(self) -> bool:
        return bool(self.recipients or self.passphrase)


@dataclass(frozen=True)
class Key:
    """What opens a backup: the text of an age identity file, a passphrase, or nothing."""

    identity: str = ""
    passphrase: str = ""


@dataclass
class Writer:
    """Adds members to a backup and keeps their digests."""

    tar: tarfile.TarFile
    at: float
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        """Add a member from memory."""
        self.add_stream(name, io.BytesIO(content), len(content))

    def add_stream(self, name: str, stream: IO[bytes], size: int) -> None:
        """Add a member of `size` bytes; a stream that ends early, since its file was cut, is filled with zeros."""
        read = _Digested(stream, size)
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = size, int(self.at), 0o600
        self.tar.addfile(member, read)
        self.digests[name] = read.digest.hexdigest()

    def add_batches(self, name: str, number: int, batches: Sequence[pa.RecordBatch]) -> None:
        """Add a part of a table."""
        out = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(out, batches[0].schema, options=options) as stream:
            for batch in batches:
                stream.write_batch(batch)
        self.add(f"tables/{name}/{number:06}.arrow", out.getvalue())

    def finish(self, tables: dict[str, Any]) -> None:
        """Add the manifest."""
        self.add(MANIFEST, to_json({"members": dict(self.digests), "tables": tables}).encode())


class _Digested(io.RawIOBase):
    """Reads exactly so many bytes, and keeps their digest."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.digest = hashlib.sha256()
        self._stream, self._left = stream, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        found = self._stream.read(wanted)
        found += bytes(wanted - len(found))
        self._left -= len(found)
        self.digest.update(found)
        return found


@contextmanager
def written(path: Path, lock: Lock, at: float) -> Iterator[Writer]:
    """Write a backup to a new file, which appears when it is whole.

    Raises:
        BadArchive: the file exists, cannot be written, or a recipient is none.
    """
    if path.exists():
        raise BadArchive(f"{path} exists already. Name a new file: a backup replaces no other.")
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with _encrypting(file, lock) as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                yield Writer(tar, at)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise BadArchive(f"{path} cannot be written: {why}.") from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _encrypting(file: IO[bytes], lock: Lock) -> Iterator[IO[bytes]]:
    if not lock:
        yield file
        return
    try:
        recipients = [pyrage.x25519.Recipient.from_str(text) for text in lock.recipients]
    except pyrage.RecipientError as error:
        raise BadArchive(f"--recipient: {error}. A recipient begins with age1; 'age-keygen' makes one.") from None
    if lock.passphrase:
        own = pyrage.x25519.Identity.generate()
        locked = pyrage.passphrase.encrypt(str(own).encode(), lock.passphrase)
        file.write(LOCKED + base64.b64encode(locked) + b"\n")
        recipients = [own.to_public()]
    with _piped(lambda reading: pyrage.encrypt_io(reading, file, recipients)) as out:
        yield out


@contextmanager
def _piped(work: Any) -> Iterator[IO[bytes]]:
    """Hand what is written to a thread that reads it; its errors are ours."""
    reading, writing = os.pipe()
    problems: list[BaseException] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as stream:
            try:
                work(stream)
            except BaseException as error:  # noqa: BLE001 - raised again where the other end is
                problems.append(error)

    thread = threading.Thread(target=read, name="age", daemon=True)
    thread.start()
    try:
        with os.fdopen(writing, "wb") as out:
            yield out
    except BrokenPipeError:
        if not problems:
            raise
    finally:
        thread.join()
    if problems:
        raise problems[0]


def unpacked(path: Path, key: Key, folder: Path) -> dict[str, Any]:
    """Write the members of a backup into an empty folder, check each digest, and return the manifest.

    Raises:
        BadArchive: the file is no backup, is damaged or cut off, or does not open with the key.
    """
    with path.open("rb") as file:
        try:
            if _is_encrypted(file):
                _decrypt(file, key, folder)
            else:
                _extract(file, folder)
        except tarfile.TarError:
            raise BadArchive(f"{path} is not a backup of Syncline, or it is damaged.") from None
        except OSError as error:
            raise BadArchive(f"{path} cannot be read or unpacked: {error.strerror or error}.") from None
    return _checked(path, folder)


def _is_encrypted(file: IO[bytes]) -> bool:
    start = file.read(len(LOCKED))
    file.seek(0)
    return start.startswith(AGE) or start == LOCKED


def _decrypt(file: IO[bytes], key: Key, folder: Path) -> None:
    identities = _identities(file, key)
    try:
        with _piped(lambda reading: _extract(reading, folder)) as out:
            pyrage.decrypt_io(file, out, identities)
    except pyrage.DecryptError:
        raise BadArchive("The backup does not open with this key, or it was altered.") from None


def _identities(file: IO[bytes], key: Key) -> list[Any]:
    start = file.read(len(LOCKED))
    try:
        if start == LOCKED:
            if not key.passphrase:
                raise BadArchive("The backup is encrypted with a passphrase: give it with --passphrase-file.")
            own = pyrage.passphrase.decrypt(base64.b64decode(file.readline(PIECE)), key.passphrase)
            return [pyrage.x25519.Identity.from_str(own.decode())]
        file.seek(0)
        lines = [line for line in key.identity.splitlines() if line.startswith("AGE-SECRET-KEY-")]
        if not lines:
            raise BadArchive("The backup is encrypted to a recipient: give the file of its key with --identity.")
        return [pyrage.x25519.Identity.from_str(line.strip()) for line in lines]
    except (pyrage.DecryptError, ValueError):
        raise BadArchive("The passphrase is not the one of this backup.") from None
    except pyrage.IdentityError:
        raise BadArchive("--identity: this is not a key of age.") from None


def _extract(stream: IO[bytes], folder: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            if member.isfile():
                tar.extract(member, folder, filter="data")


def _checked(path: Path, folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        members = dict(manifest["members"])
    except (OSError, ValueError, KeyError):
        raise BadArchive(
            f"{path} is not a whole backup of Syncline: its end is missing, or it is another file."
        ) from None
    for name, said in members.items():
        if not (folder / name).is_file() or file_digest(folder / name) != said:
            raise BadArchive(f"{path} is damaged: {name} is not what the manifest says.")
    there = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    if more := sorted(there - {MANIFEST, *members}):
        raise BadArchive(f"{path} was altered: its manifest knows nothing of {more[0]}.")
    return manifest


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def about(folder: Path) -> dict[str, Any]:
    """Return what an unpacked backup says of itself; raises `BadArchive` for a format that is not known."""
    found: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
    if found.get("format") != FORMAT:
        raise BadArchive(f"The backup has format {found.get('format')}; this version knows {FORMAT}.")
    return found


def batches(folder: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table of an unpacked backup."""
    for part in sorted((folder / "tables" / name).glob("*.arrow")):
        with part.open("rb") as file, pa.ipc.open_stream(file) as stream:
            yield from stream
