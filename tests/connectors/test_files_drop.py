"""Files that arrive: each is read once, when it is complete, and nothing is done with it before it is durable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.files_drop import FileDrop
from connectors.builtin.files_drop_ledger import Ledger, fingerprint
from connectors.builtin.files_place import fits
from connectors.builtin.files_place_local import LocalPlace
from connectors.errors import Misconfigured, ObjectMissing
from connectors.spi import Context, Cursor, Fence, Page, ReadRequest
from connectors.testing import TITLE, ConnectorConformance, Settings
from connectors.testing_messages import POISON
from rules.schema import Change, Field, FieldType, Op, Schema
from tests import file_servers
from tests.connectors.test_files import TestCsv as Csv

ORDERS = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name")), ("id",))


class DropConformance(ConnectorConformance):
    """Files that arrive pass the suite."""

    connector = FileDrop
    object_name = "sample-*.csv"
    infers_types = True

    def folder(self, settings: Settings) -> Path:
        return Path(settings["path"])

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        for path in self.folder(settings).iterdir():
            path.unlink()
        Csv.seed(_At(self.folder(settings) / "sample-0.csv"), settings, schema, records)  # type: ignore[arg-type]

    def poison(self, settings: Settings) -> None:
        (self.folder(settings) / "sample-zz.csv").write_text(f"id,name\n{POISON}\n")

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [{**settings, "path": "/"}, {**settings, "pattern": "../*.csv"}, {**settings, "reader": "a/b"}]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


class _At:
    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, _: Settings) -> Path:
        return self.path


class TestLeft(DropConformance):
    """Files that are left where they are."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        (tmp_path / "inbox").mkdir()
        return {
            "path": str(tmp_path / "inbox"), "pattern": self.object_name, "settle": 0, "key": "id",
            "deleted_field": "gone",
        }  # fmt: skip


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def drop(inbox: Path, **settings: Any) -> FileDrop:
    defaults = {s.name: s.default for s in FileDrop.spec.settings}
    given = {"path": str(inbox), "pattern": "orders-*.csv", "key": "id", "settle": 0, **settings}
    return FileDrop({**defaults, **given}, Context(file_roots=(inbox.parent,)))


def put(inbox: Path, name: str, *rows: str, age: float = 0) -> None:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in ("id,name", *rows)))
    os.utime(path, (time.time() - age,) * 2)


def consumed(source: FileDrop, pattern: str = "orders-*.csv", size: int = 100) -> Iterator[Page]:
    return source.read(ReadRequest(pattern, ORDERS, page_size=size, consume=True))


def met(source: FileDrop, pattern: str = "orders-*.csv", *, size: int = 100) -> list[tuple[Any, ...]]:
    """Read all that is new and make it durable."""
    found = []
    for page in consumed(source, pattern, size):
        found += page.records.rows()
        source.acknowledge(pattern, page.position)
    return found


def names(inbox: Path) -> list[str]:
    return sorted(str(p.relative_to(inbox)) for p in inbox.rglob("*") if p.is_file() and not p.name.startswith("."))


def test_each_file_is_read_once(inbox: Path) -> None:
    """A file is not read again once it is durable, also by another connection; new and changed ones are."""
    put(inbox, "orders-1.csv", "1,a", "2,b")
    put(inbox, "orders-2.csv", "3,c")
    put(inbox, "other.csv", "9,z")
    assert met(drop(inbox)) == [(1, "a"), (2, "b"), (3, "c")]
    assert met(drop(inbox)) == []
    put(inbox, "orders-1.csv", "1,A")
    put(inbox, "orders-3.csv", "4,d")
    assert met(drop(inbox)) == [(1, "A"), (4, "d")]
    os.utime(inbox / "orders-3.csv", (1, 1))
    assert met(drop(inbox)) == [], "a file that was only touched says nothing new"
    assert met(drop(inbox, reader="other")) == [(1, "A"), (3, "c"), (4, "d")]
    (inbox / "orders-3.csv").unlink()
    assert met(drop(inbox)) == []
    put(inbox, "orders-3.csv", "4,d")
    assert met(drop(inbox)) == [(4, "d")], "a file that was gone in between is a new one"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_stop_behind_any_page(inbox: Path, size: int) -> None:
    """A run that stops behind any page, whether that was acknowledged or not, loses nothing and reads no more twice."""
    put(inbox, "orders-1.csv", "1,a", "2,b", "3,c")
    put(inbox, "orders-2.csv", "4,d", "5,e")
    pages = list(drop(inbox, reader="all").read(ReadRequest("orders-*.csv", ORDERS, page_size=size)))
    for stop in range(1, len(pages) + 1):
        source, kept = drop(inbox, reader=f"stop{stop}"), []
        for number, page in enumerate(consumed(source, size=size), 1):
            if number == stop:
                break
            kept += page.records.rows()
            source.acknowledge("orders-*.csv", page.position)
        source.close()
        assert kept + met(drop(inbox, reader=f"stop{stop}")) == [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]


