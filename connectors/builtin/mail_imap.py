"""IMAP4rev1 (RFC 3501) as far as folders are read and written: commands, and answers as nested lists.

Every answer is bounded: a server that sends without end is told apart from one that sends a large mail.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from connectors.builtin.queue_network import Place
from connectors.errors import ConnectorError, Fatal, Misconfigured
from rules.text import msg

_LINE = 32 * 1024 * 1024
_ANSWERS = 1_000_000
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r?\n$")
_TOKEN = re.compile(
    rb'\s*(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"|\x00(?P<literal>\d+)\x00'
    rb"|(?P<atom>(?:[^\s()\"\x00\[\]]|\[[^\]]*\])+))"
)
_STATUS = re.compile(rb"(OK|NO|BAD|BYE|PREAUTH)\b ?(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Literal:
    """An argument that is sent as it is, with its length before it."""

    data: bytes


Part = bytes | Literal


@dataclass(frozen=True)
class Answered:
    """How a command ended: OK, NO or BAD, and the server's words."""

    status: str
    text: str

    @property
    def good(self) -> bool:
        """Tell whether it was done."""
        return self.status == "OK"

    def code(self, name: str) -> str | None:
        """Return the value of a response code, such as that of `[UIDVALIDITY 17]`."""
        found = re.search(rf"\[{name}(?: ([^\]]*))?\]", self.text, re.IGNORECASE)
        return None if found is None else found[1] or ""

    @property
    def said(self) -> str:
        """Return the words without the codes."""
        return re.sub(r"^\[[^\]]*\] *", "", self.text).strip().rstrip(".")[:200] or self.status


