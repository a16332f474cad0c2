"""A connection to MySQL that also loads rows from memory and hands over a result as the bytes that came.

The server may ask a client for any file at any time (https://dev.mysql.com/doc/refman/8.4/en/load-data-local-security.html).
Ours never gets one: what a `LOAD DATA LOCAL` of our own is given comes from memory, and a request at another time ends
the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import MySQLResult
from pymysql.constants import COMMAND, CR
from pymysql.protocol import LoadLocalPacketWrapper, MysqlPacket, OKPacketWrapper

FILE_ASKED = 2068
"""The number of the error for a server that asks for a file, as the C client has it."""
_PART = 64 * 1024
_RECEIVED = 256 * 1024
_HEADER = 4
_LARGEST = 0xFFFFFF
"""A packet of this size goes on in the next."""
_EOF, _ERROR, _EOF_SIZE = 0xFE, 0xFF, 9


@dataclass(frozen=True)
class Loaded:
    """What became of a load: so many rows were inserted, with so many warnings."""

    rows: int
    warnings: int


@dataclass(frozen=True)
class Received:
    """A result as it came: where each row begins in the bytes, and how the driver reads each field of a row."""

    raw: bytearray
    starts: list[int]
    converters: list[tuple[str | None, Any]]


_Driver: Any = pymysql.Connection  # its stubs know nothing of the protocol


class Wire(_Driver):  # type: ignore[misc]
    """A connection of the driver with two more ways to send and receive."""

    def load(self, statement: str, content: memoryview) -> Loaded:
        """Run a `LOAD DATA LOCAL`, whose file is `content`."""
        self._execute_command(COMMAND.COM_QUERY, statement)
        asked = self._read_packet()
        if asked.is_load_local_packet():
            LoadLocalPacketWrapper(asked)
            for start in range(0, len(content), _PART):
                self.write_packet(bytes(content[start : start + _PART]))
            self.write_packet(b"")
            asked = self._read_packet()
        told = OKPacketWrapper(asked)
        return Loaded(told.affected_rows, told.warning_count)

    def receive(self, statement: str) -> Received | None:
        """Return the result of a query, or None where a row is too large for one packet."""
        self._execute_command(COMMAND.COM_QUERY, statement)
        result: Any = MySQLResult(self)
        result.init_unbuffered_query()
        result.unbuffered_active = False
        found = self._rows()
        return None if found is None else Received(*found, result.converters)

    def _rows(self) -> tuple[bytearray, list[int]] | None:
        """Read packets until the last one of a result."""
        raw, starts, at, split = bytearray(), list[int](), 0, False
        while True:
            raw += self._part()
            end = len(raw)
            while at + _HEADER <= end:
                size = int.from_bytes(raw[at : at + 3], "little")
                begin = at + _HEADER
                if begin + size > end:
                    break
                first = raw[begin] if size else 0
                if first == _EOF and size < _EOF_SIZE:
                    return None if split else (raw, starts)
                if first == _ERROR:
                    MysqlPacket(bytes(raw[begin : begin + size]), self.encoding).raise_for_error()
                split = split or size == _LARGEST
                starts.append(begin)
                at = begin + size

    def _part(self) -> bytes:
        """Return what has come, as soon as something has."""
        try:
            part: bytes = self._rfile.read1(_RECEIVED)
        except OSError as error:
            part, told = b"", str(error)
        else:
            told = "Lost connection to MySQL server during query"
        if not part:
            self._force_close()
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, told)
        return part

    def _read_query_result(self, unbuffered: bool = False) -> int:
        """Turn a server away that asks for a file."""
        try:
            return super()._read_query_result(unbuffered)  # type: ignore[no-any-return]
        except RuntimeError as error:
            self._force_close()
            raise pymysql.OperationalError(FILE_ASKED, "The server asked for a file.") from error
