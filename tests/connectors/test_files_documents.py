"""JSON, XML and Excel files as they come: paths, broken records, hostile documents, and what is around the records."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
import xlsxwriter

from connectors.builtin import files_json, files_xlsx_book
from connectors.builtin.files import Files
from connectors.builtin.files_xlsx_cells import column_of, reference_of
from connectors.errors import Fatal, Forbidden, Misconfigured
from connectors.spi import ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files_folder import files

T = FieldType


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def types(schema: Schema) -> dict[str, str]:
    return {field.name: field.type.value for field in schema.fields}


def read(connector: Files, name: str, schema: Schema | None = None) -> tuple[list[Any], list[tuple[str, str]]]:
    pages = list(connector.read(ReadRequest(name, schema or connector.schema(name), page_size=2)))
    rejects = [(r.place, str(r.message)) for page in pages for r in page.rejects]
    return [row for page in pages for row in page.records.rows()], rejects


def update(**values: Any) -> Change:
    return Change(Op.UPDATE, "id", pl.DataFrame({name: [value] for name, value in values.items()}))


def create(**values: Any) -> Change:
    return Change(Op.CREATE, "id", pl.DataFrame({name: [value] for name, value in values.items()}))


def delete(value: Any) -> Change:
    return Change(Op.DELETE, "id", pl.DataFrame({"id": [value]}))


def rewrite(connector: Files, name: str, *changes: Change) -> None:
    schema = connector.schema(name)
    assert not connector.write(name, schema, changes).failures
    connector.finish(name)


def test_json_records_are_found_by_path_and_kept(folder: Path) -> None:
    """What is around the list and every record that is not changed stay as they are, numbers to the last digit."""
    text = '{"v": 1.10, "data": {"n": 12345678901234567890, "rows": [{"id": 1, "x": 1.50}, 7, {"id": 2,  "x": null}]}}'
    (folder / "a.json").write_text(text)
    connector = files(folder, records_path="data.rows")
    assert types(connector.schema("a.json")) == {"id": "integer", "x": "decimal"}
    found, rejects = read(connector, "a.json")
    assert found == [(1, Decimal("1.50")), (2, None)]
    assert rejects == [("record 2", "This is not a JSON object with fields.")]
    rewrite(connector, "a.json", create(id=3, x=Decimal("2.5")), update(id=1, x=None))
    after = (folder / "a.json").read_text()
    assert json.loads(after)["data"]["rows"] == [{"id": 1, "x": None}, 7, {"id": 2, "x": None}, {"id": 3, "x": 2.5}]
    assert all(part in after for part in ("1.10", "12345678901234567890", '{"id": 2,  "x": null}', "2.50"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_encodings(folder: Path, encoding: str) -> None:
    """A mark at the beginning tells the encoding, which is kept."""
    (folder / "a.json").write_bytes('[{"id": 1, "n": "客"}]'.encode(encoding))
    connector = files(folder)
    assert read(connector, "a.json")[0] == [(1, "客")]
    rewrite(connector, "a.json", update(id=1, n="户"))
    assert json.loads((folder / "a.json").read_bytes().decode(encoding)) == [{"id": 1, "n": "户"}]


@pytest.mark.parametrize(
    ("text", "path", "error", "told"),
    [
        ('[{"id": 1}, {"id": }]', "", Fatal, "byte 19"),
        ('{"items": []}', "", Misconfigured, "list of records"),
        ('{"items": []}', "rows", Misconfigured, "rows"),
        ('{"items": 5}', "items", Misconfigured, "items"),
        ("\xff", "", Fatal, "not valid JSON"),
    ],
)
def test_broken_json_documents_are_told(folder: Path, text: str, path: str, error: type[Exception], told: str) -> None:
    """A document that is no JSON, or has no list there, is an error that says where."""
    (folder / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(error, match=told):
        files(folder, records_path=path).schema("a.json")


def test_numbers_beyond_all_are_rejected(folder: Path) -> None:
    """A number that no system can hold parks its record with the reason; the others are read."""
    (folder / "a.json").write_text('[{"id": 1}, {"id": 1e99999999999999999999}, {"id": 3}]')
    connector = files(folder)
    found, rejects = read(connector, "a.json", Schema((Field("id", FieldType.INTEGER),)))
    assert [row[0] for row in found] == [1, 3]
    assert len(rejects) == 1


def test_broken_json_lines_are_rejected(folder: Path) -> None:
    """Each line stands alone: a broken one is told with its number and stays in the file."""
    lines = ['\ufeff{"id": 1, "s": "05", "day": "2024-01-05"}', "", '{"id": ', "[]", '{"id": "x"}', '{"id": 2}']
    (folder / "a.jsonl").write_text("\n".join(lines))
    connector = files(folder)
    schema = Schema((Field("id", T.INTEGER, nullable=False), Field("s"), Field("day", T.DATE)), ("id",))
    found, rejects = read(connector, "a.jsonl", schema)
    assert found == [(1, "05", dt.date(2024, 1, 5)), (2, None, None)]
    assert [place for place, _ in rejects] == ["line 3", "line 4", "line 5"]
    change = update(id=1, s="06", day=dt.date(2024, 2, 1))
    assert not connector.write("a.jsonl", schema, [change, delete(2), create(id=3, s="7", day=None)]).failures
    connector.finish("a.jsonl")
    assert (folder / "a.jsonl").read_text().splitlines() == [
        '{"id":1,"s":"06","day":"2024-02-01"}', '{"id": ', "[]", '{"id": "x"}', '{"id":3,"s":"7","day":null}',
    ]  # fmt: skip


def test_json_has_no_infinite_numbers(folder: Path) -> None:
    """A number that JSON does not have is a failure of its record."""
    (folder / "a.jsonl").write_text('{"id": 1, "f": 1e3}\n')
    connector = files(folder)
    new = pl.DataFrame({"id": [2, 3], "f": [float("nan"), 2.5]})
    result = connector.write("a.jsonl", connector.schema("a.jsonl"), [Change(Op.CREATE, "id", new)])
    assert [(f.row, f.field) for f in result.failures] == [(0, "f")]


def test_numbers_that_are_quoted_stay_quoted(folder: Path) -> None:
    """A JSON file that writes numbers as text gets text."""
    (folder / "a.jsonl").write_text('{"id": "1", "n": "5"}\n')
    schema = Schema((Field("id", T.INTEGER), Field("n", T.DECIMAL, scale=2)), ("id",))
    connector = files(folder)
    new = pl.DataFrame({"id": [2], "n": [Decimal("1.5")]}, schema=schema.dtypes())
    connector.write("a.jsonl", schema, [Change(Op.CREATE, "id", new)])
    connector.finish("a.jsonl")
    assert (folder / "a.jsonl").read_text().splitlines()[1] == '{"id":"2","n":"1.5"}'


XML = """<?xml version="1.0" encoding="GB18030"?>
<!-- kept -->
<x:list xmlns:x="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" total="2">
  <x:head>not a record</x:head>
  <x:rows>
    <x:row no="1" note="旧"><x:name>客户 &amp; Co</x:name><x:tag>a</x:tag><x:tag>b</x:tag>
      <x:adr><x:zip>007</x:zip></x:adr></x:row>
    <x:row no="2"><x:name xsi:nil="true"/><x:empty/></x:row>
  </x:rows>
  <x:foot/>
