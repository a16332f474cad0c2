"""Gaps, overlaps and rows that never apply are exactly those that there are, and are told in words."""

from __future__ import annotations

import random
import time as clock
from datetime import date
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.decisions import FindingKind, analyse, boxes
from rules.decisions.axes import Axis, build_axes
from rules.decisions.boxes import Search
from rules.decisions.compile import compile_columns
from rules.decisions.reading import read_input
from rules.decisions.table_cells import read_cells
from rules.documents import DocumentError
from rules.documents.decision_table import DecisionTable
from rules.language.problems import Severity
from rules.schema import Field, FieldType, Schema
from tests.rules.decisions.tables import DAY, active, applies, documents, records, small, table_of

GAP, OVERLAP, NEVER = FindingKind.GAP, FindingKind.OVERLAP, FindingKind.NEVER


def _hits(table: DecisionTable, row: tuple[Any, ...]) -> list[int]:
    cells, _ = read_cells(table)
    return [
        n
        for n, found in enumerate(cells.when)
        if active(table, n) and all(applies(cell, value) for cell, value in zip(found, row, strict=True))
    ]


@settings(max_examples=100)
@given(st.data())
def test_agrees_with_points(data: st.DataObject) -> None:
    """A record without a row lies in exactly one gap, one with a row in none; overlaps are where two rows apply."""
    document = data.draw(documents("unique"))
    table = table_of(document)
    found = analyse(table, as_of=DAY)
    assert found.complete
    gaps = [f.region for f in found.findings if f.kind is GAP]
    pairs = {f.rows for f in found.findings if f.kind is OVERLAP}
    hidden = {f.rows[0] for f in analyse(table_of(document, hit_policy="first")).findings if f.kind is NEVER}
    for row in data.draw(records(table)).iter_rows():
        hits = _hits(table, row)
        here = [region for region in gaps if region is not None and _inside(table, region.parts, row)]
        assert len(here) == (0 if hits else 1)
        assert {(a, b) for a in hits for b in hits if a < b} <= pairs
        assert hits[:1] == [] or hits[0] not in hidden


def _inside(table: DecisionTable, parts: tuple[Any, ...], row: tuple[Any, ...]) -> bool:
    """Tell whether a record lies in a region, by the cells that the region is written in."""
    for part in parts:
        if part.input is None:
            cell, value = read_input(part.cell, FieldType.DATE), DAY
        else:
            cell, value = read_input(part.cell, table.inputs[part.input].type), row[part.input]
            if value is not None and value != value:  # noqa: PLR0124 - NaN stands in no cell, only in the words
                if "NaN" not in str(part.words):
                    return False
                continue
        if not part.cell or not applies(cell, value):
            return False
    return True


@settings(max_examples=60)
@given(documents("unique", max_rows=5, dates=False))
def test_agrees_with_brute_force(document: dict[str, Any]) -> None:
    """On every combination of pieces, boxes and pairs are what going through all of them finds."""
    table = table_of(document)
    axes = build_axes(*compile_columns(table), None)
    rows, count = range(len(table.rows)), (1 << len(table.rows)) - 1
    found = Search(axes, [axis.viable for axis in axes]).gaps(count)
    open_, together = set(), set()
    for point in product(*(_pieces(axis) for axis in axes)):
        hits = [n for n in rows if all(a.rows[n] >> piece & 1 for a, piece in zip(axes, point, strict=True))]
        boxes_here = [box for box in found.boxes if all(b >> p & 1 for b, p in zip(box, point, strict=True))]
        assert len(boxes_here) == (0 if hits else 1)
        open_ |= set() if hits else {point}
        together |= {(a, b) for a in hits for b in hits if a < b}
    assert {f.rows for f in analyse(table).findings if f.kind is OVERLAP} == together
    assert bool(found.boxes) == bool(open_)


