"""Files on a web server, which can only be read: one address, or those that a page links to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from lxml import html

from connectors.builtin.files_place import Stat
from connectors.builtin.files_place_web import WebPlace, quoted, stat_of
from connectors.errors import Misconfigured
from rules.text import msg

_NO_HEAD = (405, 501)


class HttpPlace(WebPlace):
    """One file at an address, or the files that the page at an address (with a slash at its end) links to."""

    writable = False

    @property
    def shown(self) -> str:
        """Return the address."""
        parts = urlsplit(self.options.url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"

    @cached_property
    def _single(self) -> str:
        """Return the name of the only file, "" where the address is that of a page."""
        return unquote(urlsplit(self.options.url).path.rpartition("/")[2])

    @property
    def _base(self) -> str:
        parts = urlsplit(self.options.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rpartition('/')[0]}/"

    def url(self, name: str) -> str:
        """Return the address of a file or of the page that links to files."""
        return self.options.url if self._single else self._base + quoted(name)

    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield the only file, or what a page links to."""
        if self._single:
            if not folder:
                yield self.stat(self._single), False
            return
        inside = f"{folder}/" if folder else ""
        page = self.ask("GET", inside)
        for name in dict.fromkeys(self._links(page.content, str(page.url))):
            own = name.removesuffix("/")
            if own.startswith(inside) and own[len(inside) :] and "/" not in own[len(inside) :]:
                yield Stat(own, -1), name.endswith("/")

    def stat(self, name: str) -> Stat:
        """Return a file's size and version as the server tells them."""
        if self._single and name != self._single:
            raise FileNotFoundError(2, "no such file", name)
        answer = self.ask("HEAD", name, {"Accept-Encoding": "identity"}, good=_NO_HEAD)
        return Stat(name, -1) if answer.status_code in _NO_HEAD else stat_of(name, answer.headers)

    def store(self, *_: Any, **__: Any) -> None:
        """Refuse."""
        raise _read_only()

    def rename(self, *_: Any) -> None:
        """Refuse."""
        raise _read_only()

    def delete(self, *_: Any) -> None:
        """Refuse."""
        raise _read_only()

    def _links(self, page: bytes, address: str) -> Iterator[str]:
        """Yield the names that a page links to below the address of the connection."""
        if not page.strip():
            return
        for link in html.document_fromstring(page).iter("a"):
            target = urljoin(address, link.get("href") or "").partition("#")[0].partition("?")[0]
            if target.startswith(self._base) and target != address:
                yield unquote(target[len(self._base) :])


def _read_only() -> Misconfigured:
    return Misconfigured(
        msg("Files on a web server can only be read."), msg("Choose WebDAV if the server can take files.")
    )
