"""What a source may filter by is never narrower than the condition."""

from __future__ import annotations

import random

import pytest

from connectors.testing_filter import sent
from rules.language import ExpressionError, compile_expression
from rules.language.sql import push_down
from rules.schema import FieldType
from tests.rules.language.expressions import SCHEMA, batches
from tests.rules.language.sql.conditions import Conditions

QUICK, FULL = 600, 4_000


def compare(seed: int, count: int) -> tuple[int, int, list[str]]:
    """Return how many conditions were pushed, how many records left out, and where a record would be lost."""
    frames = batches(seed)
    pools = {field.name: frames[1][field.name].to_list() for field in SCHEMA.fields}
    conditions = Conditions(seed, SCHEMA, lambda field: pools[field.name])
    pushed, left_out, lost = 0, 0, []
    while pushed < count:
        text = conditions.condition()
        try:
            program = compile_expression(text, SCHEMA, expect=FieldType.BOOLEAN)
        except ExpressionError:
            continue
        found = push_down(text, SCHEMA)
        if found.filter is None:
            continue
        pushed += 1
        frame = frames[pushed % len(frames)]
        evaluated = program.evaluate(frame)
        failed = {error.row for error in evaluated.errors}
        for row, (keep, value) in enumerate(zip(sent(found.filter, frame), evaluated.values, strict=True)):
            left_out += not keep
            if not keep and (value is True or row in failed):
                lost.append(f"{text} -> {found.words}: {value} {row in failed} {frame.row(row, named=True)}")
    return pushed, left_out, lost


def test_nothing_is_lost() -> None:
    """Over difficult records, all that are in scope or fail meet what some hundred random conditions push down."""
    pushed, left_out, lost = compare(20_261_122, QUICK)
    assert lost == []
    assert left_out > pushed * 10, "the test is worth something only if records are left out"


@pytest.mark.soak
def test_nothing_is_lost_at_all() -> None:
    """The same for four thousand conditions, others at each run."""
    seed = random.SystemRandom().randrange(2**32)
    _, _, lost = compare(seed, FULL)
    assert lost == [], f"seed {seed}"


@pytest.mark.parametrize(
    "text",
    [
        "qty < 1e+300",
        "rate < dyn(9007199254740993)",
        "price == 0.1234567890123456",
        "qty == 1 / 0",
        "qty in [9007199254740993, -7.0]",
        "qty == dyn('x')",
        "local == dyn('x')",
    ],
)
def test_values_that_are_compared_here(text: str) -> None:
    """A value that a source might read in another way, or that there is none of, is compared here, and why."""
    found = push_down(text, SCHEMA)
    assert (found.filter, found.words, found.rest) == (None, "", (text,))
    assert str(found.reasons[0].message)
