"""Syntax errors: in plain words, at their place, with what to type instead."""

from __future__ import annotations

import pytest

from tests.rules.language.records import problem, problems

DEEP = "This expression is nested too deeply or has too many terms in a row. Split it up."
FULL_WIDTH = "'{}' is a full-width or typographic character. Type {} instead."
EARLY = "The expression ends too early: something is missing at its end."
EXTRA = "'{}' is not expected here. Is an operator such as +, == or && missing before it?"
MISSING = "'{}' is not expected here. A value or a field name is missing."
NO_DOT = "A field name is missing behind the dot."
RESERVED = 'This word is reserved. Write record["..."] for a field of that name.'
QUOTE = "The text that starts here has no end quote, or a backslash in it is not followed by a known letter."
LETTERS = 'A name with other characters than a-z, 0-9 and _ is written record["客户"].'
NUL = "The character NUL (code 0) is not possible in an expression."
NAMED = "Objects of a named type are not supported. Leave the name before the brace away."
OPTIONAL = "This form is not supported."
MANY = "A list may have at most 1000 items here."


@pytest.mark.parametrize(
    ("text", "message", "line", "column", "suggestion"),
    [
        ("  ", "The expression is empty.", 1, 1, None),
        ("qty = 1", "Use == to compare two values.", 1, 5, "=="),
        ("active and active", "Write && for 'and'.", 1, 8, "&&"),
        ("active OR active", "Write || for 'OR'.", 1, 8, "||"),
        ("not active", "Write ! for 'not'.", 1, 1, "!"),
        ("active & active", "Use && here.", 1, 8, "&&"),
        ("active | active", "Use || here.", 1, 8, "||"),
        ("qty <> 1", "Use != to ask whether two values differ.", 1, 5, "!="),
        ("'abc", QUOTE, 1, 1, None),
        ('name + "\\q"', QUOTE, 1, 8, None),
        (
            "name + '\\ud800'",
            "A backslash in this text is followed by something that is no character.",
            1,
            8,
            None,
        ),
        ("name +\n '客户' + 客户", LETTERS, 2, 9, 'record["客户"]'),
        ("name == “x”", FULL_WIDTH.format("“", '"'), 1, 9, '"'),
        ("trim（name)", FULL_WIDTH.format("（", "("), 1, 5, "("),
        ("name == '😀' ？ 1 : 2", FULL_WIDTH.format("？", "?"), 1, 13, "?"),
        ("name.（", FULL_WIDTH.format("（", "("), 1, 6, "("),
        ("trim(name", "A closing bracket ) is missing.", 1, 10, None),
        ("trim(name,)", MISSING.format(")"), 1, 11, None),
        ("trim(name name)", EXTRA.format("name"), 1, 11, None),
        ("active ? 1", "A colon with the other result is missing, like in a ? b : c.", 1, 11, None),
        ("qty +", EARLY, 1, 6, None),
        ("[1", "A closing bracket ] is missing.", 1, 3, None),
        ("data[1", "A closing bracket ] is missing.", 1, 7, None),
        ("{1: 2", "A closing brace is missing.", 1, 6, None),
        ("{1: 2 3: 4}", EXTRA.format("3"), 1, 7, None),
        ("qty ++ 1", MISSING.format("+"), 1, 6, None),
        ("'a' 'b'", EXTRA.format("b"), 1, 5, None),
        ("name.", NO_DOT, 1, 6, None),
        ("name.1", EXTRA.format(".1"), 1, 5, None),
        ("name.in", NO_DOT, 1, 6, None),
        ("for", RESERVED, 1, 1, 'record["for"]'),
        ("in", MISSING.format("in"), 1, 1, None),
        ("has(name)", "has() asks for a field, like has(record.phone).", 1, 5, None),
        ("[1].all(1, true)", "The first part in the brackets must be a new name for the items, like x.", 1, 9, None),
        ("99999999999999999999", "This whole number is too large.", 1, 1, None),
        ("-9223372036854775809", "This whole number is too large.", 1, 1, None),
        ("1e999", "This number is too large.", 1, 1, None),
        ("1u", "Numbers with the ending u are not supported. Leave the u away.", 1, 1, "1"),
        ("name.?x", OPTIONAL, 1, 5, None),
        ("[?x]", OPTIONAL, 1, 2, None),
        ("Foo{a: 1}", NAMED, 1, 1, None),
        ("a.Foo{a: 1}", NAMED, 1, 3, None),
        ("@", "The character '@' has no meaning here.", 1, 1, None),
        ("§", "The character '§' has no meaning here.", 1, 1, None),
        ("(" * 60 + "1" + ")" * 60, DEEP, 1, 1, None),
        ("+".join(["1"] * 160), DEEP, 1, 1, None),
        ("name + '\\u0000'", NUL, 1, 8, None),
        ("blob + b'\\000'", NUL, 1, 8, None),
        ("na\x00me", NUL, 1, 3, None),
        ("x" * 10_001, "This expression has 10001 characters; at most 10000 are allowed.", 1, 1, None),
        ("1 in [" + ",".join(["1"] * 1001) + "]", MANY, 1, 6, None),
        ("{" + ",".join(f"{n}: 1" for n in range(1001)) + "}", MANY, 1, 1, None),
    ],
)
def test_syntax(text: str, message: str, line: int, column: int, suggestion: str | None) -> None:
    """Each mistake has its sentence, its place and, where one is likely, its correction."""
    assert problem(text) == (message, line, column, suggestion)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("qty <> 1", "<>"),
        ("not active", "not"),
        ("name + 客户名称 ", "客户名称"),
        ("name == 'abc", "'abc"),
        ("name.trim(a b)", "b"),
        ("name + phoen", "phoen"),
        ("name + trimm(name)", "trimm"),
        ("name >= 1", ">="),
        ("qty +", ""),
        ("1u", "1u"),
        ("-1e999", "-1e999"),
    ],
)
def test_range(text: str, meant: str) -> None:
    """A problem says exactly which characters are meant, so that an editor can underline and replace them."""
    (found,) = problems(text)
    assert text[found.column - 1 : found.column - 1 + found.length] == meant


def test_deep_trees() -> None:
    """What only our own rewriting makes too deep is refused when it is compiled, not when it runs."""
    text = "coalesce(name.trim(), " * 28 + "name" + ")" * 28
    (found,) = problems(text)
    assert "nested too deeply" in str(found.message)
