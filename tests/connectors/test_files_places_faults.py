"""What file servers may answer: each fault ends in a sentence, and no answer is taken for something else."""

from __future__ import annotations

import datetime as dt
import ftplib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import paramiko
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from connectors.builtin import files_place_s3, files_place_s3_parts
from connectors.builtin.files import Files
from connectors.builtin.files_options import Options
from connectors.builtin.files_place import Place, Stat
from connectors.builtin.files_place_s3 import Signature
from connectors.builtin.files_place_s3_parts import part_size
from connectors.builtin.files_remote import place_of
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    Unavailable,
)
from connectors.spi import Context
from tests import file_servers

refusal = ftplib.error_perm
OPENED: list[Place] = []
KEYS = {"access_key": "AK", "secret_key": "secret"}


def place(kind: str, web: Any, **more: Any) -> Place:
    settings = {"place": kind, "url": f"{web.url}/in/", "endpoint": web.url, "bucket": "b", **more}
    OPENED.append(place_of(Options.of(settings), Context(timeout=2)))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, AuthFailed, "refuses the user"), (403, Forbidden, "may not be read"), (429, RateLimited, "asks to wait"),
        (503, Unavailable, "503"), (400, Fatal, "refuses 'a.csv': 400"),
    ],
)  # fmt: skip
def test_answers_of_web_servers(web: Any, reply: Any, status: int, error: type[ConnectorError], words: str) -> None:
    """Codes are told as what they mean."""
    web.answer = lambda _: reply(status, b"", {"Retry-After": "7"})
    for kind in ("http", "webdav", "s3"):
        with pytest.raises(error, match=words) as caught:
            place(kind, web, **KEYS).fetch("a.csv", io.BytesIO())
        assert getattr(caught.value, "after", 7) == 7


def test_odd_answers_of_web_servers(web: Any, reply: Any) -> None:
    """A page without links has no files, a server without HEAD tells no size, and a list has to be XML."""
    web.answer = lambda r: reply(405 if r.method == "HEAD" else 200, b"", {"Last-Modified": "never"})
    assert list(place("http", web).files()) == []
    assert place("http", web).stat("a.csv") == Stat("a.csv", -1)
    page = '<a href="#x">x</a><a>none</a><a href="a.csv">a</a><a href="a.csv#1">again</a><a href="/else/b.csv">b</a>'
    web.answer = lambda _: reply(200, page, {"Content-Type": "text/html"})
    assert [found.name for found in place("http", web).files()] == ["a.csv"]
    for kind in ("webdav", "s3"):
        with pytest.raises(Unavailable, match="list of files"):
            list(place(kind, web).files())
    web.answer = lambda _: reply(200, b"x", {"Last-Modified": "never"})
    assert place("http", web).stat("a.csv").modified == 0


def test_a_file_without_a_size(web: Any, reply: Any) -> None:
    """A file whose size is not told is not fetched beyond what is allowed."""
    web.answer = lambda r: reply(405) if r.method == "HEAD" else reply(200, b"id\n" * 2**20)
    settings = {"place": "http", "url": f"{web.url}/a.csv", "settle": 0, "largest": 1}
    with Files(settings, Context(timeout=5)) as connector, pytest.raises(Fatal, match="larger than 1 MB"):
        connector.schema("a.csv")


def s3_error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