def test_processed_files_are_moved(inbox: Path) -> None:
    """Files that are done are moved to a folder for the day, and keep their names apart; sub-folders stay."""
    pattern = "**/orders-*.csv"
    put(inbox, "orders-1.csv", "1,a")
    put(inbox, "eu/orders-2.csv", "2,b")
    assert met(drop(inbox, processed="archive", pattern=pattern), pattern) == [(2, "b"), (1, "a")]
    put(inbox, "orders-1.csv", "3,c")
    assert met(drop(inbox, processed="archive", pattern=pattern), pattern) == [(3, "c")]
    found = names(inbox)
    assert [name.partition("/")[2].partition("/")[2] for name in found] == [
        "eu/orders-2.csv",
        "orders-1-2.csv",
        "orders-1.csv",
    ]
    assert all(name.startswith("processed/20") for name in found)


def test_processed_files_are_deleted_with_their_marker(inbox: Path) -> None:
    """A file without its marker waits; with it, file and marker are deleted once all is durable."""
    put(inbox, "orders-1.csv", "1,a")
    put(inbox, "orders-2.csv", "2,b")
    (inbox / "orders-2.csv.done").touch()
    source = drop(inbox, processed="delete", marker=".done")
    assert met(source) == [(2, "b")]
    assert names(inbox) == ["orders-1.csv"]
    assert met(drop(inbox, marker=".done", order="time")) == []


def test_an_account_that_others_wrote(inbox: Path) -> None:
    """Who may put files into the folder cannot have others than those that arrive moved or deleted."""
    put(inbox, "orders-1.csv", "1,a")
    assert met(drop(inbox)) == [(1, "a")]
    (ledger,) = inbox.glob(".syncline-*.json")
    account = json.loads(ledger.read_text())["orders-1.csv"]
    put(inbox, "payroll.csv", "1,a")
    names_ = ["payroll.csv", "eu/../payroll.csv", "./payroll.csv", "/etc/payroll.csv", "../payroll.csv"]
    place = LocalPlace(drop(inbox).options, Context(file_roots=(inbox.parent,)))
    version = vars(fingerprint(place, "payroll.csv"))
    ledger.write_text(json.dumps({name: {**account, "version": version} for name in names_}))
    for pattern in ("orders-*.csv", "**/orders-*.csv"):
        met(drop(inbox, processed="delete", pattern=pattern), pattern)
    assert (inbox / "payroll.csv").is_file()
    assert fits("eu/orders-2.csv", "**/orders-*.csv")
    assert not any(
        fits(name, "**/orders-*.csv") for name in ("/etc/orders-2.csv", "../orders-2.csv", "a//orders-2.csv")
    )


