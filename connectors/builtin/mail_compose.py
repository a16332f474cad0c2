"""Mails that we write: headers that hold what they should and nothing more, texts, attachments. No I/O."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import msgspec

from connectors.builtin.mail_words import addresses, header_value
from connectors.errors import RecordRejected
from rules.text import msg

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]+@[^\s@<>,;:\"()\[\]\\_\x00-\x20\x7f]+")
_TYPE = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+")
_ATOM = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*")
_POLICY = SMTP.clone(max_line_length=76)
People = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class File:
    """A file that is attached."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True)
class Draft:
    """A mail that is to be written."""

    headers: Mapping[str, str]
    """Names and values as people read them; a value that is not plain is encoded."""
    people: Mapping[str, People]
    text: str | None = None
    html: str | None = None
    files: Sequence[File] = field(default_factory=tuple)

    def raw(self) -> bytes:
        """Return the mail as it is sent."""
        lines = [f"{name}: {header_value(value)}" for name, value in self.headers.items()]
        lines += [f"{name}: {people_value(people)}" for name, people in self.people.items() if people]
        return "\r\n".join(lines).encode() + b"\r\n" + self._body()

    def _body(self) -> bytes:
        made = EmailMessage(policy=_POLICY)
        made.set_content(self.text or "", cte="base64" if _wide(self.text) else None)
        if self.html is not None:
            html: dict[str, Any] = {"subtype": "html", "cte": "base64" if _wide(self.html) else None}
            if self.text is None:
                made.set_content(self.html, **html)
            else:
                made.add_alternative(self.html, **html)
        for file in self.files:
            main, _, sub = file.type.partition("/")
            made.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name or None)
        return made.as_bytes()


def people_of(text: str | None, name: str) -> list[tuple[str, str]]:
    """Return the names and addresses that a field holds: separated by commas or semicolons, or a JSON list.

    Raises:
        RecordRejected: One of them is no address, or holds a line break.
    """
    if text is None or not text.strip():
        return []
    single_line(text, name)
    given = _listed(text) if text.lstrip().startswith("[") else [text if '"' in text else text.replace(";", ",")]
    found = addresses(given)
    for _, address in found or [("", text)]:
        if not _ADDRESS.fullmatch(address) or address.count("@") != 1:
            raise RecordRejected(
                msg("Field '{field}' holds '{value}', which is no mail address.", field=name, value=address[:60]),
                field=name,
            )
    return found


def single_line(text: str | None, name: str) -> str:
    """Return a text that stands in a header; raises `RecordRejected` where it has a line break."""
    if text is not None and _CONTROL.search(text):
        raise RecordRejected(msg("Field '{field}' has a line break, which no header can hold.", field=name), field=name)
    return text or ""


def files_of(text: str | None, name: str) -> list[File]:
    """Return the files that a field holds: a JSON list of objects with name, type and content in Base64.

    Raises:
        RecordRejected: It is no such list.
    """
    if text is None:
        return []
    try:
        given = msgspec.json.decode(text, type=list[dict[str, Any]])
        return [_file(each) for each in given]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise RecordRejected(
            msg("Field '{field}' holds no list of attachments: {example} is one.", field=name,
                example='[{"name": "a.pdf", "type": "application/pdf", "content": "JVBERi0="}]'),
            field=name,
        ) from error  # fmt: skip


def people_value(people: People) -> str:
    """Return names and addresses as they stand in a header, one a line."""
    return ",\r\n ".join(f"{_name(name)} <{address}>" if name else address for name, address in people)


def with_headers(raw: bytes, changed: Mapping[str, str | None]) -> bytes:
    """Return a mail with other values of some headers; all else of it stays byte for byte."""
    names = {name.lower().encode() for name in changed}
    head, blank, body = raw.partition(b"\r\n\r\n")
    kept, leaving = [], False
    for line in head.split(b"\r\n"):
        if not line.startswith((b" ", b"\t")):
            leaving = line.partition(b":")[0].strip().lower() in names
        if not leaving:
            kept.append(line)
    new = [f"{name}: {header_value(value)}".encode() for name, value in changed.items() if value is not None]
    return b"\r\n".join([*new, *kept]) + (blank or b"\r\n\r\n") + body


def _name(name: str) -> str:
    if _ATOM.fullmatch(name):
        return name
    plain = name.isascii() and name.isprintable()
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"' if plain else header_value(name)


def _wide(text: str | None) -> bool:
    return bool(text) and not (text or "").isascii()


def _listed(text: str) -> list[str]:
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        return [text]


def _file(given: Mapping[str, Any]) -> File:
    name = str(given.get("name") or "")
    kind = str(given.get("type") or "application/octet-stream")
    if _CONTROL.search(name) or not _TYPE.fullmatch(kind):
        raise ValueError(name)
    if kind.partition("/")[0].lower() in ("multipart", "message"):
        kind = "application/octet-stream"
    return File(name, kind, base64.b64decode(given["content"], validate=True))
