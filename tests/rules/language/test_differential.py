"""Columns and the C++ runtime agree on random expressions: values, errors, messages and places."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from rules.language.columns import compiler, operators
from rules.language.columns.value import Value
from tests.rules.language.differences import compare

QUICK, FULL = 300, 10_000


def test_some_agree() -> None:
    """Some hundred random expressions, the same at each run, agree over 60 records each."""
    report = compare(20_261_122, QUICK)
    assert report.different == [], str(report)


@pytest.mark.parametrize(("seed", "count"), [(2_974_953_881, 300), (77, 150), (3, 150)])
def test_more_agree(seed: int, count: int) -> None:
    """Hundreds more, of other kinds, agree too; `test_many_agree` goes on from them."""
    report = compare(seed, count)
    assert report.different == [], str(report)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seed", "count"), [(2_974_953_881, 6_500), (77, 1_500), (3, 2_000)])
def test_many_agree(seed: int, count: int) -> None:
    """Ten thousand random expressions, the same at each run, agree over 60 records each."""
    report = compare(seed, count)
    assert report.different == [], str(report)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_others_agree(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten thousand random expressions, others at each run, agree over 60 records each."""
    report = compare(random.SystemRandom().randrange(2**32), FULL)
    with capsys.disabled():
        print(f"\n{report}")  # noqa: T201 - the seed is what makes a failure repeatable
    assert report.different == [], str(report)


@pytest.mark.parametrize("broken", ["&&", "<", "?:"])
def test_a_mistake_is_found(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """With one rule of the column compiler broken, the comparison does not hold any more."""
    logic, order, choice = operators.logic, operators.order, operators.choice

    def wrong_logic(symbol: str, left: Value, right: Value) -> Value:
        made = logic(symbol, left, right)
        return made if symbol == "||" else Value(made.kind, made.expr.fill_null(value=False), level=made.level)

    def wrong_order(symbol: str, left: Value, right: Value) -> Value:
        return order("<=" if symbol == "<" else symbol, left, right)

    def wrong_choice(stages: Any, test: Value, yes: Value, no: Value) -> Value:
        sure = Value(test.kind, test.expr.fill_null(pl.lit(value=False)), level=test.level)
        return choice(stages, sure, yes, no)

    monkeypatch.setitem(compiler.COMBINED, "&&", wrong_logic if broken == "&&" else logic)
    monkeypatch.setitem(compiler.COMBINED, "<", wrong_order if broken == "<" else order)
    monkeypatch.setattr(operators, "choice", wrong_choice if broken == "?:" else choice)
    assert compare(1, QUICK).different != []
