"""A real server of calendars and address books for tests: Radicale, in this process, on loopback."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
from radicale import config
from radicale.app import Application

from tests import servers

USER = "ada"


@dataclass
class Dav:
    """A running Radicale."""

    url: str
    client: httpx.Client
    password: str
    user: str = USER

    def calendar(self, name: str, *kinds: str) -> None:
        """Make a calendar anew; `kinds` are VEVENT and VTODO."""
        inner = "".join(f'<C:comp name="{kind}"/>' for kind in kinds or ("VEVENT",))
        self._make(
            name, "<D:collection/><C:calendar/>",
            f"<C:supported-calendar-component-set>{inner}</C:supported-calendar-component-set>",
        )  # fmt: skip

    def address_book(self, name: str) -> None:
        """Make an address book anew."""
        self._make(name, "<D:collection/><A:addressbook/>", "")

    def fill(self, name: str, entries: Iterable[str], kind: str = "text/calendar") -> None:
        """Let a collection have these entries, and no others; their UIDs are their names."""
        body = "".join(entries)
        self.ask("PUT", f"{name}/", content=body.encode(), headers={"Content-Type": kind})

    def put(self, path: str, text: str, kind: str = "text/calendar") -> None:
        """Write an entry."""
        self.ask("PUT", path, content=text.encode(), headers={"Content-Type": kind})

    def text(self, path: str) -> str:
        """Return an entry."""
        return self.ask("GET", path).text

    def ask(self, method: str, path: str, *, good: bool = True, **more: Any) -> httpx.Response:
        """Return the answer to a call."""
        reply = self.client.request(method, f"{self.url}/{USER}/{path}", **more)
        assert reply.is_success or not good, reply.text
        return reply

    def _make(self, name: str, kind: str, more: str) -> None:
        self.ask("DELETE", f"{name}/", good=False)
        spaces = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:A="urn:ietf:params:xml:ns:carddav"'
        props = f"<D:resourcetype>{kind}</D:resourcetype><D:displayname>{name} 日历</D:displayname>{more}"
        body = f"<D:mkcol {spaces}><D:set><D:prop>{props}</D:prop></D:set></D:mkcol>"
        self.ask("MKCOL", f"{name}/", content=body.encode(), headers={"Content-Type": "application/xml"})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@contextlib.contextmanager
def radicale() -> Iterator[Dav]:
    """Run Radicale with one user."""
    password = secrets.token_hex(8)
    with servers._folder("dav", servers._memory() or servers.TEMPORARY) as folder:
        (folder / "users").write_text(f"{USER}:{password}\n")
        settings = config.load()
        settings.update(
            {
                "auth": {"type": "htpasswd", "htpasswd_filename": str(folder / "users"), "htpasswd_encryption": "plain",
                         "delay": "0"},
                "storage": {"filesystem_folder": str(folder / "data"), "_filesystem_fsync": "False"},
                "logging": {"level": "critical"},
            },
            "tests", privileged=True,
        )  # fmt: skip
        server = make_server("127.0.0.1", 0, Application(settings), _Server, _Quiet)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            with httpx.Client(auth=(USER, password)) as client:
                yield Dav(url, client, password)
        finally:
            server.shutdown()
            server.server_close()