</x:list>
"""


def test_xml_records(folder: Path) -> None:
    """Attributes, elements, repeated and nested ones become fields; the rest of the document is kept."""
    (folder / "a.xml").write_bytes(XML.encode("gb18030"))
    connector = files(folder, record_path="list/rows/row", key="@no")
    schema = connector.schema("a.xml")
    assert types(schema) == {
        "@no": "integer", "@note": "text", "name": "text", "empty": "text", "tag": "json", "adr": "json",
    }  # fmt: skip
    assert read(connector, "a.xml")[0] == [
        (1, "旧", "客户 & Co", None, '["a","b"]', '{"zip":"007"}'),
        (2, None, None, "", None, None),
    ]
    first = pl.DataFrame({"@no": [1], "@note": [None], "tag": ['"c"']}).cast({"@note": pl.String})
    third = pl.DataFrame({"@no": [3], "name": ["<b>"], "empty": [None]}).cast({"empty": pl.String})
    changes = [
        Change(Op.UPDATE, "@no", first),
        Change(Op.UPDATE, "@no", pl.DataFrame({"@no": [2], "name": ["neu"]})),
        Change(Op.CREATE, "@no", third),
    ]
    assert not connector.write("a.xml", schema, changes).failures
    connector.finish("a.xml")
    after = (folder / "a.xml").read_bytes().decode("gb18030")
    assert read(files(folder, record_path="row", key="@no"), "a.xml", schema)[0] == [
        (1, None, "客户 & Co", None, '"c"', '{"zip":"007"}'),
        (2, None, "neu", "", None, None),
        (3, None, "<b>", None, None, None),
    ]
    kept = (
        "<!-- kept -->",
        'total="2"',
        "<x:head>not a record</x:head>",
        "<x:foot/>",
        '<x:row no="3"><x:name>&lt;b&gt;',
    )
    assert all(part in after for part in kept), after
    connector = files(folder, record_path="row", key="@no")
    everything = Change(Op.DELETE, "@no", pl.DataFrame({"@no": [1, 2, 3]}))
    connector.write("a.xml", schema, [everything])
    connector.finish("a.xml")
    assert read(connector, "a.xml", schema)[0] == []
    assert "<x:foot/>" in (folder / "a.xml").read_bytes().decode("gb18030")


def test_xml_without_a_path_takes_the_children(folder: Path) -> None:
    """The elements below the outermost one are the records; text of a record is a field."""
    text = "<list>\n  <item><id>1</id>\n  </item>\n  <item>only text</item>\n</list>"
    (folder / "a.xml").write_text(text)
    connector = files(folder)
    assert types(connector.schema("a.xml")) == {"id": "integer", "#text": "text"}
    assert read(connector, "a.xml")[0] == [(1, None), (None, "only text")]
    rewrite(connector, "a.xml", create(id=2))
    assert [row[0] for row in read(connector, "a.xml")[0]] == [1, None, 2]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><b>&x;</b></a>', Forbidden),
        ('<!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;&l;&l;">]><a><b>&m;</b></a>', Forbidden),
        ("<a><b>1</b><b>2</c></a>", Fatal),
        ("<a><b>1</b>", Fatal),
        ("<a><b><c:>1</c:></b></a>", Fatal),
        ("no xml", Fatal),
    ],
)
def test_hostile_and_broken_xml(folder: Path, text: str, error: type[Exception]) -> None:
    """Entities are refused, and a document that is not well-formed is told with its line; neither is ever half read."""
    (folder / "a.xml").write_text(text)
    with pytest.raises(error, match=r"a\.xml"):
        files(folder).schema("a.xml")
    with pytest.raises(error):
        read(files(folder), "a.xml", Schema((Field("b"),)))


def test_outside_references_of_xml_are_not_followed(folder: Path) -> None:
    """A document type that lies elsewhere is not fetched."""
    (folder / "a.xml").write_text('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a><r><id>1</id></r></a>')
    assert read(files(folder), "a.xml")[0] == [(1,)]


def test_what_xml_cannot_hold_is_refused(folder: Path) -> None:
    """Control characters, and names that no element can have, are failures."""
    (folder / "a.xml").write_text("<a><r><id>1</id><n>x</n></r></a>")
    connector = files(folder)
    schema = connector.schema("a.xml")
    new = pl.DataFrame({"id": [2, 3], "n": ["\x01", "fine\r\n"]})
    assert [f.row for f in connector.write("a.xml", schema, [Change(Op.CREATE, "id", new)]).failures] == [0]
    odd = Schema((*schema.fields, Field("first name")), schema.key)
    assert connector.write("a.xml", odd, [create(id=4, **{"first name": "x"})]).failures


def book(path: Path) -> None:
    with xlsxwriter.Workbook(str(path)) as out:
        first, second = out.add_worksheet("Cover"), out.add_worksheet("Data")
        day, moment = out.add_format({"num_format": "yyyy-mm-dd"}), out.add_format({"num_format": "d/m/yy h:mm"})
        clock, money = out.add_format({"num_format": "[h]:mm"}), out.add_format({"num_format": '#,##0.00 "EUR"'})
        first.write_formula(0, 0, "=Data!D3*2", value=19.8)
        first.write_string(1, 0, "客")
        names = ["id", "day", "at", "price", "sum", "ok", "code", "clock", "mixed"]
        second.write_row(1, 0, names)
        for row, (key, price) in enumerate([(1, 9.9), (2, 0.1 + 0.2), (3, 1e-7)], 2):
            second.write_number(row, 0, key)
            second.write_datetime(row, 1, dt.datetime(2024, 1, key), day)
            second.write_datetime(row, 2, dt.datetime(2024, 1, key, 8, 30), moment)
            second.write_number(row, 3, price, money)
            second.write_formula(row, 4, f"=D{row + 1}*2", value=price * 2)
            second.write_boolean(row, 5, key == 1)
            second.write_string(row, 6, f"00{key}")
            second.write_number(row, 7, 0.5, clock)
            second.write_string(row, 10, "a note beside the table")
        second.write_string(2, 8, "_x0041_ = literal")
        second.write_formula(3, 8, "=1/0", value="#DIV/0!")


def test_excel_cells(folder: Path) -> None:
    """Numbers, dates by their format, truths, texts, results of formulas and errors are read as Excel shows them."""
    book(folder / "a.xlsx")
    connector = files(folder, sheet="data")
    schema = connector.schema("a.xlsx")
    assert types(schema) == {
        "id": "integer", "day": "date", "at": "local_datetime", "price": "decimal", "sum": "decimal", "ok": "boolean",
        "code": "text", "clock": "text", "mixed": "text",
    }  # fmt: skip
    assert schema.key == ("id",)
    found, rejects = read(connector, "a.xlsx")
    assert not rejects
    first, second, third = found
    assert first[:3] == (1, dt.date(2024, 1, 1), dt.datetime.combine(dt.date(2024, 1, 1), dt.time(8, 30)))
    assert [row[3] for row in found] == [Decimal("9.9"), Decimal("0.3"), Decimal("0.0000001")]
    assert first[4:] == (Decimal("19.8"), True, "001", "12:00:00", "_x0041_ = literal")
    assert second[8] == "#DIV/0!"
    assert third[8] is None
    wanted = Schema((Field("price", T.FLOAT), Field("mixed", T.INTEGER)))
    found, rejects = read(connector, "a.xlsx", wanted)
    assert [row[0] for row in found] == [1e-7]
    assert [place for place, _ in rejects] == ["row 3", "row 4"]


def test_excel_keeps_what_is_not_changed(folder: Path) -> None:
    """Other sheets, formats, formulas and notes stay; new rows look like the last one."""
    book(folder / "a.xlsx")
    connector = files(folder, sheet="Data")
    rewrite(
        connector, "a.xlsx", delete(2), update(id=1, day=dt.date(2024, 2, 3), ok=None, code="=1+1"),
        create(id=9, day=dt.date(2024, 3, 4), mixed="x\x01y"),
    )  # fmt: skip
    after = openpyxl.load_workbook(folder / "a.xlsx")
    assert after.sheetnames == ["Cover", "Data"]
    assert after["Cover"]["A1"].value == "=Data!D3*2"
    data = after["Data"]
    assert data["B3"].value == dt.datetime.combine(dt.date(2024, 2, 3), dt.time())
    assert data["B3"].number_format == "yyyy-mm-dd"
    assert (data["F3"].value, data["G3"].value, data["G3"].data_type) == (None, "=1+1", "s")
    assert data["E3"].value == "=D3*2"
    assert [data["A4"].value, data["K4"].value] == [None, "a note beside the table"]
    assert (data["A6"].value, data["B6"].number_format) == (9, "yyyy-mm-dd")
    assert data["B6"].value == dt.datetime.combine(dt.date(2024, 3, 4), dt.time())
    rows, _ = read(files(folder, sheet="Data"), "a.xlsx")
    assert [row[0] for row in rows] == [1, 3, 9]
    assert rows[2][8] == "x\x01y"


def test_excel_without_calculation_order_is_whole(folder: Path) -> None:
    """The order of calculation, which would point at formulas that are gone, is left out with all its mentions."""
    book(folder / "a.xlsx")
    whole = folder / "b.xlsx"
    with zipfile.ZipFile(folder / "a.xlsx") as old, zipfile.ZipFile(whole, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "[Content_Types].xml":
                data = data.replace(b"</Types>", b'<Override PartName="/xl/calcChain.xml" ContentType="c"/></Types>')
            new.writestr(name, data)
        new.writestr("xl/calcChain.xml", "<calcChain/>")
    rewrite(files(folder, sheet="Data"), "b.xlsx", update(id=1, sum=Decimal("1.5")))
    with zipfile.ZipFile(whole) as after:
        assert "xl/calcChain.xml" not in after.namelist()
        assert b"calcChain" not in after.read("[Content_Types].xml")
    assert openpyxl.load_workbook(whole)["Data"]["E3"].value == 1.5


def test_damaged_and_locked_workbooks_are_refused(folder: Path) -> None:
    """A workbook whose directory lies, that is locked or packed in a way we do not know, is told by its name."""
    book(folder / "a.xlsx")
    whole = (folder / "a.xlsx").read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    first = whole.index(b"PK\x01\x02")
    for place, value in (
        (end + 16, b"\xff\xff\xff\xff"),  # where the directory begins
        (end + 12, b"\xff\xff\xff\x7f"),  # how long it is
        (first + 8, b"\x01"),  # locked
        (first + 10, b"\x63"),  # packed in some way
        (first + 42, b"\xff\xff\xff\x7f"),  # where the first part is
    ):
        (folder / "b.xlsx").write_bytes(whole[:place] + value + whole[place + len(value) :])
        with pytest.raises((Fatal, Misconfigured), match=r"b\.xlsx"):
            read(files(folder), "b.xlsx", Schema((Field("a"),)))


def test_excel_sheets_and_broken_files(folder: Path) -> None:
    """A sheet that is not there is told with those that are; a file that is no workbook, or a bomb, is refused."""
    book(folder / "a.xlsx")
    with pytest.raises(Misconfigured, match="Cover, Data"):
        files(folder, sheet="Nope").schema("a.xlsx")
    assert files(folder, header=False).schema("a.xlsx").names == ("column_1",)
    (folder / "b.xlsx").write_bytes(b"PK not really")
    with pytest.raises(Fatal, match=r"b\.xlsx"):
        files(folder).schema("b.xlsx")
    with zipfile.ZipFile(folder / "c.xlsx", "w") as out:
        out.writestr("xl/workbook.xml", "<broken")
    with pytest.raises((Fatal, Misconfigured)):
        files(folder).schema("c.xlsx")
    with zipfile.ZipFile(folder / "d.xlsx", "w") as out:
        out.writestr("x", "x")
    with pytest.raises(Misconfigured, match="no sheet"):
        files(folder, sheet="Data").schema("d.xlsx")


def test_excel_shared_formulas_are_not_torn(folder: Path) -> None:
    """A cell whose formula other cells share is not overwritten, and the file stays as it was."""
    book(folder / "a.xlsx")
    with zipfile.ZipFile(folder / "a.xlsx") as old, zipfile.ZipFile(folder / "b.xlsx", "w") as new:
        for name in old.namelist():
            data = old.read(name).replace(b"<f>D3*2</f>", b'<f t="shared" ref="E3:E5" si="0">D3*2</f>')
            new.writestr(name, data)
    before = (folder / "b.xlsx").read_bytes()
    with pytest.raises(Misconfigured, match="E3"):
        rewrite(files(folder, sheet="Data"), "b.xlsx", update(id=1, sum=Decimal("1.5")))
    assert (folder / "b.xlsx").read_bytes() == before


def test_excel_texts_have_a_largest_length(folder: Path) -> None:
    """A text that no cell can hold is a failure of its record."""
    book(folder / "a.xlsx")
    connector = files(folder, sheet="Data")
    result = connector.write("a.xlsx", connector.schema("a.xlsx"), [create(id=8, mixed="x" * 32_768)])
    assert [f.field for f in result.failures] == ["mixed"]


@pytest.mark.parametrize(("column", "name"), [(0, "A1"), (25, "Z1"), (26, "AA1"), (701, "ZZ1"), (702, "AAA1")])
def test_columns_and_letters(column: int, name: str) -> None:
    """Columns are counted in letters."""
    assert reference_of(column, 1) == name
    assert column_of(name, 0) == column
    assert column_of(None, 7) == 7


def test_documents_that_are_too_large_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would fill the memory is refused with a way out."""
    (folder / "a.json").write_text('[{"id": 1}]')
    monkeypatch.setattr(files_json, "LARGEST", 5)
    with pytest.raises(Fatal, match="JSON lines"):
        files(folder).schema("a.json")
    book(folder / "a.xlsx")
    monkeypatch.setattr(files_xlsx_book, "LARGEST_TEXTS", 5)
    with pytest.raises(Fatal, match=r"The texts of the workbook 'a\.xlsx' unpack"):
        files(folder).schema("a.xlsx")
    monkeypatch.setattr(files_xlsx_book, "LARGEST", 5)
    with pytest.raises(Fatal, match=r"The workbook 'a\.xlsx' unpacks"):
        files(folder).schema("a.xlsx")


