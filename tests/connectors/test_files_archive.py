"""Archives are read as their files; what would fill the disk, or leads out, is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.builtin import files_archive
from connectors.errors import Fatal, Forbidden, Misconfigured
from connectors.spi import ReadRequest
from rules.schema import Change, Op
from tests.connectors.test_files_drop import drop, met
from tests.connectors.test_files_folder import files, rows

ONE, TWO = b"id,name\n1,a\nx\n2,b\n", b'{"id": 3, "name": "c"}\n'
MEMBERS = {
    "b.csv": ONE,
    "sub/{c}.jsonl": TWO,
    "read.me": b"?",
    "__MACOSX/b.csv": b"?",
    ".hidden.csv": b"?",
    "in.zip": b"?",
}


def packed(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
            for name, data in members.items():
                book.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_the_files_of_an_archive_are_one_object(tmp_path: Path, name: str) -> None:
    """All files of known formats are read, in order, go on behind any page, and are told with their names."""
    packed(tmp_path / name, MEMBERS)
    connector = files(tmp_path)
    assert [(o.name, o.writable) for o in connector.objects()] == [(name, False)]
    schema = connector.schema(name)
    assert (schema.names, schema.key) == (("id", "name"), ("id",))
    pages = list(connector.read(ReadRequest(name, schema, page_size=1)))
    expected = [(1, "a"), (2, "b"), (3, "c")]
    assert [row for page in pages for row in page.records.rows()] == expected
    assert [r.place for page in pages for r in page.rejects] == ["b.csv, line 3"]
    for number, page in enumerate(pages, 1):
        done = sum(p.records.height for p in pages[:number])
        assert rows(files(tmp_path), name, schema=schema, after=page.position, page_size=2) == expected[done:]
    assert connector.lookup(name, schema, "id", pages[0].records["id"]).rows() == [(1, "a")]


@pytest.mark.parametrize("kind", ["gz", "bz2", "zst"])
def test_packed_files(tmp_path: Path, kind: str) -> None:
    """A packed file is read like one that is not, by itself and when it arrives."""
    name = f"orders-1.csv.{kind}"
    if kind == "zst":
        with pa.output_stream(str(tmp_path / name), compression="zstd") as stream:
            stream.write(ONE)
    else:
        (tmp_path / name).write_bytes({"gz": gzip, "bz2": bz2}[kind].compress(ONE))
    assert [o.name for o in files(tmp_path).objects()] == [name]
    assert rows(files(tmp_path), name) == [(1, "a"), (2, "b")]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (tmp_path / name).rename(inbox / name)
    assert met(drop(inbox, pattern="orders-*.csv*"), "orders-*.csv*") == [(1, "a"), (2, "b")]
    source = files(inbox)
    schema = source.schema(name)
    with pytest.raises(Misconfigured, match="cannot be changed"):
        source.write(name, schema, [Change(Op.CREATE, "id", schema.empty())])


HOSTILE: dict[str, Any] = {
    "../out.csv": Forbidden, "/etc/out.csv": Forbidden, "a\\..\\out.csv": Forbidden,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_names_that_lead_out(tmp_path: Path, name: str, kind: str) -> None:
    """A name that leads out of the archive is refused."""
    packed(tmp_path / kind, {name: ONE})
    with pytest.raises(HOSTILE[name], match="leads out"):
        files(tmp_path).schema(kind)


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz", "a.csv.gz"])
def test_bombs(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to far more than its size is refused, also where it would only be skipped."""
    monkeypatch.setattr(files_archive, "_FREE", 2**20)
    zeros = bytes(2**24)
    if kind.endswith("csv.gz"):
        (tmp_path / kind).write_bytes(gzip.compress(zeros))
    else:
        packed(tmp_path / kind, {"bomb.csv": zeros} if kind == "a.zip" else {"skipped.bin": zeros, "b.csv": ONE})
    with pytest.raises(Fatal, match="far more"):
        files(tmp_path).schema(kind)


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive with too many files is refused; of many files some are looked at for the fields."""
    members = {f"{number:03}.csv": b"id\n%d\n" % number for number in range(30)}
    packed(tmp_path / "a.zip", members)
    assert rows(files(tmp_path), "a.zip") == [(number,) for number in range(30)]
    monkeypatch.setattr(files_archive, "_MEMBERS", 10)
    with pytest.raises(Fatal, match="far more"):
        files(tmp_path).schema("a.zip")


def test_broken_archives(tmp_path: Path) -> None:
    """What is no archive, or a part of one, is told."""
    whole = packed(tmp_path / "whole.zip", MEMBERS).read_bytes()
    gz = gzip.compress(ONE * 100)
    for name, data in (
        ("a.zip", whole[:-30]),
        ("b.tar.gz", b"x"),
        ("c.csv.gz", gz[:-20]),
        ("d.csv.zst", b"x"),
        ("e.tar", b"x" * 600),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Fatal, match="cannot be unpacked"):
            files(tmp_path).schema(name)