def test_a_crash_before_a_file_is_moved(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was noted as done and not moved yet is moved by the next run, and not read again."""
    put(inbox, "orders-1.csv", "1,a")
    source = drop(inbox, processed="delete")
    page = next(consumed(source))
    monkeypatch.setattr(Ledger, "tidy", lambda *_: None)
    source.acknowledge("orders-*.csv", page.position)
    monkeypatch.undo()
    assert names(inbox) == ["orders-1.csv"]
    again = drop(inbox, processed="delete")
    assert [p.records.height for p in again.read(ReadRequest("orders-*.csv", ORDERS))] == [0]
    assert names(inbox) == ["orders-1.csv"], "a look takes nothing away"
    assert met(again) == []
    assert names(inbox) == []
    put(inbox, "orders-2.csv", "2,b")
    page = next(consumed(again))
    monkeypatch.setattr(Ledger, "tidy", lambda *_: None)
    again.acknowledge("orders-*.csv", page.position)
    monkeypatch.undo()
    put(inbox, "orders-2.csv", "3,later")
    assert met(drop(inbox, processed="delete")) == [(3, "later")]


def test_a_file_that_is_being_written_holds_back_what_follows(inbox: Path) -> None:
    """A file that was changed just now, and those behind it, are left for the next run: what is later holds."""
    put(inbox, "orders-1.csv", "1,a", age=100)
    put(inbox, "orders-2.csv", "1,b")
    put(inbox, "orders-3.csv", "1,c", age=100)
    assert met(drop(inbox, settle=50)) == [(1, "a")]
    os.utime(inbox / "orders-2.csv", (1, 1))
    assert met(drop(inbox, settle=50), size=1) == [(1, "b"), (1, "c")]
    put(inbox, "orders-4.csv", "2,d", age=0.9)
    assert met(drop(inbox, settle=1)) == [(2, "d")], "a short rest is waited for"


def test_by_time(inbox: Path) -> None:
    """Files are read in the order in which they were changed, if that is wanted."""
    put(inbox, "orders-1.csv", "1,new", age=10)
    put(inbox, "orders-2.csv", "1,old", age=20)
    source = drop(inbox, order="time")
    assert met(source, size=1) == [(1, "old"), (1, "new")]
    pages = list(drop(inbox, order="time", reader="x").read(ReadRequest("orders-*.csv", ORDERS, page_size=1)))
    request = ReadRequest("orders-*.csv", ORDERS, page_size=1, after=pages[0].position)
    assert [p.records.rows() for p in drop(inbox, order="time", reader="x").read(request)] == [[(1, "new")]]


def test_a_broken_row_is_put_aside_with_its_file(inbox: Path) -> None:
    """A row that cannot be read is told with its file and line, and the others are read; empty files are done, too."""
    put(inbox, "orders-1.csv", "1,a", "2,b,c", "x,d", "3,e")
    put(inbox, "orders-2.csv")
    pages = list(consumed(drop(inbox)))
    assert pages[0].records.rows() == [(1, "a"), (3, "e")]
    assert [r.place for r in pages[0].rejects] == ["orders-1.csv, line 3", "orders-1.csv, line 4"]
    assert met(drop(inbox)) == [(1, "a"), (3, "e")]
    assert met(drop(inbox)) == []


def test_what_a_file_says_is_gone(inbox: Path) -> None:
    """The last word on a key holds, whether it is a record or that it is gone."""
    rows = ("1,a,", "2,b,", "1,,YES", "3,c,d", "3,d,no")
    (inbox / "orders-1.csv").write_text("".join(f"{row}\n" for row in ("id,name,gone", *rows)))
    source = drop(inbox, deleted_field="gone")
    assert source.schema("orders-*.csv").names == ("id", "name")
    page = next(consumed(source))
    assert page.records.rows() == [(2, "b"), (3, "d")]
    assert page.deleted is not None
    assert page.deleted.rows() == [(1, None)]
    assert page.left_out == 2


def test_changes_leave_as_files(inbox: Path) -> None:
    """A write is one new file; written again it has the same name; a record that no file can hold is refused."""
    source = drop(inbox, deleted_field="gone")
    frame = pl.DataFrame({"id": [1, 2], "name": ["a", None]})
    changes = [Change(Op.CREATE, "id", frame), Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))]
    for _ in range(2):
        assert not source.write("orders-*.csv", ORDERS, changes, Fence("r", 1, 7, 3)).failures
    (path,) = inbox.glob("orders-*.csv")
    assert path.name.startswith("orders-00000007-000003-")
    assert path.read_text() == "id,name,gone\n2,,\n1,,true\n"
    strict = Schema((ORDERS["id"], Field("name", nullable=False)), ("id",))
    result = source.write("orders-*.csv", strict, [Change(Op.UPDATE, "id", frame)])
    assert [(f.row, f.field) for f in result.failures] == [(1, "name")]
    assert not source.applied(Fence("r", 1, 7, 3))
    assert not source.write("orders-*.csv", ORDERS, [], Fence("r", 1, 7, 4)).failures
    assert len(list(inbox.glob("orders-*.csv"))) == 2
    with pytest.raises(Misconfigured, match="no field for that"):
        drop(inbox).write("orders-*.csv", ORDERS, changes)
    with pytest.raises(Misconfigured, match="one star"):
        drop(inbox, pattern="orders.csv").write("orders.csv", ORDERS, changes)


def test_what_cannot_be_asked(inbox: Path) -> None:
    """Files that arrive are not searched or looked up, and need names; an unknown name is told."""
    source = drop(inbox)
    assert source.schema("orders-*.csv") == Schema(())
    assert [(o.name, o.writable) for o in drop(inbox, pattern="b?.csv, a-*.csv").objects()] == [
        ("a-*.csv", True),
        ("b?.csv", False),
    ]
    with pytest.raises(Misconfigured, match="read once"):
        list(source.read(ReadRequest("orders-*.csv", ORDERS, cursor=Cursor("id", "id"))))
    with pytest.raises(Misconfigured, match="looked up"):
        source.lookup("orders-*.csv", ORDERS, "id", pl.Series([1]))
    with pytest.raises(ObjectMissing):
        source.schema("x*.csv")
    for wrong in ({"pattern": " "}, {"archive": "../x", "processed": "archive"}, {"reader": "a b"}):
        assert not list(drop(inbox, **wrong).check())[-1].ok
    source.acknowledge("orders-*.csv", {})
    assert met(source) == []


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_files_arrive_elsewhere(kind: str, tmp_path: Path) -> None:
    """Files on a server are read once, and moved when they are done."""
    with file_servers.started(kind, tmp_path) as server:
        settings = {**server.settings, "pattern": "orders-*.csv", "key": "id", "processed": "archive"}
        defaults = {s.name: s.default for s in FileDrop.spec.settings}
        with FileDrop({**defaults, **settings}, Context(timeout=5)) as source:
            assert [step.ok for step in source.check()] == [True] * 3
            source.write("orders-*.csv", ORDERS, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1], "name": ["a"]}))])
            assert source.schema("orders-*.csv").names == ("id", "name")
            assert met(source) == [(1, "a")]
            assert met(source) == []
            files = [found.name for found in source.folder.place.files(deep=True) if not found.name.startswith(".")]
        assert [name.split("/")[0] for name in files] == ["processed"]
