"""The conformance cases of google/cel-spec, against a declared list of what our language leaves out and why."""

from __future__ import annotations

import json

import pytest

from tests.rules.language.conformance import FOLDER, Case, Refused, cases, outcome, passes

LEFT_OUT: dict[str, str] = {
    where: reason
    for reason, places in json.loads((FOLDER / "left-out.json").read_text("utf-8")).items()
    for where in places
}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.where) for case in cases()])
def test_case(case: Case) -> None:
    """A case gives exactly the expected value or error, or is declared as left out; the declaration is exact."""
    assert passes(case) is (case.where not in LEFT_OUT), LEFT_OUT.get(case.where, "")


def test_declared() -> None:
    """What is declared as left out exists; most of CEL is there."""
    known = {case.where for case in cases()}
    assert set(LEFT_OUT) <= known
    assert len(known) - len(LEFT_OUT) >= 970


def test_reasons() -> None:
    """A refusal for a form that is left out is never taken for an expected error."""
    number = next(case for case in cases() if case.where == "conversions/uint/int_neg")
    with pytest.raises(Refused) as refused:
        outcome(number)
    assert not refused.value.is_error
