"""Asks whatever listens on a port whether it is PostgreSQL, before a driver gives up with a riddle."""

from __future__ import annotations

import socket
import struct

_REQUEST = struct.pack("!ii", 8, 80877103)
"""SSLRequest of the frontend/backend protocol; the answer is one byte, S or N."""


def offers_tls(connection: socket.socket) -> bool | None:
    """Return whether the server offers encryption, or None if it is not PostgreSQL."""
    connection.sendall(_REQUEST)
    try:
        answer = connection.recv(1)
    except (TimeoutError, ConnectionError):
        return None
    return {b"S": True, b"N": False}.get(answer)
