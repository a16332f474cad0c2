"""LDAP's messages (RFC 4511) as bytes and back. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from connectors.builtin.ldap_ber import (
    ENUMERATED,
    OCTETS,
    SET,
    boolean,
    children,
    integer,
    number,
    octets,
    sequence,
    tlv,
)

PAGED, SHOW_DELETED, ONE_DOMAIN = "1.2.840.113556.1.4.319", "1.2.840.113556.1.4.417", "1.2.840.113556.1.4.1339"
SYNC, SYNC_STATE, SYNC_DONE = (f"1.3.6.1.4.1.4203.1.9.1.{number}" for number in (1, 2, 3))
SYNC_INFO = "1.3.6.1.4.1.4203.1.9.1.4"
DIRSYNC = "1.2.840.113556.1.4.841"
START_TLS = "1.3.6.1.4.1.1466.20037"
BIND, UNBIND, SEARCH, MODIFY, ADD, DELETE, RENAME, EXTENDED = 0x60, 0x42, 0x63, 0x66, 0x68, 0x4A, 0x6C, 0x77
ENTRY, DONE, REFERENCE, NOTICE, BETWEEN = 0x64, 0x65, 0x73, 0x78, 0x79
_CONTROLS, _SASL = 0xA0, 0x87


class Code(IntEnum):
    """The results that mean something to us."""

    SUCCESS = 0
    TIME_LIMIT = 3
    SIZE_LIMIT = 4
    STRONGER_AUTH = 8
    REFERRAL = 10
    ADMIN_LIMIT = 11
    CRITICAL_EXTENSION = 12
    CONFIDENTIALITY = 13
    NO_ATTRIBUTE = 16
    VALUE_EXISTS = 20
    NO_OBJECT = 32
    BAD_NAME = 34
    GOES_ON = 14
    INAPPROPRIATE_AUTH = 48
    INVALID_CREDENTIALS = 49
    NO_ACCESS = 50
    BUSY = 51
    UNAVAILABLE = 52


class Deed(IntEnum):
    """What a modification does with an attribute's values."""

    ADD = 0
    DELETE = 1
    REPLACE = 2


@dataclass(frozen=True)
class Control:
    """An addition to a request or an answer."""

    oid: str
    value: bytes | None = None
    critical: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry of the directory: its name and the values of its attributes, by the names the server gives them."""

    name: str
    values: Mapping[str, list[bytes]]


@dataclass(frozen=True)
class Answer:
    """A message of the server: the operation's tag, its content, its controls."""

    number: int
    tag: int
    content: bytes
    controls: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How an operation ended."""

    code: int
    name: str
    text: str
    controls: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Modification:
    """What becomes of one attribute."""

    deed: Deed
    attribute: str
    values: Sequence[bytes] = ()


@dataclass(frozen=True)
class Query:
    """A search: where, how deep (0 the entry itself, 1 its children, 2 all below), for what, which attributes."""

    base: str
    filter: bytes
    attributes: Sequence[str]
    scope: int = 2
    limit: int = 0


def message(number_: int, operation: bytes, controls: Iterable[Control] = ()) -> bytes:
    """Return a request."""
    parts = [integer(number_), operation]
    wrapped = [_control(control) for control in controls]
    if wrapped:
        parts.append(tlv(_CONTROLS, *wrapped))
    return sequence(*parts)


def _control(control: Control) -> bytes:
    parts = [octets(control.oid)]
    parts += [boolean(True)] if control.critical else []
    parts += [] if control.value is None else [octets(control.value)]
    return sequence(*parts)


def bind(user: str, password: str) -> bytes:
    """Return the operation that signs in."""
    return tlv(BIND, integer(3), octets(user), octets(password, 0x80))


def sasl_bind(mechanism: str, said: bytes | None) -> bytes:
    """Return the operation that signs in by a mechanism of SASL, or goes on with that."""
    words = [] if said is None else [octets(said)]
    return tlv(BIND, integer(3), octets(""), tlv(0xA3, octets(mechanism), *words))


def sasl_answer(found: Answer) -> bytes:
    """Return what the server says to one who signs in by SASL."""
    return next((content for tag, content in children(found.content) if tag == _SASL), b"")


def search(query: Query) -> bytes:
    """Return the operation that finds entries; aliases are not followed, which would give an entry twice."""
    return tlv(
        SEARCH, octets(query.base), integer(query.scope, ENUMERATED), integer(0, ENUMERATED), integer(query.limit),
        integer(0), boolean(False), query.filter, sequence(*map(octets, query.attributes)),
    )  # fmt: skip


def modify(name: str, changes: Iterable[Modification]) -> bytes:
    """Return the operation that changes an entry."""
    done = [
        sequence(
            integer(c.deed, ENUMERATED), sequence(octets(c.attribute), tlv(SET, *map(octets, c.values)))
        ) for c in changes
    ]  # fmt: skip
    return tlv(MODIFY, octets(name), sequence(*done))


def add(name: str, values: Mapping[str, Iterable[bytes]]) -> bytes:
    """Return the operation that adds an entry."""
    attributes = [sequence(octets(n), tlv(SET, *map(octets, given))) for n, given in values.items()]
    return tlv(ADD, octets(name), sequence(*attributes))


def delete(name: str) -> bytes:
    """Return the operation that deletes an entry."""
    return octets(name, DELETE)


def rename(name: str, first: str, parent: str | None) -> bytes:
    """Return the operation that gives an entry another first part of its name, or moves it below another parent."""
    moved = [] if parent is None else [octets(parent, 0x80)]
    return tlv(RENAME, octets(name), octets(first), boolean(True), *moved)


def extended(oid: str) -> bytes:
    """Return an operation that is known by its number."""
    return tlv(EXTENDED, octets(oid, 0x80))


def page_control(size: int, cookie: bytes) -> Control:
    """Return the control that asks for a page of results (RFC 2696)."""
    return Control(PAGED, sequence(integer(size), octets(cookie)), critical=True)


def cookie_of(result: Result) -> bytes:
    """Return what the next page is asked for with; empty behind the last."""
    value = result.controls.get(PAGED)
    if value is None:
        return b""
    return children(children(value)[0][1])[1][1]


def answer(data: bytes) -> Answer:
    """Return the message that a whole element holds; raises `BrokenBerError` or `IndexError`."""
    parts = children(children(data)[0][1])
    controls = dict(_read_control(c) for tag, content in parts[2:] if tag == _CONTROLS for _, c in children(content))
    return Answer(number(parts[0][1]), parts[1][0], parts[1][1], controls)


def _read_control(content: bytes) -> tuple[str, bytes]:
    parts = children(content)
    value = parts[-1][1] if len(parts) > 1 and parts[-1][0] == OCTETS else b""
    return parts[0][1].decode(), value


def result(found: Answer) -> Result:
    """Return how an operation ended, from its last answer."""
    code, name, text, *_ = children(found.content)
    return Result(number(code[1]), name[1].decode(errors="replace"), text[1].decode(errors="replace"), found.controls)


def entry(content: bytes) -> Entry:
    """Return the entry that an answer holds."""
    (_, name), (_, attributes) = children(content)
    values = {}
    for _, attribute in children(attributes):
        (_, described), (_, given) = children(attribute)
        values[described.decode(errors="replace")] = [value for _, value in children(given)]
    return Entry(name.decode(errors="replace"), values)
