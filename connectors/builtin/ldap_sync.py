"""What a directory itself tells of its changes, as messages: the synchronisation of RFC 4533 and Microsoft's DirSync.

No I/O. Both go on from a cookie that only the directory understands, and both name entries that are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_ber import (
    BOOLEAN,
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    SET,
    children,
    integer,
    number,
    octets,
    sequence,
)
from connectors.builtin.ldap_wire import Answer, Control, Result

_ONCE = 1
"""Tell what has changed up to now, and end (refreshOnly)."""
_PRESENT, _DELETED = 0, 3
_VALUE, _ENTRIES = 0x81, 0xA3
_MOST = 2**31 - 1

Element = tuple[int, bytes]


def sync_control(cookie: bytes) -> Control:
    """Return the control that asks for what has changed since a cookie was given out (RFC 4533)."""
    known = [octets(cookie)] if cookie else []
    return Control(wire.SYNC, sequence(integer(_ONCE, ENUMERATED), *known), critical=True)


def dirsync_control(cookie: bytes) -> Control:
    """Return Active Directory's control for the same ([MS-ADTS] 3.1.1.3.4.1.3)."""
    return Control(wire.DIRSYNC, sequence(integer(0), integer(_MOST), octets(cookie)), critical=True)


@dataclass
class Synced:
    """What the answers of a synchronisation say: identifiers, each with whether its entry is gone.

    `told` is False where the directory has only listed what is there, since it does not know any more what is gone.
    """

    cookie: bytes
    found: dict[bytes, bool] = field(default_factory=dict)
    told: bool = True

    def entry(self, answer: Answer) -> None:
        """Take note of an entry."""
        (_, content), *_ = children(answer.controls[wire.SYNC_STATE])
        (_, state), (_, identifier), *_ = children(content)
        self.told = self.told and number(state) != _PRESENT
        self.found[identifier] = number(state) == _DELETED

    def between(self, answer: Answer) -> None:
        """Take note of a list of identifiers."""
        for tag, value in children(answer.content):
            if tag == _VALUE:
                ((kind, content),) = children(value)
                if kind == _ENTRIES:
                    self._listed(children(content))

    def _listed(self, parts: list[Element]) -> None:
        gone = _flag(parts)
        self.told = self.told and gone
        for _, identifier in (pair for tag, content in parts if tag == SET for pair in children(content)):
            self.found[identifier] = gone

    def done(self, result: Result) -> None:
        """Take note of the end."""
        ((_, content),) = children(result.controls[wire.SYNC_DONE])
        parts = children(content)
        self.told = self.told and _flag(parts)
        self.cookie = next((given for tag, given in parts if tag == OCTETS), self.cookie)


def _flag(parts: list[Element]) -> bool:
    """Tell whether identifiers are those of what is gone, and not of what is there."""
    return any(any(content) for tag, content in parts if tag == BOOLEAN)


def dirsync_of(result: Result) -> tuple[bytes, bool]:
    """Return the cookie of Active Directory's answer, and whether more follows now."""
    ((_, content),) = (pair for pair in children(result.controls[wire.DIRSYNC]) if pair[0] == SEQUENCE)
    (_, more), _, (_, cookie) = children(content)
    return cookie, number(more) != 0


def synced(answers: Iterator[Answer], cookie: bytes) -> tuple[Synced, Result]:
    """Return what the answers of a synchronisation say, and how it ended."""
    seen = Synced(cookie)
    for answer in answers:
        if answer.tag == wire.ENTRY:
            seen.entry(answer)
        elif answer.tag == wire.BETWEEN:
            seen.between(answer)
        else:
            last = wire.result(answer)
    if wire.SYNC_DONE in last.controls:
        seen.done(last)
    return seen, last
