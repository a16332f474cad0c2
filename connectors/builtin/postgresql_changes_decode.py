"""Which records pgoutput's messages name ("Logical Replication Message Formats", protocol version 1).

Only keys are taken out of a message. That makes large values that did not change, types and their texts no concern of
this module; what the records are now is read from the table.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.builtin.database_changes import Keys
from connectors.builtin.postgresql_changes_stream import lsn_text

_BEGIN, _COMMIT, _RELATION, _INSERT, _UPDATE, _DELETE, _TRUNCATE = b"BCRIUDT"
_ROWS = frozenset((_INSERT, _UPDATE, _DELETE))
_NEW = b"N"[0]
_NOTHING, _SAME = b"nu"
_ROW, _COLUMNS = 6, 2
"""Where the values of a row begin, and the size of their count."""


class Decoder:
    """Collects the keys of one table; `relations` are the tables of the stream that are it, and where its key is."""

    def __init__(self, table: tuple[str, str], key: str, keys: Keys, until: int) -> None:
        self._table = tuple(name.encode() for name in table)
        self._key = key.encode()
        self._keys = keys
        self._until = until
        self._relations: dict[bytes, int] = {}
        self.transactions: set[int] = set()

    def collect(self, messages: Iterator[bytes]) -> bool:
        """Take keys until the window is full; return whether the end of the read is reached."""
        for message in messages:
            kind = message[0]
            if kind in _ROWS:
                self._change(kind, message)
                if self._keys.full:
                    return False
            elif kind == _BEGIN and int.from_bytes(message[1:9]) >= self._until:
                return True
            elif kind == _COMMIT:
                if self._keys.committed({"lsn": lsn_text(int.from_bytes(message[10:18]))}):
                    return False
            else:
                self._aside(kind, message)
        return True

    def _aside(self, kind: int, message: bytes) -> None:
        """Take note of what is not about one record."""
        if kind == _BEGIN:
            self.transactions.add(int.from_bytes(message[17:21]))
        elif kind == _RELATION:
            self._relation(message)
        elif kind == _TRUNCATE and self._truncated(message):
            self._keys.emptied_all()

    def _change(self, kind: int, message: bytes) -> None:
        index = self._relations.get(message[1:5])
        if index is None:
            return
        if kind == _INSERT or (kind == _UPDATE and message[5] == _NEW):
            self._keys.changed(_value(message, _ROW, index), gone=False)
            return
        old = _value(message, _ROW, index)
        if kind == _DELETE:
            self._keys.changed(old, gone=True)
            return
        new = _value(message, _behind(message, _ROW) + 1, index)
        # a large key that did not change is not sent again
        self._keys.changed_to(old, old if new is None else new)

    def _relation(self, message: bytes) -> None:
        schema_end = message.index(0, 5)
        name_end = message.index(0, schema_end + 1)
        if (message[5:schema_end], message[schema_end + 1 : name_end]) != self._table:
            return
        at, count = name_end + 4, int.from_bytes(message[name_end + 2 : name_end + 4])
        for index in range(count):
            end = message.index(0, at + 1)
            if message[at + 1 : end] == self._key:
                self._relations[message[1:5]] = index
            at = end + 9

    def _truncated(self, message: bytes) -> bool:
        end = min(6 + 4 * int.from_bytes(message[1:5]), len(message))
        return any(message[start : start + 4] in self._relations for start in range(6, end, 4))


def _value(message: bytes, at: int, index: int) -> bytes | None:
    """Return one value of a row; None where it is null or was not sent."""
    at += _COLUMNS
    for _ in range(index):
        at += 1 if message[at] in (_NOTHING, _SAME) else 5 + int.from_bytes(message[at + 1 : at + 5])
    if message[at] in (_NOTHING, _SAME):
        return None
    return message[at + 5 : at + 5 + int.from_bytes(message[at + 1 : at + 5])]


def _behind(message: bytes, at: int) -> int:
    """Return the place behind a row."""
    count = int.from_bytes(message[at : at + 2])
    at += _COLUMNS
    for _ in range(count):
        at += 1 if message[at] in (_NOTHING, _SAME) else 5 + int.from_bytes(message[at + 1 : at + 5])
    return at
