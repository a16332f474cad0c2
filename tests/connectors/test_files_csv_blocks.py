"""Blocks of CSV text: what is taken apart fast is what the scanner would have said, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import files_csv, files_csv_blocks
from connectors.builtin.files_csv import CsvFile
from connectors.builtin.files_format import RawPage
from connectors.builtin.files_options import Options
from connectors.spi import ReadRequest
from rules.schema import Field, FieldType, Schema
from tests.connectors.small_blocks import small_blocks
from tests.connectors.test_files_folder import files

FIELDS = st.sampled_from(
    ("", "a", " b ", '""', '"x,y"', '"l1\nl2"', '"q""q"', "客户", "NULL", '"NULL"', 'a"b', '"open', "# c")
)
LINES = st.lists(
    st.lists(FIELDS, min_size=2, max_size=4).map(",".join) | st.sampled_from(("", "  ", "\udcff,x,y")), max_size=12
)


def taken_apart(path: Path, options: Options, *, fast: bool, size: int, after: int = 0) -> tuple[list[Any], ...]:
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(files_csv, "is_bytewise", lambda *_: False)
        small_blocks(patch, files_csv_blocks, 64)
        pages: list[RawPage] = list(CsvFile(path, options).pages(Schema(()), after, 1, size))
    rejects = [(r.place, r.raw, str(r.message)) for page in pages for r in page.rejects]
    firsts = [(page.first, page.columns.height) for page in pages]
    assert [first for first, _ in firsts] == [1 + sum(h for _, h in firsts[:n]) for n in range(len(firsts))]
    assert all(height <= size for _, height in firsts)
    rows = [row for page in pages for row in page.columns.rows()]
    return rows, [place for page in pages for place in page.places], rejects, [page.end for page in pages]


@given(
    lines=LINES, end=st.sampled_from(("\n", "\r\n")), last=st.booleans(), null=st.sampled_from(("", "NULL")),
    encoding=st.sampled_from(("utf-8", "utf-8-bom", "gb18030")), size=st.sampled_from((1, 3, 1000)),
)  # fmt: skip
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_say_the_same(
    tmp_path: Path, lines: list[str], end: str, *, last: bool, null: str, encoding: str, size: int
) -> None:
    """Values, empty ones and line numbers are the same, whatever is broken, also behind the line a page ended with."""
    path, codec = tmp_path / "a.csv", {"utf-8-bom": "utf-8-sig"}.get(encoding, encoding)
    text = end.join(("a,b,c", *lines)) + end * last
    path.write_bytes(text.encode(codec, "surrogateescape"))
    options = Options("", encoding=encoding, null_text=null, delimiter=",")
    fast = taken_apart(path, options, fast=True, size=size)
    assert fast[:3] == taken_apart(path, options, fast=False, size=size)[:3]
    for behind in fast[3][:3]:
        rest = taken_apart(path, options, fast=True, size=size, after=behind)
        assert rest[0] == [row for row, place in zip(fast[0], fast[1], strict=True) if place > behind]


KINDS = st.sampled_from((FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE, FieldType.JSON))
VALUES = st.sampled_from(
    ("", '""', "1", " 1", "1.50", "1e3", "2024-01-31", '"{""a"": 1}"', '"1"', "x", '"x\ny"', "0x1F")
)


@given(
    rows=st.lists(st.lists(VALUES, min_size=3, max_size=3).map(",".join) | st.just("1,2"), max_size=8),
    kinds=st.lists(KINDS, min_size=3, max_size=3), null=st.sampled_from(("", "x")),
)  # fmt: skip
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_typed_values_are_the_same(tmp_path: Path, rows: list[str], kinds: list[FieldType], null: str) -> None:
    """Values in their types, and what is put aside, are what the scanner gives."""
    (tmp_path / "a.csv").write_text("\n".join(("a,b,c", *rows)))
    schema = Schema(tuple(Field(name, kind, scale=2) for name, kind in zip("ca", kinds, strict=False)))
    found: list[Any] = []
    for fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not fast:
                patch.setattr(files_csv, "is_bytewise", lambda *_: False)
            pages = list(files(tmp_path, null_text=null, delimiter=",").read(ReadRequest("a.csv", schema)))
        rejects = [(r.place, r.raw, str(r.message), r.field) for page in pages for r in page.rejects]
        found.append((*(row for page in pages for row in page.records.rows()), rejects))
    assert found[0] == found[1]


def test_texts_of_records(tmp_path: Path) -> None:
    """What a record looks like is made when it is asked for, also for records of several lines."""
    path = tmp_path / "a.csv"
    for body, shown in (("1,x\n2,y\n", ["1,x", "2,y"]), ('1,"x\ny"\n2,\n', ['1,"x\ny"', "2,"])):
        path.write_text("a,b\n" + body)
        (page,) = CsvFile(path, Options("")).pages(Schema(()), 0, 1, 10)
        assert list(page.texts) == shown
        assert page.texts[0:1] == shown[:1]


def test_a_record_that_is_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record larger than a block is read whole."""
    small_blocks(monkeypatch, files_csv_blocks, 64)
    path = tmp_path / "a.csv"
    long = "x\n" * 300
    path.write_text(f'a,b\n1,"{long}"\n2,{long[0] * 500}\n3,c\n4,{long[0] * 500}\n')
    rows = [row for page in CsvFile(path, Options("")).pages(Schema(()), 0, 1, 10) for row in page.columns.rows()]
    assert rows[-3:] == [("2", "x" * 500), ("3", "c"), ("4", "x" * 500)]


def test_a_quotation_mark_that_is_never_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs its own line, however many follow, and reading behind the end of a file gives nothing."""
    small_blocks(monkeypatch, files_csv_blocks, 4096)
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"open\n' + "2,x\n" * 1500)
    pages = list(CsvFile(path, Options("")).pages(Schema(()), 0, 1, 2000))
    assert sum(page.columns.height for page in pages) == 1500
    assert [reject.place for page in pages for reject in page.rejects] == ["line 2"]
    assert list(CsvFile(path, Options("")).pages(Schema(()), 5000, 1, 2000)) == []