def _pieces(axis: Axis) -> list[int]:
    return [piece for piece in range(axis.column.nan + 1) if axis.viable >> piece & 1]


def test_gaps_in_words() -> None:
    """Gaps name the ranges, in words and as the cells of a row that closes them."""
    inputs = [
        {"name": "amount", "type": "decimal", "allowed": [">= 0"]},
        {"name": "country", "allowed": ["CN", "DE", "US"]},
    ]
    table = small([["< 1000", "-", 1, "a"], [">= 1000", "CN", 2, "b"]], inputs=inputs)
    found = analyse(table)
    assert [(str(f.message), [p.cell for p in f.region.parts]) for f in found.findings if f.region] == [
        ("No row applies if amount >= 1000 and country not in CN.", [">= 1000", 'not("CN")'])
    ]
    assert (found.gaps, found.overlaps, found.complete) == (1, 0, True)
    assert found.findings[0].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("type_", "cells", "words"),
    [
        ("decimal", ["<= 9.99", ">= 10", "null"], ["amount in (9.99..10)"]),
        ("integer", ["<= 3", ">= 4", "null"], []),
        ("integer", ["<= 3", ">= 5", "null"], ["amount is 4"]),
        ("integer", ["3, 5"], ["(amount not in 3, 5 or amount is empty)"]),
        ("integer", ["not(3, 5)"], ["(amount in 3, 5 or amount is empty)"]),
        ("integer", ["null"], ["amount is not empty"]),
        ("boolean", ["true"], ["(amount is false or amount is empty)"]),
        ("text", ["CN, DE"], ["(amount not in CN, DE or amount is empty)"]),
        ("text", ['null, not("CN")'], ["amount is CN"]),
        ("float", ["<= 0.1", "> 0.1"], ["(amount is empty or amount is not a number (NaN))"]),
        ("float", ["< 0.1", "> 0.1", "null"], ["(amount is 0.1 or amount is not a number (NaN))"]),
        ("date", ["< 2024-01-01", "> 2024-01-01"], ["(amount is 2024-01-01 or amount is empty)"]),
        ("time", ["< 09:30", "[09:30..10:00]", "null"], ["amount > 10:00:00"]),
        ("text", [", ".join("abcdefghij")], ["(amount not in a, b, c, d, e, f, g, h and 2 more or amount is empty)"]),
    ],
)
def test_words(type_: str, cells: list[str], words: list[str]) -> None:
    """What is between the cells is told by the values that stand in them."""
    inputs = [{"name": "amount", "type": type_}]
    table = small([{"when": [cell], "then": [1, "a"]} for cell in cells], inputs=inputs)
    found = [str(f.message) for f in analyse(table).findings if f.kind is GAP]
    assert found == [f"No row applies if {word}." for word in words]


def test_an_empty_table_never_applies() -> None:
    """Without rows nothing is left to be told about the inputs."""
    found = [str(f.message) for f in analyse(small([])).findings if f.kind is GAP]
    assert found == ["No row applies, whatever the inputs are."]


def test_schema_tells_what_may_be_empty() -> None:
    """A field that is never empty has no gap there; the digits of a decimal field leave none between 9.99 and 10."""
    schema = Schema((Field("amount", FieldType.DECIMAL, nullable=False, scale=2), Field("country")))
    table = small([["<= 9.99", "-", 1, "a"], [">= 10", "-", 2, "b"]])
    assert analyse(table, schema).gaps == 0
    assert analyse(table).gaps == 1


