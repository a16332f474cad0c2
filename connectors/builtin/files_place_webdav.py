"""Files on a WebDAV server, such as Nextcloud or SharePoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from connectors.builtin.files_place import RenamingPlace, Stat
from connectors.builtin.files_place_web import WebPlace, moment, quoted, xml_of

_DAV = "{DAV:}"
_EXISTS, _CONFLICT = 412, (405, 409)
_WANTED = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/>'
    b"<getlastmodified/><getetag/></prop></propfind>"
)


class WebdavPlace(WebPlace, RenamingPlace):
    """A folder on a WebDAV server."""

    @property
    def shown(self) -> str:
        """Return the address of the folder."""
        parts = urlsplit(self.options.url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"

    @property
    def _base(self) -> str:
        return self.options.url.partition("?")[0].rstrip("/") + "/"

    def url(self, name: str) -> str:
        """Return the address of a file or folder."""
        return self._base + quoted(name)

    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield what lies in a folder."""
        here = f"{folder}/" if folder else ""
        for found, is_folder in self._properties(here, "1"):
            if found.name != folder:
                yield found, is_folder

    def stat(self, name: str) -> Stat:
        """Return a file's size and version."""
        for found, is_folder in self._properties(name, "0"):
            if not is_folder:
                return found
        raise FileNotFoundError(2, "no such file", name)

    def store(self, name: str, source: Path, *, new: bool = False, replaces: Stat | None = None) -> None:
        """Let a file have the bytes of a local one: sent beside it, then moved over it."""
        RenamingPlace.store(self, name, source, new=new, replaces=replaces)

    def send(self, name: str, source: Path) -> None:
        """Write a local file's bytes to a new file."""
        self.upload(name, source, {"Content-Type": "application/octet-stream"}, good=())

    def move(self, old: str, name: str, *, new: bool) -> None:
        """Rename a file; the server is told whether it may replace another one."""
        headers = {"Destination": self.url(name), "Overwrite": "F" if new else "T"}
        if self.ask("MOVE", old, headers, good=(_EXISTS,)).status_code == _EXISTS:
            raise FileExistsError(17, "exists", name)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            self.ask("DELETE", name)

    def make_folder(self, folder: str) -> None:
        """Make a folder, and those above it."""
        for path in reversed([PurePosixPath(folder), *PurePosixPath(folder).parents][:-1]):
            self.ask("MKCOL", f"{path}/", good=_CONFLICT)

    def _properties(self, name: str, depth: str) -> Iterator[tuple[Stat, bool]]:
        headers = {"Depth": depth, "Content-Type": "application/xml"}
        root = xml_of(self.ask("PROPFIND", name, headers, content=_WANTED), self.shown)
        base = unquote(urlsplit(self._base).path)
        for response in root.iter(f"{_DAV}response"):
            path = unquote(urlsplit(response.findtext(f"{_DAV}href") or "").path)
            if path.startswith(base) or f"{path}/" == base:
                yield _stat(path[len(base) :].strip("/"), response)


def _stat(name: str, response: Any) -> tuple[Stat, bool]:
    values: dict[str, str] = {}
    folder = False
    for prop in response.iter(f"{_DAV}prop"):
        folder = folder or prop.find(f"{_DAV}resourcetype/{_DAV}collection") is not None
        values.update({child.tag: child.text or "" for child in prop if child.text})
    size, tag = values.get(f"{_DAV}getcontentlength", ""), values.get(f"{_DAV}getetag", "")
    modified = moment(values.get(f"{_DAV}getlastmodified", ""))
    return Stat(name, int(size) if size.isdigit() else -1, modified, tag), folder
