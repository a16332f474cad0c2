"""Files elsewhere: the laws of every place, against real servers, and the connector over SFTP and S3."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin import files_place_s3, files_place_s3_parts
from connectors.builtin.files import Files
from connectors.builtin.files_options import Options
from connectors.builtin.files_place import Place, matching
from connectors.builtin.files_remote import place_of
from connectors.errors import AuthFailed, ConnectorError, Fatal, Fenced, Forbidden, Misconfigured, Unavailable
from connectors.spi import Context, Fence, ReadRequest
from connectors.testing import Settings
from rules.schema import Change, Op, Schema
from tests import file_servers
from tests.connectors import test_files
from tests.file_servers import FileServer

WRITABLE = ("local", "sftp", "ftp", "ftps", "s3", "webdav")
REMOTE = WRITABLE[1:]
SERVERS: dict[str, FileServer] = {}
FOLDERS: dict[str, Path] = {}


@pytest.fixture(scope="module")
def server_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], FileServer]]:
    """Start each kind of server once, when it is first asked for."""
    running: list[Any] = []

    def get(kind: str) -> FileServer:
        if kind not in SERVERS:
            FOLDERS[kind] = tmp_path_factory.mktemp(kind)
            context = file_servers.started(kind, FOLDERS[kind])
            SERVERS[kind] = context.__enter__()
            running.append(context)
        return SERVERS[kind]

    yield get
    for context in running:
        context.__exit__(None, None, None)
    SERVERS.clear()


@pytest.fixture
def settings_of(server_of: Callable[[str], FileServer], tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Return the settings of a connection to an empty folder of a kind of server."""

    def get(kind: str) -> dict[str, Any]:
        fresh = f"t{tmp_path.name}"
        if kind == "local":
            (tmp_path / "inbox").mkdir(exist_ok=True)
            return {"place": kind, "path": str(tmp_path / "inbox"), "settle": 0}
        settings = server_of(kind).settings
        if kind != "s3":
            (FOLDERS[kind] / "inbox" / fresh).mkdir(exist_ok=True)
        member = "url" if "url" in settings else "folder"
        return {**settings, member: f"{settings[member].rstrip('/')}/{fresh}" + ("/" if member == "url" else "")}

    return get


