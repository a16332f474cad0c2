"""Tables go out as CSV, workbooks and DMN and come back as they were, and those of others come in."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from rules.decisions import canonical_table, compile_table
from rules.decisions.dmn_file import list_decisions
from rules.decisions.dmn_read import read_dmn
from rules.decisions.dmn_write import write_dmn
from rules.decisions.grid import GridError, from_grid, to_grid
from rules.decisions.sheets import armed, defused, read_csv, write_csv, write_xlsx
from rules.documents import DocumentError
from rules.documents.decision_table import DecisionTable, parse_decision_table
from tests.rules.decisions.tables import DAY, documents, records, small, table_of

FOLDER = Path(__file__).parent / "dmn"
WHOLE = {
    "kind": "decision_table",
    "name": "discount",
    "label": "Rabatt 折扣",
    "description": "Line one\n  line two",
    "hit_policy": "collect",
    "aggregation": "max",
    "timezone": "Asia/Shanghai",
    "inputs": [
        {"name": "amount", "label": "Order sum", "type": "decimal", "allowed": [">= 0", "null"]},
        {"name": "客户 no", "type": "text", "allowed": ['not("x;y")']},
        {"name": "size", "type": "integer", "expression": "size(country)"},
        {"name": "seen", "type": "datetime"},
        {"name": "day", "type": "date"},
        {"name": "at", "type": "time"},
        {"name": "here", "type": "local_datetime"},
        {"name": "share", "type": "float"},
        {"name": "ok", "type": "boolean"},
        {"name": "country"},
    ],
    "outputs": [
        {"name": "rate", "label": "Rate", "type": "decimal", "allowed": [3, 0.15, "null"], "default": 0.15},
        {"name": "from", "type": "date"},
    ],
    "rows": [
        {
            "when": [
                "> 100",
                '"a, b"',
                "? > 2 && amount > 5.0",
                ">= 2024-01-01T00:00:00Z",
                "2024-01-31",
                "[09:30..10:00)",
                "not(2024-01-01T00:00:00)",
                "null, not(0.5)",
                "true",
                'not("CN", "D\\"E")',
            ],
            "then": ["0.15", "= addDays(day, 5)"],
            "since": "2024-01-01",
            "until": "2025-01-01",
            "id": "big one",
            "note": "because\nof that",
        },
        {"when": ["-"] * 9 + ['"=x"'], "then": ["null", "2024-05-05"]},
    ],
    "tests": [{"name": "t", "given": {"amount": 5}, "expect": {"rate": 3}}],
}


def _same(found: dict[str, Any], table: DecisionTable) -> None:
    assert parse_decision_table(found) == replace(canonical_table(table), tests=parse_decision_table(found).tests)


def test_the_whole_table_survives() -> None:
    """All that a table says, but its tests, goes through every format unchanged."""
    table = canonical_table(table_of(WHOLE))
    assert canonical_table(table) == table
    _same(read_csv(write_csv(table)), table)
    _same(from_grid(to_grid(table)), table)
    _same(read_dmn(write_dmn(table)).document, table)
    book = openpyxl.load_workbook(io.BytesIO(write_xlsx(table))).worksheets[0]
    _same(from_grid(book.iter_rows(values_only=True)), table)
    assert from_grid(to_grid(table), table)["tests"] == WHOLE["tests"]
    assert read_dmn(write_dmn(table)).problems == ()


@settings(max_examples=60)
@given(st.sampled_from(["unique", "first", "any", "rule_order"]).flatmap(documents), st.data())
def test_random_tables_survive(document: dict[str, Any], data: st.DataObject) -> None:
    """A random table comes back from CSV and DMN with the same cells and decides the same."""
    table = canonical_table(table_of(document))
    records_ = data.draw(records(table))
    wanted = compile_table(table_of(document)).evaluate(records_, DAY)
    for found in (read_csv(write_csv(table)), read_dmn(write_dmn(table)).document):
        _same(found, table)
        decided = compile_table(parse_decision_table(found)).evaluate(records_, DAY)
        assert decided.outputs.equals(wanted.outputs)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12), max_size=6))
def test_csv_keeps_every_cell(notes: list[str]) -> None:
    """Texts that a spreadsheet would take for formulas come back as they were."""
    for note in [*notes, "=1+1", "'=x'", "''=", "@a", "= it's", "-", "+5"]:
        assert armed(defused(note)) == note
        assert not defused(note).startswith(("=", "+", "@"))


def test_rows_pasted_under_a_heading() -> None:
    """Lines with only a heading are rows of a known table, its columns found by name or label in any order."""
    table = small([], inputs=[{"name": "amount", "type": "decimal", "label": "Order sum"}, {"name": "country"}])
    grid = [["Tier", "rate", "ORDER SUM", "note"], ["vip", 0.15, "> 100", "x"], [], ["", None, "", ""], ["a", 2]]
    assert from_grid(grid, table)["rows"] == [
        {"when": ["> 100", "-"], "then": ["0.15", "vip"], "note": "x"},
        {"when": ["-", "-"], "then": ["2", "a"]},
    ]
    with pytest.raises(GridError, match="The table has no column 'Teir'") as caught:
        from_grid([["", "Teir", "rate"]], table)
    assert [p.path for p in caught.value.problems] == ["B1", "A1"]
    assert caught.value.problems[0].suggestion == "tier"


@pytest.mark.parametrize(
    ("grid", "path", "message"),
    [
        (
            [["column", "in", "out"], ["name", "a", "b"], ["rwo", "1", "2"]],
            "A3",
            "Did you mean|is not known as the head",
        ),
        ([["column", "in", "output"], ["name", "a", "b"]], "C1", "A column is one of in, out"),
        ([["column", "in", "out"], ["name", "a"]], "C1", "has no name"),
        ([["column", "in", "out", "", ""], ["name", "a", ""], ["row", "1"]], "C1", "has no name"),
        ([["a", "b"]], "", "no line that begins with 'column'"),
        ([[]] * 20_001, "", "more than 20000 lines"),
    ],
)
def test_grids_that_are_wrong(grid: list[list[str]], path: str, message: str) -> None:
    """A mistake in a sheet is told with its cell."""
    with pytest.raises(GridError, match=message) as caught:
        from_grid(grid)
    assert caught.value.problems[0].path == path


def test_far_columns() -> None:
    """Cells behind Z are called as spreadsheets call them."""
    line = ["column", *["in"] * 26, "x"]
    with pytest.raises(GridError) as caught:
        from_grid([line])
    assert "AB1" in [p.path for p in caught.value.problems]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\xff\xff", "not UTF-8"), (b'"a', "no CSV"), (b"x" * 20_000_001, "larger than")],
)
def test_files_that_are_no_csv(data: bytes, message: str) -> None:
    """What cannot be read is refused in plain words."""
    with pytest.raises(GridError, match=message):
        read_csv(data)


def test_separators_and_encodings() -> None:
    """Files with semicolons, tabs or in UTF-16, as spreadsheets write them, are read too."""
    text = "column;in;out\r\nname;a;b\r\ntype;integer;text\r\nrow;1, 2;x\r\n"
    wanted = read_csv(text.encode())
    assert wanted["rows"] == [{"when": ["1, 2"], "then": ["x"]}]
    assert read_csv(text.replace(";", "\t").encode("utf-16")) == wanted
    dated = read_csv(b"column,in,out,since\nname,a,b\n,,,\nrow,1,x,2024-01-01 00:00:00\n")
    assert dated["rows"][0]["since"] == "2024-01-01"


def test_dmn_is_what_the_standard_says() -> None:
    """The file has the elements of DMN 1.3 in their order, and FEEL in its cells."""
    table = small([["> 100", 'not("CN")', "0.15", "a"], ["-", "null, CN", "null", "= country"]], "rule_order")
    root = etree.fromstring(write_dmn(table))
    names = {"d": "https://www.omg.org/spec/DMN/20191111/MODEL/"}
    whole = root.find("d:decision/d:decisionTable", names)
    assert whole is not None
    assert whole.get("hitPolicy") == "RULE ORDER"
    assert [etree.QName(e).localname for e in whole] == ["input", "input", "output", "output", "rule", "rule"]
    assert [e.text for e in whole.findall("d:rule/d:inputEntry/d:text", names)] == [
        "> 100",
        'not("CN", null)',
        "-",
        'null, "CN"',
    ]
    assert [e.text for e in whole.findall("d:rule/d:outputEntry/d:text", names)] == ["0.15", '"a"', "null", "country"]
    assert whole.findall("d:rule/d:outputEntry", names)[3].get("expressionLanguage") == "https://cel.dev"
    dated = table_of(WHOLE)
    text = write_dmn(dated).decode()
    assert 'date and time("2024-01-01T00:00:00Z")' in text
    assert 'date("2024-01-31")' in text
    assert 'aggregation="MAX"' in text


def test_broken_tables_are_not_written() -> None:
    """A table with a cell that cannot be read has no DMN."""
    with pytest.raises(DocumentError, match="A number is needed"):
        write_dmn(small([["x", "-", 1, "a"]]))


def test_a_table_of_a_modeller() -> None:
    """A table as Camunda Modeler writes it opens: its types, values, cells and notes."""
    data = (FOLDER / "shipping.dmn").read_bytes()
    assert [(d.id, d.name, d.rows) for d in list_decisions(data)] == [("shippingCost", "Shipping cost", 4)]
    found = read_dmn(data)
    assert found.problems == ()
    assert found.document == {
        "kind": "decision_table",
        "name": "shipping_cost",
        "label": "Shipping cost",
        "hit_policy": "first",
        "inputs": [
            {"name": "weight", "label": "Weight in kg", "type": "float"},
            {"name": "zone", "label": "Zone", "type": "text", "allowed": ['"EU"', '"US"', '"CN"']},
            {"name": "ordered", "label": "Ordered", "type": "local_datetime"},
            {"name": "express", "type": "boolean", "allowed": []},
        ],
        "outputs": [
            {"name": "cost", "label": "Cost", "type": "integer"},
            {"name": "carrier", "label": "Carrier", "type": "text", "allowed": ['"air"', '"road"']},
        ],
        "rows": [
            {"when": ["[0..2.5)", '"EU", "US"', "-", "false"], "then": ["5", '"road"'], "note": "light"},
            {"when": ["<= 30", 'null, not("CN")', ">= 2024-01-01T00:00:00", "-"], "then": ["12", '"road"']},
            {"when": ["(30..1000]", "-", "-", "true, false"], "then": ["80", '"road"']},
            {"when": ["-", "-", "-", "-"], "then": ["-1", "null"]},
        ],
    }
    compile_table(parse_decision_table(found.document))


def test_tables_of_older_and_other_modellers() -> None:
    """DMN 1.1 with several decisions, item definitions, names with spaces, lists without spaces and FEEL 1.3 dates."""
    data = (FOLDER / "loans.dmn").read_bytes()
    assert [d.id for d in list_decisions(data)] == ["_risk", "_routing"]
    with pytest.raises(DocumentError, match="Choose one of: _risk, _routing"):
        read_dmn(data)
    risk = read_dmn(data, "_risk")
    assert risk.problems == ()
    assert risk.document["inputs"] == [
        {"name": "Applicant Age", "type": "decimal"},
        {"name": "Credit.score", "type": "decimal"},
        {"name": "rating", "type": "text", "allowed": ['"A"', '"B"', '"C"']},
        {"name": "since", "type": "date"},
    ]
    assert risk.document["outputs"] == [
        {"name": "Risk", "type": "text", "allowed": ['"high"', '"low"'], "default": '"high"'}
    ]
    assert risk.document["hit_policy"] == "priority"
    assert [row["when"] for row in risk.document["rows"]] == [
        ["18, 1500", "[600..700)", '"A"', "< 2020-01-01"],
        ["not(null)", "> -5", 'not("A")', "2024-02-29"],
    ]
    assert risk.document["rows"][0]["note"] == "checked\nOwner: Ada"
    assert parse_decision_table(risk.document)


def test_what_cannot_be_translated_is_told() -> None:
    """Functions, the clock and other languages stay visible, block the table and are told with their cell."""
    found = read_dmn((FOLDER / "loans.dmn").read_bytes(), "_routing")
    told = {p.path: str(p.message) for p in found.problems}
    rows = ["rows/0/then/0", "rows/0/when/0", "rows/0/when/1", "rows/1/when/0", "rows/1/when/1", "rows/2/then"]
    columns = ["hit_policy", "inputs/0/type", "inputs/1/expression", "outputs/0/allowed"]
    assert sorted(told) == [*columns, *rows, "rows/2/when/1"]
    assert "depends on the clock" in told["rows/0/when/1"]
    assert "The language juel is not supported" in told["rows/1/when/1"]
    rows_ = found.document["rows"]
    assert rows_[0]["when"][1] == "FEEL: < today()"
    assert rows_[0]["then"] == ["FEEL: amount * 2"]
    with pytest.raises(DocumentError) as caught:
        compile_table(parse_decision_table(found.document))
    assert {"rows/0/when/1", "rows/0/then/0"} <= {p.path for p in caught.value.problems}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<", "The file is no XML"),
        (b"x" * 20_000_001, "larger than"),
        (b"<html/>", "begins with 'html'"),
        (b"<definitions/>", "no decision table"),
        (b"<definitions><decision id='a'/></definitions>", "no decision table"),
        (b'<!DOCTYPE d [<!ENTITY a "b">]><definitions>&a;</definitions>', "document type declaration"),
    ],
)
def test_files_that_are_no_dmn(data: bytes, message: str) -> None:
    """What is no DMN, or asks for entities, is refused."""
    with pytest.raises(DocumentError, match=message):
        read_dmn(data)
