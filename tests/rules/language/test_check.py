"""The checker: names, types and signatures, each mistake at its place with what to do."""

# ruff: noqa: E501 - one case a line reads best

from __future__ import annotations

import pytest

from rules.language import ExpressionError, compile_expression
from rules.language.problems import nearest, place
from rules.schema import Field, Schema
from tests.rules.language.records import SCHEMA, problem, problems

IN_ACCOUNT = "There is no field '{}' in crm Account."


@pytest.mark.parametrize(
    ("text", "message", "column", "suggestion"),
    [
        ("tax_noo == '1'", IN_ACCOUNT.format("tax_noo") + " Did you mean 'tax_no'?", 1, "tax_no"),
        ("record.phoen", IN_ACCOUNT.format("phoen") + " Did you mean 'phone'?", 8, "phone"),
        ("name + zzzz", IN_ACCOUNT.format("zzzz"), 8, None),
        ("has(record.phoen)", IN_ACCOUNT.format("phoen") + " Did you mean 'phone'?", 12, "phone"),
        ("record", 'Name a field behind record, like record.phone or record["phone"].', 1, None),
        ("record[1]", 'Write the name of the field in quotes, like record["phone"].', 7, None),
        ("name + 1", "Text and integer cannot be joined. Use toText() on the integer.", 6, None),
        ("1.5 + name", "Text and number cannot be joined. Use toText() on the number.", 5, None),
        ("name - name", "'-' cannot work with text and text.", 6, None),
        ("active * 2", "'*' cannot work with boolean and integer.", 8, None),
        ("rate % 2", "The remainder (%) needs two whole numbers.", 6, None),
        ("rate % data", "The remainder (%) needs two whole numbers.", 6, None),
        ("born + born", "'+' cannot work with date and date.", 6, None),
        ("born * duration('1h')", "'*' cannot work with date and duration.", 6, None),
        ("local - seen", "'-' cannot work with local_datetime and datetime.", 7, None),
        ("duration('1h') - born", "'-' cannot work with duration and date.", 16, None),
        ("name - null", "'-' cannot work with an empty value (null).", 6, None),
        ("-name", "Only a number can be negated, not text.", 1, None),
        ("!name", "A condition (true or false) is needed here, this is text.", 2, None),
        ("name ? 1 : 2", "A condition (true or false) is needed here, this is text.", 1, None),
        ("active ? 1 : 'x'", "Both results need one type; the first is integer, the second text.", 14, None),
        ("name == 1", "Text and a number cannot be compared. Put the number in quotes, or use toDecimal() on the text.", 6, None),
        ("born == '2024-01-01'", "A date and text cannot be compared. Write date('2024-01-31').", 6, None),
        ("'x' < seen", "A time and text cannot be compared. Write timestamp('2024-01-31T00:00:00Z').", 5, None),
        ("local == seen", "A local time and an instant can be compared after atZone() on the local time only.", 7, None),
        ("active == 1", "boolean and integer cannot be compared.", 8, None),
        ("name < null", "An empty value (null) has no order. Compare with == or !=.", 6, None),
        ("[1] < [2]", "Lists and maps have no order.", 5, None),
        ("name in ['a', 1] && qty in ['a']", "Text and a number cannot be compared. Put the number in quotes, or use toDecimal() on the text.", 25, None),
        ("name in name", "'in' needs a list on its right side, like status in ['new', 'open'], not text.", 9, None),
        ("name[0]", "An item can be taken from a list or map, not from text.", 5, None),
        ("[1]['x']", "The item is named by integer, not text.", 5, None),
        ("{'a': 1}[2]", "The item is named by text, not integer.", 10, None),
        ("name.size", "'size' cannot be taken from a value of type text; only JSON and maps have parts.", 6, None),
        ("[1].x", "'x' cannot be taken from a value of type list of integer; only JSON and maps have parts.", 5, None),
        ("{1.5: 2}", "A key of a map is text, a whole number or true/false, not number.", 2, None),
        ("name.exists(x, true)", "exists() works on a list, not on text.", 6, None),
        ("[1].all(x, [1].all(y, [1].all(z, true)))", "At most 2 loops can stand inside each other.", 27, None),
        ("[1].filter(x, x)", "A condition (true or false) is needed here, this is integer.", 15, None),
        ("foo_bar(1)", "There is no function 'foo_bar'.", 1, None),
        ("trimm(name)", "There is no function 'trimm'. Did you mean 'trim'?", 1, "trim"),
        ("maths.abs(qty)", "There is no field 'maths' in crm Account.", 1, None),
        ("IF(a, b, c)", "There is no function 'IF'. Write condition ? a : b.", 1, None),
        ("LEN(name)", "There is no function 'LEN'. Write size(value).", 1, "size"),
        ("now()", "'now' is not available: a rule gives the same result at any time.", 1, None),
        ("trim()", "trim() cannot take (). Possible: trim(text: text) -> text.", 1, None),
        ("trim(qty)", "trim() cannot take (integer). Possible: trim(text: text) -> text.", 1, None),
        ("name.orDefault(1)", "orDefault() needs values of one type; this is integer, the one before is text.", 16, None),
        ("choose(name, data)", "choose() needs its choices written out, like {'M': 1, 'F': 2}.", 14, None),
        ("choose(name, {1: 2})", "The choices are keyed by integer, but the value is text.", 14, None),
        ("choose(name, {'a': 2}, 'x')", "The default is text, the choices are integer.", 24, None),
    ],
)  # fmt: skip
def test_problem(text: str, message: str, column: int, suggestion: str | None) -> None:
    """Each mistake has its sentence, its column and, where one is likely, its correction."""
    found = problems(text)
    assert (str(found[0].message), found[0].column, found[0].suggestion) == (message, column, suggestion)


def test_all_mistakes_at_once() -> None:
    """Independent mistakes are reported together, one mistake only once."""
    found = problems("nam.trim() + phon.trim() + (nam + 1)")
    assert [p.column for p in found] == [1, 14, 29]


def test_error_text() -> None:
    """The error itself reads like its problems."""
    with pytest.raises(ExpressionError, match=r"There is no field 'x'\. \(line 1, column 1\)"):
        compile_expression("x", Schema(()))
    with pytest.raises(ExpressionError, match=r"Did you mean 'xy'\?"):
        compile_expression("xyz", Schema((Field("xy"),)))


@pytest.mark.parametrize(
    "text",
    [
        "active ? null : name",
        "active ? born : seen",
        "active ? [1] : ['x']",
        "data == 1 || data == 'x' || data in [1] || 1 in data",
        "data.x.y[0]['z'] > 1",
        "[1, 'x', null, 2.5]",
        "data.map(k, k)",
        "min(born, seen) < seen",
        "data + 1 > 2 && data % 2 == 1",
        "-data > 1",
        "dyn(1) == 'x'",
        "born == seen",
        "{}['x'] == 1 || [] == [1]",
        "choose(rate, {1: 'a'}, 'b')",
    ],
)
def test_fits(text: str) -> None:
    """What CEL allows and a record may hold is not refused."""
    assert problems(text) == []


def test_problem_on_other_schema() -> None:
    """A variable of a macro hides a field of the same name, inside the macro only."""
    assert problem("[1].map(name, name + 1)[0] + name")[2] == 28
    assert SCHEMA["name"].type.value == "text"


def test_places() -> None:
    """Places count characters, not bytes or code units."""
    assert place("😀a\n客b", 4) == (2, 2)
    assert place("a", -1) == (1, 1)
    assert nearest("NAME", ["name", "Name"]) == "name"
    assert nearest("x", []) is None
