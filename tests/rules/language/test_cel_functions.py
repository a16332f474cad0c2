"""The standard extensions of CEL: what the conformance cases do not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.functions.cel_math import shift_left, shift_right
from rules.language.functions.cel_strings import last_index_of, quote
from rules.language.parse import parse
from tests.rules.language.records import error, problem, value

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("math.greatest(qty, 3, rate)", 7.0),
        ("math.least([qty, 3.5])", 3.5),
        ("math.sqrt(rate * 2.0)", 1.0),
        ("math.isNaN(math.sqrt(-1.0))", True),
        ("math.isNaN(math.sign(math.sqrt(-1.0)))", True),
        ("math.isInf(math.ceil(double('Infinity')))", True),
        ("math.isInf(math.floor(double('Infinity')))", True),
        ("math.isInf(math.trunc(double('Infinity')))", True),
        ("'a-b-c'.replace('-', '+', -1)", "a+b+c"),
        ("'%s|%s'.format([blob, data.a.b])", "abc|[1, 2, x]"),
        ("'%s'.format([{'k': [null, 1.5, true]}])", "{k: [null, 1.5, true]}"),
        ("'%d %b %o %x'.format([data.n, true, 8, -255])", "5 1 10 -ff"),
        ("'100%'.format([])", None),
        ("string(blob)", "abc"),
        ("[name.trim(), 'x'].join()", "Adax"),
    ],
)
def test_value(text: str, expected: object) -> None:
    """The functions take fields, JSON and mixed numbers."""
    if expected is None:
        assert error(text)[0].startswith("format() knows")
    else:
        assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("math.greatest(data.a.b)", "A list of numbers with at least one item is needed here."),
        ("math.least(data.a.b.filter(x, false))", "A list of numbers with at least one item is needed here."),
        ("math.abs(qty - 9223372036854775807 - 8)", "The result is too large."),
        ("math.bitShiftLeft(qty, -qty)", "Bits cannot be shifted by -7 places."),
        ("phone.charAt(9)", "There is no position 9 in a text of 6 characters."),
        ("phone.format([])", None),
        (
            "[phone.padLeft(9000).replace(' ', 'a'.padLeft(90))].map(x, '%s%s'.format([x, x]))[0]",
            "A text may have at most 1000000 characters.",
        ),
        ("'%d %d'.format([qty])", "format() has more places than values."),
        ("'%d'.format([name])", "format() cannot write  Ada  for %d."),
        ("'%f'.format([name])", "format() cannot write  Ada  for %f."),
        ("'%o'.format([name])", "format() cannot write  Ada  for %o."),
        ("'%.200f'.format([qty])", "format() knows %s, %d, %f, %e, %b, %o, %x, %X and %%, not %.200f."),
        ("string(b'\\xff' + blob)", "The binary data is not text (UTF-8)."),
        ("phone.split('', 2)", "split() needs a separator; it is empty here."),
        ("phone.replace('', 'x', 2)", "replace() needs the text to look for; it is empty here."),
    ],
)
def test_error(text: str, message: str | None) -> None:
    """What they cannot do is said in plain words."""
    if message is None:
        assert value(text) == "+86 21"
    else:
        assert error(text)[0] == message


def test_unknown_in_namespace() -> None:
    """A wrong name behind math. or strings. is corrected as a whole."""
    assert problem("math.greatst(1, 2)") == (
        "There is no function 'math.greatst'. Did you mean 'math.greatest'?",
        1,
        1,
        "math.greatest",
    )
    assert problem("math.zzzz(1)")[0] == "There is no function 'math.zzzz'."


@given(INT64, st.integers(0, 70))
def test_shifts(number: int, places: int) -> None:
    """Shifting stays within 64 bits and loses only what is shifted out."""
    left = shift_left(number, places)
    assert -(2**63) <= left < 2**63
    assert (left - (number << places)) % 2**64 == 0
    right = shift_right(number, places)
    assert right % 2**64 == (number % 2**64) >> places


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_quote(text: str) -> None:
    """A quoted text is a literal of that text."""
    assert parse(quote(text)).value == text  # type: ignore[union-attr]


@given(st.text("ab"), st.text("ab", max_size=2), st.data())
def test_last_index(text: str, part: str, data: st.DataObject) -> None:
    """The last place at or before a position is the last such place of all."""
    start = data.draw(st.integers(0, len(text)))
    places = [n for n in range(start + 1) if text.startswith(part, n) and n + len(part) <= len(text)]
    assert last_index_of(text, part, start) == max(places, default=-1)
