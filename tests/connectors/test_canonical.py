"""One JSON text for one JSON value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.canonical import json_text, json_value

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_one_text_for_one_value(value: Any) -> None:
    """Order of keys, white space and escapes do not matter, and the text still says the same."""
    text = json_text(json.dumps(value))
    assert text == json_text(json.dumps(value, ensure_ascii=False, indent=3, sort_keys=True)) == json_text(text)
    assert _exact(text) == _exact(json.dumps(value))


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1.10", "1.1"), ("1.0", "1"), ("11e-1", "1.1"), ("1e5", "100000"), ("-0.0", "0"), ("1E400", "1E+400"),
        ("12345678901234567890.1250", "12345678901234567890.125"), (f"1{'0' * 29}1", f"1{'0' * 29}1"),
        ("0.0000001", "1E-7"), ("1e-7", "1E-7"), ('{"b":1,"a":2,"b":3}', '{"a":2,"b":3}'),
        (' [ "\\u5ba2" ] ', '["客"]'),
    ],
)  # fmt: skip
def test_numbers_are_written_by_value(written: str, canonical: str) -> None:
    """However a number is written, it has one text, with all its digits."""
    assert json_text(written) == canonical


@pytest.mark.parametrize("wrong", ["", "{", "NaN", "[1,]", "'a'", "[" * 100_000, b"\xff"])
def test_what_is_no_json(wrong: str | bytes) -> None:
    """What is no JSON is an error."""
    with pytest.raises(ValueError, match=r"."):
        json_text(wrong)


def test_plain_values() -> None:
    """Python values become canonical text."""
    assert json_value({"b": Decimal("1.5"), "a": ["ä", None, True]}) == '{"a":["ä",null,true],"b":1.5}'