def test_nested_json_in_a_field_of_text(folder: Path) -> None:
    """A nested value where text is expected is given as JSON text."""
    (folder / "a.jsonl").write_text('{"id": 1, "n": {"b": [1.50], "a": 1}}\n')
    schema = Schema((Field("id", T.INTEGER), Field("n")))
    assert read(files(folder), "a.jsonl", schema)[0] == [(1, '{"a":1,"b":[1.50]}')]


def test_xml_values_replace_what_was_there(folder: Path) -> None:
    """A new value takes the place of nested elements; text between elements stays when one is taken out."""
    (folder / "a.xml").write_text("<l><r><id>1</id><n><x/></n>tail<m>2</m>more</r><r>own</r></l>")
    connector = files(folder)
    schema = connector.schema("a.xml")
    change = pl.DataFrame({"id": [1], "n": ['"new"'], "m": [None], "#text": ["t"]}).cast({"m": pl.Int64})
    assert not connector.write("a.xml", schema, [Change(Op.UPDATE, "id", change)]).failures
    connector.finish("a.xml")
    assert '<r>t<id>1</id><n>"new"</n>tailmore</r>' in (folder / "a.xml").read_text()
    first = pl.DataFrame({"id": [1], "n": [None]}).cast({"n": pl.String})
    (folder / "a.xml").write_text("<l><r><n>1</n>tail<id>1</id></r></l>")
    connector.write("a.xml", connector.schema("a.xml"), [Change(Op.UPDATE, "id", first)])
    connector.finish("a.xml")
    assert "<r>tail<id>1</id></r>" in (folder / "a.xml").read_text()


