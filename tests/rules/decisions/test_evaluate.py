"""A compiled table decides as its cells say, under every hit policy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decisions import compile_table, matching, merge_hits
from rules.decisions.table_cells import read_cells
from rules.documents import DocumentError
from rules.documents.decision_table import DecisionTable
from rules.schema import Field, FieldType, Schema
from tests.rules.decisions.tables import DAY, active, applies, batch, documents, records, small, table_of

D = Decimal


@settings(max_examples=120)
@given(st.data())
def test_agrees_with_a_plain_reading(data: st.DataObject) -> None:
    """Pieces of lines, bits and chunks give the rows that a cell by cell reading gives, for all types and policies."""
    document = data.draw(documents())
    table = table_of(document)
    limit = data.draw(st.sampled_from([1, matching.MAX_BYTES]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matching, "MAX_BYTES", limit)
        _agrees(data, document, table)


def _agrees(data: st.DataObject, document: dict[str, Any], table: DecisionTable) -> None:
    found = data.draw(records(table))
    cells, problems = read_cells(table)
    assert problems == []
    rows = list(found.iter_rows())
    wanted = [
        [
            n
            for n, cells_ in enumerate(cells.when)
            if active(table, n) and all(applies(cell, value) for cell, value in zip(cells_, row, strict=True))
        ]
        for row in rows
    ]
    first = compile_table(table).evaluate(found, DAY)
    assert first.outputs["out"].to_list() == [hits[0] if hits else None for hits in wanted]
    assert first.fired.to_list() == first.outputs["out"].to_list()
    several = compile_table(table_of(document, hit_policy="rule_order")).evaluate(found, DAY)
    assert several.outputs["out"].to_list() == several.fired.to_list() == wanted
    unique = compile_table(table_of(document, hit_policy="unique")).evaluate(found, DAY)
    assert [error.row for error in unique.errors] == [n for n, hits in enumerate(wanted) if len(hits) > 1]
    assert unique.fired.to_list() == [hits[0] if len(hits) == 1 else None for hits in wanted]
    for decided in (first, several, unique):
        counts = np.zeros(len(table.rows), int)
        for fired in decided.fired.to_list():
            counts[[] if fired is None else fired] += 1
        assert decided.hits.tolist() == counts.tolist()


@given(st.integers(0, 200), st.integers(1, 200))
def test_wide_tables(row: int, rows: int) -> None:
    """Rows beyond the first word of bits are found, and so is the absence of any."""
    table = small([[f"[{n}..{n + 1})", "-", str(n), "-"] for n in range(rows)])
    found = compile_table(table).evaluate(batch((row, None), (row + D("0.5"), "x")), DAY)
    wanted = row if row < rows else None
    assert found.fired.to_list() == [wanted, wanted]
    assert found.outputs["rate"].to_list() == [wanted, wanted]


def test_chunks() -> None:
    """Batches of many chunks are decided like small ones, also without a single record."""
    outputs = [{"name": "rate", "type": "decimal"}]
    table = small([["> 5000", "CN", "1"], ["-", "-", "2"]], "collect", aggregation="sum", outputs=outputs)
    many = batch(*[(n, "CN") for n in range(10_000)])
    found = compile_table(table).evaluate(many, DAY)
    assert found.outputs["rate"].to_list() == [D(3) if n > 5000 else D(2) for n in range(10_000)]
    assert found.hits.tolist() == [4999, 10_000]
    empty = compile_table(table).evaluate(many.head(0), DAY)
    assert (empty.outputs.height, len(empty.fired), empty.hits.tolist()) == (0, 0, [0, 0])


def test_no_rows() -> None:
    """A table without rows gives the defaults."""
    outputs = [{"name": "rate", "type": "decimal", "default": 0.15}, {"name": "tier"}]
    found = compile_table(small([], outputs=outputs)).evaluate(batch((1, "x")), DAY)
    assert found.outputs.rows() == [(D("0.15"), None)]
    assert found.fired.to_list() == [None]


def test_unique_names_both_rows() -> None:
    """Two rows that apply are an error of the record that names both."""
    table = small([{"when": ["> 1", "-"], "then": [1, "a"], "id": "big"}, ["-", "CN", "2", "b"]], "unique")
    found = compile_table(table).evaluate(batch((5, "CN"), (5, "DE")), DAY)
    assert [(e.row, str(e.message)) for e in found.errors] == [
        (0, "Rows 1 (big) and 2 both apply, but only one may (hit policy unique).")
    ]
    assert found.outputs.rows() == [(None, None), (D(1), "a")]
    assert found.hits.tolist() == [1, 0]


def test_any() -> None:
    """Rows with the same outputs agree, also if they are computed; different ones are an error."""
    rows = [["> 1", "-", "0.5", "a"], ["-", "CN", "0.50", "a"], ["-", "DE", "= 1.0 / 2.0", "a"], ["-", "FR", "1", "a"]]
    found = compile_table(small(rows, "any")).evaluate(batch((5, "CN"), (5, "DE"), (5, "FR"), (5, "XX")), DAY)
    assert found.fired.to_list() == [0, 0, None, 0]
    assert [str(e.message) for e in found.errors] == [
        "Rows 1 and 4 both apply, but with different outputs (hit policy any)."
    ]


def test_priority() -> None:
    """The row whose output stands highest among the allowed values wins, and output_order lists by it."""
    outputs = [{"name": "rate", "type": "decimal"}, {"name": "tier", "allowed": ["gold", "silver"]}]
    rows = [["> 1", "-", "1", "silver"], ["-", "CN", "2", "gold"], ["-", "-", "3", "null"], ["> 2", "-", "4", "gold"]]
    records_ = batch((5, "CN"), (2, "DE"), (0, "DE"))
    found = compile_table(small(rows, "priority", outputs=outputs)).evaluate(records_, DAY)
    assert found.outputs["tier"].to_list() == ["gold", "silver", None]
    assert found.fired.to_list() == [1, 0, 2]
    ordered = compile_table(small(rows, "output_order", outputs=outputs)).evaluate(records_, DAY)
    assert ordered.fired.to_list() == [[1, 3, 0, 2], [0, 2], [2]]
    assert ordered.outputs["rate"].to_list()[0] == [D(2), D(4), D(1), D(3)]


@pytest.mark.parametrize(
    ("aggregation", "values"),
    [
        ("list", [[D("0.5"), D("1.5")], [D("0.5"), None], []]),
        ("sum", [D(2), D("0.5"), None]),
        ("min", [D("0.5"), D("0.5"), None]),
        ("max", [D("1.5"), D("0.5"), None]),
        ("count", [2, 2, 0]),
    ],
)
def test_collect(aggregation: str, values: list[Any]) -> None:
    """The outputs of all rows that apply come together; empty ones add nothing."""
    rows = [["> 1", "-", "0.5"], ["> 2", "CN", "1.5"], ["> 1", "DE", "null"]]
    outputs = [{"name": "rate", "type": "decimal"}]
    table = small(rows, "collect", aggregation=aggregation, outputs=outputs)
    found = compile_table(table).evaluate(batch((3, "CN"), (3, "DE"), (0, "CN")), DAY)
    assert found.outputs["rate"].to_list() == values
    assert found.fired.to_list() == [[0, 1], [0, 2], []]


def test_collected_defaults() -> None:
    """A record without a row gets the default, as the only entry of a list."""
    for aggregation, value in (("list", [D(7)]), ("sum", D(7)), ("min", D(7)), ("count", 0)):
        outputs = [{"name": "rate", "type": "decimal", "default": 7}]
        table = small([["> 1", "-", "1"]], "collect", aggregation=aggregation, outputs=outputs)
        assert compile_table(table).evaluate(batch((0, "")), DAY).outputs["rate"].to_list() == [value]


def test_sums_that_do_not_fit() -> None:
    """A sum is never cut or wrapped: what its column cannot hold is an error of the record."""
    for type_, large in (("integer", 2**63 - 1), ("decimal", "99999999999999999999")):
        outputs = [{"name": "rate", "type": type_}]
        table = small([["-", "-", large], ["> 1", "-", large]], "collect", aggregation="sum", outputs=outputs)
        found = compile_table(table).evaluate(batch((0, ""), (5, "")), DAY)
        assert found.outputs["rate"].to_list() == [D(large), None]
        assert [(e.row, str(e.message)) for e in found.errors] == [(1, "The sum of 'rate' is too large.")]
        assert found.fired.to_list() == [[0], None]
    outputs = [{"name": "rate", "type": "float"}]
    table = small([["-", "-", "1e308"], ["-", "-", "1e308"]], "collect", aggregation="sum", outputs=outputs)
    assert compile_table(table).evaluate(batch((0, "")), DAY).outputs["rate"].to_list() == [float("inf")]


def test_dates() -> None:
    """Rows apply from their first day to the day before `until`, in days of the caller, never of a clock."""
    rows = [{"when": ["-", "-"], "then": [1, "old"], "until": "2024-06-01"}]
    rows += [{"when": ["-", "-"], "then": [2, "new"], "since": "2024-06-01"}]
    table = compile_table(small(rows, "unique"))
    assert table.evaluate(batch((1, "")), date(2024, 5, 31)).outputs["tier"].to_list() == ["old"]
    assert table.evaluate(batch((1, "")), date(2024, 6, 1)).outputs["tier"].to_list() == ["new"]


def test_allowed_inputs() -> None:
    """A value that is not among the allowed ones is an error, also an empty one, unless null is allowed."""
    inputs = [
        {"name": "amount", "type": "decimal", "allowed": [">= 0"]},
        {"name": "country", "allowed": ["CN", "null"]},
    ]
    found = compile_table(small([["-", "-", "1", "a"]], inputs=inputs)).evaluate(
        batch((1, "CN"), (-1, "CN"), (None, "CN"), (1, None), (1, "DE")), DAY
    )
    assert [(e.row, str(e.message)) for e in found.errors] == [
        (1, "'amount' is -1, but only >= 0 can occur."),
        (2, "'amount' is empty, but only >= 0 can occur."),
        (4, "'country' is 'DE', but only \"CN\", null can occur."),
    ]
    assert found.fired.to_list() == [0, None, None, 0, None]


def test_numbers_meet_exactly() -> None:
    """A column may be of another number type than its input; values are compared as they are."""
    rows = [["> 0.1", "-", "1", "a"]]
    for type_, values, fired in (
        (FieldType.INTEGER, [0, 1], [None, 0]),
        (FieldType.FLOAT, [0.1, 0.2], [None, 0]),
        (FieldType.DECIMAL, [D("0.1"), D("0.11")], [None, 0]),
    ):
        schema = Schema((Field("amount", type_, scale=2), Field("country")))
        records_ = pl.DataFrame({"amount": values, "country": ["", ""]}, schema=schema.dtypes())
        assert compile_table(small(rows), schema).evaluate(records_, DAY).fired.to_list() == fired


def test_wide_decimals() -> None:
    """Decimals that do not fit 64 bits in any unit are compared exactly."""
    near = D("12345678901234567.000000000000000001")
    table = compile_table(small([[f"> {near}", "-", "1", "a"], [str(near), "-", "2", "b"], ["< -3", "-", "3", "c"]]))
    records_ = batch(
        (near, ""),
        ("12345678901234567.000000000000000002", ""),
        ("12345678901234567", ""),
        ("-99999999999999999999", ""),
    )
    assert table.evaluate(records_, DAY).outputs["tier"].to_list() == ["b", "a", None, "c"]


def test_merge_hits() -> None:
    """Counts of batches and runs add up."""
    assert merge_hits([np.array([1, 2]), [3, 4], []]) == [4, 6]
    assert merge_hits([]) == []


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"rows": [["> x", "-", "1", "a"]]}, "rows/0/when/0", "A number is needed here, not 'x'."),
        ({"rows": [["-", "-", "x(", "a"]]}, "rows/0/then/0", "cannot be read|syntax|Syntax|ends|missing"),
        (
            {"inputs": [{"name": "amount", "type": "text"}, {"name": "contry"}]},
            "inputs/1/name",
            "Did you mean 'country'",
        ),
        (
            {"inputs": [{"name": "amount", "type": "date"}, {"name": "country"}], "rows": []},
            "inputs/0/type",
            "is decimal",
        ),
        ({"outputs": [{"name": "rate"}, {"name": "tier", "allowed": ["x"]}]}, "rows/0/then/1", "not among those"),
        (
            {"outputs": [{"name": "rate", "type": "integer", "default": 0.5}, {"name": "tier"}]},
            "outputs/0/default",
            "whole",
        ),
    ],
)
def test_mistakes(changes: dict[str, Any], path: str, message: str) -> None:
    """What keeps a table from being used is told with its place."""
    rows = changes.pop("rows", [["-", "-", "1", "a"]])
    schema = Schema((Field("amount", FieldType.DECIMAL), Field("country")))
    with pytest.raises(DocumentError, match=message) as caught:
        compile_table(small(rows, **changes), schema)
    assert path in [problem.path for problem in caught.value.problems]


def test_priorities_are_written_out() -> None:
    """An output that ranks the rows cannot be computed."""
    outputs = [{"name": "rate", "type": "decimal"}, {"name": "tier", "allowed": ["gold"]}]
    with pytest.raises(DocumentError, match="have to be written out"):
        compile_table(small([["-", "-", "1", "= country"]], "priority", outputs=outputs))
