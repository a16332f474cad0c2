"""Changes beside a file: durable at once, seen by every read, put in place in one step, whatever crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin import files_journal, files_object
from connectors.builtin.files import Files
from connectors.errors import Fatal, Fenced, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Fence, ReadRequest
from rules.schema import Change, Op, Schema
from tests.connectors.test_files_folder import files, rows

START = "id,name\n1,a\n2,b\n3,c\n"
CHANGED = [(1, "A"), (3, "c"), (4, "d")]


class CrashError(BaseException):
    """The process dies here."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    (path / "a.csv").write_text(START)
    return path


@pytest.fixture
def schema(folder: Path) -> Schema:
    return files(folder).schema("a.csv")


def change(op: Op, *values: tuple[int, str | None]) -> Change:
    frame = pl.DataFrame({"id": [v[0] for v in values], "name": [v[1] for v in values]}, {"id": int, "name": str})
    return Change(op, "id", frame.select("id") if op is Op.DELETE else frame)


CHANGES = [change(Op.UPDATE, (1, "A")), change(Op.DELETE, (2, None)), change(Op.CREATE, (4, "d"))]


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_written_changes_are_seen_before_they_are_in_place(folder: Path, schema: Schema) -> None:
    """Reads and lookups of any connector show what was written; the file is untouched until the run ends."""
    connector, other = files(folder), files(folder)
    assert rows(other, "a.csv") == [(1, "a"), (2, "b"), (3, "c")]
    assert not connector.write("a.csv", schema, CHANGES).failures
    assert (folder / "a.csv").read_text() == START
    for reader in (connector, other):
        assert rows(reader, "a.csv", schema=schema) == CHANGED
        found = reader.lookup("a.csv", schema, "id", pl.Series([1, 2, 4, 9]))
        assert sorted(found.rows()) == [(1, "A"), (4, "d")]
        by_name = reader.lookup("a.csv", schema.select(("name",)), "name", pl.Series(["A", "a", "b", "d"]))
        assert sorted(by_name.rows()) == [("A",), ("d",)]
    assert [o.name for o in other.objects()] == ["a.csv"]
    other.finish("a.csv")
    assert (folder / "a.csv").read_text() == "id,name\n1,A\n3,c\n4,d\n"
    assert hidden(folder) == [".a.csv.syncline-fence"]
    assert rows(connector, "a.csv", schema=schema) == CHANGED


def test_what_follows_what(folder: Path, schema: Schema) -> None:
    """Changes of the same record fold together in their order, within a call and over calls."""
    connector = files(folder)
    connector.write("a.csv", schema, [change(Op.CREATE, (4, "d")), change(Op.UPDATE, (4, "dd"))])
    connector.write("a.csv", schema, [change(Op.DELETE, (4, None), (1, None)), change(Op.CREATE, (1, "new"))])
    connector.write("a.csv", schema, [change(Op.UPDATE, (1, "newer"), (2, "B"))])
    result = connector.write(
        "a.csv", schema, [change(Op.CREATE, (2, "x"), (5, "e"), (5, "again")), change(Op.DELETE, (4, None))]
    )
    assert [(f.change, f.row) for f in result.failures] == [(0, 0), (0, 2), (1, 0)]
    expected = [(2, "B"), (3, "c"), (1, "newer"), (5, "e")]
    assert rows(files(folder), "a.csv", schema=schema) == expected
    connector.finish("a.csv")
    assert rows(files(folder), "a.csv") == expected


def test_reading_goes_on_behind_new_records(folder: Path, schema: Schema) -> None:
    """A position in the file or among the new records leads to exactly the rest."""
    files(folder).write("a.csv", schema, [*CHANGES, change(Op.CREATE, (5, "e"))])
    part = schema.select(("name",))
    pages = list(files(folder).read(ReadRequest("a.csv", part, page_size=1)))
    assert [row for page in pages for row in page.records.rows()] == [("A",), ("c",), ("d",), ("e",)]
    for number, page in enumerate(pages, 1):
        rest = rows(files(folder), "a.csv", schema=part, after=page.position)
        assert rest == [row for later in pages[number:] for row in later.records.rows()]


def test_a_scan_does_not_see_what_is_written_meanwhile(folder: Path, schema: Schema) -> None:
    """A run that reads and writes the same file reads what was there when it began."""
    connector = files(folder)
    pages = connector.read(ReadRequest("a.csv", schema, page_size=1))
    seen = next(pages).records.rows()
    connector.write("a.csv", schema, CHANGES)
    assert seen + [row for page in pages for row in page.records.rows()] == [(1, "a"), (2, "b"), (3, "c")]


STEPS = [
    ("merge", lambda patch: patch.setattr(files_object.FileObject, "_like_the_old", _crash)),
    ("announce", lambda patch: patch.setattr(files_object, "Entry", _crash)),
    ("replace", lambda patch: patch.setattr(Path, "replace", _crash)),
    ("note", lambda patch: patch.setattr(files_journal.Journal, "note", _crash)),
    ("drop", lambda patch: patch.setattr(files_journal.Journal, "drop", _crash)),
]


