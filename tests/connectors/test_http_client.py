"""The HTTP client for everything outside."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpcore
import httpx
import pytest

from connectors.errors import Fatal, Forbidden, Misconfigured, Unavailable
from connectors.http_client import Limits, Wire, client, trust_store
from connectors.spi import Context

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
NOWHERE = Context(egress_allow=())


def test_a_response_is_read_whole(web: Any, reply: Any) -> None:
    """The client sends Host, headers and query as given and returns the body unpacked."""
    web.answer = lambda _: reply(body=gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"})
    with client(HERE, headers={"X-A": "b"}) as http:
        response = http.get(web.url + "/x", params={"q": "1"})
    assert response.json() == {"a": 1}
    seen = web.received[0]
    assert (seen.path, seen.query, seen.headers["x-a"]) == ("/x", {"q": ["1"]}, "b")
    assert seen.headers["host"] == f"127.0.0.1:{web.port}"


def test_a_host_that_is_not_allowed_is_never_connected_to(web: Any) -> None:
    """The check comes before the connection."""
    with client(NOWHERE) as http, pytest.raises(Forbidden, match="SYNCLINE_EGRESS_ALLOW"):
        http.get(web.url)
    assert not web.received


def test_the_checked_address_is_connected_to(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name service that answers differently the second time changes nothing: there is no second time."""
    asked = []

    def resolve(host: str, *_a: Any, **_k: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: resolve(host) if host == "shop.example" else real(host, *a, **k)
    )
    web.answer = lambda r: reply(body={"host": r.headers["host"]})
    with client(HERE) as http:
        assert http.get(f"http://shop.example:{web.port}/").json() == {"host": f"shop.example:{web.port}"}
    assert asked == ["shop.example"]


def test_a_redirect_to_a_forbidden_host_is_refused(web: Any, reply: Any) -> None:
    """A redirect is checked like a first request."""
    web.answer = lambda _: reply(302, headers={"Location": "http://10.0.0.1:1/"})
    with client(HERE) as http, pytest.raises(Forbidden, match=r"10\.0\.0\.1"):
        http.get(web.url)


def test_credentials_stay_with_their_host(web: Any, second_web: Any, reply: Any) -> None:
    """Behind a redirect to another host no authorization, key or cookie is sent; on the same host they are."""
    web.answer = lambda r: (
        reply(302, headers={"Location": "/here"}) if r.path == "/" else reply(307, headers={"Location": second_web.url})
    )
    second_web.answer = lambda _: reply(body="{}")
    headers = {"X-Api-Key": "k", "Cookie": "c=1", "X-Plain": "p"}
    with client(HERE, headers=headers, private=["x-api-key"], auth=httpx.BasicAuth("u", "p")) as http:
        assert http.get(web.url + "/").status_code == 200
    assert [r.path for r in web.received] == ["/", "/here"]
    assert all("authorization" in r.headers and r.headers["x-api-key"] == "k" for r in web.received)
    assert {"authorization", "x-api-key", "cookie"}.isdisjoint(second_web.received[0].headers)
    assert second_web.received[0].headers["x-plain"] == "p"


def test_a_write_is_not_redirected(web: Any, reply: Any) -> None:
    """A redirected POST is returned as it is: following it could turn it into a read."""
    web.answer = lambda _: reply(302, headers={"Location": "/other"})
    with client(HERE) as http:
        assert http.post(web.url + "/", json={}).status_code == 302
    assert len(web.received) == 1


def test_endless_redirects_end(web: Any, reply: Any) -> None:
    """A loop of redirects is an error after a few."""
    web.answer = lambda _: reply(302, headers={"Location": "/"})
    with client(HERE) as http, pytest.raises(Fatal, match="again and again"):
        http.get(web.url)
    assert len(web.received) == 6


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_large_response_is_cut_off(web: Any, reply: Any, pack: Callable[[bytes], bytes]) -> None:
    """The largest size counts the unpacked bytes, so a small packed response cannot fill the memory."""
    headers = {} if pack is bytes else {"Content-Encoding": "gzip"}
    web.answer = lambda _: reply(body=pack(b" " * (3 * 1024**2)), headers=headers)
    with client(HERE, limits=Limits(size=1024**2)) as http, pytest.raises(Fatal, match="larger than 1 MB"):
        http.get(web.url)


