"""Many exchanges at a time, by the same rules as the other client: egress, redirects, sizes, times; once is once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from connectors import http_flight
from connectors.errors import ConnectorError, Fatal, Forbidden, Misconfigured, Unavailable
from connectors.http_client import Limits
from connectors.http_crew import Crew, Job, Pause, at_once, one
from connectors.http_flight import Flights, Sent
from connectors.http_reply import Headers, Reply
from connectors.spi import Context
from tests.connectors.test_http_client import tls  # noqa: F401 - a fixture

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=1)


@pytest.fixture
def flights() -> Iterator[Flights]:
    with closing(Flights(HERE, limits=Limits(size=200_000, seconds=3, redirects=2))) as made:
        yield made


def get(flights: Flights, url: str, **headers: str) -> Reply:
    return one(flights, ask(Sent("GET", url, headers)))


def ask(sent: Sent) -> Job[Reply]:
    return (yield sent)


def test_jobs_run_side_by_side(web: Any, reply: Any, flights: Flights) -> None:
    """Results come in the jobs' order; a pause lets others go on, and an error ends what has not begun."""
    web.answer = lambda r: reply(body=r.path)

    def job(number: int) -> Job[str]:
        yield Pause(0.05 if number == 0 else 0.0)
        answer = yield Sent("POST", f"{web.url}/{number}", {"E": "", "X": "y"}, b"{}", once=bool(number % 2))
        return answer.text

    crew: Crew[str] = Crew(flights, 3, at_once)
    assert list(crew.results(map(job, range(7)))) == [f"/{n}" for n in range(7)]
    assert web.received[-1].path == "/0" or web.received[0].path != "/0"
    assert (web.received[0].headers["e"], web.received[0].headers["x"]) == ("", "y")

    def bad(number: int) -> Job[str]:
        yield from ask(Sent("GET", "http://10.0.0.1/" if number == 2 else web.url + "/x"))
        return str(number)

    with pytest.raises(Forbidden):
        list(Crew[str](flights, 2, at_once).results(map(bad, range(99))))
    assert len([r for r in web.received if r.path == "/x"]) < 6


def test_jobs_that_are_given_up(web: Any, reply: Any, flights: Flights) -> None:
    """Who stops listening leaves nothing under way, and the next jobs are not disturbed."""
    web.answer = lambda r: reply(body=r.path)
    results = Crew[Reply](flights, 4, at_once).results(ask(Sent("GET", f"{web.url}/{n}")) for n in range(9))
    next(results)
    results.close()
    assert get(flights, web.url + "/after").text == "/after"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://10.0.0.1/x", Forbidden),
        ("http://no-such-host.invalid/", Unavailable),
        ("ftp://127.0.0.1/", Misconfigured),
        ("http://[::1", Misconfigured),
        ("http://127.0.0.1:1/secret?key=geheim", Unavailable),
        ("http://127.0.0.1\\@10.0.0.1/", ConnectorError),
    ],
)
def test_addresses_that_must_not_or_cannot_be_reached(flights: Flights, url: str, error: Any) -> None:
    """Each ends in one error without what may be secret in the address."""
    with pytest.raises(error) as caught:
        get(flights, url)
    assert "geheim" not in str(caught.value)