def _crash(*_args: Any, **_kwargs: Any) -> Any:
    raise CrashError


@pytest.mark.parametrize(("step", "break_it"), STEPS, ids=[name for name, _ in STEPS])
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    folder: Path, schema: Schema, step: str, break_it: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the end of a run is interrupted, the next use finds everything exactly once, and may end it."""
    fence = Fence("rule", 3, 7, 2)
    connector = files(folder)
    connector.write("a.csv", schema, CHANGES, fence)
    break_it(monkeypatch)
    with pytest.raises(CrashError):
        connector.finish("a.csv")
    monkeypatch.undo()
    after = files(folder)
    assert after.applied(fence)
    assert rows(after, "a.csv", schema=schema) == CHANGED
    assert after.write("a.csv", schema, [change(Op.CREATE, (4, "x"))]).failures
    after.finish("a.csv")
    assert (folder / "a.csv").read_text() == "id,name\n1,A\n3,c\n4,d\n"
    assert hidden(folder) == [".a.csv.syncline-fence"]
    assert after.applied(fence)
    with pytest.raises(Fenced):
        after.write("a.csv", schema, [], Fence("rule", 2, 8, 0))


def test_a_person_may_change_the_file_behind_an_interrupted_end(
    folder: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes that are in place already are not done again to what a person made of the file since."""
    connector = files(folder)
    connector.write("a.csv", schema, CHANGES)
    monkeypatch.setattr(files_journal.Journal, "drop", _crash)
    with pytest.raises(CrashError):
        connector.finish("a.csv")
    monkeypatch.undo()
    assert rows(files(folder), "a.csv", schema=schema) == CHANGED
    (folder / "a.csv").write_text("id,name\n1,mine\n")
    connector = files(folder)
    connector.finish("a.csv")
    assert (folder / "a.csv").read_text() == "id,name\n1,mine\n"


def test_an_entry_that_was_not_written_to_its_end_does_not_count(folder: Path, schema: Schema) -> None:
    """A torn entry is as if it had never been, and the next one takes its place."""
    connector = files(folder)
    connector.write("a.csv", schema, [CHANGES[0]], Fence("rule", 1, 1, 0))
    journal = folder / ".a.csv.syncline-journal"
    whole = journal.read_bytes()
    files(folder).write("a.csv", schema, [CHANGES[2]], Fence("rule", 1, 1, 1))
    longer = journal.read_bytes()
    for cut in (len(whole) + 5, len(longer) - 1):
        journal.write_bytes(longer[:cut])
        after = files(folder)
        assert rows(after, "a.csv", schema=schema) == [(1, "A"), (2, "b"), (3, "c")]
        assert [after.applied(Fence("rule", 1, 1, n)) for n in (0, 1)] == [True, False]
    files(folder).write("a.csv", schema, [CHANGES[1]])
    assert rows(files(folder), "a.csv", schema=schema) == [(1, "A"), (3, "c")]


def test_a_failed_write_is_no_write(folder: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the journal cannot be written, nothing of the call counts, in this process either."""
    connector = files(folder)
    full = OSError(28, "No space left on device")

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise full

    monkeypatch.setattr(files_journal.Journal, "append", refuse)
    with pytest.raises(Unavailable, match="No space left"):
        connector.write("a.csv", schema, CHANGES, Fence("rule", 1, 1, 1))
    monkeypatch.undo()
    assert rows(connector, "a.csv", schema=schema) == [(1, "a"), (2, "b"), (3, "c")]
    assert not connector.applied(Fence("rule", 1, 1, 1))
    assert not connector.write("a.csv", schema, CHANGES).failures
    assert rows(connector, "a.csv", schema=schema) == CHANGED


def test_a_file_that_changed_meanwhile_gets_the_changes_by_key(folder: Path, schema: Schema) -> None:
    """What others did to the file before the end of the run stays; a record that both created is not doubled."""
    connector = files(folder)
    connector.write("a.csv", schema, CHANGES)
    (folder / "a.csv").write_text("id,name\n4,theirs\n2,b\n1,a\n9,new\n")
    assert rows(files(folder), "a.csv", schema=schema) == [(4, "d"), (1, "A"), (9, "new")]
    connector.finish("a.csv")
    assert (folder / "a.csv").read_text() == "id,name\n4,d\n1,A\n9,new\n"


def test_a_file_that_changes_while_it_is_rewritten_is_left_alone(
    folder: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's changes are overwritten: the end of the run is tried again later."""
    connector = files(folder)
    connector.write("a.csv", schema, CHANGES)
    real = files_object.FileObject._like_the_old

    def meddle(self: Any) -> None:
        real(self)
        (folder / "a.csv").write_text(START + "7,g\n")

    monkeypatch.setattr(files_object.FileObject, "_like_the_old", meddle)
    with pytest.raises(Unavailable, match="changed by someone else"):
        connector.finish("a.csv")
    monkeypatch.undo()
    connector.finish("a.csv")
    assert rows(files(folder), "a.csv") == [(1, "A"), (3, "c"), (7, "g"), (4, "d")]


def test_records_are_known_by_one_key_at_a_time(folder: Path, schema: Schema) -> None:
    """A call with two keys is refused; another key than before puts the earlier changes in place first."""
    connector = files(folder)
    by_name = Change(Op.DELETE, "name", pl.DataFrame({"name": ["c"]}))
    with pytest.raises(Misconfigured):
        connector.write("a.csv", schema, [CHANGES[0], by_name])
    connector.write("a.csv", schema, [CHANGES[0]])
    assert not connector.write("a.csv", schema, [by_name]).failures
    assert rows(files(folder), "a.csv", schema=schema) == [(1, "A"), (2, "b")]


def test_records_without_a_key_and_unknown_fields_are_refused(folder: Path, schema: Schema) -> None:
    """A record without a key could never be found again; a field that the file does not have is told."""
    connector = files(folder)
    new = pl.DataFrame({"id": [None, 8], "name": ["x", "y"]}, {"id": pl.Int64, "name": pl.String})
    assert [f.row for f in connector.write("a.csv", schema, [Change(Op.CREATE, "id", new)]).failures] == [0]
    with pytest.raises(ObjectMissing, match="'extra'"):
        connector.write("a.csv", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [9], "extra": ["x"]}))])


