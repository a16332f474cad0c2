"""Cells are read as people write them, mistakes are told with their column, and the canonical text reads the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.decisions.cells import CellError, Constant, Expression
from rules.decisions.placeholders import Filled
from rules.decisions.reading import cell_text, read_constant, read_input, read_output
from rules.decisions.writing import write_input, write_output
from rules.schema import FieldType as F
from tests.rules.decisions.tables import TYPES, cell_texts

NAMES = {"amount", "country"}


@given(st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), cell_texts(t))))
def test_canonical_text_reads_the_same(pair: tuple[F, str]) -> None:
    """Writing what was read and reading it again changes nothing."""
    type_, text = pair
    cell = read_input(text, type_)
    written = write_input(cell, type_)
    assert read_input(written, type_) == cell
    assert write_input(read_input(written, type_), type_) == written


@pytest.mark.parametrize(
    ("text", "type_", "canonical"),
    [
        ("CN, DE", F.TEXT, '"CN", "DE"'),
        ("R&D, A-1 b", F.TEXT, '"R&D", "A-1 b"'),
        ("not(CN)", F.TEXT, 'not("CN")'),
        ("not(null, CN)", F.TEXT, 'not("CN")'),
        ("not(null)", F.TEXT, "not(null)"),
        ("> CN", F.TEXT, '> "CN"'),
        ("'it\\'s'", F.TEXT, '"it\'s"'),
        ('"\\u5ba2\\n"', F.TEXT, '"客\\n"'),
        ("4711", F.TEXT, '"4711"'),
        ("", F.TEXT, "-"),
        ("]1..10[", F.INTEGER, "(1..10)"),
        ("=5, == 6", F.INTEGER, "5, 6"),
        ("!= 5", F.INTEGER, "not(5)"),
        ("!= 5, 7", F.INTEGER, "< 5, > 5, 7"),
        ("> 3.50", F.INTEGER, "> 3.5"),
        ("1e3", F.DECIMAL, "1000"),
        ("1, 500", F.DECIMAL, "1, 500"),
        ("-5, [-3..-1]", F.FLOAT, "-5, [-3..-1]"),
        ("date('2024-01-31')", F.DATE, "2024-01-31"),
        ('>= date("2024-01-31")', F.DATE, ">= 2024-01-31"),
        ("9:30", F.TIME, "09:30:00"),
        ("2024-01-31T09:30:00+08:00", F.DATETIME, "2024-01-31T01:30:00Z"),
        ("timestamp('2024-01-31T09:30:00Z')", F.DATETIME, "2024-01-31T09:30:00Z"),
        ("< 2024-01-31T09:30", F.LOCAL_DATETIME, "< 2024-01-31T09:30:00"),
        ("null,not(true)", F.BOOLEAN, "null, not(true)"),
        (" ? > 5 ", F.INTEGER, "? > 5"),
        ("amount > 5", F.INTEGER, "amount > 5"),
        ("amount", F.BOOLEAN, "amount"),
        ("?.startsWith('a')", F.TEXT, "?.startsWith('a')"),
        ("startsWith(country, 'a')", F.TEXT, "startsWith(country, 'a')"),
        ("? in ['a']", F.TEXT, "? in ['a']"),
        ("record['x y'] == 1", F.INTEGER, "record['x y'] == 1"),
        ("in", F.TEXT, '"in"'),
        ("record['x']", F.BOOLEAN, "record['x']"),
        ("country + 'x' == 'y'", F.TEXT, "country + 'x' == 'y'"),
    ],
)
def test_reads(text: str, type_: F, canonical: str) -> None:
    """What people write has one meaning and one canonical text."""
    assert write_input(read_input(text, type_, NAMES), type_) == canonical


@pytest.mark.parametrize(
    ("text", "type_", "column", "message"),
    [
        ("1,000", F.INTEGER, 1, "'1,000' can be one number or several."),
        ("> 1oo", F.INTEGER, 3, "A whole number is needed here, not '1oo'."),
        ("[1..", F.INTEGER, 5, "not nothing"),
        ("[1..5", F.INTEGER, 6, "The range has no end."),
        ("[1 5]", F.INTEGER, 4, "'..' is missing here."),
        ("[5..1]", F.INTEGER, 1, "ends are in the wrong order"),
        ("(5..5]", F.INTEGER, 1, "ends are in the wrong order"),
        ("yes", F.BOOLEAN, 1, "true or false is needed here"),
        ("not(CN", F.TEXT, 7, "')' is missing here."),
        ('"CN', F.TEXT, 1, "has no closing quote"),
        ('"CN" "DE"', F.TEXT, 6, "Separate alternatives with a comma."),
        ("CN, country", F.TEXT, 5, "'country' is also a field."),
        ("date('2024-01-01 x')", F.DATE, 6, "A day is needed here"),
        ("CN, , DE", F.TEXT, 5, "A text is needed here"),
        ("2024-02-30", F.DATE, 1, "A day is needed here"),
        ("date('x')", F.DATE, 6, "A day is needed here"),
        ("date(2024)", F.DATE, 1, "A day is needed here"),
        ("time('10:00')", F.DATE, 1, "A day is needed here"),
        ("2024-01-01T10:00:00", F.DATETIME, 1, "with its zone"),
        ("2024-01-01T10:00:00Z", F.LOCAL_DATETIME, 1, "without a zone"),
        ("2024-01-01", F.DATETIME, 1, "with its zone"),
        ("25:00", F.TIME, 1, "A time of day is needed here"),
        ("99999999999999999999", F.INTEGER, 1, "too large"),
        ("1e400", F.FLOAT, 1, "too large"),
        ("100000000000000000000", F.DECIMAL, 1, "too large"),
        ("0.0000000000000000001", F.DECIMAL, 1, "too many digits"),
        ("- true", F.BOOLEAN, 3, "true or false"),
        ('"\\u0000"', F.TEXT, 1, "not possible"),
        ("5", F.BOOLEAN, 1, "true or false"),
    ],
)
def test_mistakes(text: str, type_: F, column: int, message: str) -> None:
    """A mistake is told in plain words, with its column in the cell."""
    with pytest.raises(CellError, match=message.replace("(", r"\(").replace(")", r"\)")) as caught:
        read_input(text, type_, NAMES)
    assert caught.value.column == column


def test_long_cells() -> None:
    """A cell has a limit."""
    with pytest.raises(CellError, match="more than 10000 characters"):
        read_input("1, " * 4000 + "1", F.INTEGER)


@pytest.mark.parametrize(
    ("text", "type_", "cell"),
    [
        ("vip", F.TEXT, Constant("vip")),
        ('"vip"', F.TEXT, Constant("vip")),
        ("null", F.TEXT, Constant(None)),
        ("", F.INTEGER, Constant(None)),
        ("-5", F.INTEGER, Constant(-5)),
        ("true", F.BOOLEAN, Constant(True)),
        ("= country", F.TEXT, Expression("country")),
        ("country", F.TEXT, Expression("country")),
        ("country + '!'", F.TEXT, Expression("country + '!'")),
        ("amount * 0.1", F.DECIMAL, Expression("amount * 0.1")),
        ("amount", F.DECIMAL, Expression("amount")),
        ("addDays(day, 5)", F.DATE, Expression("addDays(day, 5)")),
        ("{'a': 1}", F.JSON, Expression("{'a': 1}")),
    ],
)
def test_outputs(text: str, type_: F, cell: object) -> None:
    """An output is a value or an expression, and its canonical text reads the same."""
    found = read_output(text, type_, NAMES)
    assert found == cell
    assert read_output(write_output(found, type_, NAMES), type_, NAMES) == found


def test_an_expression_that_looks_like_a_value_keeps_its_sign() -> None:
    """`= vip` names the field vip, and stays different from the text vip."""
    assert write_output(Expression("vip"), F.TEXT) == "= vip"
    assert write_output(Expression("'a"), F.TEXT) == "= 'a"


@pytest.mark.parametrize(("text", "type_"), [("1.5", F.INTEGER), ("5 5", F.INTEGER), ("date('2024-01-01'", F.DATE)])
def test_outputs_that_are_wrong(text: str, type_: F) -> None:
    """What is meant as a value is checked as one."""
    with pytest.raises(CellError):
        read_constant(text, type_)


def test_plain_data() -> None:
    """Numbers and true/false may stand in a document as they are."""
    assert [cell_text(c) for c in (5, 2.0, 0.15, True, False, None, "x")] == [
        "5",
        "2",
        "0.15",
        "true",
        "false",
        "",
        "x",
    ]


def test_placeholders() -> None:
    """`?` is the column where a value is expected, and a choice elsewhere; places lead back to the cell."""
    filled = Filled("? > 1 ? size(?) == 2 : a in [?] && x", "客户")
    assert filled.text == 'record["客户"] > 1 ? size(record["客户"]) == 2 : a in [record["客户"]] && x'
    assert filled.text[filled.text.index("x") - 1] == " "
    assert filled.column(filled.text.rindex("x") + 1) == filled.cell.rindex("x") + 1
    assert filled.column(1) == 1
    assert filled.column(filled.text.index(">") + 1) == 3
    assert Filled("x in ?", "a").text == "x in a"
    assert Filled("? == 1", "in").text == 'record["in"] == 1'
