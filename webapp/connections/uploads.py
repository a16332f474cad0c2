"""Files that people bring: the folders a connection may use, making one, and putting a file into it.

A file is written beside its place under a hidden name and appears there whole or not at all.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import secrets
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from connectors.builtin.files_folder import Folder
from connectors.builtin.files_options import ENDINGS, Options
from connectors.errors import ConnectorError
from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.catalogue import connector_class
from webapp.connections.documents import KIND
from webapp.connections.errors import UploadRefused, sentence
from webapp.connections.opening import meant, refuse_own_files, roots
from webapp.connections.store import ConnectionRow, get_connection
from webapp.extensions import Actor, House

CONNECTOR = "files"
DROP = "file_drop"
FOLDERS = (CONNECTOR, DROP)
"""The connectors that work on a folder of this server."""

LARGEST = 200 * 1024 * 1024
"""Bytes of one file."""

_PART = 1024 * 1024
_NAME = re.compile(r"[\w][\w .()+,@=-]{0,150}")


def allowed_folders(house: House, row: ConnectionRow | None = None) -> list[Path]:
    """Return the folders to suggest: what the operator released; of our own data folder only its files."""
    settings = house.settings
    permitted = roots(house, row) if row else settings.file_roots
    return [settings.data / "files" if root == settings.data else root for root in permitted]


def endings(row: ConnectionRow) -> tuple[str, ...]:
    """Return the endings of the files that a connection reads."""
    options = Options.of(row.settings)
    return tuple(ENDINGS.get(options.format) or (e for found in ENDINGS.values() for e in found))


def folder(house: House, row: ConnectionRow) -> Folder:
    """Return the folder of a connection; raises `ConnectorError`."""
    refuse_own_files(house, row, connector_class(row.connector).spec)
    return Folder.of(Options.of(row.settings), roots(house, row))


def proposed_folder(house: House, connector: str) -> str:
    """Return the folder that the form of a new connection proposes; files that arrive get one of their own."""
    folders = allowed_folders(house) if connector in FOLDERS else []
    return str(folders[0] / "inbox" if connector == DROP else folders[0]) if folders else ""


def make_folder(house: House, row: ConnectionRow | None, settings: Mapping[str, Any]) -> None:
    """Make the folder that a form names, if it is missing and lies where connections may be."""
    local = settings.get("place") in (None, "", "local")
    text = str(settings.get("path") or "").strip() if local else ""
    draft = ConnectionRow(0, "", "", CONNECTOR, {"path": text}, row.granted_roots if row else ())
    permitted = roots(house, draft)
    with suppress(ConnectorError, OSError):
        refuse_own_files(house, draft, connector_class(CONNECTOR).spec)
        paths = meant(text, permitted) if text else []
        inside = [p for p in paths if any(p.is_relative_to(root.resolve()) for root in permitted)]
        if inside and not any(p.exists() for p in paths):
            inside[0].mkdir(parents=True, mode=0o750)


def upload(house: House, name: str, file: tuple[str, IO[bytes]], actor: Actor, replace: bool = False) -> str:
    """Put a file into the folder of a connection and return the name it got there.

    Args:
        house: The house.
        name: The connection.
        file: The name that the browser gave, and the content.
        actor: Who brings it.
        replace: Put it in place of a file of the same name.

    Raises:
        UploadRefused: The name, ending or size is not permitted, or the file exists already.
    """
    with house.db.read() as tx:
        row = get_connection(tx, name)
    if row.connector != CONNECTOR:
        raise UploadRefused(msg("Files can only be put into a connection that reads a folder."))
    called = _name(file[0], row)
    try:
        place = folder(house, row).path / called
    except ConnectorError as error:
        raise UploadRefused(sentence(error)) from error
    try:
        _put(house, (row, place, replace), file[1], actor)
    except FileExistsError:
        raise UploadRefused(
            msg(
                "The folder has a file '{file}' already. Choose to replace it, or give the file another name.",
                file=called,
            )
        ) from None
    except OSError as error:
        raise UploadRefused(
            msg(
                "The file '{file}' cannot be written: {problem}. Ask the operator to check the folder.",
                file=called,
                problem=(error.strerror or "input/output error").lower(),
            )
        ) from error
    return called


def _put(house: House, what: tuple[ConnectionRow, Path, bool], content: IO[bytes], actor: Actor) -> None:
    row, place, replace = what
    draft = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        size, digest = _write(draft, content, place.name)
        with house.db.begin() as tx:
            after = {"file": place.name, "bytes": size, "sha256": digest, "replaced": replace and place.exists()}
            record(tx, actor, house.clock(), Event(Tag.FILE_UPLOADED, Subject(KIND, row.name), after=after))
            if replace:
                draft.replace(place)
            else:
                os.link(draft, place)
    finally:
        draft.unlink(missing_ok=True)


def _write(draft: Path, content: IO[bytes], called: str) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
    with os.fdopen(handle, "wb") as target:
        while part := content.read(_PART):
            size += len(part)
            if size > LARGEST:
                raise UploadRefused(
                    msg(
                        "The file '{file}' is larger than {largest} MB. "
                        "Split it, or let the operator copy it into the folder.",
                        file=called,
                        largest=LARGEST // 1024**2,
                    )
                )
            digest.update(part)
            target.write(part)
        target.flush()
        os.fsync(target.fileno())
    return size, digest.hexdigest()


def _name(given: str, row: ConnectionRow) -> str:
    """Return a safe file name: the last part, composed Unicode, no control or path characters."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1]).strip()
    if not _NAME.fullmatch(name) or len(name.encode()) > 200:
        raise UploadRefused(msg("'{file}' is not a file name. Use letters, digits, spaces, - and _.", file=given[-80:]))
    accepted = endings(row)
    if not name.lower().endswith(accepted):
        raise UploadRefused(
            msg(
                "The connection '{name}' does not read '{file}'. It reads files that end in {endings}.",
                name=row.title,
                file=name,
                endings=", ".join(accepted),
            )
        )
    pattern = Options.of(row.settings).pattern
    if pattern and not fnmatch.fnmatch(name.lower(), pattern.lower()):
        raise UploadRefused(
            msg(
                "The connection '{name}' reads files called {pattern} only; '{file}' does not match.",
                name=row.title,
                file=name,
                pattern=pattern,
            )
        )
    return name


__all__ = ["LARGEST", "allowed_folders", "endings", "folder", "make_folder", "upload"]