def test_rights_stay(folder: Path, schema: Schema) -> None:
    """A rewritten file has the rights of the old one, and is not taken for one that is still being written."""
    (folder / "a.csv").chmod(0o640)
    connector = files(folder, settle=600)
    connector.write("a.csv", schema, CHANGES)
    connector.finish("a.csv")
    assert (folder / "a.csv").stat().st_mode & 0o777 == 0o640
    assert rows(connector, "a.csv", schema=schema) == CHANGED


WRITER = """
import sys
from pathlib import Path
import polars as pl
from connectors.builtin.files import Files
from connectors.spi import Context, Fence
from rules.schema import Change, Op
folder = Path(sys.argv[1])
files = Files({"path": str(folder), "settle": 0}, Context(file_roots=(folder,)))
schema = files.schema("a.csv")
for number in range(100_000):
    new = pl.DataFrame({"id": [100 + 2 * number, 101 + 2 * number], "name": ["x", "y"]})
    files.write("a.csv", schema, [Change(Op.CREATE, "id", new)], Fence("rule", 1, 1, number))
    print(number, flush=True)
    if number % 5 == 4:
        files.finish("a.csv")
"""


@pytest.mark.kill
def test_a_killed_writer_leaves_whole_chunks(folder: Path, schema: Schema) -> None:
    """Killed at any moment, a writer has left exactly the chunks up to the last one, each as a whole."""
    for delay in (0.05, 0.11, 0.23):
        (folder / "a.csv").write_text(START)
        for name in hidden(folder):
            (folder / name).unlink()
        with subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
            time.sleep(delay)
            os.kill(writer.pid, signal.SIGKILL)
            said = [0, *(int(line) for line in writer.stdout)]
        connector: Files = files(folder)
        chunks = max(n for n in range(said[-1] + 3) if connector.applied(Fence("rule", 1, 1, n))) + 1
        assert chunks >= said[-1] + 1
        keys = [1, 2, 3, *range(100, 100 + 2 * chunks)]
        assert [key for key, _ in rows(connector, "a.csv", schema=schema)] == keys
        connector.finish("a.csv")
        assert [key for key, _ in rows(files(folder), "a.csv", schema=schema)] == keys


def test_a_journal_that_is_no_journal_harms_nothing(folder: Path, schema: Schema) -> None:
    """Something unreadable beside the file, or a damaged note of the last writer, does not stop reading or writing."""
    (folder / ".a.csv.syncline-journal").write_bytes(b"nonsense")
    (folder / ".a.csv.syncline-fence").write_text("{")
    connector = files(folder)
    connector.finish("a.csv")
    assert rows(connector, "a.csv", schema=schema) == [(1, "a"), (2, "b"), (3, "c")]
    assert not connector.write("a.csv", schema, CHANGES).failures
    connector.finish("a.csv")
    assert rows(connector, "a.csv", schema=schema) == CHANGED


def test_a_change_behind_the_last_page_is_noticed(folder: Path, schema: Schema) -> None:
    """A scan is complete only if the file is still the same when it ends."""
    pages = files(folder).read(ReadRequest("a.csv", schema))
    next(pages)
    with (folder / "a.csv").open("a") as file:
        file.write("9,z\n")
    with pytest.raises(Fatal, match="changed"):
        list(pages)
