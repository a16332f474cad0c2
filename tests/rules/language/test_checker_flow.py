"""What the checker warns of: fields that may be empty, conditions that are always true or false, parts never used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language import ExpressionError, Problem, Severity, compile_expression
from rules.language.check import check
from rules.language.domains import Domain, Question
from rules.language.parse import parse
from rules.language.runtime import Failed
from rules.language.spans import spans
from rules.schema import Field, FieldType, Schema
from tests.rules.language.frames import on_runtime

SCHEMA = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False),
        Field("name"),
        Field("status", length=5),
        Field("qty", FieldType.INTEGER),
        Field("rate", FieldType.FLOAT),
        Field("price", FieldType.DECIMAL, scale=2),
        Field("active", FieldType.BOOLEAN),
        Field("born", FieldType.DATE),
        Field("data", FieldType.JSON),
        Field("blob", FieldType.BINARY),
    )
)
EMPTY = "The field '{0}' may be empty, which is an error here. Write {0}.orDefault({1}), or ask first."
ASK = "The field '{0}' may be empty, which is an error here. Ask first: {0} == null ? ... : ...."
BEFORE = "This is always {} here, because of what is asked before it."
NEVER = "This part is never used: the condition before it is always {}."
FILLED = "This part is never used: what stands before it is never empty."
ALWAYS = "This is always {}."
NEVER_EMPTY = "This part is never empty: an empty field in it is an error. Ask for the field itself."
TYPE = "'{}' cannot have such a value, so this is always {}."
SOLID = "The field 'id' is never empty, so this is always {}."


def warnings(text: str) -> list[tuple[str, str]]:
    """Return the warnings of an expression without errors: which part is meant, and what is said."""
    found = check(parse(text), text, SCHEMA).problems
    assert {problem.severity for problem in found} <= {Severity.WARNING}
    return [(meant(text, problem), str(problem.message)) for problem in found]


def meant(text: str, problem: Problem) -> str:
    """Return the part of a text of one line that a problem is about."""
    return text[problem.column - 1 : problem.column - 1 + problem.length]


@pytest.mark.parametrize(
    ("text", "part", "message"),
    [
        ("name.trim()", "name", EMPTY.format("name", "''")),
        ("name.trim() + name", "name", EMPTY.format("name", "''")),
        ("qty + 1", "qty", EMPTY.format("qty", "0")),
        ("-price", "price", EMPTY.format("price", "0.0")),
        ("rate < 1.5", "rate", EMPTY.format("rate", "0.0")),
        ("!active", "active", EMPTY.format("active", "false")),
        ("active ? 1 : 2", "active", EMPTY.format("active", "false")),
        ("active && id > 1", "active", EMPTY.format("active", "false")),
        ("record.active || id > 1", "record.active", EMPTY.format("record.active", "false").replace("record.", "", 1)),
        ("born > date('2024-01-31')", "born", ASK.format("born")),
        ("data.x == 1", "data", ASK.format("data")),
        ("has(data.x)", "data", ASK.format("data")),
        ("data.exists(x, x == 1)", "data", ASK.format("data")),
        ("1 in data", "data", ASK.format("data")),
        ("size(blob)", "blob", ASK.format("blob")),
        ("coalesce(name, status).trim()", "status", EMPTY.format("status", "''")),
        ("(active == true ? name : 'x').trim()", "name", EMPTY.format("name", "''")),
        ("choose(name, {'a': 1})", "name", EMPTY.format("name", "''")),
        ("name != '' && name.trim() == 'x'", "name", EMPTY.format("name", "''")),
        ("name == null || status.trim() == 'x'", "status", EMPTY.format("status", "''")),
        (
            "!(name != null && status != null) || name.trim() == status.trim() && qty > 1",
            "qty",
            EMPTY.format("qty", "0"),
        ),
        ("[1].map(status, name.trim())", "name", EMPTY.format("name", "''")),
        ("[1].map(status, active, status + 1)", "active", EMPTY.format("active", "false")),
        ("qty in [1, 2] || qty > 3", "qty", EMPTY.format("qty", "0")),
        ("rate > 5.0 || rate <= 5.0", "rate", EMPTY.format("rate", "0.0")),
    ],
)
def test_may_be_empty(text: str, part: str, message: str) -> None:
    """A field that may be empty where that is an error is said once, at its place, with what to write."""
    assert warnings(text) == [(part, message)]


def test_quoted_name() -> None:
    """A field with another name is meant as a whole, and its default can be put in its place."""
    text = 'upper(record["name"])'
    (found,) = check(parse(text), text, SCHEMA).problems
    assert meant(text, found) == 'record["name"]'
    assert found.suggestion == "record[\"name\"].orDefault('')"


@pytest.mark.parametrize(
    "text",
    [
        "id + 1",
        "name == 'x'",
        "name in ['x', 'y']",
        "name",
        "isBlank(name)",
        "[name, status].filter(x, x != null).join(', ')",
        "{'k': name}",
        "toText(name.orDefault(''))",
        "coalesce(name, status, 'x').trim()",
        "coalesce(name, status)",
        "name.orDefault('').trim()",
        "name != null && name.trim() == 'x'",
        "name.trim() == 'x' && name != null",
        "name == null || name.trim() == 'x'",
        "name.trim() == 'x' || null == name",
        "has(record.name) ? name.trim() : ''",
        "!has(record.name) ? '' : record.name.trim()",
        "name == null ? '' : name.trim()",
        "!isBlank(name) && size(name) > 3",
        "isBlank(name) ? 'x' : name.trim()",
        "name == 'x' && name.trim() == 'x'",
        "name in ['x', 'y'] ? name.trim() : ''",
        "(name != null && status != null) ? name.trim() + status.trim() : ''",
        "(name == null || status == null) ? '' : name.trim() + status.trim()",
        "!(name == null || status == null) && name.trim() == status.trim()",
        "name != null && (status == 'a' || name.startsWith('x'))",
        "choose(name, {'a': 1}, 2)",
        "dyn(name) == 1",
        "data == null ? 1 : data.x",
        "[1].all(name, name > 0)",
        "[{'name': 1}].map(record, record.name)",
        "name != null && name != ''",
        "qty.orDefault(0) > 5 && qty != null",
        "name == status",
        "data == 1 || data == 'x' || data.orDefault('') != 3",
        "status == 'a' || status == 'b'",
        "id > 3 && id < 6",
        "id >= 3 && id <= 3",
        "status != 'a' && status != 'b'",
        "id < 3 || id > 3",
        "price == 12.34",
        "id == 2.0",
        "1.5 in [id]",
        "born == date('2024-13-01')",
    ],
)
def test_nothing_to_warn_of(text: str) -> None:
    """What is guarded, on either side, and what can be true or false is no reason for a warning."""
    assert warnings(text) == []


@pytest.mark.parametrize(
    ("text", "part", "message"),
    [
        ("id > 5 && id < 3", "id < 3", BEFORE.format("false")),
        ("id > 5 && id < 6", "id < 6", BEFORE.format("false")),
        ("id > 5 && id > 3", "id > 3", BEFORE.format("true")),
        ("id >= 5 && 4.5 <= id", "4.5 <= id", BEFORE.format("true")),
        ("id > 5 || id <= 5", "id <= 5", BEFORE.format("true")),
        ("id == 5 && id > 7", "id > 7", BEFORE.format("false")),
        ("id in [5, 6] && id <= 6", "id <= 6", BEFORE.format("true")),
        ("id in [5, 9] && id < 7 && id == 9", "id == 9", BEFORE.format("false")),
        ("id < 7 && id in [8, 9]", "id in [8, 9]", BEFORE.format("false")),
        ("!(id > 5) && id > 7", "id > 7", BEFORE.format("false")),
        ("!(id < 5 || id > 7) && id == 9", "id == 9", BEFORE.format("false")),
        ("status == 'a' && status == 'b'", "status == 'b'", BEFORE.format("false")),
        ("status == 'a' && name == 'x' && status == 'b'", "status == 'b'", BEFORE.format("false")),
        ("status != 'a' || status != 'b'", "status != 'b'", BEFORE.format("true")),
        ("status == 'a' || status == 'a'", "status == 'a'", BEFORE.format("false")),
        ("status in ['a', 'b'] && status == 'c'", "status == 'c'", BEFORE.format("false")),
        ("!(status in ['a', 'b']) && status == 'a'", "status == 'a'", BEFORE.format("false")),
        ("status in ['a', 'b'] && status != 'a' && status == 'a'", "status == 'a'", BEFORE.format("false")),
        ("name == null && name == null", "name == null", BEFORE.format("true")),
        ("name != null && has(record.name)", "has(record.name)", BEFORE.format("true")),
        ("active == true && record.active && !active", "!active", BEFORE.format("false")),
        ("born == date('2024-01-01') && born < date('2023-01-01')", "born < date('2023-01-01')", BEFORE.format("false")),  # noqa: E501
        ("status == 'toolong'", "status == 'toolong'", "'status' has at most 5 characters, so this is always false."),
        ("id == 1.5", "id == 1.5", TYPE.format("id", "false")),
        ("id != 1.5", "id != 1.5", TYPE.format("id", "true")),
        ("id in [1.5, 2.5]", "id in [1.5, 2.5]", TYPE.format("id", "false")),
        ("price == 1.234", "price == 1.234", TYPE.format("price", "false")),
        ("id == null", "id == null", SOLID.format("false")),
        ("null != id", "null != id", SOLID.format("true")),
        ("has(record.id)", "has(record.id)", SOLID.format("true")),
        ("1 == 1", "1 == 1", ALWAYS.format("true")),
        ("-1 > 2 || id == 1", "-1 > 2", ALWAYS.format("false")),
        ("-(1) > 2", "-(1) > 2", ALWAYS.format("false")),
        ("'a' != 'b'", "'a' != 'b'", ALWAYS.format("true")),
        ("date('2024-01-01') <= date('2024-01-01')", "date('2024-01-01') <= date('2024-01-01')", ALWAYS.format("true")),
        ("false && id == 1", "false", ALWAYS.format("false")),
        ("id == 1 || !!true", "true", ALWAYS.format("true")),
        ("!true", "!true", ALWAYS.format("false")),
        ("!(1 == 2)", "1 == 2", ALWAYS.format("false")),
        ("id == 1 ? 1 : id == 2 ? 2 : id == 1 ? 3 + 1 : 4", "3 + 1", NEVER.format("false")),
        ("(true ? id : (id + 1)) > 3", "id + 1", NEVER.format("true")),
        ("id == null ? 'x' : name", "'x'", NEVER.format("false")),
        ("id.orDefault(3 + 1)", "3 + 1", FILLED),
        ("coalesce(name, 'x', status)", "status", FILLED),
        ("coalesce(name, id + 1 > 2 ? 'a' : 'b', 'x', status)", "status", FILLED),
        ("(id + 1).orDefault(2)", "2", FILLED),
        ("trim('x') == null", "trim('x') == null", NEVER_EMPTY),
        ("id in [1, 2, 1]", "1", "This value stands here a second time."),
    ],
)  # fmt: skip
def test_certain(text: str, part: str, message: str) -> None:
    """What is certainly true, false or never used is said, with the whole part that is meant."""
    assert warnings(text) == [(part, message)]


@pytest.mark.parametrize("text", ["{'a': 1, 'b': 2, 'a': 3}", "choose(name, {'a': 1, 'a': 2}, 3)"])
def test_key_twice(text: str) -> None:
    """A key that stands twice is an error, since the expression could never be evaluated."""
    with pytest.raises(ExpressionError) as failed:
        compile_expression(text, SCHEMA)
    (found,) = failed.value.problems
    assert str(found.message) == "This key stands here a second time."
    assert found.column == text.rindex("'a'") + 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("(a + b).c", "(a + b).c"),
        ("x + f(a, [b]) * 2", "x + f(a, [b]) * 2"),
        ("  name.trim( ) ", "name.trim( )"),
        ("a[b(c)]", "a[b(c)]"),
        ("{1: (2)}", "{1: (2)}"),
        ("((a))", "a"),
        ("now()", "now()"),
        ("-(a)", "-(a)"),
        ("- 5", "- 5"),
        ("name . trim ( )", "name . trim ( )"),
        ("has({'a': has(b.c)}.a)", "has({'a': has(b.c)}.a)"),
    ],
)
def test_spans(text: str, part: str) -> None:
    """The range of a part has its brackets, and nothing more."""
    tree = parse(text)
    start, end = spans(text, tree)[id(tree)]
    assert text[start:end] == part


VALUES = st.integers(-3, 3)
TESTS = st.one_of(
    st.builds(lambda s, v: Question("x", s, (v,)), st.sampled_from(["<", "<=", ">", ">="]), VALUES),
    st.builds(lambda vs: Question("x", "in", tuple(vs)), st.lists(VALUES, min_size=1, max_size=3)),
)


def holds(value: int, test: Question) -> bool:
    """Return the answer to a question for one value, the plain way."""
    other = test.values[0]
    answers = {"<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other}
    return answers.get(test.symbol, value in test.values)


@given(st.lists(st.tuples(TESTS, st.booleans()), max_size=4), TESTS)
def test_domains(known: list[tuple[Question, bool]], asked: Question) -> None:
    """A certain answer is the answer for every value that what is known allows."""
    domain = Domain(filled=True)
    for test, answer in known:
        domain = domain.narrowed(test, answer=answer)
    left = [v for v in range(-4, 5) if all(holds(v, test) is answer for test, answer in known)]
    found = domain.answer(asked)
    if left and found is not None:
        assert {holds(value, asked) for value in left} == {found}
    if len(left) == 0 and domain.impossible:
        assert found is None


ATOMS = st.sampled_from(
    [
        "qty > 1",
        "qty < 2",
        "qty == 1",
        "qty != 1",
        "qty in [0, 2]",
        "qty == null",
        "qty != null",
        "has(record.qty)",
        "active",
        "active == true",
        "status == 'a'",
        "status in ['a', 'b']",
        "isBlank(status)",
        "status.startsWith('a')",
        "id == 1",
        "id > 0",
        "true",
    ]
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda parts: st.one_of(
        st.tuples(parts, parts).map(lambda p: f"({p[0]} && {p[1]})"),
        st.tuples(parts, parts).map(lambda p: f"({p[0]} || {p[1]})"),
        parts.map(lambda p: f"!({p})"),
        st.tuples(parts, parts, parts).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
    ),
    max_leaves=6,
)
RECORDS = [
    {"id": number, "qty": qty, "active": active, "status": status}
    for number in (0, 1)
    for qty in (None, 0, 1, 2, 3)
    for active in (None, True, False)
    for status in (None, "", "a", "b")
]


@given(CONDITIONS)
def test_warnings_are_true(text: str) -> None:
    """For no record is a condition without a warning of empty fields an error; what is always true or false is.

    A part that is said to be always true (false) can be replaced by that: for every record that has a result, it stays.
    """
    checked = check(parse(text), text, SCHEMA)
    before = on_runtime(checked, SCHEMA, RECORDS)
    if not any("may be empty" in str(problem.message) for problem in checked.problems):
        assert not any(isinstance(result, Failed) for result in before)
    for problem in checked.problems:
        if "always" in str(problem.message) and "never used" not in str(problem.message):
            start = problem.column - 1
            other = text[:start] + str(problem.message.values["truth"]) + text[start + problem.length :]
            again = check(parse(other), other, SCHEMA)
            after = on_runtime(again, SCHEMA, RECORDS)
            pairs = zip(before, after, strict=True)
            assert all(isinstance(old, Failed) or old is new for old, new in pairs)
