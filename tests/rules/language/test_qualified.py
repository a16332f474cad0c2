"""Fields with a dot in their name."""

from __future__ import annotations

import polars as pl
import pytest

from rules.language import ExpressionError, compile_expression
from rules.schema import Field, FieldType, Schema

SCHEMA = Schema(
    (Field("name"), Field("credit.limit", FieldType.INTEGER), Field("credit.class"), Field("tags", FieldType.JSON))
)
BATCH = pl.DataFrame(
    {"name": ["a", "b"], "credit.limit": [5, None], "credit.class": ["gold", "x"], "tags": ['["p"]', "[]"]},
    schema=SCHEMA.dtypes(),
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("credit.limit", [5, None]),
        ("orDefault(credit.limit, 0) + 1", [6, 1]),
        ("has(credit.limit)", [True, False]),
        ("credit.class.upper()", ["GOLD", "X"]),
        ("credit.class in ['gold'] ? name : credit.class", ["a", "x"]),
        ("{'k': credit.class}.k", ["gold", "x"]),
        ("tags.exists(credit, credit == 'p')", [True, False]),
        ("tags.map(t, t + credit.class).size()", [1, 0]),
        ("-orDefault(credit.limit, 1)", [-5, -1]),
    ],
)
def test_a_name_with_a_dot_is_a_field(text: str, values: list[object]) -> None:
    """It works wherever a field works, and a loop's own variable goes before it."""
    evaluated = compile_expression(text, SCHEMA).evaluate(BATCH)
    assert (evaluated.values.to_list(), evaluated.errors) == (values, ())


def test_what_is_no_field_is_told() -> None:
    """A wrong name behind the dot is named as what stands there."""
    with pytest.raises(ExpressionError, match="credit"):
        compile_expression("credit.limits", SCHEMA)
