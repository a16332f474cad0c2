"""A large file for a bucket: it is sent part by part and appears in one step with the last request, or not at all.

One part at a time is in memory. A part whose answer gets lost is sent again; what cannot be finished is given up, so
that the store does not keep the parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote
from xml.sax.saxutils import escape

import httpx

from connectors.builtin.files_place import lost
from connectors.builtin.files_place_web import MEGABYTE, Headers, WebPlace, xml_of
from connectors.errors import ConnectorError, Unavailable

PART = 16 * MEGABYTE
MOST = 10_000
"""So many parts may a file have."""
_TIMES = 3
_NEEDLESS = (404,)


def part_size(size: int, least: int) -> int:
    """Return how large each part of a file is, so that there are not too many."""
    return max(least, -(-size // MOST))


class Parts:
    """The parts of one file; they are given up at the end unless they were finished."""

    def __init__(self, place: WebPlace, name: str) -> None:
        self.place, self.name = place, name
        self._upload = ""
        self._tags: list[str] = []
        self._finished = False

    def __enter__(self) -> Self:
        answer = self._ask("POST", "uploads=")
        self._upload = xml_of(answer, self.place.shown).findtext("{*}UploadId") or ""
        if not self._upload:
            raise lost(self.place.shown, "UploadId")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            with suppress(ConnectorError, OSError):
                self._ask("DELETE", self._query(), good=_NEEDLESS)

    def send(self, source: Path) -> None:
        """Send a local file, one part at a time."""
        size = part_size(source.stat().st_size, PART)
        with source.open("rb") as file:
            while data := file.read(size):
                digest = {"x-amz-content-sha256": hashlib.sha256(data).hexdigest()}
                self._part(digest, data, lambda answer: answer.headers.get("etag", ""))

    def copy(self, place: str, size: int, step: int) -> None:
        """Copy a file of the store, which is called `place` there."""
        step = part_size(size, step)
        for begin in range(0, size, step):
            span = f"bytes={begin}-{min(begin + step, size) - 1}"
            headers = {"x-amz-copy-source": place, "x-amz-copy-source-range": span}
            self._part(headers, b"", lambda answer: xml_of(answer, self.place.shown).findtext("{*}ETag") or "")

    def finish(self, condition: Headers, good: Sequence[int] = ()) -> httpx.Response:
        """Let the file appear; returns the answer, which is a success or has one of the `good` codes."""
        parts = (
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for number, tag in enumerate(self._tags, 1)
        )
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
        headers = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest(), **condition}
        answer = self._ask("POST", self._query(), headers, body, good=good)
        if answer.is_success and b"<Error>" in answer.content:  # S3 answers before it knows
            raise lost(self.place.shown, xml_of(answer, self.place.shown).findtext("{*}Code") or "Error")
        self._finished = answer.is_success
        return answer

    def _part(self, headers: Headers, data: bytes, tag: Callable[[httpx.Response], str]) -> None:
        query = f"partNumber={len(self._tags) + 1}&{self._query()}"
        for left in reversed(range(_TIMES)):
            try:
                found = tag(self._ask("PUT", query, headers, data))
                break
            except Unavailable:
                if not left:
                    raise
        if not found:
            raise lost(self.place.shown, "ETag")
        self._tags.append(found)

    def _query(self) -> str:
        return f"uploadId={quote(self._upload, safe='')}"

    def _ask(
        self, method: str, query: str, headers: Mapping[str, str] | None = None, data: bytes = b"",
        *, good: Sequence[int] = (),
    ) -> httpx.Response:  # fmt: skip
        url = f"{self.place.url(self.name)}?{query}"
        answer = self.place.client.send(self.place.client.build_request(method, url, headers=headers, content=data))
        return answer if answer.status_code in good else self.place.judged(answer, self.name)
