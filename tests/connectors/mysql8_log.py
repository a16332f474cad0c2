"""A rebuilt binary log of MySQL 8, event by event as the manual describes it: no such server is to be had.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence
from typing import Any

from pymysql.protocol import MysqlPacket

QUERY, ROTATE, FORMAT, XID, TABLE_MAP = 2, 4, 15, 16, 19
WRITE, UPDATE, DELETE, GTID, ANONYMOUS, PARTIAL, COMPRESSED, TAGGED = 30, 31, 32, 33, 34, 39, 40, 42
SOURCE = uuid.UUID("3e11fa47-71ca-11e1-9e33-c80aa9429562")
_LONG, _VARCHAR = 3, 15
_SIGNEDNESS, _CHARSET, _NAMES = 1, 2, 4
_POST = {TABLE_MAP: 8, WRITE: 10, UPDATE: 10, DELETE: 10, GTID: 42, QUERY: 13, ROTATE: 8}


class Log:
    """Events, each with its place, for the table `shop.t (id int PRIMARY KEY, name varchar(40))`."""

    def __init__(self, version: str = "8.4.3") -> None:
        self.packets: list[bytes] = []
        self.place = 4
        self._event(ROTATE, struct.pack("<Q", 4) + b"binlog.000007", at=0)
        lengths = bytes(_POST.get(kind, 0) for kind in range(1, 43))
        head = struct.pack("<H", 4) + version.encode().ljust(50, b"\0") + struct.pack("<IB", 0, 19)
        self._event(FORMAT, head + lengths + b"\1")

    def transaction(self, number: int, *events: tuple[int, bytes], source: uuid.UUID = SOURCE) -> None:
        """Add a transaction."""
        clock = struct.pack("<QQ", number - 1, number) + b"\1" * 7 + b"\xfa" + struct.pack("<I", 80403)
        self._event(GTID, b"\0" + source.bytes + struct.pack("<Q", number) + b"\2" + clock)
        self._event(*query("BEGIN"))
        for event in events:
            self._event(*event)
        self._event(XID, struct.pack("<Q", number))

    def statement(self, number: int, text: str) -> None:
        """Add a transaction of one statement."""
        self._event(GTID, b"\0" + SOURCE.bytes + struct.pack("<Q", number) + b"\2" + bytes(16))
        self._event(*query(text))

    def odd(self, kind: int) -> None:
        """Add an event of another kind."""
        self._event(kind, b"what it holds")

    def _event(self, kind: int, body: bytes, at: int | None = None) -> None:
        size = 19 + len(body) + 4
        self.place += size
        head = struct.pack(
            "<IBIIIH", 1_700_000_000 if at is None else 0, kind, 1, size, self.place if at is None else 0, 0
        )
        self.packets.append(b"\0" + head + body + struct.pack("<I", zlib.crc32(head + body)))


def query(text: str) -> tuple[int, bytes]:
    """Return a statement."""
    return QUERY, struct.pack("<IIBHH", 1, 0, 4, 0, 0) + b"shop\0" + text.encode()


def table(name: str = "t") -> tuple[int, bytes]:
    """Return what describes the columns of the next rows, with their names."""
    kinds = bytes((_LONG, _VARCHAR))
    meta = struct.pack("<H", 160)
    names = b"\2id\4name"
    letters = b"\xfc\xff\0"  # utf8mb4_0900_ai_ci
    more = bytes((_SIGNEDNESS, 1, 0, _CHARSET, len(letters))) + letters + bytes((_NAMES, len(names))) + names
    head = _table_id(name) + struct.pack("<H", 1) + b"\4shop\0" + bytes((len(name),)) + name.encode() + b"\0"
    return TABLE_MAP, head + b"\2" + kinds + bytes((len(meta),)) + meta + b"\2" + more


def rows(kind: int, *images: tuple[int, str | None], name: str = "t") -> tuple[int, bytes]:
    """Return rows; those of an update are pairs of images."""
    present = b"\3" * (2 if kind == UPDATE else 1)
    return kind, _table_id(name) + struct.pack("<HH", 1, 2) + b"\2" + present + b"".join(map(_image, images))


def _image(image: tuple[int, str | None]) -> bytes:
    key, name = image
    start = bytes((0 if name is not None else 2,)) + struct.pack("<i", key)
    return start if name is None else start + bytes((len(name.encode()),)) + name.encode()


def _table_id(name: str) -> bytes:
    return struct.pack("<Q", ord(name))[:6]


class Connection:
    """A connection whose server sends a log."""

    charset = "utf8mb4"
    cursorclass: Any = None

    def __init__(self, packets: Sequence[bytes]) -> None:
        self._packets = iter([*packets, b"\xfe\0\0\0\0"])
        self.asked = b""

    def cursor(self) -> Any:
        """Return what answers the questions about the log's form."""
        return _Cursor()

    def get_server_info(self) -> str:
        """Return the version."""
        return "8.4.3"

    def close(self) -> None:
        """Nothing to close."""

    def _write_bytes(self, data: bytes) -> None:
        self.asked = data

    def _read_packet(self) -> MysqlPacket:
        return MysqlPacket(next(self._packets), "utf8mb4")


class _Cursor:
    def execute(self, text: str, _values: Any = None) -> None:
        self.text = text.upper()

    def fetchone(self) -> Any:
        return {"Value": "FULL"} if "METADATA" in self.text else ("binlog_checksum", "CRC32")

    def close(self) -> None:
        pass
