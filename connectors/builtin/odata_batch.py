"""Many writes in one call (`$batch`, multipart/mixed), each alone or all of them or none. No I/O."""

from __future__ import annotations

import email
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message as Mail
from typing import Any

from connectors.http_reply import Reply


@dataclass(frozen=True)
class Operation:
    """One write: the path is below the root of the service."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def body_of(operations: Sequence[Operation], *, together: bool) -> tuple[bytes, str]:
    """Return the body of a batch and its content type.

    Args:
        operations: The writes.
        together: All of them or none; else each stands alone.
    """
    name = f"batch_{uuid.uuid4().hex}"
    groups = [list(enumerate(operations, 1))] if together else [[pair] for pair in enumerate(operations, 1)]
    parts = [_group(group) for group in groups]
    body = b"".join(f"--{name}\r\n".encode() + part for part in parts) + f"--{name}--\r\n".encode()
    return body, f"multipart/mixed; boundary={name}"


def _group(group: Sequence[tuple[int, Operation]]) -> bytes:
    name = f"changeset_{uuid.uuid4().hex}"
    parts = b"".join(f"--{name}\r\n".encode() + _part(number, operation) for number, operation in group)
    head = f"Content-Type: multipart/mixed; boundary={name}\r\n\r\n"
    return head.encode() + parts + f"--{name}--\r\n".encode()


def _part(number: int, operation: Operation) -> bytes:
    body = operation.body or b""
    headers = dict(operation.headers)
    if operation.body is not None:
        headers["Content-Length"] = str(len(body))
    lines = [
        "Content-Type: application/http", "Content-Transfer-Encoding: binary", f"Content-ID: {number}", "",
        f"{operation.method} {operation.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items()), "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body + b"\r\n"


def replies_of(reply: Reply) -> list[list[Reply]]:
    """Return the answers of a batch: those of each group, of which a refused one has only one.

    Raises:
        ValueError: It is no batch.
    """
    head = f"Content-Type: {reply.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + reply.content)
    if not whole.is_multipart():
        raise ValueError("no multipart")
    return [list(_replies(part, reply.address)) for part in _parts(whole)]


def _parts(mail: Mail) -> list[Any]:
    return list(mail.get_payload())


def _replies(part: Any, address: str) -> Iterator[Reply]:
    if part.is_multipart():
        for inner in _parts(part):
            yield from _replies(inner, address)
        return
    content = part.get_payload(decode=True).lstrip(b"\r\n")
    head, _, body = content.partition(b"\r\n\r\n" if b"\r\n\r\n" in content else b"\n\n")
    status = head.split(None, 2)[1:2]
    if not status or not status[0].isdigit():
        raise ValueError("no answer")
    lines = b"\r\n".join(head.splitlines())
    yield Reply(int(status[0]), body.strip(), address, lines + b"\r\n\r\n")
