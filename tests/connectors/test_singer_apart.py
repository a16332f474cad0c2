"""What a Singer program is kept from: a program tries, and a proxy on the way to the network obeys the egress rules.

On a kernel without Landlock the tests of files and of the network fail: they show what such a machine does not hold.
"""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.builtin import singer_apart, singer_gate, singer_launch
from connectors.builtin.singer_apart import Room, held
from connectors.builtin.singer_gate import Gate
from connectors.builtin.singer_process import Bounds, Call, Running
from connectors.errors import Unavailable
from tests.connectors.test_singer_tap import install

PROBE = Path(__file__).parent / "singer" / "probe.py"
HERE = ("127.0.0.0/8",)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with Syncline's own files in `data`, and one that is given to programs."""
    (tmp_path / "given").mkdir()
    install(tmp_path / "data", "probe", PROBE)
    (tmp_path / "data" / "key").write_text("the key")
    return tmp_path


def found(place: Path, web: Any, *, direct: bool = False, **config: Any) -> dict[str, Any]:
    data = place / "data"
    given = {"given": str(place / "given"), "data": str(data), "key": str(data / "key"), "unix": str(data / "sock"),
             "port": int(web.url.rpartition(":")[2]), **config}  # fmt: skip
    room = Room((place / "given", place), HERE, 5.0, data, direct)
    call = Call(str(data / "programs" / "probe" / "bin" / "probe"), given, {}, room=room)
    with Running(call, Bounds(seconds=30, memory=512)) as running:
        text = b"".join(running.lines())
        running.end()
    return dict(json.loads(text))


def test_a_program_is_kept_apart(place: Path, web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches its own folder and those of the connection, the network by the proxy, and nothing else."""
    monkeypatch.setenv("SYNCLINE_CANARY", "secret")
    web.answer = lambda r: reply(body=f"{r.path} {sorted(r.query)} {sorted(n for n in r.headers if 'proxy' in n)}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "data" / "sock"))
        listener.listen()
        seen = found(place, web)
    denied = "PermissionError 13", "PermissionError 1"
    for what in ("key", "shadow", "folder", "parent", "write elsewhere", "signal", "session", "unix", "direct",
                 "fast open", "datagram", "raw"):  # fmt: skip
        assert seen[what] in denied, (what, seen[what])
    assert seen["trace"] == "-1 1"
    assert (seen["given"], seen["home"]) == ("1", "1")
    assert (place / "given" / "made").read_text() == "x"
    assert (seen["proxy"], seen["tunnel"]) == ("/plain ['a'] []", "/tunnel [] []")
    assert "403" in seen["forbidden"]
    assert "10.1.2.3 is not public" in seen["forbidden"]
    assert (int(seen["capabilities"], 16), seen["privileges"]) == (0, "1")
    assert seen["limits"] == [512 * 1024**2, 30, 1024, 0]
    assert not [name for name in seen["environment"] if "SYNCLINE" in name]


def test_a_program_that_speaks_for_itself(place: Path, web: Any, reply: Any) -> None:
    """Where the operator has allowed it, it reaches the network directly; files and processes stay shut."""
    web.answer = lambda _: reply(body="ok")
    seen = found(place, web, direct=True)
    assert (seen["direct"], seen["datagram"]) == ("connected", "connected")
    assert (seen["key"], seen["unix"]) == ("PermissionError 13", "PermissionError 1")
    assert not [name for name in seen["environment"] if "proxy" in name.lower()]


def test_a_program_with_too_many_processes_is_ended(place: Path, web: Any) -> None:
    """All of them are gone afterwards, and the error says why."""
    with pytest.raises(Unavailable, match="more than 64 processes"):
        found(place, web, many=True)


class _Endless(io.BytesIO):
    """A stream of which nobody may ask for a whole line."""

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= 4000
        return super().readline(size)

    def __next__(self) -> bytes:
        raise AssertionError


def test_what_a_program_says_is_bounded() -> None:
    """A line without end is read in pieces, and only its beginning is kept."""
    running = Running(Call("/x", {}, {}), Bounds())
    running._process = SimpleNamespace(stderr=_Endless(b"first\n" + b"x" * 100_000 + b"\nlast\nend"))  # type: ignore[assignment]
    running._listen()
    assert list(running._told) == ["first", "x" * 4000, "last", "end"]


def test_what_the_machine_holds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection test says what a program is kept from here."""
    assert "networks that Syncline may not reach" in str(held())
    assert "as the operator allowed" in str(held(direct=True))
    for version, filters, told in ((2, True, "cannot keep it from the network"), (7, False, "no Landlock"),
                                   (0, True, "no Landlock")):  # fmt: skip
        monkeypatch.setattr(singer_launch, "landlock", lambda known=version: known)
        monkeypatch.setattr(singer_launch, "filters", lambda known=filters: known)
        assert told in str(held())
    assert Room((Path("/srv"),)).given() == [str(Path("/srv").resolve())]
    monkeypatch.setattr(singer_apart.os, "scandir", lambda _: iter([_Gone()]))
    assert singer_apart.members(1) == []


class _Gone:
    name, path = "4194305", "/proc/4194305"


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate(HERE, 5.0) as made:
        yield made


def said(gate: Gate, text: bytes, *, end: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", gate.port), 5) as line:
        line.sendall(text.replace(b"KEY", gate.key))
        if end:
            line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


def test_the_proxy_refuses(gate: Gate) -> None:
    """Who does not know its password, what is no request, and what leads to nowhere."""
    own = b"\r\nProxy-Authorization: KEY\r\n\r\n"
    wrong = base64.b64encode(b"syncline:guessed")
    assert b" 400 " in said(gate, b"hello\r\n\r\n")
    assert b" 400 " in said(gate, b"", end=True)
    assert b" 407 " in said(gate, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
    assert b" 407 " in said(gate, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nProxy-Authorization: Basic " + wrong + b"\r\n\r\n")
    for target in (
        b"CONNECT 127.0.0.1:1",
        b"GET /x",
        b"GET ftp://127.0.0.1/x",
        b"CONNECT [::",
        b"GET http://10.0.0.1/",
    ):
        assert b" 403 " in said(gate, target + b" HTTP/1.1" + own)
    assert len(gate.refused) == 5
    for _ in range(30):
        said(gate, b"GET /x HTTP/1.1" + own)
    assert len(gate.refused) == 20, "a program that asks for ever fills no memory"


def test_the_proxy_passes_on(gate: Gate, web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent with the request goes along, what is for the proxy does not; silence ends a connection."""
    web.answer = lambda r: reply(body=r.body.decode() + "".join(sorted(r.headers)))
    request = f"POST {web.url}/a HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n"
    answer = said(gate, request.encode() + b"Proxy-Authorization: KEY\r\n\r\nhi", end=True)
    assert answer.endswith(b"hiconnectioncontent-lengthhost")
    monkeypatch.setattr(singer_gate, "_SILENT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = f"CONNECT 127.0.0.1:{mute.getsockname()[1]} HTTP/1.1\r\n".encode()
        assert said(gate, target + b"Proxy-Authorization: KEY\r\n\r\n") == b"HTTP/1.1 200 Connected\r\n\r\n"