def test_answers_of_buckets(web: Any, reply: Any, tmp_path: Path) -> None:
    """What S3 names is told; a copy that failed behind its answer is no rename; a list without an end is noticed."""
    (tmp_path / "x").write_bytes(b"data")
    for status, code, error in (
        (403, "SignatureDoesNotMatch", AuthFailed),
        (404, "NoSuchBucket", Misconfigured),
        (403, "AccessDenied", Forbidden),
    ):
        web.answer = lambda _, status=status, code=code: reply(status, s3_error(code))
        with pytest.raises(error):
            list(place("s3", web, **KEYS).files())
    web.answer = lambda _: reply(403, b"<no xml")
    with pytest.raises(Forbidden):
        list(place("s3", web).files())
    web.answer = lambda r: reply(200, b"" if r.method == "HEAD" else s3_error("InternalError"))
    with pytest.raises(Unavailable, match="could not be renamed"):
        place("s3", web).rename("a", "b")
    web.answer = lambda _: reply(200, b"<L><NextContinuationToken>1</NextContinuationToken></L>")
    with pytest.raises(Unavailable, match="again and again"):
        list(place("s3", web).files())
    with pytest.raises(Misconfigured, match="bucket is not set"):
        place("s3", web, bucket="").stat("a")
    assert place("s3", web, path_style=False, folder="f").url("a b") == web.url.replace("//", "//b.") + "/f/a%20b"  # type: ignore[attr-defined]


def test_a_store_without_conditions(web: Any, reply: Any, tmp_path: Path) -> None:
    """A store that does not know conditions is asked before."""
    (tmp_path / "x").write_bytes(b"data")
    there = True

    def answer(request: Any) -> Any:
        if request.method == "HEAD":
            return reply(200 if there else 404, b"", {"ETag": '"1"', "Content-Length": "0"})
        return reply(501 if {"if-match", "if-none-match"} & set(request.headers) else 200)

    web.answer = answer
    bucket = place("s3", web)
    for conditions in ({"new": True}, {"replaces": Stat("a", 1)}):
        with pytest.raises(FileExistsError):
            bucket.store("a", tmp_path / "x", **conditions)  # type: ignore[arg-type]
    there = False
    bucket.store("a", tmp_path / "x", new=True)
    assert web.received[-1].body == b"data"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts have four bytes, so that files of more are large ones."""
    monkeypatch.setattr(files_place_s3_parts, "PART", 4)
    for name in ("_AT_ONCE", "_LARGEST"):
        monkeypatch.setattr(files_place_s3, name, 4)


BEGUN, DONE = b"<R><UploadId>u/1</UploadId></R>", b"<R><ETag>done</ETag></R>"


@pytest.mark.usefixtures("small")
def test_a_large_file_is_sent_in_parts(web: Any, reply: Any, tmp_path: Path) -> None:
    """A part whose answer gets lost is sent again; a store that does not know conditions is asked before."""
    (tmp_path / "x").write_bytes(b"123456789")
    busy = [200, 503, 200, 503, 200]

    def answer(request: Any) -> Any:
        if request.method == "PUT":
            return reply(busy.pop(), b"", {"ETag": '"part"'})
        if request.method == "HEAD":
            return reply(404)
        conditional = {"if-match", "if-none-match"} & set(request.headers)
        return reply(501 if conditional else 200, BEGUN if "uploads" in request.query else DONE)

    web.answer = answer
    place("s3", web).store("a", tmp_path / "x", new=True)
    sent = [r for r in web.received if r.method == "PUT"]
    assert [r.body for r in sent] == [b"1234", b"5678", b"5678", b"9", b"9"]
    assert web.received[-1].body.count(b"<PartNumber>") == 3
    assert web.received[-1].query == {"uploadId": ["u/1"]}
    assert "DELETE" not in {r.method for r in web.received}
    assert part_size(10**12, 4) * 10_000 >= 10**12


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "case",
    [
        (b"<R/>", (200, '"p"'), (200, DONE), "UploadId"),
        (BEGUN, (503, '"p"'), (200, DONE), "503"),
        (BEGUN, (200, ""), (200, DONE), "ETag"),
        (BEGUN, (200, '"p"'), (200, s3_error("InternalError")), "InternalError"),
        (BEGUN, (200, '"p"'), (412, b""), "exists"),
    ],
)  # fmt: skip
def test_a_large_file_that_does_not_arrive(web: Any, reply: Any, tmp_path: Path, case: Any) -> None:
    """What cannot be finished is told and given up."""
    (tmp_path / "x").write_bytes(b"123456789")
    begun, part, done, error = case

    def answer(request: Any) -> Any:
        if request.method == "PUT":
            return reply(part[0], b"", {"ETag": part[1]})
        if request.method == "POST":
            return reply(200, begun) if "uploads" in request.query else reply(*done)
        return reply(404)

    web.answer = answer
    with pytest.raises((Unavailable, FileExistsError), match=error):
        place("s3", web).store("a", tmp_path / "x", new=True)
    assert (web.received[-1].method == "DELETE") == (begun is BEGUN)


@pytest.mark.usefixtures("small")
def test_a_large_file_is_renamed_in_parts(web: Any, reply: Any) -> None:
    """A file that is too large for one copy is copied part by part, and removed when all of it is there."""

    def answer(request: Any) -> Any:
        if request.method == "HEAD":
            return reply(200, b"", {"Content-Length": "9"})
        return reply(200, BEGUN if "uploads" in request.query else DONE)

    web.answer = answer
    place("s3", web).rename("a", "b")
    spans = [r.headers["x-amz-copy-source-range"] for r in web.received if r.method == "PUT"]
    assert spans == [f"bytes={n}-{n}" for n in range(9)]
    assert (web.received[-1].method, web.received[-1].path) == ("DELETE", "/b/a")


@pytest.mark.parametrize("url", ["http://h/b/a%20b?list-type=2&prefix=x%2Fy&acl", "http://h/b/%E5%AE%A2.csv"])
def test_signatures_are_those_of_amazon(url: str) -> None:
    """A request is signed as Amazon's own library signs it."""
    now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    request = httpx.Request("PUT", url, headers={"x-amz-copy-source": "/b/ c"}, content=b"")
    next(Signature("AK", "secret", "eu-west-1", lambda: now).auth_flow(request))
    theirs = AWSRequest("PUT", url, headers={"x-amz-copy-source": "/b/ c", "host": "h"}, data=b"")
    theirs.headers["x-amz-content-sha256"] = request.headers["x-amz-content-sha256"]
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        S3SigV4Auth(Credentials("AK", "secret"), "s3", "eu-west-1").add_auth(theirs)
    assert request.headers["authorization"] == theirs.headers["Authorization"]