def test_excel_sheets_without_rows_and_with_broken_cells(folder: Path) -> None:
    """A blank sheet gets its names from the first write; names end where they are blank; nonsense is told."""
    with xlsxwriter.Workbook(str(folder / "a.xlsx")) as out:
        out.add_worksheet("Data")
    schema = Schema((Field("id", T.INTEGER, nullable=False), Field("n")), ("id",))
    connector = files(folder)
    connector.write("a.xlsx", schema, [create(id=1, n="x")])
    connector.finish("a.xlsx")
    assert read(connector, "a.xlsx")[0] == [(1, "x")]
    with zipfile.ZipFile(folder / "a.xlsx") as old, zipfile.ZipFile(folder / "b.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<v>1</v>", b"<v>one</v>"))
    with pytest.raises(Fatal, match=r"b\.xlsx"):
        files(folder).schema("b.xlsx")
    with zipfile.ZipFile(folder / "a.xlsx") as old, zipfile.ZipFile(folder / "c.xlsx", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data[:-40] if name.endswith("sheet1.xml") else data)
    with pytest.raises(Fatal, match=r"c\.xlsx"):
        files(folder).schema("c.xlsx")
    with xlsxwriter.Workbook(str(folder / "d.xlsx")) as out:
        page = out.add_worksheet()
        page.write_row(0, 0, ["id", "n"])
        page.write_formula(0, 2, "=A1", value="")
        page.write_blank(0, 3, None, out.add_format({"bold": True}))
        page.write_row(1, 0, [1, "x"])
    assert files(folder).schema("d.xlsx").names[:2] == ("id", "n")
