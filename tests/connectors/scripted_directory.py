"""A rebuilt directory for what OpenLDAP does not do: it answers each request as a test says, over a real socket.

It knows Active Directory's ways as Microsoft's documents describe them ([MS-ADTS]); it is no domain controller.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_ber import (
    ENUMERATED,
    SEQUENCE,
    SET,
    children,
    header,
    integer,
    number,
    octets,
    sequence,
    tlv,
)

Values = Mapping[str, Sequence[bytes | str]]
_JOINED, _EQUAL, _PRESENT = {0xA0: all, 0xA1: any}, 0xA3, 0x87
ACTIVE = {"supportedCapabilities": ["1.2.840.113556.1.4.800"], "subschemaSubentry": ["CN=Aggregate"]}


@dataclass
class Asked:
    """A request: its operation's tag, its content, the kinds of its controls."""

    tag: int
    content: bytes
    controls: list[str]
    given: dict[str, bytes] = field(default_factory=dict)
    """The values of the controls."""

    @property
    def filter(self) -> tuple[int, bytes]:
        """Return the filter of a search."""
        return children(self.content)[6]

    @property
    def scope(self) -> int:
        """Return how deep a search looks."""
        return number(children(self.content)[1][1])

    @property
    def base(self) -> str:
        """Return where a search looks, or the name that an operation is about."""
        return children(self.content)[0][1].decode()

    @property
    def attributes(self) -> list[str]:
        """Return the attributes that a search asks for."""
        return [name.decode() for _, name in children(children(self.content)[7][1])]


def entry(name: str, values: Values) -> bytes:
    """Return an answer that holds an entry."""
    given = [sequence(octets(n), tlv(SET, *map(octets, v))) for n, v in values.items()]
    return tlv(wire.ENTRY, octets(name), sequence(*given))


def result(tag: int, code: int = 0, text: str = "") -> bytes:
    """Return an answer that ends an operation."""
    return tlv(tag, integer(code, ENUMERATED), octets(""), octets(text))


def controlled(answer: bytes, oid: str, value: bytes) -> bytes:
    """Return an answer with a control."""
    return answer + tlv(0xA0, sequence(octets(oid), octets(value)))


def meets(values: Values, wanted: tuple[int, bytes]) -> bool:
    """Tell whether an entry with these values meets a filter of conjunctions, equalities and presences."""
    tag, content = wanted
    parts = children(content) if tag != _PRESENT else []
    if tag in _JOINED:
        return _JOINED[tag](meets(values, part) for part in parts)
    known = {name.lower(): [v.encode() if isinstance(v, str) else v for v in given] for name, given in values.items()}
    if tag == _PRESENT:
        return content.decode().lower() in known
    assert tag == _EQUAL, f"a filter that is not rebuilt: {tag:#x}"
    return parts[1][1] in known.get(parts[0][1].decode().lower(), ())


def reference(url: str) -> bytes:
    """Return an answer that says where else to look."""
    return tlv(wire.REFERENCE, octets(url))


class ScriptedDirectory:
    """A server on loopback whose answers a test decides; it keeps what it was asked."""

    def __init__(self, answer: Callable[[Asked], list[bytes] | None], before: bytes = b"") -> None:
        self.answer, self.before = answer, before
        self.asked: list[Asked] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        buffer = bytearray()
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                buffer += data
                while (head := header(buffer)) is not None and head[2] <= len(buffer):
                    message = children(bytes(buffer[head[1] : head[2]]))
                    del buffer[: head[2]]
                    if not self._answered(client, message):
                        return

    def _answered(self, client: socket.socket, message: list[tuple[int, bytes]]) -> bool:
        (_, asked), (tag, content), *more = message
        parts = [children(c) for t, given in more if t != SEQUENCE for _, c in children(given)]
        controls = [part[0][1].decode() for part in parts]
        request = Asked(tag, content, controls, {part[0][1].decode(): part[-1][1] for part in parts})
        self.asked.append(request)
        answers = self.answer(request)
        if answers is None:
            return False
        client.sendall(self.before + b"".join(sequence(integer(number(asked)), part) for part in answers))
        return True