def test_sftp_servers_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are what they lead to; a server that cannot replace by renaming, or refuses to write, is coped with."""
    with file_servers.started("sftp", tmp_path) as server:
        inbox = tmp_path / "inbox"
        (inbox / "a.csv").write_text("id\n1\n")
        (inbox / "link.csv").symlink_to("a.csv")
        (inbox / "gone.csv").symlink_to("nowhere")
        os.mkfifo(inbox / "pipe.csv")
        remote = place_of(Options.of(server.settings), Context(timeout=5))
        assert sorted(found.name for found in remote.files()) == ["a.csv", "link.csv"]
        with pytest.raises(FileNotFoundError):
            remote.stat("pipe.csv")
        unsupported: Callable[..., Any] = mock.Mock(side_effect=OSError("Operation unsupported"))
        monkeypatch.setattr(paramiko.SFTPClient, "posix_rename", unsupported)
        (tmp_path / "new").write_text("id\n2\n")
        remote.store("a.csv", tmp_path / "new")
        assert (inbox / "a.csv").read_text() == "id\n2\n"
        monkeypatch.setattr(paramiko.SFTPClient, "posix_rename", mock.Mock(side_effect=PermissionError(13, "no")))
        with pytest.raises(PermissionError):
            remote.store("a.csv", tmp_path / "new")
        monkeypatch.setattr(paramiko.SFTPClient, "posix_rename", mock.Mock(side_effect=OSError("Failure")))
        with pytest.raises(Unavailable, match="Failure"):
            remote.store("a.csv", tmp_path / "new")
        monkeypatch.setattr(paramiko.SFTPClient, "rename", mock.Mock(side_effect=OSError("Failure")))
        with pytest.raises(Unavailable):
            remote.store("b.csv", tmp_path / "new", new=True)
        monkeypatch.setattr(paramiko.SFTPClient, "from_transport", mock.Mock(return_value=None))
        remote.close()
        with pytest.raises(Unavailable, match="no SFTP"):
            remote.stat("a.csv")
        remote.close()
    with pytest.raises(Unavailable):
        remote.stat("a.csv")


def test_ftp_servers_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without lists for machines, or that does not replace files, is coped with; a cut file is noticed."""
    with file_servers.started("ftp", tmp_path) as server:
        inbox = tmp_path / "inbox"
        (inbox / "a.csv").write_text("id\n1\n")
        (inbox / "sub").mkdir()
        remote = place_of(Options.of(server.settings), Context(timeout=5))
        listed = list(remote.files())
        monkeypatch.setattr(ftplib.FTP, "mlsd", mock.Mock(side_effect=refusal("500 what?")))
        assert list(remote.files()) == listed
        (tmp_path / "new").write_text("id\n2\n")
        real, calls = ftplib.FTP.rename, []

        def picky(self: ftplib.FTP, old: str, name: str) -> str:
            calls.append(name)
            if (inbox / "a.csv").exists():
                raise refusal("553 there is a file")
            return real(self, old, name)

        monkeypatch.setattr(ftplib.FTP, "rename", picky)
        remote.store("a.csv", tmp_path / "new")
        assert (inbox / "a.csv").read_text() == "id\n2\n"
        assert len(calls) == 2
        monkeypatch.setattr(ftplib.FTP, "rename", mock.Mock(side_effect=refusal("550 permission denied")))
        with pytest.raises(PermissionError):
            remote.rename("a.csv", "c.csv")
        monkeypatch.setattr(ftplib.FTP, "rename", mock.Mock(side_effect=refusal("502 no")))
        with pytest.raises(Unavailable, match="502"):
            remote.rename("a.csv", "a.csv")
        monkeypatch.setattr(ftplib.FTP, "mlsd", mock.Mock(side_effect=refusal("550 denied")))
        with pytest.raises(PermissionError):
            list(remote.files())
        with pytest.raises(FileNotFoundError):
            remote.stat("a\r\nDELE a.csv")
        monkeypatch.setattr(ftplib.FTP, "retrbinary", lambda *_: "226")
        with pytest.raises(Unavailable, match="only a part"):
            remote.fetch("a.csv", io.BytesIO())
        monkeypatch.setattr(ftplib.FTP, "storbinary", lambda *_: None)
        (inbox / "b.csv").write_text("")
        with pytest.raises(Unavailable, match="only a part"):
            remote.send("b.csv", tmp_path / "new")  # type: ignore[attr-defined]
        remote.close()
    with pytest.raises(Unavailable):
        remote.stat("a.csv")


def test_what_lies_beside_a_file_elsewhere(tmp_path: Path) -> None:
    """Names that cannot be, damaged entries and a file that changes while it is fetched are told."""
    with file_servers.started("webdav", tmp_path) as server:
        inbox = tmp_path / "inbox"
        (inbox / "a.csv").write_text("id\n1\n")
        with Files(server.settings, Context(timeout=5)) as connector:
            for name in ("../x.csv", ".a.csv", "", "sub//a.csv", "none.csv"):
                with pytest.raises(ObjectMissing):
                    connector.schema(name)
            (inbox / ".a.csv.syncline-journal-00000001").write_bytes(b"torn")
            journal = connector.folder.stored("a.csv").journal
            with pytest.raises(Fatal, match="damaged"):
                list(journal.entries())
            (inbox / ".a.csv.syncline-journal-00000001").unlink()
            stored = connector.folder.stored("a.csv")
            version = stored.version()
            (inbox / "a.csv").write_text("id\n1\n2\n")
            with pytest.raises(Unavailable, match="changed while it was fetched"):
                stored.copy(version)
