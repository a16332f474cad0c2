"""Random tables and records, and a plain reading of cells against which the compiled one is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from rules.decisions.cells import AnyValue, InputCell, Null, Range, Tests
from rules.decisions.literals import literal
from rules.documents.decision_table import DecisionTable, parse_decision_table
from rules.schema import Field, FieldType

DAY = date(2024, 6, 1)
VALUES: Mapping[FieldType, tuple[Any, ...]] = {
    FieldType.INTEGER: (-(2**63), -3, 0, 1, 2, 3, 7, 2**63 - 1),
    FieldType.DECIMAL: tuple(map(Decimal, ("-1.5", "0", "0.01", "9.99", "10", "1000", "99999999999999999999"))),
    FieldType.FLOAT: (-1.0, 0.0, 0.1, 0.30000000000000004, 2.5, 1e300),
    FieldType.TEXT: ("", "CN", "DE", "a b", "客户", 'q"u\\o', "🙂", "\n", "null"),
    FieldType.BOOLEAN: (False, True),
    FieldType.DATE: (date(2023, 12, 31), date(2024, 1, 1), date(2024, 1, 2), date(2030, 5, 5)),
    FieldType.TIME: (time(0), time(9, 30), time(9, 30, 0, 1), time(23, 59, 59, 999999)),
    FieldType.DATETIME: (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    FieldType.LOCAL_DATETIME: (datetime(2024, 1, 1), datetime(2024, 1, 1, 8), datetime(1960, 2, 29, 12, 0, 0, 5)),
}
EXTRA: Mapping[FieldType, tuple[Any, ...]] = {
    FieldType.INTEGER: (-4, 4, 100),
    FieldType.DECIMAL: (Decimal("9.991"), Decimal("10.000000000000000001"), Decimal(-5)),
    FieldType.FLOAT: (math.nan, math.inf, -math.inf, 0.05, 5e-324, -0.0),
    FieldType.TEXT: ("CN\x01", "C", "Z", "cn"),
    FieldType.DATE: (date(1, 1, 1), date(9999, 12, 31)),
    FieldType.TIME: (time(12),),
    FieldType.DATETIME: (datetime(1900, 1, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)),
    FieldType.LOCAL_DATETIME: (datetime(1900, 1, 1), datetime(2100, 1, 1)),
}
TYPES = tuple(VALUES)


def test_texts(type_: FieldType) -> st.SearchStrategy[str]:
    """Return single alternatives of a column."""
    value = st.sampled_from(VALUES[type_]).map(lambda v: literal(v, type_))
    comparison = st.builds(lambda op, v: f"{op} {v}", st.sampled_from(["<", "<=", ">", ">="]), value)
    ordered = st.lists(st.sampled_from(VALUES[type_]), min_size=2, max_size=2, unique=True).map(sorted)
    ranges = st.builds(
        lambda pair, start, stop: f"{start}{literal(pair[0], type_)}..{literal(pair[1], type_)}{stop}",
        ordered,
        st.sampled_from("[(]"),
        st.sampled_from("])["),
    )
    return st.one_of(value, value, comparison, ranges, st.just("null"))


def cell_texts(type_: FieldType) -> st.SearchStrategy[str]:
    """Return whole cells of a column."""
    tests = st.lists(test_texts(type_), min_size=1, max_size=3).map(", ".join)
    some = st.sampled_from(["-", ""])
    inverse = st.one_of(tests.map(lambda t: f"not({t})"), tests.map(lambda t: f"null, not({t})"))
    unlike = st.sampled_from(VALUES[type_]).map(lambda v: f"!= {literal(v, type_)}")
    return st.one_of(some, tests, tests, inverse, unlike)


@st.composite
def documents(draw: st.DrawFn, policy: str = "first", max_rows: int = 6, *, dates: bool = True) -> dict[str, Any]:
    """Return a table whose outputs are the numbers of its rows."""
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
    inputs = [{"name": f"i{n}", "type": t.value} for n, t in enumerate(types)]
    day = st.sampled_from(["2024-05-01", "2024-06-01", "2024-06-02", "2025-01-01"])
    rows = []
    for number in range(draw(st.integers(0, max_rows))):
        row: dict[str, Any] = {"when": [draw(cell_texts(t)) for t in types], "then": [number]}
        if dates and draw(st.integers(0, 3)) == 0:
            since = draw(st.one_of(st.none(), day))
            until = draw(st.one_of(st.none(), day))
            row |= {"since": since} if since else {}
            row |= {"until": until} if until and (since is None or since < until) else {}
        rows.append(row)
    outputs = [{"name": "out", "type": "integer"}]
    kind = {"kind": "decision_table", "name": "t", "hit_policy": policy}
    return {**kind, "inputs": inputs, "outputs": outputs, "rows": rows}


@st.composite
def records(draw: st.DrawFn, table: DecisionTable, size: int = 12) -> pl.DataFrame:
    """Return a batch of records for a table."""
    columns = []
    for column in table.inputs:
        values = st.one_of(st.none(), st.sampled_from((*VALUES[column.type], *EXTRA.get(column.type, ()))))
        dtype = Field(column.name, column.type).dtype
        columns.append(pl.Series(column.name, [draw(values) for _ in range(size)], dtype=dtype))
    return pl.DataFrame(columns)


def applies(cell: InputCell, value: Any) -> bool:
    """Tell whether a cell applies to a value, as the documentation says it."""
    if isinstance(cell, AnyValue):
        return True
    assert isinstance(cell, Tests)
    if value is None:
        return cell.or_null or (not cell.negated and Null() in cell.items)
    if isinstance(value, float) and math.isnan(value):
        return False
    inside = any(isinstance(item, Range) and _inside(item, value) for item in cell.items)
    return inside != cell.negated


def _inside(found: Range, value: Any) -> bool:
    low = found.low is None or value > found.low or (found.low_closed and value == found.low)
    return low and (found.high is None or value < found.high or (found.high_closed and value == found.high))


def active(table: DecisionTable, row: int, day: date = DAY) -> bool:
    """Tell whether a row's dates include a day."""
    since, until = table.rows[row].since, table.rows[row].until
    return (since is None or since <= day.isoformat()) and (until is None or day.isoformat() < until)


def table_of(document: Mapping[str, Any], **changes: Any) -> DecisionTable:
    """Return the table of a document."""
    return parse_decision_table({**document, **changes})


def small(rows: list[Any], policy: str = "first", **changes: Any) -> DecisionTable:
    """Return a table over amount (decimal) and country (text) with outputs rate (decimal) and tier (text)."""
    document = {
        "kind": "decision_table",
        "name": "discount",
        "hit_policy": policy,
        "inputs": [{"name": "amount", "type": "decimal"}, {"name": "country"}],
        "outputs": [{"name": "rate", "type": "decimal"}, {"name": "tier"}],
        "rows": [row if isinstance(row, dict) else {"when": row[:2], "then": row[2:]} for row in rows],
    }
    return parse_decision_table({**document, **changes})


def batch(*rows: tuple[Any, Any]) -> pl.DataFrame:
    """Return records with amount and country."""
    amounts = [None if amount is None else Decimal(str(amount)) for amount, _ in rows]
    return pl.DataFrame(
        {
            "amount": pl.Series(amounts, dtype=pl.Decimal(38, 18)),
            "country": pl.Series([country for _, country in rows], dtype=pl.String),
        }
    )