@pytest.fixture
def place_in(settings_of: Callable[[str], dict[str, Any]], tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Return a place of a kind."""
    made: list[Place] = []

    def get(kind: str, **changed: Any) -> Place:
        options = Options.of({**settings_of(kind), **changed})
        made.append(place_of(options, Context(file_roots=(tmp_path,), timeout=5)))
        return made[-1]

    yield get
    for place in made:
        place.close()


def source(folder: Path, data: bytes) -> Path:
    path = folder / "source.bin"
    path.write_bytes(data)
    return path


def content(place: Place, name: str) -> bytes:
    buffer = io.BytesIO()
    place.fetch(name, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", WRITABLE)
def test_what_is_stored_is_there(kind: str, place_in: Callable[..., Place], tmp_path: Path) -> None:
    """Files are stored, listed, read, replaced, renamed into folders that are made, and removed; names may be any."""
    place = place_in(kind)
    odd, data = "客户 +%&'1.csv", bytes(range(256)) * 5000
    place.store(odd, source(tmp_path, data))
    place.store("b.csv", source(tmp_path, b""))
    assert {(found.name, found.size) for found in place.files()} == {(odd, len(data)), ("b.csv", 0)}
    assert content(place, odd) == data
    assert content(place, "b.csv") == b""
    first = place.stat("b.csv")
    place.store("b.csv", source(tmp_path, b"new"))
    assert place.stat("b.csv") != first
    place.rename("b.csv", "done/2026/c.csv")
    place.store("d.csv", source(tmp_path, b"other"))
    place.rename(odd, "d.csv")
    assert content(place, "d.csv") == data
    assert sorted(found.name for found in place.files(deep=True)) == ["d.csv", "done/2026/c.csv"]
    assert [found.name for found in place.files()] == ["d.csv"]
    assert [found.name for found in matching(place, "**/C*.csv")] == ["done/2026/c.csv"]
    assert [found.name for found in matching(place, "done/*/*")] == ["done/2026/c.csv"]
    for _ in range(2):
        place.delete("d.csv")
    assert list(place.files()) == []
    for missing in (place.stat, lambda name: content(place, name), lambda name: place.rename(name, "x.csv")):
        with pytest.raises(FileNotFoundError):
            missing("d.csv")
    assert [found.name for found in place.files(deep=True)] == ["done/2026/c.csv"]


@pytest.mark.parametrize("kind", WRITABLE)
def test_a_new_file_is_new(kind: str, place_in: Callable[..., Place], tmp_path: Path) -> None:
    """A file that must be new never takes another one's place; one that replaces a version takes only that one's."""
    place, other = place_in(kind), place_in(kind)
    place.store("a.csv", source(tmp_path, b"first"), new=True)
    with pytest.raises(FileExistsError):
        other.store("a.csv", source(tmp_path, b"second"), new=True)
    was = place.stat("a.csv")
    other.store("a.csv", source(tmp_path, b"in between"))
    with pytest.raises(FileExistsError):
        place.store("a.csv", source(tmp_path, b"late"), replaces=was)
    assert content(place, "a.csv") == b"in between"
    place.store("a.csv", source(tmp_path, b"right"), replaces=place.stat("a.csv"))
    assert content(place, "a.csv") == b"right"
    assert [found.name for found in place.files()] == ["a.csv"], "nothing is left lying about"


class Cutter:
    """A door to a server that is shut behind so many bytes that came in."""

    def __init__(self, port: int, most: int) -> None:
        self.target, self.most, self.port_socket = port, most, socket.create_server(("127.0.0.1", 0))
        self.port = self.port_socket.getsockname()[1]
        self.ends = [self.port_socket]
        self.threads = [threading.Thread(target=self._serve, daemon=True)]
        self.threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                inside = self.port_socket.accept()[0]
                outside = socket.create_connection(("127.0.0.1", self.target))
                self.ends += [inside, outside]
                for ends in ((inside, outside, True), (outside, inside, False)):
                    self.threads.append(threading.Thread(target=self._pass, args=ends, daemon=True))
                    self.threads[-1].start()

    def _pass(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := one.recv(16384):
                self.most -= len(data) * counted
                if self.most < 0:
                    break
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for end in self.ends:
            end.close()


def test_a_large_file_appears_at_once(
    place_in: Callable[..., Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is sent in parts is there with all of them, and not at all where something else is."""
    monkeypatch.setattr(files_place_s3, "_AT_ONCE", 1024)
    monkeypatch.setattr(files_place_s3_parts, "PART", 5 * 1024**2)
    place, data = place_in("s3"), bytes(range(256)) * 25_000
    place.store("客户.csv", source(tmp_path, data), new=True)
    first = place.stat("客户.csv")
    assert content(place, "客户.csv") == data
    with pytest.raises(FileExistsError):
        place.store("客户.csv", source(tmp_path, data[1:]), new=True)
    place.store("客户.csv", source(tmp_path, data[2:]), replaces=first)
    with pytest.raises(FileExistsError):
        place.store("客户.csv", source(tmp_path, data[3:]), replaces=first)
    assert content(place, "客户.csv") == data[2:]
    assert [found.name for found in place.files(deep=True)] == ["客户.csv"]


@pytest.mark.parametrize("kind", ["sftp", "s3", "webdav"])
def test_a_killed_connection_leaves_the_old_file(
    kind: str, place_in: Callable[..., Place], settings_of: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """What was cut off while it was sent is not to be seen: the file stays what it was, and can be written again."""
    place = place_in(kind)
    place.store("a.csv", source(tmp_path, b"old"))
    settings = settings_of(kind)
    port = SERVERS[kind].port
    cutter = Cutter(port, 300_000)
    member = {"s3": "endpoint", "webdav": "url"}.get(kind, "port")
    changed = cutter.port if member == "port" else settings[member].replace(str(port), str(cutter.port))
    with pytest.raises(Unavailable):
        place_in(kind, **{member: changed}).store("a.csv", source(tmp_path, bytes(3_000_000)))
    cutter.close()
    assert content(place, "a.csv") == b"old"
    assert [found.name for found in matching(place, "*")] == ["a.csv"]
    place.store("a.csv", source(tmp_path, b"new"))
    assert content(place, "a.csv") == b"new"


def test_a_killed_server_leaves_the_old_file(tmp_path: Path) -> None:
    """An FTP server that dies in the middle leaves the old file, and is told as not available."""
    with file_servers.started("ftp", tmp_path) as server:
        place = place_of(Options.of(server.settings), Context(timeout=5))
        place.store("a.csv", source(tmp_path, b"old"))
        big = source(tmp_path, b"")
        os.truncate(big, 2**30)
        threading.Timer(0.15, os.kill, (server.process.pid, signal.SIGKILL)).start()
        with pytest.raises(Unavailable):
            place.store("a.csv", big)
        place.close()
    assert (tmp_path / "inbox" / "a.csv").read_bytes() == b"old"


BROKEN: Mapping[str, Sequence[tuple[dict[str, Any], type[ConnectorError], str]]] = {
    "sftp": [
        ({"password": "wrong"}, AuthFailed, "refuses the user"),
        ({"host_key": ""}, Misconfigured, "SHA256:.*nobody has confirmed"),
        ({"host_key": "SHA256:other"}, Misconfigured, "another server"),
        ({"private_key": "no key"}, Misconfigured, "private key cannot be read"),
        ({"host": "10.0.0.1"}, Forbidden, "must not be reached"),
        ({"folder": "nowhere"}, Fatal, "not there"),
    ],
    "ftp": [
        ({"password": "wrong"}, AuthFailed, "refuses"),
        ({"host": "nowhere.invalid"}, Unavailable, "cannot be found"),
    ],
    "ftps": [({"tls_ca": ""}, Misconfigured, "not trusted"), ({"host": "10.0.0.1"}, Forbidden, "must not be reached")],
    "s3": [
        ({"bucket": "other"}, Misconfigured, "no bucket"),
        ({"endpoint": "http://10.0.0.1"}, Forbidden, "must not be reached"),
    ],
    "webdav": [
        ({"password": "wrong"}, AuthFailed, "refuses"),
        ({"url": "http://10.0.0.1/"}, Forbidden, "must not be reached"),
    ],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_is_told(kind: str, settings_of: Callable[[str], dict[str, Any]]) -> None:
    """Wrong passwords, keys, certificates and addresses end in a sentence that says which."""
    for changed, error, words in BROKEN[kind]:
        settings = {**settings_of(kind), **changed}
        with Files(settings, Context(timeout=5)) as connector:
            with pytest.raises(error, match=words):
                connector.objects()
            assert not list(connector.check())[-1].ok


def test_sign_in_with_a_key(settings_of: Callable[[str], dict[str, Any]]) -> None:
    """An SFTP server is signed in to with a private key, too, and known by its key itself."""
    settings = {**settings_of("sftp"), "password": "", "private_key": SERVERS["sftp"].private_key}
    with Files(settings, Context(timeout=5)) as connector:
        assert connector.objects() == []


def test_the_web_is_read(server_of: Callable[[str], FileServer], tmp_path: Path) -> None:
    """Files that a page links to, and a single address, are read; nothing can be written."""
    settings = server_of("http").settings
    folder = FOLDERS["http"] / "inbox"
    (folder / "sub").mkdir()
    for name in ("a b.csv", "sub/c.csv"):
        (folder / name).write_text("id,name\n1,a\n")
    with Files(settings, Context(timeout=5)) as connector:
        assert [info.name for info in connector.objects()] == ["a b.csv"]
        assert not connector.objects()[0].writable
        schema = connector.schema("a b.csv")
        assert next(connector.read(ReadRequest("a b.csv", schema))).records.rows() == [(1, "a")]
        assert [step.ok for step in connector.check()] == [True] * 4
        with pytest.raises(Misconfigured, match="only be read"):
            connector.write("a b.csv", schema, [], Fence("r", 1, 1, 1))
        assert not connector.applied(Fence("r", 1, 1, 1))
    with Files({**settings, "pattern": "**/*.csv"}, Context(timeout=5)) as connector:
        assert [info.name for info in connector.objects()] == ["**/*.csv", "a b.csv", "sub/c.csv"]
    with Files({**settings, "url": settings["url"] + "sub/c.csv"}, Context(timeout=5)) as connector:
        assert [info.name for info in connector.objects()] == ["c.csv"]
        assert connector.schema("c.csv").names == ("id", "name")
        place = connector.folder.place  # type: ignore[union-attr]
        for refused in (lambda: place.rename("a", "b"), lambda: place.delete("a"), lambda: place.store("a", tmp_path)):
            with pytest.raises(Misconfigured):
                refused()
        with pytest.raises(FileNotFoundError):
            place.stat("other.csv")


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_two_writers_of_one_file(kind: str, settings_of: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    """Of two that write at the same time one is told so; a worker that was replaced is refused; nothing gets lost."""
    settings = settings_of(kind)
    with Files(settings, Context(timeout=5)) as one, Files(settings, Context(timeout=5)) as two:
        one.folder.place.store("a.csv", source(tmp_path, b"id,name\n1,a\n"))  # type: ignore[union-attr]
        schema = one.schema("a.csv")
        one.write("a.csv", schema, [_change(2, "b")], Fence("r", 1, 1, 1))
        journal = two.folder.stored("a.csv").journal
        assert journal.size() == 1
        one.write("a.csv", schema, [_change(3, "c")], Fence("r", 1, 1, 2))
        with pytest.raises(Unavailable, match="Somebody else"):
            journal.append(next(entry for _, entry in journal.entries()), 1)
        two.write("a.csv", schema, [_change(4, "d")], Fence("r", 2, 2, 1))
        with pytest.raises(Fenced):
            one.write("a.csv", schema, [_change(5, "e")], Fence("r", 1, 1, 3))
        assert two.applied(Fence("r", 2, 2, 1))
        two.finish("a.csv")
        assert content(one.folder.place, "a.csv") == b"id,name\n1,a\n2,b\n3,c\n4,d\n"  # type: ignore[union-attr]
        hidden = [found.name for found in one.folder.place.files()]  # type: ignore[union-attr]
        assert sorted(hidden) == [".a.csv.syncline-fence", "a.csv"]
        assert one.applied(Fence("r", 2, 2, 1))


def _change(key: int, name: str) -> Change:
    return Change(Op.CREATE, "id", pl.DataFrame({"id": [key], "name": [name]}))


def test_a_file_is_not_larger_than_allowed(settings_of: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    """A file that is larger than the connection allows is refused before it is fetched."""
    with Files({**settings_of("sftp"), "largest": 1}, Context(timeout=5)) as connector:
        connector.folder.place.store("a.csv", source(tmp_path, b"x\n" * 2**20))  # type: ignore[union-attr]
        with pytest.raises(Fatal, match="larger than 1 MB"):
            connector.schema("a.csv")


class RemoteCsv(test_files.TestCsv):
    """CSV files on a server, against every promise of a connector."""

    kind: str

    @pytest.fixture
    def settings(self, settings_of: Callable[[str], dict[str, Any]]) -> Settings:
        return settings_of(self.kind)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        folder = FOLDERS[self.kind]
        super().seed({"path": str(folder)}, schema, records)
        place = place_of(Options.of(settings), Context())
        place.store(self.object_name, folder / self.object_name)
        place.close()

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [{**settings, **changed} for changed, _, _ in BROKEN[self.kind]]


class TestSftp(RemoteCsv):
    kind = "sftp"


class TestS3(RemoteCsv):
    kind = "s3"
