"""CSV files as they come: encodings, delimiters, quotation marks and broken lines."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin import files_csv, files_csv_dialect
from connectors.builtin.files_options import Options
from connectors.errors import Fatal, ObjectMissing
from connectors.spi import ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files_folder import files

NAMES = ["id", "name"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def read(folder: Path, data: bytes | str, size: int = 1000, **settings: Any) -> tuple[Any, list[Any], list[Any]]:
    """Return columns, rows and rejects of a file with this content."""
    (folder / "a.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    connector = files(folder, **settings)
    schema = connector.schema("a.csv")
    pages = list(connector.read(ReadRequest("a.csv", schema, page_size=size)))
    rejects = [(r.place, r.raw, str(r.message)) for page in pages for r in page.rejects]
    return schema, [row for page in pages for row in page.records.rows()], rejects


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings_are_detected(folder: Path, encoding: str) -> None:
    """UTF-8 with and without mark, UTF-16 and GB18030 are recognised, and kept when the file is rewritten."""
    text = "id,name\n1,客户\n2,上海𠮷\n"
    schema, found, _ = read(folder, text.encode(encoding))
    assert schema.names == ("id", "name")
    assert found == [(1, "客户"), (2, "上海𠮷")]
    connector = files(folder)
    connector.write("a.csv", schema, [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "name": ["新"]}))])
    connector.finish("a.csv")
    assert (folder / "a.csv").read_bytes() == text.replace("客户", "新").encode(encoding)


def test_a_chosen_encoding_counts(folder: Path) -> None:
    """What is chosen is not guessed, and text that does not fit it is told."""
    assert read(folder, "id,name\n1,é\n".encode("cp1252"), encoding="windows-1252")[1] == [(1, "é")]
    with pytest.raises(Fatal, match=r"(?i)utf-16"):
        read(folder, b"id,name\n1", encoding="utf-16")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_detected(folder: Path, delimiter: str) -> None:
    """The delimiter is the one that gives the records the same width."""
    text = 'id,name,note\n1,a,"x; y| z\t, w"\n2,b,\n'.replace(",", delimiter)
    schema, found, rejects = read(folder, text)
    assert schema.names == ("id", "name", "note")
    assert [row[:2] for row in found] == [(1, "a"), (2, "b")]
    assert not rejects


def test_one_column_needs_no_delimiter(folder: Path) -> None:
    """A file of one column is one, blank lines are skipped, and line ends of all systems are known."""
    assert read(folder, "name\r\nanna\r\n\r\nbert")[1] == [("anna",), ("bert",)]
    assert read(folder, "name\ranna\rbert\r")[1] == [("anna",), ("bert",)]


def test_nothing_and_empty_text_differ(folder: Path) -> None:
    """An empty field has no value, an empty quoted one is an empty text; the null text works the same way."""
    assert read(folder, 'id,name\n1,\n2,""\n3,NULL\n')[1] == [(1, None), (2, ""), (3, "NULL")]
    found = read(folder, 'id,name\n1,\n2,NULL\n3,"NULL"\n', null_text="NULL")[1]
    assert found == [(1, ""), (2, None), (3, "NULL")]


def test_quotation_marks(folder: Path) -> None:
    """Doubled marks, marks in the middle, line ends and delimiters inside are read exactly."""
    text = 'id,name\n1,"say ""hi"""\n2,5" pipe\n3,"two\r\nlines, one field"\n4,"""" \n5,x\n'
    _, found, rejects = read(folder, text.replace('4,"""" ', '4,""""'))
    assert found == [(1, 'say "hi"'), (2, '5" pipe'), (3, "two\r\nlines, one field"), (4, '"'), (5, "x")]
    assert not rejects
    assert read(folder, "id,name\n1,'it''s, so'\n2,\"x\n", quote="'")[1] == [(1, "it's, so"), (2, '"x')]


def test_broken_lines_are_rejected_and_the_rest_is_read(folder: Path) -> None:
    """Each broken line is told with its number and text, and everything after it is read."""
    lines = [
        "id,name", "1,a", "2,b,c", '3,"x"y', '4,"never closed', "5,e", "", "6", "7,g", 'x,"h\nh"', "9,i",
    ]  # fmt: skip
    schema, found, rejects = read(folder, "\n".join(lines) + "\n", types="text")
    assert schema.names == ("id", "name")
    assert found == [("1", "a"), ("5", "e"), ("7", "g"), ("x", "h\nh"), ("9", "i")]
    assert [(place, raw) for place, raw, _ in rejects] == [
        ("line 3", "2,b,c"), ("line 4", '3,"x"y'), ("line 5", '4,"never closed'), ("line 8", "6"),
    ]  # fmt: skip
    assert "3 fields" in rejects[0][2]
    assert "never closed" in rejects[2][2]


def test_places_count_the_lines_of_the_file(folder: Path) -> None:
    """A value that does not fit is told with the line where its record begins, also behind records of many lines."""
    text = 'id,n\n1,1\n\n2,"2\n"\n3,3\n4,four\n'
    (folder / "a.csv").write_text(text)
    connector = files(folder)
    schema = Schema((Field("id", FieldType.INTEGER), Field("n", FieldType.INTEGER)))
    for size in (1, 2, 100):
        pages = list(connector.read(ReadRequest("a.csv", schema, page_size=size)))
        (reject,) = [r for page in pages for r in page.rejects]
        assert (reject.place, reject.raw, reject.field) == ("line 7", "4,four", "n")
        assert sum(page.records.height for page in pages) == 3


def test_undecodable_lines_are_rejected(folder: Path) -> None:
    """A line with bytes that are not UTF-8 is told; the others are read; rewriting keeps it as it is."""
    good = "".join(f"{n},客{n}\n" for n in range(5)).encode()
    data = b"id,name\n" + good + b"7,\xff\xfe\n" + b"8,x\n"
    schema, found, rejects = read(folder, data, encoding="utf-8")
    assert len(found) == 6
    assert [place for place, _, _ in rejects] == ["line 7"]
    connector = files(folder, encoding="utf-8")
    connector.write("a.csv", schema, [Change(Op.DELETE, "id", pl.DataFrame({"id": [8]}))])
    connector.finish("a.csv")
    assert (folder / "a.csv").read_bytes() == data.removesuffix(b"8,x\n")


def test_columns_always_have_names(folder: Path) -> None:
    """Names are trimmed, filled in and made unique; without a header they are numbered."""
    assert read(folder, " id ,,id\n1,2,3\n")[0].names == ("id", "column_2", "id_2")
    schema, found, _ = read(folder, "1,2\n3,4\n", header=False)
    assert schema.names == ("column_1", "column_2")
    assert found == [(1, 2), (3, 4)]
    assert read(folder, "")[0].names == ()
    assert read(folder, "id,name\n")[1] == []
    with pytest.raises(Fatal, match="first line"):
        read(folder, '"id"x,name\n1,2\n')


def test_untouched_lines_stay_as_they_are(folder: Path) -> None:
    """Only the changed field of a changed line is written anew, in the column's own way; the rest is byte for byte."""
    text = (
        '"id" ;day;ok;price;note\r\n'
        '1;2024/1/5;是;9.90;"quoted"\r\n'
        "broken;line\r\n"
        ' 2 ;2024/1/6;否;10.00;"a;b"\r\n'
        "3;2024/1/7;否;1.50;x"
    ).replace('"id" ', "id")
    schema, _, _ = read(folder, text)
    assert {f.name: f.type.value for f in schema.fields} == {
        "id": "text", "day": "date", "ok": "boolean", "price": "decimal", "note": "text",
    }  # fmt: skip
    new = {"day": [dt.date(2024, 2, 3)], "ok": [True], "price": [Decimal("2.5")]}
    change = pl.DataFrame({"id": ["3"], **new}, schema_overrides={"price": schema["price"].dtype})
    create = pl.DataFrame({"id": ["4"], **new, "note": [""]}, schema_overrides={"price": schema["price"].dtype})
    connector = files(folder)
    connector.write("a.csv", schema, [Change(Op.UPDATE, "id", change), Change(Op.CREATE, "id", create)])
    connector.finish("a.csv")
    expected = text.replace("3;2024/1/7;否;1.50;x", '3;2024/2/3;是;2.50;x\r\n4;2024/2/3;是;2.50;""\r\n')
    assert (folder / "a.csv").read_bytes().decode() == expected


