"""A rebuilt calendar server for what Radicale does not do: it answers each call as a test says, over HTTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Said = tuple[int, str] | tuple[int, str, Mapping[str, str]]
Answer = Said | Callable[[str], Said]
SPACES = 'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:A="urn:ietf:params:xml:ns:carddav"'


def several(*responses: str, token: str = "") -> tuple[int, str]:
    """Return an answer about several resources."""
    told = f"<sync-token>{token}</sync-token>" if token else ""
    return 207, f'<?xml version="1.0"?><multistatus {SPACES}>{"".join(responses)}{told}</multistatus>'


def one(path: str, props: str = "", status: int = 200) -> str:
    """Return what is said of one resource."""
    if status != 200:
        return f"<response><href>{path}</href><status>HTTP/1.1 {status} x</status></response>"
    told = f"<propstat><prop>{props}</prop><status>HTTP/1.1 200 OK</status></propstat>"
    return f"<response><href>{path}</href>{told}</response>"


def collection(path: str, kind: str = "C:calendar", *, token: str = "") -> str:
    """Return what is said of a calendar or an address book."""
    syncs = (
        f"<sync-token>{token}</sync-token><supported-report-set><supported-report><report><sync-collection/></report>"
        "</supported-report></supported-report-set>"
    )
    return one(path, f"<resourcetype><collection/><{kind}/></resourcetype>{syncs if token else ''}")


@contextlib.contextmanager
def scripted(answers: Mapping[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """Run a server with answers by "METHOD /path", for REPORTs also by a word of the question; else it says 404."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked.append(f"{self.command} {self.path}")
            known = f"{self.command} {self.path}"
            found = next((a for name, a in answers.items() if name.split("#")[0] == known
                          and name.partition("#")[2] in body), (404, ""))  # fmt: skip
            said = found(body) if callable(found) else found
            self.send_response(said[0])
            for name, value in (said[2] if len(said) > 2 else {}).items():
                self.send_header(name, value)
            if "Content-Type" not in (said[2] if len(said) > 2 else {}):
                self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(said[1].encode())))
            self.end_headers()
            self.wfile.write(said[1].encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
