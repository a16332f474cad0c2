"""Our parser gives the trees that Google's parser gives."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.nodes import Call, Ident, Literal, Node, Operator
from rules.language.parse import parse
from rules.language.problems import ExpressionError
from tests.rules.language.conformance import cases
from tests.rules.language.oracle import Untaken, google_tree

TEXTS = sorted({case.expression for case in cases() if not case.data["disable_macros"]})


def plain(node: Any) -> Any:
    """Return a tree without its places, calls of names with a dot written as members."""
    if isinstance(node, Call) and "." in node.name:
        space, name = node.name.split(".")
        return plain(Call(0, name, (Ident(0, space), *node.args), member=True))
    if isinstance(node, Literal):
        return type(node.value), node.value
    if isinstance(node, tuple):
        return tuple(plain(part) for part in node)
    if not dataclasses.is_dataclass(node):
        return node
    values = [getattr(node, field.name) for field in dataclasses.fields(node) if field.name != "at"]
    return (type(node).__name__, *map(plain, values))


def ours(text: str) -> Node | None:
    """Return our tree, None for a text that we refuse."""
    try:
        return parse(text)
    except ExpressionError:
        return None


@pytest.mark.parametrize("text", TEXTS)
def test_same_tree(text: str) -> None:
    """For every expression of the conformance data both parsers give the same tree, or we refuse it."""
    found = ours(text)
    if found is not None:
        assert plain(found) == plain(google_tree(text))


VALUES = st.sampled_from(
    ["a", "b.c", "1", "-2", "0x1F", "1.5", ".5e3", "'t'", 'r"\\d"', "b'x'", "true", "null", "[1, 2,]", "{'k': 1}", "[]"]
)


def _grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"])
    return st.one_of(
        st.lists(st.tuples(parts, signs), min_size=1, max_size=4)
        .map(lambda ps: " ".join(f"{p} {s}" for p, s in ps))
        .flatmap(lambda text: parts.map(lambda last: f"{text} {last}")),
        st.tuples(parts, parts, parts).map(lambda p: f"({p[0]} ? ({p[1]}) : {p[2]})"),
        parts.map(lambda p: f"({p})"),
        parts.map(lambda p: f"!({p})"),
        parts.map(lambda p: f"--({p})"),
        parts.map(lambda p: f"-({p}).x"),
        st.tuples(parts, parts).map(lambda p: f"f({p[0]}, {p[1]})[{p[1]}]"),
        st.tuples(parts, parts).map(lambda p: f"[{p[0]}].filter(x, {p[1]})"),
        st.tuples(parts, parts).map(lambda p: f"[{p[0]}].map(x, x == 1, {p[1]}).exists_one(y, {p[0]})"),
        parts.map(lambda p: f"has(({p}).k)"),
    )


@given(st.recursive(VALUES, _grown, max_leaves=12))
def test_same_tree_generated(text: str) -> None:
    """Both parsers give the same tree for what they both take, and ours takes what Google's takes."""
    try:
        theirs = google_tree(text)
    except Untaken:
        return  # a limit of theirs
    assert plain(parse(text)) == plain(theirs)


@given(st.text(st.sampled_from("ab1.'\"()[]{}:?!-+&|<>=, \n\\rx0u`%/"), max_size=14))
def test_same_texts(text: str) -> None:
    """What one parser takes, the other takes, but for the forms that are refused by design."""
    found = ours(text)
    try:
        theirs = google_tree(text)
    except Untaken:
        theirs = None
    if found is not None:
        assert theirs is not None, text
        assert plain(found) == plain(theirs)


@pytest.mark.parametrize("sign", ["&&", "||", "+", "=="])
def test_long_rows(sign: str) -> None:
    """A long row of terms is no problem; rows of && and || become trees that are as flat as can be."""
    count = {"&&": 1200, "||": 1200, "+": 99, "==": 99}[sign]
    tree = parse(f" {sign} ".join(["a"] * count))
    levels = 0
    while isinstance(tree, Operator):
        tree, levels = tree.operands[0], levels + 1
    assert levels == (count - 1 if count < 100 else 11)
