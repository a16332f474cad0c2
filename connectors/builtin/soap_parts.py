"""Messages with attachments (MTOM/XOP and SOAP with attachments): their parts, read and written."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote

from lxml import etree

XOP = "http://www.w3.org/2004/08/xop/include"
_LEAST = 64
"""Characters of Base64 text from which on a value is worth an attachment."""


class BrokenParts(ValueError):
    """A message of several parts that breaks off or cannot be taken apart."""


def parts_of(content: bytes, content_type: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the XML of a message and its attachments by their id; raises `BrokenParts`.

    Args:
        content: The body of the response.
        content_type: Its Content-Type; anything but `multipart/related` is the XML itself.
    """
    header = EmailMessage()
    header["Content-Type"] = content_type or "text/xml"
    if header.get_content_type() != "multipart/related":
        return content, {}
    boundary = header.get_boundary()
    if not boundary:
        raise BrokenParts("no boundary")
    pieces = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary.encode()) + rb"(?=--|[ \t]*\r?\n)", content)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise BrokenParts("the end is missing")
    parts = [_part(piece) for piece in pieces[1:-1]]
    start = _bare(str(header.get_param("start") or ""))
    root = next((body for name, body in parts if start and name == start), parts[0][1] if parts else b"")
    return root, {name: body for name, body in parts if name}


def with_parts(envelope: Any, values: Mapping[str, bytes], media: str) -> tuple[bytes, str]:
    """Return a message whose large binary values are attachments, and its Content-Type.

    Args:
        envelope: The message, with the values as Base64 text.
        values: The values by their Base64 text.
        media: The media type of the message itself.
    """
    attached: list[bytes] = []
    for element in list(envelope.iter(etree.Element)):
        value = values.get(element.text or "") if len(element.text or "") >= _LEAST else None
        if value is not None:
            element.text = None
            etree.SubElement(element, f"{{{XOP}}}Include", nsmap={"xop": XOP}).set("href", f"cid:{len(attached)}@data")
            attached.append(value)
    text = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
    mark = _boundary([text, *attached])
    head = f'Content-Type: application/xop+xml; charset=UTF-8; type="{media}"\r\n' + _headers("root@message", "8bit")
    body = bytearray(b"--" + mark + b"\r\n" + head.encode() + text)
    for number, value in enumerate(attached):
        more = "Content-Type: application/octet-stream\r\n" + _headers(f"{number}@data", "binary")
        body += b"\r\n--" + mark + b"\r\n" + more.encode() + value
    body += b"\r\n--" + mark + b"--\r\n"
    kind = (
        f'multipart/related; type="application/xop+xml"; start="<root@message>"; start-info="{media}"; '
        f'boundary="{mark.decode()}"'
    )
    return bytes(body), kind


def _headers(name: str, encoding: str) -> str:
    return f"Content-Transfer-Encoding: {encoding}\r\nContent-ID: <{name}>\r\n\r\n"


def _boundary(pieces: list[bytes]) -> bytes:
    """Return a mark that occurs in none of the pieces."""
    number = 0
    while any(b"--syncline-%d" % number in piece for piece in pieces):
        number += 1
    return b"syncline-%d" % number


def _part(piece: bytes) -> tuple[str, bytes]:
    """Return the id and the content of a part."""
    found = re.match(rb"[ \t]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n", piece)
    if found is None:
        raise BrokenParts("a part has no end of its headers")
    headers: dict[str, str] = {}
    for line in re.sub(rb"\r?\n[ \t]+", b" ", found[1]).decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = piece[found.end() :]
    encoding = headers.get("content-transfer-encoding", "").lower()
    try:
        if encoding == "base64":
            body = base64.b64decode(body)
        elif encoding == "quoted-printable":
            body = quopri.decodestring(body)
    except binascii.Error as error:
        raise BrokenParts("an attachment is no Base64 text") from error
    return _bare(headers.get("content-id", "")), body


def _bare(name: str) -> str:
    return unquote(name.strip().removeprefix("<").removesuffix(">"))
