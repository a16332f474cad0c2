"""Every row tells why it applied or not, and the winner why it won."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from rules.decisions import compile_table
from rules.decisions.cells import CellError
from rules.schema import Field, FieldType, Schema
from tests.rules.decisions.tables import DAY, small

ROWS: list[Any] = [
    ["> 100", "CN", "1", "a"],
    ["-", "? == 'DE' || size(?) > 2", "2", "b"],
    {"when": ["-", "-"], "then": ["3", "c"], "since": "2025-01-01"},
    {"when": ["-", "-"], "then": ["4", "d"], "until": "2024-01-01"},
    ["5", "-", "5", "e"],
]


def test_rows() -> None:
    """The first failed cell is told with the value seen and what was asked; dates are told as such."""
    found = compile_table(small(ROWS)).explain({"amount": 5, "country": "FR"}, DAY)
    assert [str(row.words) for row in found.rows] == [
        "'amount' is 5, not > 100.",
        "'country' is 'FR', and ? == 'DE' || size(?) > 2 is not true.",
        "Applies only from 2025-01-01 on.",
        "No longer applies since 2024-01-01.",
        "Applies.",
    ]
    assert [(c.input, c.cell, c.value) for c in found.rows[0].failed] == [(0, "> 100", Decimal(5)), (1, '"CN"', "FR")]
    assert (found.fired, str(found.reason), found.error) == ((4,), "Row 5 is the first one that applies.", None)
    assert found.outputs == {"rate": Decimal(5), "tier": "e"}
    assert [(i.name, i.label, i.value) for i in found.inputs][1] == ("country", "country", "FR")
    assert [row.applies for row in found.rows] == [row.decides for row in found.rows] == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("policy", "reason", "last"),
    [
        ("first", "Row 2 is the first one that applies.", "Applies too, but row 2 comes before it."),
        ("rule_order", "Rows that apply: 2, 5; their outputs are listed in the order of the rows.", "Applies."),
        ("collect", "Rows that apply: 2, 5; their outputs are collected.", "Applies."),
        ("unique", "Rows 2 and 5 both apply, but only one may (hit policy unique).", "Applies."),
    ],
)
def test_policies(policy: str, reason: str, last: str) -> None:
    """The reason is that of the hit policy."""
    found = compile_table(small(ROWS, policy)).explain({"amount": "5", "country": "DE"}, DAY)
    assert (str(found.reason), str(found.rows[4].words)) == (reason, last)
    assert (found.error is None) == (policy != "unique")


def test_any_and_aggregates() -> None:
    """Rows that agree and rows that are added up are told so."""
    rows: list[Any] = [["> 1", "-", "1", "a"], ["-", "CN", "1", "a"]]
    found = compile_table(small(rows, "any")).explain({"amount": 2.5, "country": "CN"}, DAY)
    assert str(found.rows[1].words) == "Applies too, with the same outputs as row 1."
    outputs = [{"name": "rate", "type": "decimal"}]
    summed = small([["-", "-", "1"]], "collect", aggregation="sum", outputs=outputs)
    assert str(compile_table(summed).explain({}, DAY).reason) == "Rows that apply: 1; their outputs are added up."


def test_nothing_and_errors() -> None:
    """No row, and a condition without an answer, are told too."""
    table = compile_table(small([["> 1", "size(?) > 2", "1", "a"]]))
    assert str(table.explain({"country": "CN"}, DAY).reason) == (
        "No row applies, so the outputs have their defaults or are empty."
    )
    found = table.explain({"amount": 5}, DAY)
    assert "The field 'country' is empty" in str(found.error)
    assert "The field 'country' is empty" in str(found.rows[0].words)
    assert found.fired == ()


def test_json_fields() -> None:
    """JSON is given as data or as its text."""
    schema = Schema((Field("data", FieldType.JSON), Field("amount", FieldType.DECIMAL), Field("country")))
    inputs = [{"name": "amount", "type": "decimal"}, {"name": "size", "type": "integer", "expression": "size(data.a)"}]
    table = compile_table(small([["-", "3", "1", "a"]], inputs=inputs), schema)
    assert (
        table.explain({"data": {"a": "xyz"}}, DAY).fired == table.explain({"data": '{"a": "xyz"}'}, DAY).fired == (0,)
    )


def test_records() -> None:
    """Values may be texts or plain numbers; what does not fit the field is told."""
    inputs = [{"name": "day", "type": "date"}, {"name": "share", "type": "float"}]
    table = compile_table(small([[">= 2024-01-01", "> 0.5", "1", "a"]], inputs=inputs))
    assert table.explain({"day": "2024-02-01", "share": 1}, DAY).fired == (0,)
    assert table.explain({"day": date(2023, 2, 1), "share": "0.75"}, DAY).fired == ()
    for wrong, message in (({"day": 5}, "'day' is 5, but the field is date."), ({"share": "x"}, "A number is needed")):
        with pytest.raises(CellError, match=message):
            table.explain(wrong, DAY)
