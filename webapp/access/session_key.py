"""The key that signs sessions. All consoles of an installation need the same: it is copied with the others."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from config import SettingError, Settings

KEY_LENGTH = 64


def session_key(settings: Settings) -> str:
    """Return the key that signs sessions; made at the first start, readable by its owner only."""
    path = settings.data / "keys" / "session.key"
    if not path.exists():
        _make_key(path)
    key = path.read_text().strip()
    if len(key) < KEY_LENGTH:
        raise SettingError(
            "SYNCLINE_DATA", f"{path} holds no key. Delete the file; all users will have to sign in again."
        )
    return key


def _make_key(path: Path) -> None:
    """Write a key that appears as a whole, so that no other process reads half of it; the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(KEY_LENGTH // 2))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