def test_only_checked_addresses_get_a_socket(web: Any, flights: Flights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should libcurl want to connect elsewhere than was checked, there is no socket for it."""
    monkeypatch.setattr(http_flight, "addresses", lambda *_: ("127.0.0.9",))
    with pytest.raises(Unavailable):
        get(flights, web.url)
    assert not web.received


def test_a_name_is_what_was_checked(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the checked address of a name, whatever the name service says later."""
    web.answer = lambda r: reply(body=r.headers["host"])
    asked = []
    monkeypatch.setattr(http_flight, "addresses", lambda host, *_: asked.append(host) or ("127.0.0.1", "::1"))
    with closing(Flights(HERE)) as flights:
        for _ in range(2):
            assert get(flights, f"http://erp.invalid:{web.port}/").text == f"erp.invalid:{web.port}"
    assert asked == ["erp.invalid"]


def test_redirects(web: Any, second_web: Any, reply: Any, flights: Flights) -> None:
    """Reads follow a few redirects, without our headers to another host; writes follow none."""
    second_web.answer = lambda r: reply(body=r.headers.get("authorization", "none"))
    targets = {"/a": "/b", "/b": second_web.url + "/c", "/x": "/x", "/y": "http://10.0.0.1/"}
    web.answer = lambda r: reply(302, "", {"Location": targets[r.path]})
    assert get(flights, web.url + "/a", Authorization="secret", Accept="a/b").text == "none"
    assert second_web.received[0].headers["accept"] == "a/b"
    with pytest.raises(Fatal, match="again and again"):
        get(flights, web.url + "/x")
    with pytest.raises(Forbidden):
        get(flights, web.url + "/y")
    assert one(flights, ask(Sent("POST", web.url + "/a", {}, b"x", once=True))).status_code == 302


def test_a_redirect_that_gives_up_encryption() -> None:
    """An encrypted address never leads on to one that is not."""
    flight = http_flight._Flight(Sent("GET", "https://a.example/x"), 0, 0)
    answer = Reply(302, b"", "https://a.example/x", b"HTTP/1.1 302 Found\r\nLocation: http://a.example/y\r\n\r\n")
    with closing(Flights(HERE)) as flights, pytest.raises(Forbidden, match="not encrypted"):
        flights._onward(flight, answer)


def test_limits(web: Any, reply: Any, flights: Flights) -> None:
    """A response that is too large, too slow, silent or cut short ends in an error."""
    web.answer = lambda _: reply(body=b"x" * 300_000)
    with pytest.raises(Fatal, match="larger than"):
        get(flights, web.url)
    web.answer = lambda _: reply(body=b"x" * 100, pace=0.1)
    with pytest.raises(Unavailable, match="in time"):
        get(flights, web.url)
    web.answer = lambda _: threading.Event().wait(1.5) or reply()
    with pytest.raises(Unavailable, match="in time"):
        get(flights, web.url)
    web.answer = lambda _: reply(body=b"x", cut=9)
    with pytest.raises(Unavailable, match="No answer"):
        get(flights, web.url)


@pytest.mark.parametrize("value", ["two\nlines", "ä", "\x00"])
def test_headers_that_cannot_be_sent(flights: Flights, value: str) -> None:
    """A header with a forbidden character is refused and not shown."""
    with pytest.raises(Misconfigured) as caught:
        get(flights, "http://127.0.0.1/", Authorization=value)
    assert value not in str(caught.value)


def test_once_is_once() -> None:
    """A request that must not be sent twice is not sent again when a connection that was kept open breaks."""
    bodies: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                first = peer.recv(65536)
                bodies.append(first)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                again = peer.recv(65536)  # it reads the next request and goes away without an answer
                if again:
                    bodies.append(again)

    with socket.create_server(("127.0.0.1", 0)) as server, closing(Flights(HERE)) as flights:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert get(flights, url).text == "ok"
        with pytest.raises(Unavailable):
            one(flights, ask(Sent("POST", url, {}, b"order 1", once=True)))
        assert len([body for body in bodies if b"order 1" in body]) == 1
        assert one(flights, ask(Sent("POST", url, {}, b"", once=True))).text == "ok"  # a new connection of its own
        server.shutdown(socket.SHUT_RDWR)
    thread.join(2)


def test_certificates(tls: tuple[int, str]) -> None:  # noqa: F811
    """A certificate is trusted if its authority is, for its own name, or if nobody checks."""
    port, pem = tls
    allowed = Context(egress_allow=("127.0.0.0/8", "::1/128"), timeout=3)
    for certificate, verify, host, good in (
        (pem, True, "localhost", True),
        ("", True, "localhost", False),
        (pem, True, "127.0.0.1", False),
        ("", False, "localhost", True),
    ):
        with closing(Flights(allowed, certificate=certificate, verify=verify)) as flights:
            if good:
                assert get(flights, f"https://{host}:{port}/").status_code == 200
                continue
            with pytest.raises(Misconfigured, match="not trusted"):
                get(flights, f"https://{host}:{port}/")
    with pytest.raises(Misconfigured, match="cannot be read"):
        Flights(allowed, certificate="-----BEGIN nonsense")


def test_replies() -> None:
    """Headers are found in any case, repeated ones joined, interim answers skipped; texts are read as declared."""
    head = (
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 299 Odd\r\nA: 1\r\na: 2\r\nnonsense\r\nLink: </n>; rel="next"\r\n\r\n'
    )
    reply = Reply(299, "é".encode("latin-1"), "http://h/x?y=1", head)
    assert dict(reply.headers) == {"a": "1, 2", "link": '</n>; rel="next"'}
    assert (len(reply.headers), reply.links["next"]["url"], reply.reason_phrase) == (2, "/n", "")
    assert "299" in repr(reply)
    kinds: list[tuple[str, Callable[[str], bool]]] = [
        ("text/plain; charset=latin-1", lambda text: text == "é"),
        ("text/plain; charset=martian", lambda text: text == "\ufffd"),
        ("text/plain", lambda text: text == "\ufffd"),
    ]
    for kind, good in kinds:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
        assert good(Reply(200, reply.content, "http://h", head).text)
    assert Headers(b"").get("x") is None