def test_overlaps() -> None:
    """With unique, overlapping rows are errors that name the range; with expressions they are only possible."""
    rows = [["< 10", "CN", 1, "a"], ["> 5", "-", 2, "b"], ["-", "? == 'DE'", 3, "c"]]
    found = analyse(small(rows, "unique"))
    assert [(f.severity.value, f.rows, str(f.message)) for f in found.findings if f.kind is OVERLAP] == [
        (
            "error",
            (0, 1),
            "Rows 1 and 2 both apply if amount in (5..10) and country is CN, but only one may (hit policy unique).",
        ),
        (
            "warning",
            (0, 2),
            "Rows 1 and 3 may both apply if amount < 10 and country is CN; that depends on their expressions.",
        ),
        ("warning", (1, 2), "Rows 2 and 3 may both apply if amount > 5; that depends on their expressions."),
    ]
    assert [str(f.message) for f in found.findings if f.kind is FindingKind.NOT_ANALYSED] == [
        "Row 3, 'country': the expression is not analysed; the row counts as one that may apply."
    ]


def test_contradictions() -> None:
    """With any, overlapping rows have to have the same outputs."""
    rows = [["< 10", "-", 1, "a"], ["> 5", "-", "1.0", "a"], ["7", "-", 2, "a"], ["7", "CN", "= amount", "a"]]
    found = analyse(small(rows, "any")).findings
    assert [(f.severity.value, f.rows) for f in found if f.kind is FindingKind.CONTRADICTION] == [
        ("error", (0, 2)),
        ("error", (1, 2)),
        ("warning", (0, 3)),
        ("warning", (1, 3)),
        ("warning", (2, 3)),
    ]


def test_rows_that_never_apply() -> None:
    """A row is hidden by those before it together, by none that may not apply, and by nothing that can occur."""
    rows: list[Any] = [
        ["< 10", "-", 1, "a"],
        ["? > 20.0", "-", 1, "b"],
        [">= 10, null", "-", 1, "c"],
        ["5, 30", "CN", 1, "d"],
    ]
    rows += [{"when": ["-", "XX"], "then": [1, "e"]}, {"when": ["-", "-"], "then": [1, "f"], "until": "2020-01-01"}]
    inputs = [{"name": "amount", "type": "decimal"}, {"name": "country", "allowed": ["CN", "DE"]}]
    found = analyse(small(rows, inputs=inputs), as_of=date(2024, 1, 1)).findings
    assert [str(f.message) for f in found if f.kind is NEVER] == [
        "Row 4 can never decide: rows before it apply to everything that it applies to.",
        "Row 5 can never apply: no value of 'country' that can occur meets its cell.",
        "Row 6 no longer applies: its last day is over.",
    ]
    outputs = [{"name": "rate", "type": "decimal"}, {"name": "tier", "allowed": ["gold", "tin"]}]
    ranked = analyse(small([["5", "-", 1, "tin"], ["-", "-", 1, "gold"]], "priority", outputs=outputs)).findings
    assert [str(f.message) for f in ranked] == [
        "Row 1 can never decide: more important rows apply to everything that it applies to."
    ]


def test_repetitions() -> None:
    """Rows with the same conditions are told, however written; for collect only if the outputs are the same."""
    rows = [["5, 6", "-", 1, "a"], ["6, 5", "", 1, "a"], ["6, [5..5]", "-", 2, "a"]]
    for policy, count in (("first", 2), ("collect", 1)):
        found = [f for f in analyse(small(rows, policy)).findings if f.kind is FindingKind.DUPLICATE]
        assert [str(f.message) for f in found] == [
            "Rows 1 and 2 say the same.",
            "Rows 1 and 3 have the same conditions but different outputs.",
        ][:count]


