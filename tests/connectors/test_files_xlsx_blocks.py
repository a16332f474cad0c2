"""Blocks of rows of a sheet: what is put together by columns is what looking at each cell would have said."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import files_xlsx_blocks
from connectors.builtin.files_xlsx_blocks import SheetBlocks
from connectors.builtin.files_xlsx_book import MAIN
from connectors.errors import ConnectorError
from connectors.spi import ReadRequest
from rules.schema import Field, FieldType, Schema
from tests.connectors.small_blocks import small_blocks
from tests.connectors.test_files_folder import files

SPACE = MAIN[1:-1]
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STYLES = "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 22, 20, 2))
SHARED = (
    "one", "two", " three ", "a&amp;b", "_x000D_", "l1\nl2", "", "客户", "<r><t>ri</t></r><r><t>ch</t></r>",
)  # fmt: skip
PARTS = {
    "xl/workbook.xml": f'<workbook xmlns="{SPACE}" xmlns:r="{LINKS}"><sheets><sheet name="S" r:id="r1"/></sheets>'
    "</workbook>",
    "xl/_rels/workbook.xml.rels": '<R><Relationship Id="r1" Target="worksheets/sheet1.xml"/></R>',
    "xl/styles.xml": f'<styleSheet xmlns="{SPACE}"><cellXfs>{STYLES}</cellXfs></styleSheet>',
}  # fmt: skip
NUMBERS = st.sampled_from(
    (
        "1",
        "007",
        "-5",
        "0.30000000000000004",
        "45351",
        "45351.5",
        "1E-7",
        "12345678901234567890",
        " 1 ",
        "1e999",
        "x",
        "",
    )
)
CELLS = st.one_of(
    st.sampled_from(("inlineStr", 'inlineStr" s="1')).flatmap(
        lambda kind: st.sampled_from(("a", " b ", "a&amp;b&#10;", "_x000D_", "", "l1\nl2")).map(
            lambda text: f' t="{kind}"><is><t xml:space="preserve">{text}</t></is>'
        )
    ),
    st.tuples(st.integers(0, 6), NUMBERS).map(lambda n: f' s="{n[0]}"><v>{n[1]}</v>'),
    NUMBERS.map(lambda n: f"><v>{n}</v>"),
    st.integers(0, len(SHARED)).map(lambda n: f' t="s"><v>{n}</v>'),
    st.sampled_from(
        (' t="b"><v>1</v>', ' t="b"><v>0</v>', ' t="e"><v>#N/A</v>', ' t="str"><f>A1</f><v>_x0041_</v>',
         ' t="str"><v></v>', ' t="str"><v/>', "><f>A1+1</f><v>2</v>", "><f>A1+1</f>", ">", ' s="1">', "><v/>",
         ' t="inlineStr"><is/>', ' t="inlineStr"><is><t/></is>',
         ' t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is>',
         "><!-- c --><v>1</v>", "><v>1</v><v>2</v>", "><v>1</v>text", "><v>&nope;</v>", "><v>]]></v>", "><v>a/></v>")
    ),
)  # fmt: skip
PLACES = st.sampled_from((*"ABCABCABCD", ""))
ROWS = st.lists(st.tuples(st.sampled_from(("r", "", "spans='1:3' r")), st.lists(st.tuples(PLACES, CELLS), max_size=4)))
SCHEMA = Schema(
    (Field("a"), Field("b", FieldType.FLOAT), Field("c", FieldType.DECIMAL, scale=2), Field("d", FieldType.DATE))
)


def _row(number: int, row: tuple[str, list[tuple[str, str]]], *, tidy: bool) -> str:
    given, cells = row
    if tidy:
        given, cells = "r", [("ABCD"[place], cell) for place, (_, cell) in enumerate(cells)]
    texts = "".join(f"<c{f' r={chr(34)}{place}{number}{chr(34)}' if place else ''}{cell}</c>" for place, cell in cells)
    begin = f'<row {given}="{number}"' if given else "<row"
    return f"{begin}>{texts}</row>" if texts else f"{begin}/>"


def workbook(path: Path, body: str, end: str = "</worksheet>") -> None:
    """Write a workbook with these rows behind those names."""
    names = "".join(f'<c r="{name.upper()}1" t="inlineStr"><is><t>{name}</t></is></c>' for name in "abcd")
    sheet = f'<worksheet xmlns="{SPACE}"><sheetData><row r="1">{names}</row>{body}</sheetData><mergeCells/>{end}'
    items = (text if text.startswith("<") else f'<t xml:space="preserve">{text}</t>' for text in SHARED)
    shared = f'<sst xmlns="{SPACE}">{"".join(f"<si>{item}</si>" for item in items)}</sst>'
    with zipfile.ZipFile(path, "w") as book:
        for name, text in (PARTS | {"xl/worksheets/sheet1.xml": sheet, "xl/sharedStrings.xml": shared}).items():
            book.writestr(name, text)


def read(folder: Path, *, fast: bool, size: int, after: Any = None) -> list[Any]:
    """Return the records, what was put aside, and the mistake at the end."""
    found: list[Any] = []
    rejects: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(SheetBlocks, "blocks", lambda *_: iter((None,)))
        small_blocks(patch, files_xlsx_blocks, 400)
        try:
            for page in files(folder).read(ReadRequest("a.xlsx", SCHEMA, page_size=size, after=after)):
                found += page.records.rows()
                rejects += [(r.place, r.raw, str(r.message)) for r in page.rejects]
                assert page.records.height <= size
        except ConnectorError as error:
            return [*found, rejects, type(error).__name__]
    return [*found, rejects]


@given(
    rows=ROWS, tidy=st.booleans(), size=st.sampled_from((1, 3, 100)),
    end=st.sampled_from(("</worksheet>", "</worksheet>", "", "</other>")),
)  # fmt: skip
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_say_the_same(
    tmp_path: Path, rows: list[tuple[str, list[tuple[str, str]]]], *, tidy: bool, size: int, end: str
) -> None:
    """Values, missing ones, row numbers and mistakes are the same, whatever cells there are."""
    body = "".join(_row(number, row, tidy=tidy) for number, row in enumerate(rows, 2))
    workbook(tmp_path / "a.xlsx", body, end)
    slow, fast = (read(tmp_path, fast=which, size=size) for which in (False, True))
    if isinstance(slow[-1], str):  # what is before a mistake may be read or not, but it is told
        assert fast[-1] == slow[-1]
    else:
        assert fast == slow


def test_a_read_goes_on_behind_any_page(tmp_path: Path) -> None:
    """Rows behind any place are those that would have followed, and blank rows are none."""
    cells = (
        f'<row r="{n * 2}"><c r="A{n * 2}" t="s"><v>0</v></c><c r="B{n * 2}"><v>{n}.5</v></c></row>'
        for n in range(2, 50)
    )
    workbook(tmp_path / "a.xlsx", "<row r='3'/>".join(cells))
    pages = list(files(tmp_path).read(ReadRequest("a.xlsx", SCHEMA, page_size=7)))
    everything = [row for page in pages for row in page.records.rows()]
    assert everything == [("one", n + 0.5, None, None) for n in range(2, 50)]
    done = 0
    for page in pages:
        done += page.records.height
        assert read(tmp_path, fast=True, size=7, after=page.position) == [*everything[done:], []]


NAMES = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>'
ROWS_OF_TWO = (
    f'{NAMES}<row r="2"><c r="A2"><v>1</v></c></row><row r="3"><c r="A3" t="inlineStr"><is><t>é</t></is></c></row>'
)


def _sheet(more: str = "", head: str = "", tail: str = "</sheetData></worksheet>") -> str:
    return f'<worksheet xmlns="{SPACE}">{head}<sheetData>{ROWS_OF_TWO}{more}{tail}'


ODD_SHEETS = {
    "prefixed": re.sub("<(/?)", r"<\1x:", _sheet()).replace("xmlns=", "xmlns:x="),
    "comment": _sheet(head="<!-- <sheetData> -->"),
    "encoding": '<?xml version="1.0" encoding="ISO-8859-1"?>' + _sheet(),
    "broken": _sheet(head="<cols>"),
    "cut": _sheet('<row r="4">', tail=""),
    "long tail": _sheet(tail=f"</sheetData>{'<x/>' * 500}</worksheet>"),
    "no number": _sheet("<row><c><v>9</v></c></row>"),
    "long row": _sheet(f'<row r="4"><c r="A4" t="inlineStr"><is><t>{"x" * 900}</t></is></c></row>'),
    "no letters": _sheet('<row r="4"><c r="4"><v>9</v></c></row>'),
    "double": _sheet('<row r="4"><c r="A4"><v>1</v><v>2</v></c></row>'),
    "kinds": _sheet(
        '<row r="4"><c r="A4" t="b"><v>1</v></c></row><row r="5"><c r="A5" t="e"><v>#N/A</v></c></row>'
        '<row r="6"><c r="A6" s="1"><v>45351</v></c></row><row r="7"><c r="A7" s="9"><v>0.1</v></c></row>'
    ),
    "far": _sheet('<row r="4"><c r="AAAA4"><v>9</v></c></row>'),
}


@pytest.mark.parametrize("name", ODD_SHEETS)
def test_odd_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Sheets with prefixes, comments, other encodings, long rows and mistakes are read as row by row."""
    monkeypatch.setattr(files_xlsx_blocks, "_HEAD", 200)
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as book:
        for part, text in PARTS.items():
            book.writestr(part, text)
        book.writestr("xl/worksheets/sheet1.xml", ODD_SHEETS[name].encode("latin-1" if name == "encoding" else "utf-8"))
    schema = Schema((Field("a"),))
    found: list[list[Any]] = []
    for fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not fast:
                patch.setattr(SheetBlocks, "blocks", lambda *_: iter((None,)))
            small_blocks(patch, files_xlsx_blocks, 400)
            try:
                pages = list(files(tmp_path).read(ReadRequest("a.xlsx", schema, page_size=1)))
                found.append([row for page in pages for row in page.records.rows()])
            except ConnectorError as error:
                found.append([type(error).__name__])
    assert found[0] == found[1]
    assert found[0]