def test_a_dripping_response_ends_at_the_deadline(web: Any, reply: Any) -> None:
    """Bytes that keep coming one by one do not keep an exchange alive."""
    web.answer = lambda _: reply(body=b"x" * 1000, pace=0.05)
    begun = time.monotonic()
    with client(HERE, limits=Limits(seconds=0.5)) as http, pytest.raises(Unavailable, match="in time"):
        http.get(web.url)
    assert time.monotonic() - begun < 3


def test_a_silent_server_times_out() -> None:
    """A server that accepts and says nothing is unavailable after the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hasty = Context(egress_allow=("127.0.0.0/8",), timeout=0.2)
        with client(hasty) as http, pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
            http.get(f"http://127.0.0.1:{port}/?key=secret")


def test_a_closed_port_is_unavailable_and_no_secret_is_shown() -> None:
    """The message names the address without user, password and query."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with client(HERE) as http, pytest.raises(Unavailable) as caught:
        http.get(f"http://user:hidden@127.0.0.1:{port}/x?key=hidden")
    assert "refused" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_truncated_response_is_unavailable(web: Any, reply: Any) -> None:
    """A response that ends early is an error, never a short answer."""
    web.answer = lambda _: reply(body=b"[1,2", cut=10)
    with client(HERE) as http, pytest.raises(Unavailable):
        http.get(web.url)


def test_the_next_address_is_tried(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a host has several addresses and one does not answer, the next is tried."""
    web.answer = lambda _: reply(body="{}")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.9", "127.0.0.1")]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: found if host == "two.example" else real(host, *a, **k)
    )
    with client(HERE) as http:
        assert http.get(f"http://two.example:{web.port}/").status_code == 200


@pytest.mark.parametrize("value", ["line\nbreak", "客"])
def test_a_header_that_cannot_be_sent_is_not_shown(web: Any, value: str) -> None:
    """The error for a bad header does not repeat it: it can be a secret."""
    with client(HERE) as http, pytest.raises(Misconfigured, match="header") as caught:
        http.get(web.url, headers={"X-Key": value})
    assert value not in "".join(traceback.format_exception(caught.value))
    assert not web.received


@pytest.mark.parametrize("address", ["ftp://x/", "/no/host", "http://", "http://[::1"])
def test_something_else_than_a_web_address(address: str) -> None:
    """An address that is none is a mistake in a setting."""
    with client(HERE) as http, pytest.raises((Misconfigured, Unavailable)):
        http.get(address)


@pytest.fixture
def tls(tmp_path: Path) -> Any:
    """An HTTPS server with its own certificate; returns its port and the certificate."""
    pem = tmp_path / "pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-days",
            "2",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            tmp_path / "key",
            "-out",
            pem,
        ],
        check=True,
        capture_output=True,
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/down" else 200)
            if self.path == "/down":
                self.send_header("Location", "http://localhost/")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1], pem.read_text()
    server.shutdown()
    server.server_close()


def test_certificates_are_verified_against_the_name(tls: tuple[int, str]) -> None:
    """TLS is checked for the host's name although the connection goes to its address."""
    port, pem = tls
    both = Context(egress_allow=("127.0.0.0/8", "::1/128"), timeout=5)
    with client(both) as http, pytest.raises(Misconfigured, match="not trusted"):
        http.get(f"https://localhost:{port}/")
    with client(both, trust=trust_store(pem)) as http:
        assert http.get(f"https://localhost:{port}/").status_code == 200
        with pytest.raises(Misconfigured, match="not trusted"):
            http.get(f"https://127.0.0.1:{port}/")
        with pytest.raises(Forbidden, match="not encrypted"):
            http.get(f"https://localhost:{port}/down")
    with client(both, trust=trust_store(verify=False)) as http:
        assert http.get(f"https://127.0.0.1:{port}/").status_code == 200
    with pytest.raises(Misconfigured, match="PEM"):
        trust_store("nonsense")


def test_no_step_begins_behind_the_deadline() -> None:
    """When the time of an exchange is over, nothing more is sent or awaited."""
    wire = Wire(())
    assert wire.left(5) == 5
    wire.deadline = time.monotonic() - 1
    with pytest.raises(httpcore.ReadTimeout):
        wire.left(5)


def test_old_encryption_is_refused() -> None:
    """Nothing older than TLS 1.2 is spoken, nothing without forward secrecy, and certificates are asked for."""
    context = trust_store()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert all(cipher["name"].startswith(("TLS_", "ECDHE-", "DHE-")) for cipher in context.get_ciphers())
