"""The folder of files: what is in it, and no way out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from connectors.builtin.files import Files
from connectors.errors import ConnectorError, Fatal, Forbidden, Misconfigured, ObjectMissing, Retriable
from connectors.spi import Context, Cursor, ReadRequest
from rules.schema import Field, FieldType, Schema

ROW = "id,name\n1,a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "root" / "inbox"
    path.mkdir(parents=True)
    (tmp_path / "secret.csv").write_text("id\n42\n")
    return path


def files(path: Path | str, **settings: Any) -> Files:
    defaults = {s.name: s.default for s in Files.spec.settings}
    roots = (path.parent,) if isinstance(path, Path) else ()
    roots = settings.pop("roots", roots)
    return Files({**defaults, "path": str(path), "settle": 0, **settings}, Context(file_roots=roots))


def rows(connector: Files, name: str, **request: Any) -> list[tuple[Any, ...]]:
    schema = request.pop("schema", None) or connector.schema(name)
    return [row for page in connector.read(ReadRequest(name, schema, **request)) for row in page.records.rows()]


def test_files_are_objects_by_their_endings(folder: Path) -> None:
    """All files of known formats are listed, sorted; hidden ones, folders and others are not."""
    for name in ("b.CSV", "a.json", "c.xlsx", "d.xml", "e.jsonl", "f.tsv", ".hidden.csv", "g.pdf"):
        (folder / name).touch()
    (folder / "folder.csv").mkdir()
    assert [o.name for o in files(folder).objects()] == ["a.json", "b.CSV", "c.xlsx", "d.xml", "e.jsonl", "f.tsv"]
    assert [o.name for o in files(folder, format="csv").objects()] == ["b.CSV", "f.tsv"]
    assert [o.name for o in files(folder, pattern="*.pdf", format="csv").objects()] == ["*.pdf", "g.pdf"]


def test_a_pattern_is_all_matching_files_in_order(folder: Path) -> None:
    """The pattern reads the files in the order of their names, with the columns of all, and goes on behind any page."""
    (folder / "in-2.csv").write_text("id,late\n3,x\nbroken,line,here\n")
    (folder / "in-1.csv").write_text("id,name\n1,a\n2,b\n")
    (folder / "other.csv").write_text(ROW)
    connector = files(folder, pattern="in-*.csv")
    schema = connector.schema("in-*.csv")
    assert schema.names == ("id", "name", "late")
    request = ReadRequest("in-*.csv", schema, page_size=1)
    pages = list(connector.read(request))
    expected = [(1, "a", None), (2, "b", None), (3, None, "x")]
    assert [row for page in pages for row in page.records.rows()] == expected
    assert [page.first for page in pages if page.records.height] == [1, 2, 3]
    assert [reject.place for page in pages for reject in page.rejects] == ["in-2.csv, line 3"]
    for number, page in enumerate(pages, 1):
        done = sum(p.records.height for p in pages[:number])
        assert (
            rows(files(folder, pattern="in-*.csv"), "in-*.csv", schema=schema, after=page.position) == expected[done:]
        )
    with pytest.raises(Misconfigured, match="several files"):
        connector.write("in-*.csv", schema, [])
    assert rows(files(folder, pattern="none-*.csv"), "none-*.csv") == []


def test_sub_folders_only_by_pattern(folder: Path) -> None:
    """A pattern with a slash reaches into sub-folders; hidden ones stay hidden."""
    for name in ("2024/a.csv", ".git/b.csv"):
        (folder / name).parent.mkdir()
        (folder / name).write_text(ROW)
    assert files(folder).objects() == []
    found = files(folder, pattern="**/*.csv").objects()
    assert [o.name for o in found] == ["**/*.csv", "2024/a.csv"]
    assert rows(files(folder, pattern="**/*.csv"), "2024/a.csv") == [(1, "a")]


@pytest.mark.parametrize(
    "name",
    ["../../secret.csv", "/etc/passwd", "..", ".", "", ".hidden.csv", "a\0b", "x/../../secret.csv", "sub/.h.csv"],
)
def test_names_do_not_lead_out(folder: Path, name: str) -> None:
    """No object name leads out of the folder or to a hidden file."""
    (folder / ".hidden.csv").write_text(ROW)
    with pytest.raises((ObjectMissing, Forbidden)):
        files(folder).schema(name)
    with pytest.raises((ObjectMissing, Forbidden)):
        files(folder).write(name, Schema(()), [])


@pytest.mark.parametrize("name", ["./a.csv", "sub//b.csv", "sub/./b.csv", "a.csv/", "sub/../a.csv"])
def test_a_file_has_one_name(folder: Path, name: str) -> None:
    """Permissions and marks of personal fields go by names, so no other spelling leads to a file."""
    (folder / "sub").mkdir()
    for path in (folder / "a.csv", folder / "sub" / "b.csv"):
        path.write_text(ROW)
    assert rows(files(folder, pattern="**/*.csv", format="csv"), "sub/b.csv") == [(1, "a")]
    with pytest.raises(ObjectMissing):
        files(folder).schema(name)


def test_links_do_not_lead_out(folder: Path, tmp_path: Path) -> None:
    """A link to a file outside is not listed and not read, one inside is; a linked folder counts by its target."""
    (folder / "a.csv").write_text(ROW)
    (folder / "inside.csv").symlink_to(folder / "a.csv")
    (folder / "outside.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "dangling.csv").symlink_to(folder / "nothing")
    connector = files(folder)
    assert [o.name for o in connector.objects()] == ["a.csv", "inside.csv"]
    with pytest.raises(Forbidden, match="leads out"):
        connector.schema("outside.csv")
    (folder.parent / "link").symlink_to(tmp_path)
    with pytest.raises(Forbidden, match="SYNCLINE_FILE_ROOTS"):
        files(folder.parent / "link").objects()


def test_a_pipe_is_no_file(folder: Path) -> None:
    """Something that would block when opened is no object."""
    os.mkfifo(folder / "pipe.csv")
    assert files(folder).objects() == []
    with pytest.raises(ObjectMissing):
        files(folder).schema("pipe.csv")


def test_a_relative_path_begins_at_a_released_folder(folder: Path) -> None:
    """A relative path is looked for in the released folders; nothing is released by default."""
    (folder / "a.csv").write_text(ROW)
    assert [o.name for o in files("inbox", roots=(folder.parent,)).objects()] == ["a.csv"]
    for path, roots in ((str(folder), ()), ("../..", (folder,)), (str(folder) + "x/../..", (folder,))):
        with pytest.raises(Forbidden, match="SYNCLINE_FILE_ROOTS"):
            files(path, roots=roots).objects()
    for path in ("", "a\0b"):
        with pytest.raises(Misconfigured):
            files(path, roots=(folder,)).objects()


def test_the_connection_test_says_what_is_there(folder: Path) -> None:
    """An empty folder is fine, and a file that cannot be opened is told."""
    assert [step.ok for step in files(folder).check()] == [True] * 4
    (folder / "a.xlsx").write_text("not a workbook")
    steps = list(files(folder).check())
    assert [step.ok for step in steps] == [True, True, False]
    assert "a.xlsx" in str(steps[-1].detail)


def test_a_file_that_is_still_written_is_left_for_later(folder: Path) -> None:
    """A fresh file is waited for if the wait is short, else it is for later; an old one is read at once."""
    path = folder / "a.csv"
    path.write_text(ROW)
    with pytest.raises(Retriable, match="still being written"):
        rows(files(folder, settle=60), "a.csv")
    begun = time.monotonic()
    assert rows(files(folder, settle=1), "a.csv") == [(1, "a")]
    assert time.monotonic() - begun < 30
    os.utime(path, (time.time() - 61, time.time() - 61))
    assert rows(files(folder, settle=60), "a.csv") == [(1, "a")]


def test_a_file_that_changes_ends_the_run(folder: Path) -> None:
    """A file that is not the same any more is never read on: neither in a scan nor behind a position."""
    path = folder / "a.csv"
    path.write_text("id\n" + "\n".join(map(str, range(100))) + "\n")
    connector = files(folder)
    schema = connector.schema("a.csv")
    pages = connector.read(ReadRequest("a.csv", schema, page_size=10))
    first = next(pages)
    path.write_text("id\n1\n")
    with pytest.raises(Fatal, match="changed while being read"):
        list(pages)
    with pytest.raises(Fatal, match="changed while being read"):
        rows(connector, "a.csv", schema=schema, after=first.position)


def test_missing_things_are_told(folder: Path) -> None:
    """A file, column or key that is not there is named."""
    (folder / "a.csv").write_text(ROW)
    schema = Schema((Field("id"), Field("gone")))
    with pytest.raises(ObjectMissing, match="'gone'"):
        rows(files(folder), "a.csv", schema=schema)
    with pytest.raises(Misconfigured, match="'nokey'"):
        files(folder, key="nokey").schema("a.csv")
    with pytest.raises(Misconfigured, match="comparison"):
        rows(files(folder), "a.csv", cursor=Cursor("id", "id"))
    (folder / "a.dat").write_text(ROW)
    with pytest.raises(Misconfigured, match="ending"):
        files(folder, pattern="*.dat").schema("a.dat")
    assert files(folder, key="name, id").schema("a.csv").key == ("name", "id")
    assert files(folder, types="text").schema("a.csv")["id"].type is FieldType.TEXT


def test_errors_of_the_file_system_are_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the operating system says becomes an error that says what to do."""
    (folder / "a.csv").write_text(ROW)
    for problem in (PermissionError(13, "Permission denied", "x"), OSError(5, "Input/output error")):

        def refuse(*_args: Any, error: OSError = problem, **_kwargs: Any) -> Any:
            raise error

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(ConnectorError):
            files(folder).schema("a.csv")
        monkeypatch.undo()


def test_a_folder_that_goes_away_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed, or a file that is gone a moment later, is told as such."""
    (folder / "a.csv").write_text(ROW)
    for problem, kind in (
        (PermissionError(13, "Permission denied"), Forbidden),
        (OSError(5, "Input/output error"), Retriable),
    ):

        def refuse(*_args: Any, error: OSError = problem) -> Any:
            raise error

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(kind, match="cannot be read"):
            files(folder).objects()
        monkeypatch.undo()
    connector = files(folder)
    schema = connector.schema("a.csv")
    pages = connector.read(ReadRequest("a.csv", schema, page_size=1))
    next(pages)
    (folder / "a.csv").unlink()
    with pytest.raises((ObjectMissing, Fatal)):
        list(pages)


def test_a_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for reading only is fine, and said to be one."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    steps = list(files(folder).check())
    assert steps[-1].ok
    assert "right to write" in str(steps[-1].detail)
