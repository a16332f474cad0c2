"""Conflicts that an expression of the rule settles."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from rules.documents import DocumentError, parse_sync
from rules.mapping import compile_mapping
from rules.mapping.results import FieldError
from rules.reconcile.merge import Merged, Pairs, merge, merge_fields
from rules.reconcile.resolve import compile_resolvers, merge_resolved
from rules.schema import Field, FieldType, Schema

LEFT = Schema((Field("id"), Field("stock", FieldType.DECIMAL, scale=2), Field("note")), ("id",))
RIGHT = Schema((Field("no"), Field("units", FieldType.DECIMAL, scale=1), Field("memo")), ("no",))


def document(**stock: Any) -> dict[str, Any]:
    """Return a rule whose stock is added up where both sides changed it."""
    pair = {"left": "stock", "right": "units", "to_right": "stock * 10.0", "to_left": "units / 10.0", **stock}
    return {
        "kind": "sync",
        "name": "stock",
        "left": {"connection": "shop", "object": "items"},
        "right": {"connection": "erp", "object": "parts"},
        "direction": "two_way",
        "key": {"left": "id", "right": "no"},
        "fields": [
            {"conflict": "expression", "resolve": "left + right - base", **pair},
            {"left": "note", "right": "memo"},
        ],
    }


def decimals(values: list[str | None], scale: int) -> pl.Series:
    """Return a column of decimals."""
    return pl.Series([None if v is None else Decimal(v) for v in values], dtype=pl.Decimal(38, scale))


def settled(rows: list[tuple[str | None, str | None, str | None]], **stock: Any) -> Merged:
    """Return the merge of pairs of left stock, right units and the left stock agreed on."""
    rule = parse_sync(document(**stock))
    mapping = compile_mapping(rule, LEFT, RIGHT)
    left = pl.DataFrame(
        {"id": ["x"] * len(rows), "stock": decimals([r[0] for r in rows], 2), "note": ["n"] * len(rows)}
    )
    right = pl.DataFrame(
        {"no": ["x"] * len(rows), "units": decimals([r[1] for r in rows], 1), "memo": ["n"] * len(rows)}
    )
    agreed = decimals([r[2] for r in rows], 2)

    def gives(records: pl.DataFrame) -> tuple[pl.DataFrame, Sequence[FieldError]]:
        given = mapping.apply(records)
        return given.records.rename({"units": "0", "memo": "1"}), given.errors

    base = pl.DataFrame(
        {
            "l:0": gives(left.with_columns(agreed.alias("stock")))[0]["0"],
            "r:0": agreed,
            "l:1": left["note"],
            "r:1": left["note"],
        }
    )
    to_left = pl.DataFrame({"0": (right["units"] / 10).cast(pl.Decimal(38, 2)), "1": right["memo"]})
    known = pl.Series([r[2] is not None for r in rows], dtype=pl.Boolean)
    newer = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
    pairs = Pairs(left, right, gives(left)[0], to_left, base, known, {}, {}, newer, "left", {})
    return merge_resolved(pairs, merge_fields(rule), compile_resolvers(rule, LEFT), gives)


def test_both_sides_get_the_value() -> None:
    """What the expression gives goes left as it is, and right as the rule maps it; other pairs are merged as ever."""
    merged = settled([("12.00", "90.0", "10.00"), ("10.00", "90.0", "10.00"), ("12.00", "100.0", "10.00")])
    mask, values = merged.left["stock"]
    assert (mask.to_list(), values.to_list()) == (
        [True, True, False],
        [Decimal("11.00"), Decimal("9.00"), Decimal("12.00")],
    )
    mask, values = merged.right["units"]
    assert (mask.to_list(), values.to_list()) == (
        [True, False, True],
        [Decimal("110.0"), Decimal("90.0"), Decimal("120.0")],
    )
    assert not merged.conflicts["0"].any()
    assert merged.situation.to_list() == ["linked_conflict", "linked_changed", "linked_changed"]


def test_a_pair_without_a_value_waits_for_a_person() -> None:
    """Where the expression fails, here for want of an agreement, the conflict stays open and nothing is written."""
    merged = settled([("12.00", "90.0", None), ("12.00", "90.0", "10.00")])
    assert merged.conflicts["0"].to_list() == [True, False]
    assert merged.held["0"].to_list() == [True, False]
    assert merged.left["stock"][0].to_list() == [False, True]
    assert settled([]).conflicts.is_empty()


def test_a_value_that_the_right_field_cannot_hold_waits_too() -> None:
    """What the rule cannot map to the right is not written to the left either."""
    merged = settled([("12.00", "90.0", "10.00"), ("12.00", "90.0", "10.00")], resolve="null")
    assert merged.conflicts["0"].to_list() == [True, True]
    assert not merged.left["stock"][0].any()
    assert not merged.right["units"][0].any()


def test_an_empty_value_is_a_value() -> None:
    """An expression may say that both sides get nothing."""
    merged = settled(
        [("12.00", "90.0", "10.00")], resolve="left > 100.0 ? left : null", to_right="stock.orDefault(0.0)"
    )
    assert merged.left["stock"][1].to_list() == [None]
    assert merged.right["units"][1].to_list() == [Decimal("0.0")]


def test_without_conflicts_nothing_is_asked() -> None:
    """Pairs without an open conflict are merged as without expressions."""
    merged = settled([("12.00", "100.0", "10.00")])
    assert merged.right["units"][1].to_list() == [Decimal("120.0")]


def test_what_is_compiled() -> None:
    """Only pairs that flow both ways and are settled by expression have one; mistakes have their place."""
    assert [r.name for r in compile_resolvers(parse_sync(document()), LEFT)] == ["0"]
    assert compile_resolvers(parse_sync(document(direction="left_to_right")), LEFT) == ()
    assert compile_resolvers(parse_sync(document(conflict="left")), LEFT) == ()
    with pytest.raises(DocumentError, match=r"^fields/0/resolve: There is no field 'lft' in resolve"):
        compile_resolvers(parse_sync(document(resolve="lft")), LEFT)


def test_a_person_overrules_the_expression() -> None:
    """An expression settles conflicts only; what is chosen for a pair goes before it."""
    fields = merge_fields(parse_sync(document()))
    one = decimals(["1.00"], 2)
    frame = pl.DataFrame({"0": one, "1": ["n"]})
    base = pl.DataFrame({"l:0": decimals(["0.00"], 2), "r:0": decimals(["0.00"], 2), "l:1": ["n"], "r:1": ["n"]})
    left, right = (
        pl.DataFrame({"stock": one, "note": ["n"]}),
        pl.DataFrame({"units": decimals(["2.00"], 2), "memo": ["n"]}),
    )
    to_left = pl.DataFrame({"0": decimals(["2.00"], 2), "1": ["n"]})
    answer = {
        "0": pl.DataFrame({"take": ["value"], "to_right": decimals(["7.00"], 2), "to_left": decimals(["7.00"], 2)})
    }
    chosen = {"0": pl.DataFrame({"take": ["right"]})}
    newer = pl.Series([None], dtype=pl.String)
    pairs = Pairs(left, right, frame, to_left, base, pl.Series([True]), {}, {}, newer, "left", chosen, answer)
    merged = merge(pairs, fields)
    assert merged.left["stock"][1].to_list() == [Decimal("2.00")]
    assert not merged.right["units"][0].any()