class Imap:
    """One connection; a command is answered before the next one is sent."""

    def __init__(self, place: Place, *, start_tls: bool, largest: int) -> None:
        self.place, self.largest = place, largest
        self._number = 0
        try:
            self._socket = place.plain() if start_tls else place.open()
        except OSError as error:
            raise place.lost(error) from error
        try:
            self._socket.settimeout(place.context.timeout)
            self._file = self._socket.makefile("rb")
            self._greeting()
            if start_tls:
                self._encrypt()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Say good-bye and close the connection."""
        with suppress(OSError, ValueError):
            self._socket.sendall(b"Z LOGOUT\r\n")
        with suppress(OSError, AttributeError):
            self._file.close()
        self._socket.close()

    def ask(self, *parts: Part) -> tuple[list[list[Any]], Answered]:
        """Send a command; return the untagged answers and how it ended."""
        found: list[list[Any]] = []
        stream = self.stream(*parts)
        while True:
            try:
                found.append(next(stream))
            except StopIteration as end:
                return found, end.value
            if len(found) > _ANSWERS:
                raise self._endless()

    def done(self, *parts: Part, name: str = "") -> tuple[list[list[Any]], Answered]:
        """Do what `ask` does; a refusal is an error."""
        found, answered = self.ask(*parts)
        if not answered.good:
            raise self.refused(answered, name)
        return found, answered

    def stream(self, *parts: Part) -> Generator[list[Any], None, Answered]:
        """Send a command and yield the untagged answers as they come; the generator returns how it ended."""
        self._number += 1
        tag = b"S%d" % self._number
        ended = self._send(tag, parts)
        while ended is None:
            answer = self._answer(tag)
            if isinstance(answer, Answered):
                ended = answer
            elif answer:
                yield answer
        return ended

    def authenticate(self, mechanism: str, first: bytes) -> Answered:
        """Sign in with a mechanism whose only message is `first`, which is Base64 already."""
        self._number += 1
        tag = b"S%d" % self._number
        self._write(b"%s AUTHENTICATE %s\r\n" % (tag, mechanism.encode()))
        sent = False
        while True:
            line = self._line()
            if line.startswith(b"+"):
                self._write(b"\r\n" if sent else first + b"\r\n")  # the second question is why it refuses
                sent = True
            elif line.startswith(tag + b" "):
                return _ended(line[len(tag) + 1 :])

    def refused(self, answered: Answered, name: str = "") -> ConnectorError:
        """Return the error of a command that the server does not do."""
        return Fatal(
            msg("The mail server refuses '{name}': {said}.", name=name or "-", said=answered.said),
            msg("Check the folder and the rights of the user."),
            object_name=name or None,
        )

    def _greeting(self) -> None:
        line = self._line()
        if not re.match(rb"\* (OK|PREAUTH)\b", line, re.IGNORECASE):
            raise self._strange()

    def _encrypt(self) -> None:
        _, answered = self.ask(b"STARTTLS")
        if not answered.good:
            raise Misconfigured(
                msg("The mail server on {host} does not encrypt port {port} (STARTTLS): {said}.",
                    said=answered.said, **self.place.names),
                msg("Choose the encryption from the beginning and its port, or ask the operator of the server."),
            )  # fmt: skip
        context = self.place.encryption()
        if context is None:  # pragma: no cover - STARTTLS always has a context
            raise AssertionError
        # what a stranger put behind the answer, unencrypted, went away with the old file
        self._socket = self.place.encrypted(self._socket, context)
        self._file = self._socket.makefile("rb")

    def _send(self, tag: bytes, parts: Sequence[Part]) -> Answered | None:
        """Send a command; return how it ended where it is refused before all was sent."""
        line = tag
        for part in parts:
            if isinstance(part, bytes):
                line += b" " + part
                continue
            self._write(line + b" {%d}\r\n" % len(part.data))
            while True:
                answer = self._line()
                if answer.startswith(b"+"):
                    break
                if answer.startswith(tag + b" "):
                    return _ended(answer[len(tag) + 1 :])
            line = part.data
        self._write(line + b"\r\n")
        return None

    def _answer(self, tag: bytes) -> list[Any] | Answered:
        line, literals, room = self._line(), list[bytes](), self.largest
        while found := _LITERAL.search(line):
            literals.append(self._bytes(int(found[1]), room))
            room -= len(literals[-1])
            line = line[: found.start()] + b"\x00%d\x00" % (len(literals) - 1) + self._line()
            if len(line) > _LINE:
                raise self._endless()
        if line.startswith(tag + b" "):
            return _ended(line[len(tag) + 1 :])
        if not line.startswith(b"* "):
            return []
        status = _STATUS.match(line[2:])
        if status is None:
            return self._parsed(line[2:], literals)
        if status[1].upper() == b"BYE":
            raise self.place.lost(status[2].decode("utf-8", "replace").strip().rstrip("."))
        return [status[1].upper(), status[2].strip()]

    def _parsed(self, line: bytes, literals: list[bytes]) -> list[Any]:
        stack: list[list[Any]] = [[]]
        place, end = 0, len(line.rstrip())
        while place < end:
            found = _TOKEN.match(line, place)
            if found is None:
                raise self._strange()
            place = found.end()
            _put(stack, found, literals)
            if not stack:
                raise self._strange()
        if len(stack) > 1:
            raise self._strange()
        return stack[0]

    def _line(self) -> bytes:
        try:
            line = self._file.readline(_LINE)
        except (OSError, ValueError) as error:
            raise self.place.lost(error) from error
        if not line:
            raise self.place.lost(msg("the server hangs up"))
        if not line.endswith(b"\n"):
            raise self._endless()
        if b"\x00" in line:  # it stands for literals below, and is in no line of IMAP
            raise self._strange()
        return line

    def _bytes(self, count: int, room: int) -> bytes:
        if count > room:
            raise self._endless()
        try:
            data = self._file.read(count)
        except (OSError, ValueError) as error:
            raise self.place.lost(error) from error
        if len(data) < count:
            raise self.place.lost(msg("the server hangs up"))
        return data

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self.place.lost(error) from error

    def _endless(self) -> ConnectorError:
        return Fatal(
            msg("An answer of the mail server on {host} is larger than {most} MB.",
                host=self.place.host, most=self.largest // 1024**2),
            msg("Raise the largest mail in the connection's settings, or ask the operator of the server."),
        )  # fmt: skip

    def _strange(self) -> ConnectorError:
        return Misconfigured(
            msg("{host} does not speak IMAP on port {port}.", **self.place.names),
            msg("Check the port and the encryption; with TLS the port is usually 993."),
        )


def quoted(text: str) -> Part:
    """Return a text as an argument."""
    raw = text.encode()
    if re.fullmatch(rb"[\x20-\x7e]*", raw):
        return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return Literal(raw)


def _put(stack: list[list[Any]], found: re.Match[bytes], literals: list[bytes]) -> None:
    """Put a part of an answer where it belongs; what closes more than was opened empties the stack."""
    if found["open"]:
        inner: list[Any] = []
        stack[-1].append(inner)
        stack.append(inner)
    elif found["close"]:
        stack.pop()
    elif found["literal"] is not None:
        stack[-1].append(literals[int(found["literal"])])
    elif found["quoted"] is not None:
        stack[-1].append(re.sub(rb"\\(.)", rb"\1", found["quoted"]))
    else:
        stack[-1].append(None if found["atom"].upper() == b"NIL" else found["atom"])


def _ended(line: bytes) -> Answered:
    status, _, text = line.decode("utf-8", "replace").strip().partition(" ")
    return Answered(status.upper(), text)
