"""The public keys of the audit log, oldest first, each vouched for by the one before it.

With every new key goes a statement: all keys so far, signed by the last one and by the new one. Who trusts any one key
can therefore tell all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.audit.models import audit_key
from webapp.audit.notes import BadNote, PublicKey, Signer, opened, sign

_TITLE = "syncline audit keys"


@dataclass(frozen=True)
class KeyLine:
    """A key of the log: its number from 1, its public half as text, and the statement that it came with."""

    no: int
    public: str
    at: datetime
    statement: str


def lines(tx: sa.Connection) -> list[KeyLine]:
    """Return all keys, the oldest first."""
    rows = tx.execute(sa.select(audit_key).order_by(audit_key.c.no))
    return [KeyLine(row.no, row.public, row.at, row.statement) for row in rows]


def public_keys(tx: sa.Connection) -> list[PublicKey]:
    """Return the keys by which notes are checked, the oldest first."""
    return [PublicKey.parse(line.public) for line in lines(tx)]


def add(tx: sa.Connection, new: Signer, last: Signer | None, at: datetime) -> KeyLine:
    """Note a new key, with the statement that the last one signs too."""
    known = [line.public for line in lines(tx)]
    public = str(new.public)
    statement = sign(_text([*known, public]), *([last] if last else []), new)
    line = KeyLine(len(known) + 1, public, at, statement)
    tx.execute(sa.insert(audit_key).values(no=line.no, public=public, at=at, statement=statement))
    return line


def chained(found: Sequence[KeyLine]) -> list[PublicKey]:
    """Return the keys, each of which is vouched for by the one before.

    Raises:
        BadNote: A statement is missing, altered, or not signed by both keys; it names the key.
    """
    keys: list[PublicKey] = []
    for number, line in enumerate(found, 1):
        try:
            keys.append(PublicKey.parse(line.public))
            both = keys[-2:]
            text, signers = opened(line.statement, both)
        except BadNote as error:
            raise BadNote(f"key {number}: {error}") from None
        if line.no != number or set(signers) != set(both) or text != _text([str(key) for key in keys]):
            raise BadNote(f"key {number}: its statement does not fit")
    return keys


def _text(keys: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in (_TITLE, *keys))
