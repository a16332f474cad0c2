"""A mail as a record: its headers, its texts and its attachments. No I/O.

Whatever is in a mail was written by strangers: what cannot be read is told (`RecordRejected`), never guessed.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, cast

from connectors.builtin.mail_words import address_text, addresses, decoded, header_text
from connectors.errors import RecordRejected
from rules.text import msg

_DEEPEST = 50
_TEXTS = ("text/plain", "text/html")


@dataclass(frozen=True)
class Attachment:
    """What is attached to a mail."""

    name: str
    type: str
    content: bytes

    def described(self, *, content: bool) -> dict[str, Any]:
        """Return it as plain data, with its bytes in Base64 where they are asked for."""
        told = {"name": self.name, "size": len(self.content), "type": self.type}
        return {**told, "content": base64.b64encode(self.content).decode()} if content else told


class Mail:
    """One mail, or only its headers."""

    def __init__(self, raw: bytes) -> None:
        try:
            self.message: Message = BytesParser(policy=compat32).parsebytes(raw)
            self.parts = [*_leaves(self.message, 0)]
        except RecursionError as error:
            raise too_deep() from error

    def header(self, name: str) -> str | None:
        """Return a header as people read it, the first where there are several, None where there is none."""
        found = self._raw(name)
        return header_text(found[0]) if found else None

    def people(self, name: str) -> list[tuple[str, str]]:
        """Return the names and addresses of a header."""
        return addresses(decoded(raw) for raw in self._raw(name))

    def people_text(self, name: str) -> str | None:
        """Return the names and addresses of a header as one text."""
        return address_text(self.people(name)) or None

    @property
    def sent(self) -> str | None:
        """Return when it says that it was sent, in UTC; a text that is no such time stays as it is."""
        text = self.header("Date")
        if not text:
            return None
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return text
        return text if when.tzinfo is None and not text.rstrip().endswith("-0000") else utc(when)

    def text(self, kind: str = "text/plain") -> str | None:
        """Return what it says in a form: `text/plain` or `text/html`."""
        found = [_text(part) for part in self.parts if not _attached(part) and part.get_content_type() == kind]
        return "\n".join(found) if found else None

    @cached_property
    def attachments(self) -> list[Attachment]:
        """Return what is attached."""
        return [_attachment(part) for part in self.parts if _attached(part)]

    def _raw(self, name: str) -> list[bytes]:
        return [value.encode("ascii", "surrogateescape") if isinstance(value, str) else str(value).encode()
                for key, value in self.message._headers  # type: ignore[attr-defined]  # noqa: SLF001 - undecoded bytes
                if key.lower() == name.lower()]  # fmt: skip


def utc(when: dt.datetime) -> str:
    """Return a moment as `connectors.casting` reads it."""
    moment = when.replace(tzinfo=dt.UTC) if when.tzinfo is None else when.astimezone(dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def too_deep() -> RecordRejected:
    """Return the error of a mail that consists of too many parts inside of parts."""
    return RecordRejected(msg("The mail has parts inside of parts, deeper than {most}.", most=_DEEPEST))


def _leaves(part: Message, depth: int) -> Iterator[Message]:
    """Yield the parts that hold something; a mail that is attached is one of them."""
    if depth > _DEEPEST:
        raise too_deep()
    inner = part.get_payload()
    if part.get_content_maintype() == "multipart" and isinstance(inner, list):
        for each in inner:
            yield from _leaves(cast("Message", each), depth + 1)
    else:
        yield part


def _attached(part: Message) -> bool:
    if part.get_content_disposition() == "attachment" or part.get_content_type() not in _TEXTS:
        return part.get_content_maintype() != "multipart"
    return bool(_name(part))


def _text(part: Message) -> str:
    text = decoded(_content(part), str(part.get_param("charset") or ""))
    return text.replace("\r\n", "\n").removesuffix("\n")


def _content(part: Message) -> bytes:
    inner = part.get_payload()
    if isinstance(inner, list):  # a mail that is attached
        return b"\r\n".join(cast("Message", each).as_bytes(policy=compat32) for each in inner)
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def _name(part: Message) -> str:
    for given, header in ((part.get_param("filename", header="content-disposition"), "filename"),
                          (part.get_param("name"), "name")):  # fmt: skip
        if isinstance(given, tuple):
            charset, _, value = given
            return decoded(value.encode("latin-1", "replace"), charset or "")
        if given and header:
            return header_text(given.encode("utf-8", "surrogateescape"))
    return ""


def _attachment(part: Message) -> Attachment:
    kind = part.get_content_type()
    name = _name(part) or ("message.eml" if kind == "message/rfc822" else "")
    return Attachment(name, kind, _content(part))
