"""From the tree back to text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.nodes import Has, Ident, Literal, Node, Operator, Select, rebuilt
from rules.language.parse import parse
from rules.language.writing import field_text, quoted, text_of

EXPRESSIONS = [
    "-1",
    "-(1)",
    "-(-1)",
    "-x",
    "-x.y",
    "(-1).abs()",
    "-(x.y + 1)",
    "a - -1",
    "a - (b - c)",
    "a - b - c",
    "1.5 + 1e+300",
    "!a.b",
    "!(!a)",
    "!(a && b)",
    "a && b || c && d",
    "(a || b) && (c || d || e)",
    "a == b == c",
    "a == (b == c)",
    "(a + b) * c % d",
    "a ? b : c ? d : e",
    "(a ? b : c) ? d : e",
    "(a || b) ? (c ? d : e) : f",
    "a in ['x', 1, null]",
    "{'a': 1, 'b': [true, false]}['a']",
    "x[0].y",
    "(a + b)[0]",
    "[1, 2].map(x, x > 1, x * 2)",
    "a.filter(x, x != null).join(', ')",
    "l.all(x, l.exists(y, y == x))",
    "l.exists_one(x, x > 0)",
    "l.map(x, x + 1)",
    "has(record.f) && has(a.b.c)",
    "record.f",
    'record["客户名称"] + "先生"',
    'record["in"]',
    "record[name]",
    "f(a, b).g(c)",
    "'it\\'s\\n\\\\ \\u0007'",
    "r'\\d+'",
    '"""two\nlines"""',
    "-9223372036854775808",
    "(a + b).f()",
    "'a'.contains('b')",
    "[a].size() > 0",
]


def placeless(node: Node) -> Node:
    """Return the tree without places, chains of && and || joined from the left."""
    made = rebuilt(replace(node, at=0), placeless)
    if isinstance(made, Operator) and made.symbol in ("&&", "||"):
        parts = _chain(made, made.symbol)
        made = parts[0]
        for part in parts[1:]:
            made = Operator(0, node.symbol, (made, part)) if isinstance(node, Operator) else made
    return made


def _chain(node: Node, symbol: str) -> list[Node]:
    if isinstance(node, Operator) and node.symbol == symbol:
        return [part for operand in node.operands for part in _chain(operand, symbol)]
    return [node]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_what_is_written_is_read_as_the_same_tree(text: str) -> None:
    """Tree -> text -> tree is the identity, and writing twice changes nothing more."""
    tree = parse(text)
    written = text_of(tree)
    assert placeless(parse(written)) == placeless(tree)
    assert text_of(parse(written)) == written


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_any_text_can_be_quoted(text: str) -> None:
    """Quotes, backslashes, line ends and other writings survive."""
    tree = parse(quoted(text))
    assert isinstance(tree, Literal)
    assert tree.value == text


@given(st.text(st.characters(exclude_characters="\x00\t", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_field_can_be_named(name: str) -> None:
    """A field of any name is read as that field."""
    tree = parse(field_text(name))
    if field_text(name) == name:
        assert tree == Ident(0, name)
    else:
        assert isinstance(tree, Operator)
        assert tree.operands[1] == Literal(tree.operands[1].at, name)


def test_brackets_stand_only_where_they_are_needed() -> None:
    """What people wrote with too many brackets becomes plain."""
    assert text_of(parse("((a) && ((b))) && (c || (d))")) == "a && b && (c || d)"


def test_fields_with_a_dot_are_named_in_full() -> None:
    """A field of a decision table or an event keeps its whole name."""
    assert text_of(Select(0, Ident(0, "record"), "credit.limit")) == 'record["credit.limit"]'
    assert text_of(Has(0, Ident(0, "record"), "credit.limit")) == "has(credit.limit)"


def test_bytes_are_written_as_codes() -> None:
    """Bytes have no letters of their own."""
    assert text_of(Literal(0, b"\x01a")) == "b'\\x01\\x61'"
