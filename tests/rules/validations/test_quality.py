"""How complete records are, and the score that comes of it."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.documents.validation import OnFailure, Validation
from rules.schema import Field, FieldType
from rules.validations import Tally, quality
from rules.validations.quality import FieldQuality, Form, Measure, Quality, ValidationQuality

FIELDS = (Field("name"), Field("mail"), Field("age", FieldType.INTEGER))
MAIL = Form("email", r"^[^@]+@[^@]+$")


def measured(*batches: dict[str, list], weights: dict[str, int] | None = None) -> Quality:
    measure = Measure(FIELDS, weights or {}, {"mail": MAIL, "age": MAIL})
    for batch in batches:
        measure.add(pl.DataFrame(batch, schema={f.name: f.dtype for f in FIELDS}))
    return measure.result()


def test_fields_are_counted_over_batches():
    found = measured(
        {"name": ["a", "b", ""], "mail": ["x@y", "nope", None], "age": [1, 1, None]},
        {"name": ["a"], "mail": ["z@y"], "age": [2]},
    )
    assert found.records == 4
    assert found.fields == (
        FieldQuality("name", 1, 4, 3, 2),
        FieldQuality("mail", 1, 4, 3, 3, "email", 2),
        FieldQuality("age", 1, 4, 3, 2),
    )


def test_a_field_counts_with_what_is_filled_and_has_its_form():
    assert FieldQuality("a", 1, 4, 2, 2).score == 0.5
    assert FieldQuality("a", 1, 4, 2, 2, "email", 1).score == 0.25
    assert FieldQuality("a", 1, 4, 0, 0, "email", 0).score == 0
    assert FieldQuality("a", 1, 0, 0, 0).score is None


def test_heavier_parts_count_more():
    fields = (FieldQuality("a", 3, 10, 10, 10), FieldQuality("b", 1, 10, 0, 0))
    assert Quality(10, fields).score == 75.0
    rule = ValidationQuality.of(Validation(name="v", check="true"), Tally(10, 5))
    soft = ValidationQuality.of(Validation(name="w", check="true", severity=OnFailure.WARN), Tally(10, 0))
    assert (rule.weight, soft.weight) == (3, 1)
    assert Quality(10, fields, (rule, soft)).score == pytest.approx(100 * (3 + 0 + 1.5 + 0) / 8, abs=0.05)


def test_what_nothing_can_be_said_of_does_not_count():
    assert Quality(0, (FieldQuality("a", 1, 0, 0, 0),)).score is None
    unasked = ValidationQuality.of(Validation(name="v", check="true"), Tally(0, 0))
    assert Quality(2, (FieldQuality("a", 1, 2, 1, 1),), (unasked,)).score == 50.0


def test_very_many_different_values_are_not_counted_any_more(monkeypatch):
    monkeypatch.setattr(quality, "COUNTED", 5)
    monkeypatch.setattr(quality, "_HELD", 2)
    batch = {"name": [str(n) for n in range(6)], "mail": ["x"] * 6, "age": list(range(6))}
    found = measured(batch, batch)
    assert [f.distinct for f in found.fields] == [None, 1, None]


def test_measures_survive_being_stored():
    found = measured({"name": ["a"], "mail": ["x@y"], "age": [1]}, weights={"name": 3})
    rule = ValidationQuality.of(Validation(name="v", check="true", message="m"), Tally(3, 2))
    whole = Quality(found.records, found.fields, (rule,))
    assert Quality.from_json(whole.to_json()) == whole


PARTS = st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 9)), max_size=6)


@given(PARTS, PARTS)
def test_the_score_is_a_share(fields, rules):
    """The score lies between 0 and 100, and is 100 only where nothing is missing."""
    made = tuple(FieldQuality(str(n), weight, 9, filled, filled) for n, (weight, filled) in enumerate(fields))
    asked = tuple(ValidationQuality(str(n), "reject", "", weight, 9, met) for n, (weight, met) in enumerate(rules))
    score = Quality(9, made, asked).score
    if not fields and not rules:
        assert score is None
    else:
        assert score is not None
        assert 0 <= score <= 100
        assert (score == 100) == all(part == 9 for _, part in (*fields, *rules))
