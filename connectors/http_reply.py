"""What a web server answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from http import HTTPStatus

import httpx

from connectors.errors import Fatal


class TooLarge(Fatal):
    """An answer is larger than may be taken."""


class Headers(Mapping[str, str]):
    """The headers of an answer by their names in any case; of one that is repeated, the values joined by commas."""

    def __init__(self, head: bytes) -> None:
        self.all: dict[str, list[str]] = {}
        last = head.strip().rpartition(b"\r\n\r\n")[2]  # interim answers stand before
        for line in last.decode("latin-1").splitlines()[1:]:
            name, mark, value = line.partition(":")
            if mark:
                self.all.setdefault(name.strip().lower(), []).append(value.strip())

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all[name.lower()])

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self.all

    def __iter__(self) -> Iterator[str]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


class Reply:
    """A whole answer: status, headers, body, and the address that it came from."""

    def __init__(self, status_code: int, content: bytes, address: str, head: bytes = b"") -> None:
        self.status_code = status_code
        self.content = content
        self.address = address
        self._head = head

    def __repr__(self) -> str:
        return f"<Reply {self.status_code}>"

    @property
    def is_success(self) -> bool:
        """Tell whether the status is one of success."""
        return 200 <= self.status_code < 300

    @cached_property
    def headers(self) -> Headers:
        """Return the headers."""
        return Headers(self._head)

    @cached_property
    def url(self) -> httpx.URL:
        """Return the address that answered."""
        return httpx.URL(self.address)

    @cached_property
    def text(self) -> str:
        """Return the body as text, as its Content-Type says; what cannot be read is replaced."""
        named = self.headers.get("content-type", "").partition("charset=")[2].partition(";")[0].strip().strip('"')
        try:
            return self.content.decode(named or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    @property
    def reason_phrase(self) -> str:
        """Return the usual words for the status."""
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def links(self) -> dict[str | None, dict[str, str]]:
        """Return the addresses of the Link header by their relation."""
        return httpx.Response(200, headers={"Link": self.headers.get("link", "")}).links
