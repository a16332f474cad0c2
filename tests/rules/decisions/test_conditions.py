"""Expressions in cells, inputs and outputs; what happens where they have no result."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rules.decisions import compile_table
from rules.documents import DocumentError
from rules.schema import Field, FieldType, Schema
from tests.rules.decisions.tables import DAY, batch, small

COMPUTED = [{"name": "amount", "type": "decimal"}, {"name": "size", "type": "integer", "expression": "size(country)"}]


def test_conditions() -> None:
    """An expression cell is asked beside the others; `?` is its column, other fields can be named."""
    rows = [["> 1", "startsWith(?, 'C') && amount < 10.0", "1", "a"], ["? > 100.0 || country == 'DE'", "-", "2", "b"]]
    found = compile_table(small(rows)).evaluate(batch((5, "CN"), (50, "CN"), (0, "DE"), (500, "CN")), DAY)
    assert found.outputs["tier"].to_list() == ["a", None, "b", "b"]
    assert found.errors == ()


def test_computed_inputs_and_outputs() -> None:
    """An input may be computed; cells and outputs name it like a field."""
    rows = [
        ["-", "> 2", "amount * 2.0", "= country"],
        ["-", "? == 2 && size == 2", "= size", "two"],
        ["-", "-", "0", "x"],
    ]
    schema = Schema((Field("amount", FieldType.DECIMAL), Field("country")))
    table = compile_table(small(rows, inputs=COMPUTED), schema)
    found = table.evaluate(batch((5, "CNX"), (5, "CN"), (5, ""), (5, None)), DAY)
    assert found.outputs["rate"].to_list() == [Decimal(10), Decimal(2), Decimal(0), None]
    assert found.outputs["tier"].to_list() == ["CNX", "two", "x", None]
    assert [(e.row, str(e.message)[:42]) for e in found.errors] == [(3, "Input 'size': The field 'country' is empty")]
    assert table.fields == {"amount", "country"}


def test_conditions_without_an_answer() -> None:
    """A record is an error only if the row whose condition has no answer could change the outcome."""
    rows = [["< 1", "? == 'x' || size(?) > 1", "1", "a"], ["> 5", "-", "2", "b"], ["-", "size(?) > 1", "3", "c"]]
    records = batch((0, None), (9, None), (3, None), (3, "CN"))
    first = compile_table(small(rows)).evaluate(records, DAY)
    assert first.fired.to_list() == [None, 1, None, 2]
    assert [(e.row, str(e.message).partition(":")[0], e.column) for e in first.errors] == [
        (0, "Row 1, 'country'", 18),
        (2, "Row 3, 'country'", 6),
    ]
    several = compile_table(small(rows, "rule_order")).evaluate(records, DAY)
    assert several.fired.to_list() == [None, None, None, [2]]


def test_outputs_without_a_result() -> None:
    """A record whose output cannot be computed is an error that names row and output; others go on."""
    rows = [["-", "-", "1.0 / amount", "a"], ["-", "CN", "2", "b"]]
    found = compile_table(small(rows)).evaluate(batch((0, "x"), (4, "x")), DAY)
    assert found.outputs.rows() == [(None, None), (Decimal("0.25"), "a")]
    assert [str(e.message).partition(":")[0] for e in found.errors] == ["Row 1, 'rate'"]
    assert found.hits.tolist() == [1, 0]
    several = compile_table(small(rows, "collect")).evaluate(batch((0, "CN"), (4, "CN")), DAY)
    assert several.fired.to_list() == [None, [0, 1]]
    assert several.hits.tolist() == [1, 1]


def test_computed_values_are_held_to_the_allowed_ones() -> None:
    """A computed output that is not among the allowed values is an error."""
    outputs = [{"name": "rate", "type": "decimal", "allowed": [1, 2]}, {"name": "tier"}]
    table = compile_table(small([["-", "-", "= amount", "a"]], outputs=outputs))
    found = table.evaluate(batch((1, ""), (3, "")), DAY)
    assert [str(e.message) for e in found.errors] == ["Row 1, 'rate': 3 is not among the values that 'rate' may have."]


@pytest.mark.parametrize(
    ("rows", "path", "column", "message"),
    [
        ([["-", "? == contry", "1", "a"]], "rows/0/when/1", 6, "Did you mean 'country'"),
        ([["? + 1.0", "-", "1", "a"]], "rows/0/when/0", 3, "The result is"),
        ([["-", "-", "1", "= nothing"]], "rows/0/then/1", 1, "There is no field 'nothing'"),
        ([["-", "? ==\n contry", "1", "a"]], "rows/0/when/1", 2, "Did you mean 'country'"),
        ([["-", "? == ", "1", "a"]], "rows/0/when/1", None, "rows/0/when/1"),
    ],
)
def test_wrong_expressions(rows: list[list[str]], path: str, column: int | None, message: str) -> None:
    """A wrong expression is told with its cell and its column there."""
    with pytest.raises(DocumentError, match=message) as caught:
        compile_table(small(rows))
    problem = caught.value.problems[0]
    assert problem.path == path
    assert column is None or problem.column == column


def test_wrong_inputs() -> None:
    """An input's expression is checked like any other, and its result has to be of the column's type."""
    for expression, message in (("size(cuntry)", "There is no field"), ("country", "The result is text")):
        inputs = [{"name": "amount", "type": "decimal"}, {"name": "n", "type": "integer", "expression": expression}]
        schema = Schema((Field("amount", FieldType.DECIMAL), Field("country")))
        with pytest.raises(DocumentError, match=message) as caught:
            compile_table(small([["-", "-", "1", "a"]], inputs=inputs), schema)
        assert caught.value.problems[0].path == "inputs/1/expression"


def test_warnings() -> None:
    """Warnings of expressions do not keep the table from being used."""
    inputs = [{"name": "amount", "type": "integer"}, {"name": "country"}]
    table = compile_table(small([["? / 2 > 1", "-", "1", "a"]], inputs=inputs))
    sure = [{"name": "amount", "type": "integer", "allowed": [">= 0"]}, {"name": "country"}]
    compiled = compile_table(small([["? / 2 > 1", "-", "1", "a"]], inputs=sure))
    assert [(w.path, w.column) for w in compiled.warnings] == [("rows/0/when/0", 3)]
    assert [
        (w.column, w.length) for w in compile_table(small([["1 < ? / 2", "-", "1", "a"]], inputs=sure)).warnings
    ] == [(7, 1)]
    assert ("rows/0/when/0", 3) in [(w.path, w.column) for w in table.warnings]


def test_the_same_expression_in_several_rows() -> None:
    """It is compiled once, decides for each of its rows, and is told with each of them if it is wrong."""
    rows = [["> 1", "size(?) > 1", "1", "= country"], ["-", "size(?) > 1", "2", "= country"]]
    found = compile_table(small(rows, "rule_order")).evaluate(batch((5, "CN"), (0, "CN"), (5, "")), DAY)
    assert found.fired.to_list() == [[0, 1], [1], []]
    assert found.outputs["tier"].to_list() == [["CN", "CN"], ["CN"], []]
    with pytest.raises(DocumentError) as caught:
        compile_table(small([["-", "? == x", "1", "a"], ["-", "? == x", "1", "a"]]))
    assert [p.path for p in caught.value.problems] == ["rows/0/when/1", "rows/1/when/1"]