def test_an_empty_file_gets_its_columns_from_the_first_write(folder: Path) -> None:
    """An empty file can be a target: the fields written become its columns."""
    schema, _, _ = read(folder, "id,name\n1,a\n")
    (folder / "new.csv").touch()
    connector = files(folder)
    connector.write("new.csv", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [1], "name": ["=1+1"]}))])
    connector.finish("new.csv")
    assert (folder / "new.csv").read_text() == "id,name\n1,=1+1\n"


def test_characters_that_the_encoding_does_not_have_are_refused(folder: Path) -> None:
    """A text that a small encoding cannot hold is a failure of its record."""
    schema, _, _ = read(folder, "id,name\n1,é\n".encode("cp1252"), encoding="windows-1252")
    connector = files(folder, encoding="windows-1252")
    new = pl.DataFrame({"id": [2, 3], "name": ["客", "ü"]})
    result = connector.write("a.csv", schema, [Change(Op.CREATE, "id", new)])
    assert [(f.row, f.field) for f in result.failures] == [(0, "name")]
    connector.finish("a.csv")
    assert (folder / "a.csv").read_bytes() == "id,name\n1,é\n3,ü\n".encode("cp1252")


def test_large_files_are_sampled_at_their_beginning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large file only the first records are looked at, and decimals get room for more digits."""
    monkeypatch.setattr(files_csv, "SAMPLE_BYTES", 10)
    monkeypatch.setattr(files_csv, "SAMPLE_RECORDS", 1)
    monkeypatch.setattr(files_csv, "_PAGE", 1)
    schema, found, rejects = read(folder, "n\n1.5\n2.25\nx\n")
    assert schema["n"].scale == 18
    assert found == [(Decimal("1.5"),), (Decimal("2.25"),)]
    assert [place for place, _, _ in rejects] == ["line 4"]


def test_settings_come_before_what_the_file_shows(folder: Path) -> None:
    """A chosen delimiter and a file's ending count; UTF-8 by choice does not make a mark part of a name."""
    assert read(folder, "a,b;c\n1,2;3\n", delimiter=";")[0].names == ("a,b", "c")
    assert read(folder, "a\tb\n1\t2\n", delimiter="tab")[0].names == ("a", "b")
    assert read(folder, "id,n\n1,2\n".encode("utf-8-sig"), encoding="utf-8")[0].names == ("id", "n")
    (folder / "b.tsv").write_text("a,b\tc\n1\t2\n")
    assert files(folder).schema("b.tsv").names == ("a,b", "c")