def test_days() -> None:
    """Rows that apply at different times do not overlap, and days without a row are gaps."""
    rows: list[Any] = [{"when": ["-", "-"], "then": [1, "a"], "until": "2024-01-01"}]
    rows += [{"when": ["-", "-"], "then": [1, "b"], "since": "2024-03-01", "until": "2025-01-01"}]
    rows += [{"when": ["-", "-"], "then": [1, "c"], "since": "2024-12-31"}]
    found = analyse(small(rows, "unique")).findings
    assert [str(f.message) for f in found] == [
        "Rows 2 and 3 both apply if the day is from 2024-12-31 to before 2025-01-01, but only one may "
        "(hit policy unique).",
        "No row applies if the day is from 2024-01-01 to before 2024-03-01.",
    ]
    assert [f.kind for f in analyse(small(rows, "unique"), as_of=date(2024, 4, 1)).findings] == [OVERLAP, NEVER]
    before = [{"when": ["-", "-"], "then": [1, "a"], "since": "2024-01-01"}]
    assert [str(f.message) for f in analyse(small(before)).findings] == [
        "No row applies if the day is before 2024-01-01."
    ]
    open_ = [*rows[:1], {"when": ["5", "-"], "then": [1, "z"], "since": "2024-01-01"}]
    assert "the day is 2024-01-01 or later" in str(analyse(small(open_)).findings[0].message)


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is too entangled is said to be, never passed over; what was found is there."""
    rng = random.Random(4)
    rows = [[f"[{a}..{a + 9}]", ", ".join(rng.sample("abcdefgh", 3)), 1, "x"] for a in rng.sample(range(200), 60)]
    whole = analyse(small(rows))
    assert whole.complete
    assert whole.gaps > 5
    monkeypatch.setattr(boxes, "MAX_STEPS", 200)
    part = analyse(small(rows))
    assert not part.complete
    assert part.gaps > 0
    assert part.findings[-1].kind is FindingKind.STOPPED
    monkeypatch.setattr(boxes, "MAX_STEPS", 0)
    assert (analyse(small(rows)).gaps, analyse(small(rows)).complete) == (0, False)
    monkeypatch.setattr(boxes, "MAX_BOXES", 3)
    monkeypatch.setattr(boxes, "MAX_STEPS", 100_000)
    monkeypatch.setattr(boxes, "SHOWN", 100_000)
    assert analyse(small(rows)).gaps > 3
    monkeypatch.setattr(boxes, "SHOWN", 2)
    assert analyse(small(rows)).gaps == 2


def test_cells_that_cannot_be_read() -> None:
    """A table with broken cells is refused with their places."""
    with pytest.raises(DocumentError, match="A number is needed"):
        analyse(small([["x", "-", 1, "a"]]))


def test_a_table_of_real_size() -> None:
    """Five hundred rows over five inputs are analysed in about a second, and the holes in them are found."""
    bands = [0, 100, 500, 1000, 5000, 10_000, 20_000, 50_000, 100_000, 500_000]
    amounts = [f"[{a}..{b})" for a, b in pairwise(bands)] + [">= 500000"]
    lists = amounts, ("CN", "DE", "US", "FR", "JP", "GB"), ("new", "old", "vip"), ("< 2", "[2..10)", ">= 10")
    rows = [{"when": [*cells, "-"], "then": [1, "a"]} for cells in product(*lists)]
    holes = random.Random(7).sample(range(len(rows)), 5)
    kept = [row for n, row in enumerate(rows) if n not in holes]
    inputs = [
        {"name": "amount", "type": "decimal", "allowed": [">= 0"]},
        {"name": "country", "allowed": list(lists[1])},
        {"name": "segment", "allowed": list(lists[2])},
        {"name": "years", "type": "integer", "allowed": [">= 0"]},
        {"name": "online", "type": "boolean"},
    ]
    table = small(
        [*kept, {"when": ["[700..900]", "US", "vip", "5", "true"], "then": [2, "b"]}], "unique", inputs=inputs
    )
    start = clock.process_time()
    found = analyse(table)
    assert clock.process_time() - start < 5
    assert (found.complete, found.overlaps) == (True, 1)
    assert 1 <= found.gaps <= 5
    missing = [rows[hole]["when"][:4] for hole in holes]
    for f in (f for f in found.findings if f.kind is GAP):
        assert f.region is not None
        assert any(
            all(text.strip('"') in part.cell for part, text in zip(f.region.parts, w, strict=True)) for w in missing
        )
