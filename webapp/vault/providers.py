"""Where the key-encryption keys live: what any place of keys does, and the two that this process reads itself.

A provider wraps and unwraps data keys and never gives a key out, so that an RSA pair (`rsa_keys`) or a key service
(`key_services`) can take the place of a file: implement `KeyProvider` and add it to `places.PROVIDERS`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Set
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config import MASTER_KEY, master_key
from rules.text import msg
from webapp.vault.errors import KeyUnavailable

KEY_BYTES = 32
NONCE_BYTES = 12


class KeyProvider(ABC):
    """Holds key-encryption keys; the current one wraps, all of them unwrap."""

    @property
    @abstractmethod
    def current(self) -> str:
        """Return the id of the key that wraps; raises `KeyUnavailable`."""

    @abstractmethod
    def wrap(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Return the id of the current key and the data key wrapped by it, bound to `owner`."""

    @abstractmethod
    def unwrap(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Return the data key, or None if it does not fit; raises `KeyUnavailable` for a key that is not here."""

    @abstractmethod
    def renew(self) -> str:
        """Make a new key the current one, keep the others, and return its id. The caller holds the vault's lock."""

    @abstractmethod
    def retire(self, keep: Set[str]) -> tuple[str, ...]:
        """Forget all keys but the current one and `keep`; return what was forgotten. The caller holds the lock."""

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether there is a key already."""


def key_id(key: bytes) -> str:
    """Return a name for a key that tells nothing about it."""
    return hashlib.sha256(b"syncline key id\0" + key).hexdigest()[:16]


def _parsed(text: str, place: str) -> dict[str, bytes]:
    try:
        keys = [base64.b64decode(line, validate=True) for line in text.split()]
    except binascii.Error:
        raise _malformed(place) from None
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise _malformed(place)
    return {key_id(key): key for key in keys}


def _malformed(place: str) -> KeyUnavailable:
    return KeyUnavailable(
        msg("{place} does not hold a key of {bytes} bytes in base64.", place=place, bytes=KEY_BYTES),
        msg("Put the right key back from a backup. For a new installation make one with: openssl rand -base64 32"),
    )


class LocalKeys(KeyProvider):
    """Keys that this process holds itself: AES-256-GCM key wrapping."""

    place: str

    @abstractmethod
    def _keys(self) -> dict[str, bytes]:
        """Return id -> key, the current one first; raises `KeyUnavailable`."""

    @property
    def current(self) -> str:
        """Return the id of the first key."""
        return next(iter(self._keys()))

    def wrap(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Wrap with the current key; the result is nonce and ciphertext."""
        key_id, key = next(iter(self._keys().items()))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return key_id, nonce + AESGCM(key).encrypt(nonce, data_key, _bound(key_id, owner))

    def unwrap(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Unwrap with the key called `key_id`."""
        key = self._key(key_id)
        try:
            return AESGCM(key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bound(key_id, owner))
        except (InvalidTag, ValueError):
            return None

    def _key(self, key_id: str) -> bytes:
        """Return a key; raises `KeyUnavailable` where it is not here."""
        key = self._keys().get(key_id)
        if key is None:
            raise KeyUnavailable(
                msg("The key {key} that protects this secret is not in {place}.", key=key_id[:64], place=self.place),
                msg("Put that key back from a backup, or enter the secret again."),
            )
        return key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place})"


class FileKeys(LocalKeys):
    """Keys in a file that only its owner may read: one key a line in base64, the current one first."""

    fresh: Callable[[], bytes] = staticmethod(lambda: secrets.token_bytes(KEY_BYTES))
    parsed: Callable[[str, str], dict[str, bytes]] = staticmethod(_parsed)
    written: Callable[[bytes], bytes] = staticmethod(lambda key: base64.b64encode(key) + b"\n")
    """How a key is made, read from the file's text and written there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self._seen: tuple[int, ...] = ()
        self._cached: dict[str, bytes] = {}

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    def renew(self) -> str:
        """Put a new key before the others."""
        self._replace([self.fresh(), *self._keys().values()])
        return self.current

    def retire(self, keep: Set[str]) -> tuple[str, ...]:
        """Write the file again without the keys that nothing needs any more."""
        keys = self._keys()
        first = next(iter(keys))
        gone = tuple(k for k in keys if k != first and k not in keep)
        if gone:
            self._replace([key for key_id, key in keys.items() if key_id not in gone])
        return gone

    def _keys(self) -> dict[str, bytes]:
        """Read the file again whenever it has changed: another process may have rotated the keys."""
        try:
            state = self._state()
        except FileNotFoundError:
            self._create()
            state = self._state()
        if state != self._seen:
            self._cached = self.parsed(self._text(), self.place)
            self._seen = state
        return self._cached

    def _state(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(error) from error
        if not stat.S_ISREG(found.st_mode):
            raise KeyUnavailable(
                msg("{place} is not a file, so it cannot hold the key.", place=self.place),
                msg("Set {setting} to a file.", setting="SYNCLINE_KEY_FILE"),
            )
        if found.st_mode & 0o077:
            raise KeyUnavailable(
                msg(
                    "Others may read the key file {place} (its mode is {mode}).",
                    place=self.place,
                    mode=f"{stat.S_IMODE(found.st_mode):o}",
                ),
                msg("Run: chmod 600 {place}", place=self.place),
            )
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _text(self) -> str:
        try:
            return self.path.read_text("ascii")
        except UnicodeDecodeError:
            raise _malformed(self.place) from None
        except OSError as error:
            raise self._unreadable(error) from error

    def _create(self) -> None:
        """Make the first key. Linking a finished file is exclusive, and no other process sees half of it."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._draft([self.fresh()])
            try:
                os.link(draft, self.path)
            except FileExistsError:
                pass  # another process was first; its key is as good
            finally:
                draft.unlink()
            self._sync_folder()
        except OSError as error:
            raise KeyUnavailable(
                msg("The key file {place} cannot be created: {problem}.", place=self.place, problem=_reason(error)),
                msg("Make its folder writable, or set {setting} to another file.", setting="SYNCLINE_KEY_FILE"),
            ) from error

    def _replace(self, keys: Iterable[bytes]) -> None:
        try:
            self._draft(keys).replace(self.path)
            self._sync_folder()
        except OSError as error:
            raise KeyUnavailable(
                msg("The key file {place} cannot be written: {problem}.", place=self.place, problem=_reason(error)),
                msg("Make its folder writable and rotate the keys again."),
            ) from error

    def _draft(self, keys: Iterable[bytes]) -> Path:
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(b"".join(map(self.written, keys)))
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _sync_folder(self) -> None:
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _unreadable(self, error: OSError) -> KeyUnavailable:
        return KeyUnavailable(
            msg("The key file {place} cannot be read: {problem}.", place=self.place, problem=_reason(error)),
            msg("Let the user that runs Syncline read it, and nobody else."),
        )


class EnvironmentKeys(LocalKeys):
    """Keys in an environment variable: base64, separated by commas, the current one first."""

    def __init__(self, read: Callable[[], str] = master_key) -> None:
        self.place = MASTER_KEY
        self._read = read

    def exists(self) -> bool:
        """Tell whether the variable is set."""
        return bool(self._read())

    def renew(self) -> str:
        """Refuse: only the operator can put a new key into the environment."""
        raise KeyUnavailable(
            msg("All secrets are under the current key of {place} already.", place=self.place),
            msg("Put a new key before the old one, separated by a comma, restart Syncline and rotate again."),
        )

    def retire(self, keep: Set[str]) -> tuple[str, ...]:
        """Return the ids of the keys that the operator may now remove from the variable."""
        return tuple(k for k in self._keys() if k != self.current and k not in keep)

    def _keys(self) -> dict[str, bytes]:
        text = self._read()
        if not text:
            raise KeyUnavailable(
                msg("{place} is not set, so secrets can be neither stored nor read.", place=self.place),
                msg("Set it to a key made with: openssl rand -base64 32"),
            )
        return _parsed(text.replace(",", "\n"), self.place)


def _bound(key: str, owner: bytes) -> bytes:
    return b"key " + key.encode() + b" of " + owner


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