def test_more_broken_lines(folder: Path) -> None:
    """Quoted records of the wrong width, quoted text that cannot be decoded, and broken first lines without names."""
    _, found, rejects = read(folder, b'id,name\n1,"a",x\n2,"\xff\xfe"\n3,"\xe5\xae\xa2"\n', encoding="utf-8")
    assert found == [(3, "客")]
    assert [place for place, _, _ in rejects] == ["line 2", "line 3"]
    _, found, rejects = read(folder, '"a"x,1\nb,2\n', header=False)
    assert found == [("b", 2)]
    assert [place for place, _, _ in rejects] == ["line 1"]
    good = "id,name\n1,a\n".encode("utf-16")
    with pytest.raises(Fatal, match=r"(?i)not utf-16"):
        read(folder, good + b"\x00" * 200_000 + b"\x00\xd8\x00", encoding="utf-16")


def test_a_column_that_is_gone_when_the_run_ends(folder: Path) -> None:
    """Written fields without a column are told, and kept until the column is back."""
    schema, _, _ = read(folder, "id,name\n1,a\n")
    connector = files(folder)
    connector.write("a.csv", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [2], "name": ["b"]}))])
    (folder / "a.csv").write_text("name\na\n")
    with pytest.raises(ObjectMissing, match="'id'"):
        connector.finish("a.csv")
    (folder / "a.csv").write_text("name,id\nx,7\n")
    connector.finish("a.csv")
    assert (folder / "a.csv").read_text() == "name,id\nx,7\nb,2\n"


def test_dates_are_written_as_the_others(folder: Path) -> None:
    """A new date looks like the dates of its column, with their separators and without zeros in front."""
    schema, _, _ = read(folder, "id,d,t\n1,2024年1月5日,2024.1.5 8:30\n")
    new = {"id": [2], "d": [dt.date(2024, 2, 3)], "t": [dt.datetime.combine(dt.date(2024, 2, 3), dt.time(9))]}
    connector = files(folder)
    connector.write("a.csv", schema, [Change(Op.CREATE, "id", pl.DataFrame(new))])
    connector.finish("a.csv")
    assert (folder / "a.csv").read_text().splitlines()[-1] == "2,2024年2月3日,2024.2.3 09:00:00"


def test_text_that_breaks_off_in_the_middle(folder: Path) -> None:
    """UTF-16 whose last character is cut in half ends the read with an error, never as if it were complete."""
    data = ("id,name\n" + "".join(f"{n},客\n" for n in range(50_000))).encode("utf-16")
    (folder / "a.csv").write_bytes(data + b"\x31")
    with pytest.raises(Fatal, match=r"(?i)not utf-16"):
        files(folder).schema("a.csv")


@pytest.mark.parametrize("length", range(1, 8))
def test_characters_on_the_edge_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """UTF-8 is recognised wherever a character is cut, and a file that ends inside of one is none."""
    monkeypatch.setattr(files_csv_dialect, "_BLOCK", length)
    path = tmp_path / "a.csv"
    path.write_text("客户,é,😀é,b\n")
    assert files_csv_dialect.dialect_of(path, Options("")).encoding == "utf-8"
    path.write_bytes("a,客".encode("gb18030") * 20)
    assert files_csv_dialect.dialect_of(path, Options("")).encoding == "gb18030"
