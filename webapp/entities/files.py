"""Files of records: stored once under their SHA-256 below the data folder, known to the database."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from webapp.entities.models import entity_file
from webapp.extensions import Actor, House

CHUNK = 1 << 20
_UNSAFE = re.compile(r"[\x00-\x1f/\\]+")


def folder(house: House) -> Path:
    """Return where the files lie."""
    return house.settings.data / "files"


def path_of(house: House, digest: str) -> Path:
    """Return the path of a file's content."""
    return folder(house) / digest[:2] / digest


def store(house: House, stream: IO[bytes], file_name: str, actor: Actor) -> str:
    """Keep a file and return its reference, `<digest>/<file name>`; equal content is kept once."""
    held = folder(house)
    held.mkdir(parents=True, exist_ok=True)
    waiting = held / f".upload-{secrets.token_hex(8)}"
    digest, size = hashlib.sha256(), 0
    try:
        with waiting.open("xb") as target:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        name = digest.hexdigest()
        final = path_of(house, name)
        final.parent.mkdir(exist_ok=True)
        waiting.replace(final)
    finally:
        waiting.unlink(missing_ok=True)
    with house.db.begin() as tx:
        if tx.scalar(sa.select(entity_file.c.digest).where(entity_file.c.digest == name)) is None:
            values = {"digest": name, "size": size, "at": house.clock(), "actor": actor.name[:128]}
            tx.execute(sa.insert(entity_file).values(values))
    return f"{name}/{clean(file_name)}"


def clean(file_name: str) -> str:
    """Return a file name without folders and control characters, 200 characters at most, its ending kept."""
    name = _UNSAFE.sub("_", file_name.replace("\\", "/").rsplit("/", 1)[-1]).strip() or "file"
    stem, dot, ending = name.rpartition(".")
    return name if len(name) <= 200 else f"{stem[: 190 - len(ending)]}{dot}{ending[:20]}"


def split(reference: str) -> tuple[str, str]:
    """Return the digest and the file name of a reference."""
    digest, _, name = reference.partition("/")
    return digest, name
