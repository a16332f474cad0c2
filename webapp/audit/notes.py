"""Signed notes and checkpoints, in the formats of C2SP (signed-note, tlog-checkpoint), with Ed25519. Pure.

A checkpoint says: this log had so many events, and this is the root of their tree. Whoever keeps one elsewhere can tell
later whether the log still begins with what it held then.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from webapp.audit.canonical import instant, stamp
from webapp.audit.merkle import HASH

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+\u2014]{1,128}")
_LINE = re.compile(r"\u2014 (\S+) ([A-Za-z0-9+/=]+)")
_TIME = "time "
_CHECKPOINT = re.compile(r"^\S+\n\d+\n[A-Za-z0-9+/=]+\ntime \S+\n\n(?:\u2014 \S+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE)
_IN_JSON = re.compile(r'"note": ?("(?:[^"\\]|\\.)*")')


class BadNote(ValueError):
    """A note is not one, or nobody who is known has signed it."""


@dataclass(frozen=True)
class PublicKey:
    """A key by which notes are checked; its text is what people keep and compare."""

    name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Return the key of a text such as `syncline/4f1c+1a2b3c4d+AWxh...`; raises `BadNote`."""
        name, _, rest = text.strip().partition("+")
        digest, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
            key = cls(name, raw[1:])
            fits = raw[:1] == _ED25519 and len(raw) == 1 + HASH and key.mark.hex() == digest
        except ValueError:  # not base64, or letters that no text can hold
            fits = False
        if not fits or not _NAME.fullmatch(name):
            raise BadNote("this is not a public key of an audit log")
        return key

    @property
    def mark(self) -> bytes:
        """Return the four bytes by which a signature names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.mark.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether a signature over a text is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """A key that signs notes under a name."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """Return the key by which its notes are checked."""
        return PublicKey(self.name, self.private.public_key().public_bytes_raw())


def sign(text: str, *signers: Signer) -> str:
    """Return a text, whose lines all end, as a note signed by all signers."""
    lines = []
    for signer in signers:
        signature = signer.public.mark + signer.private.sign(text.encode())
        lines.append(f"\u2014 {signer.name} {base64.b64encode(signature).decode()}\n")
    return f"{text}\n{''.join(lines)}"


def opened(note: str, known: Collection[PublicKey]) -> tuple[str, tuple[PublicKey, ...]]:
    """Return the text of a note and which of the known keys have signed it.

    Raises:
        BadNote: It is no note, a signature by a known key is wrong, or no known key has signed it.
    """
    body, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise BadNote("this is not a signed note")
    text = body + "\n"
    by_mark: Mapping[tuple[str, bytes], PublicKey] = {(key.name, key.mark): key for key in known}
    found = []
    for line in signatures.removesuffix("\n").split("\n"):
        name, signature = _signature(line)
        key = by_mark.get((name, signature[:4]))
        if key is None:
            continue
        if not key.verifies(text, signature[4:]):
            raise BadNote("its signature does not fit")
        found.append(key)
    if not found:
        raise BadNote("no known key has signed it")
    return text, tuple(found)


def _signature(line: str) -> tuple[str, bytes]:
    match = _LINE.fullmatch(line)
    try:
        signature = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        signature = b""
    if match is None or len(signature) <= 4:
        raise BadNote("a line of its signatures cannot be read")
    return match[1], signature


@dataclass(frozen=True)
class Checkpoint:
    """What a log held at one time."""

    origin: str
    size: int
    root: bytes
    at: datetime

    @property
    def text(self) -> str:
        """Return what is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\n{_TIME}{stamp(self.at)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Return the checkpoint of a text; raises `BadNote`."""
        try:
            origin, size, root, time = text.removesuffix("\n").split("\n")
            found = cls(origin, int(size), base64.b64decode(root, validate=True), instant(time.removeprefix(_TIME)))
        except ValueError:
            raise BadNote("this is not a checkpoint of an audit log") from None
        if found.text != text or len(found.root) != HASH or found.size < 0:
            raise BadNote("this is not a checkpoint of an audit log")
        return found


def found_in(text: str) -> list[str]:
    """Return the notes of checkpoints in a text: one after another, or in lines of JSON such as log servers keep."""
    notes = [match[0] for match in _CHECKPOINT.finditer(text)]
    for match in _IN_JSON.finditer(text):
        with contextlib.suppress(ValueError):
            notes.append(json.loads(match[1]))
    return list(dict.fromkeys(notes))


def checkpoint(note: str, known: Collection[PublicKey]) -> Checkpoint:
    """Return the checkpoint of a note that a known key has signed; raises `BadNote`."""
    return Checkpoint.parse(opened(note, known)[0])
