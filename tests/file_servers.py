"""Real file servers for tests, each a process of its own on loopback: SFTP, FTP, FTPS, S3, WebDAV and the web.

    with file_servers.started("sftp", folder) as server: ...      # its files lie in `folder`, except those of S3

All come from wheels (asyncssh, pyftpdlib, moto, wsgidav). `python -m tests.file_servers KIND FOLDER` is the process.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER, PASSWORD, BUCKET = "syncline", "correct horse", "bucket"
KINDS = ("sftp", "ftp", "ftps", "s3", "webdav", "http")


@dataclass
class FileServer:
    """A server that was started: where it is, and what one has to know of it."""

    kind: str
    port: int
    process: subprocess.Popen[str]
    host_key: str = ""
    private_key: str = ""
    certificate: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of a connection to it."""
        url = f"http://127.0.0.1:{self.port}"
        found: dict[str, dict[str, Any]] = {
            "s3": {"endpoint": url, "bucket": BUCKET, "access_key": USER, "secret_key": PASSWORD, "folder": "in/box"},
            "webdav": {"url": f"{url}/inbox/", "user": USER, "password": PASSWORD},
            "http": {"url": f"{url}/inbox/"},
        }
        hosted = {
            "host": "localhost" if self.kind == "ftps" else "127.0.0.1", "port": self.port, "user": USER,
            "password": PASSWORD, "folder": "inbox", "host_key": self.host_key, "tls_ca": self.certificate,
        }  # fmt: skip
        return {"place": self.kind, "settle": 0, **found.get(self.kind, hosted)}


@contextlib.contextmanager
def started(kind: str, folder: Path) -> Iterator[FileServer]:
    """Run a server with the files of a folder."""
    (folder / "inbox").mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "tests.file_servers", kind, str(folder)]
    root = Path(__file__).parents[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(f"{kind} did not start:\n{(folder / 'log').read_text()}")
        yield FileServer(kind, process=process, **json.loads(line))
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _say(port: int, **more: str) -> None:
    print(json.dumps({"port": port, **more}), flush=True)  # noqa: T201 - the process talks to the test


def _sftp(folder: Path) -> None:
    import asyncio  # noqa: PLC0415 - each process needs its own libraries only

    import asyncssh  # noqa: PLC0415

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: Any) -> bool:
            return username == USER and key == own.convert_to_public()

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(folder).encode())

    key, own = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))

    async def run() -> None:
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], server_factory=Server, sftp_factory=Files
        )
        _say(server.get_port(), host_key=key.get_fingerprint(), private_key=own.export_private_key().decode())
        await server.wait_closed()

    asyncio.run(run())


def _ftp(folder: Path, *, encrypted: bool = False) -> None:
    from pyftpdlib.authorizers import DummyAuthorizer  # noqa: PLC0415
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # noqa: PLC0415
    from pyftpdlib.servers import FTPServer  # noqa: PLC0415

    from tests import servers  # noqa: PLC0415

    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(folder), perm="elradfmwMT")
    handler: Any = type(
        "Handler", (TLS_FTPHandler if encrypted else FTPHandler,), {"authorizer": authorizer, "auth_failed_timeout": 0}
    )
    text = ""
    if encrypted:
        certificate, key = servers.certify(folder)
        handler.certfile, handler.keyfile = str(certificate), str(key)
        handler.tls_control_required = handler.tls_data_required = True
        text = certificate.read_text()
    server = FTPServer(("127.0.0.1", 0), handler)
    _say(server.address[1], certificate=text)
    server.serve_forever()


def _s3(folder: Path) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415

    del folder
    application = DomainDispatcherApplication(create_backend_app)
    _serve(application, _made)


def _made(port: int) -> None:
    import threading  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    def make() -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/{BUCKET}", method="PUT", headers={"Authorization": _S3}
        )
        urllib.request.urlopen(request).read()  # noqa: S310 - loopback
        _say(port)

    threading.Thread(target=make, daemon=True).start()


_S3 = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"


def _webdav(folder: Path) -> None:
    from cheroot import wsgi  # noqa: PLC0415
    from wsgidav.wsgidav_app import WsgiDAVApp  # noqa: PLC0415

    users = {"*": {USER: {"password": PASSWORD}}}
    application = WsgiDAVApp({
        "provider_mapping": {"/": str(folder)}, "simple_dc": {"user_mapping": users}, "verbose": 0,
        "logging": {"enable": False},
    })  # fmt: skip
    server = wsgi.Server(("127.0.0.1", 0), application)
    server.prepare()
    _say(server.bind_addr[1])
    server.serve()


def _serve(application: Any, ready: Any) -> None:
    from werkzeug.serving import make_server  # noqa: PLC0415

    server = make_server("127.0.0.1", 0, application, threaded=True)
    ready(server.server_port)
    server.serve_forever()


def _http(folder: Path) -> None:
    from functools import partial  # noqa: PLC0415
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    _say(server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    import threading

    def _ends_with_the_test() -> None:
        import os  # noqa: PLC0415

        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=_ends_with_the_test, daemon=True).start()
    kind, place = sys.argv[1], Path(sys.argv[2])
    {
        "sftp": _sftp, "ftp": _ftp, "ftps": lambda f: _ftp(f, encrypted=True), "s3": _s3, "webdav": _webdav,
        "http": _http,
    }[kind](place)  # fmt: skip
