"""What records have to meet: conditions, unique values, references, and what becomes of those that fail."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.documents import DocumentError
from rules.documents.build import build
from rules.documents.validation import OnFailure, Validation
from rules.schema import Field, FieldType, Schema
from rules.validations import Memory, Tally, Validator, Verdicts, compile_validations

SCHEMA = Schema(
    (
        Field("id", FieldType.INTEGER),
        Field("name"),
        Field("country"),
        Field("phone"),
        Field("active", FieldType.BOOLEAN),
        Field("price", FieldType.FLOAT),
        Field("seen", FieldType.DATETIME),
        Field("credit", FieldType.DECIMAL, scale=4),
    ),
    ("id",),
)


class Outside:
    """What is known outside: the memory of a run, and the values that exist elsewhere."""

    def __init__(self, *there: Any) -> None:
        self.memory = Memory()
        self.there = there
        self.asked: list[list[Any]] = []

    def held(self, asked):
        return self.memory.held(asked)

    def exists(self, _reference, values):
        self.asked.append(values.to_list())
        return values.is_in(list(self.there))


def validation(name: str = "rule", **keys: Any) -> Validation:
    return build(Validation, {"name": name, **keys})


def validator(*items: Validation) -> Validator:
    return Validator(compile_validations(items, SCHEMA, object_name="crm customer"), SCHEMA)


def batch(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"id": n, **dict.fromkeys(SCHEMA.names[1:]), **row} for n, row in enumerate(rows, 1)], schema=SCHEMA.dtypes()
    )


def ask(
    items: list[Validation], *rows: dict[str, Any], outside: Outside | None = None, usable: list[bool] | None = None
) -> Verdicts:
    records = batch(*rows)
    mask = None if usable is None else pl.Series(usable, dtype=pl.Boolean)
    keys = records["id"].cast(pl.String)
    return validator(*items).check(records, outside or Outside(), mask, keys)


def told(verdicts: Verdicts) -> list[tuple[int, str, str]]:
    return [(v.row, v.validation.name, str(v.reason)) for v in verdicts.failures]


def test_a_condition_that_is_not_true_is_told_with_the_values_that_decided():
    found = ask(
        [validation(check="country != 'CN' || phone.orDefault('') != ''", message="Chinese customers need a phone")],
        {"country": "CN", "phone": ""},
        {"country": "CN", "phone": "1"},
        {"country": "DE"},
    )
    assert told(found) == [
        (0, "rule", "Chinese customers need a phone. Found: country 'CN', phone ''."),
    ]
    assert found.tallies == {"rule": Tally(3, 2)}
    assert found.tallies["rule"].failed == 1


def test_without_a_message_the_condition_itself_is_told():
    (verdict,) = ask([validation(check="price > 0.0")], {"price": -1.0}).failures
    assert str(verdict.message) == "'rule' is not met: price > 0.0."
    assert verdict.field == "price"
    long = "name == '" + "x" * 200 + "'"
    (verdict,) = ask([validation(check=long)], {"name": "y"}).failures
    assert str(verdict.message).endswith("....")
    assert len(str(verdict.message)) < 160


def test_decimals_are_told_without_the_zeros_that_only_the_field_adds():
    found = ask([validation(check="credit < 10.0")], {"credit": Decimal("1500.2500")}, {"credit": Decimal(100)})
    assert [v.seen for v in found.failures] == [(("credit", "1500.25"),), (("credit", "100"),)]


def test_a_record_may_fail_to_say_whether_it_is_asked_and_fail_the_question_of_another():
    items = [validation(check="price / 2.0 > 1.0", when="price * 2.0 > 1.0")]
    found = ask(items, {"price": None}, {"price": 1.0}, {"price": 9.0}, {"price": 0.1})
    assert [v.row for v in found.failures] == [0, 1]
    assert found.tallies == {"rule": Tally(3, 1)}


def test_an_empty_answer_is_not_met():
    (verdict,) = ask([validation(check="active")], {"active": None}).failures
    assert str(verdict.reason) == "'rule' is not met: active. Found: active empty."


def test_a_condition_that_cannot_be_worked_out_is_not_met_and_its_error_is_told():
    found = ask([validation(check="price / 2.0 > 1.0", message="Too cheap!")], {"price": None}, {"price": 9.0})
    (verdict,) = found.failures
    assert str(verdict.message).startswith("Too cheap! It cannot be worked out: ")
    assert verdict.column is not None
    assert found.tallies == {"rule": Tally(2, 1)}


def test_a_validation_is_asked_only_where_its_when_is_true():
    found = ask(
        [validation(check="phone != null", when="country == 'CN'")],
        {"country": "CN"},
        {"country": "DE"},
        {"country": None},
        {"country": "CN", "phone": "1"},
    )
    assert [v.row for v in found.failures] == [0]
    assert found.tallies == {"rule": Tally(2, 1)}


def test_where_it_cannot_be_said_whether_to_ask_the_validation_is_not_met():
    found = ask([validation(check="phone != null", when="price * 2.0 > 1.0")], {"price": None, "phone": "1"})
    (verdict,) = found.failures
    assert "cannot be worked out" in str(verdict.message)
    assert found.tallies == {"rule": Tally(1, 0)}


def test_records_that_are_not_usable_are_not_asked():
    items = [validation(check="active"), validation("same", unique=["name"])]
    found = ask(items, {"name": "a"}, {"name": "a", "active": True}, usable=[False, True])
    assert not found.failures
    assert found.tallies == {"rule": Tally(1, 1), "same": Tally(1, 1)}


def test_of_doubles_the_first_is_kept_and_the_second_names_it():
    found = ask([validation(unique=["name"], message="Names are unique")], {"name": "a"}, {"name": "b"}, {"name": "a"})
    assert told(found) == [(2, "rule", "Names are unique. The record '1' has the same name. Found: name 'a'.")]
    assert found.failures[0].field == "name"
    assert found.marks["key"].to_list() == ["1", "2"]


def test_doubles_are_noticed_over_batches():
    outside = Outside()
    items = [validation(unique=["name", "country"])]
    first = ask(items, {"name": "a", "country": "x"}, outside=outside)
    outside.memory.remember(first.marks)
    outside.memory.remember(first.marks.clear())
    made = validator(*items)
    later = batch({"name": "a", "country": "x"}, {"name": "a", "country": "y"}, {"name": "ax", "country": ""})
    found = made.check(later, outside, keys=pl.Series(["7", "8", "9"]))
    assert told(found) == [
        (0, "rule", "'rule' is not met. The record '1' has the same name, country. Found: name 'a', country 'x'.")
    ]
    assert found.failures[0].field is None
    again = made.check(later, outside, keys=pl.Series(["1", "8", "9"]))
    assert not again.failures, "a record that is read again is no double of itself"


def test_values_are_told_apart_whatever_characters_they_hold():
    found = ask(
        [validation(unique=["name", "country"])],
        {"name": "a:", "country": "b"},
        {"name": "a", "country": ":b"},
        {"name": "1:a", "country": "b"},
    )
    assert not found.failures


def test_zero_is_zero_with_either_sign():
    found = ask([validation(unique=["price"])], {"price": 0.0}, {"price": -0.0})
    assert [v.row for v in found.failures] == [1]


def test_times_are_compared_as_what_they_are():
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    found = ask([validation(unique=["seen"])], {"seen": noon}, {"seen": noon}, {"seen": noon.replace(microsecond=1)})
    assert [v.row for v in found.failures] == [1]


def test_records_with_an_empty_value_are_no_doubles():
    found = ask([validation(unique=["name", "country"])], *[{"name": "a"}] * 2, *[{"name": "", "country": "x"}] * 2)
    assert not found.failures
    assert found.marks.is_empty()


def test_a_record_that_is_left_out_takes_no_value_from_a_later_one():
    items = [
        validation("first", unique=["name"]),
        validation("second", unique=["country"], severity="reject"),
        validation("good", check="active", severity="reject"),
    ]
    found = ask(
        items,
        {"name": "a", "country": "x", "active": False},
        {"name": "a", "country": "x", "active": True},
        {"name": "b", "country": "x", "active": True},
        {"name": "b", "country": "y", "active": True},
    )
    assert [(row, name) for row, name, _ in told(found)] == [(0, "good"), (2, "second")]


def test_a_double_that_is_only_warned_of_still_has_its_other_values():
    items = [validation("first", unique=["name"], severity="warn"), validation("second", unique=["country"])]
    found = ask(items, {"name": "a", "country": "x"}, {"name": "a", "country": "y"}, {"name": "b", "country": "y"})
    assert [(row, name) for row, name, _ in told(found)] == [(1, "first"), (2, "second")]


def test_a_double_of_a_record_without_a_key_is_told_as_well():
    made = validator(validation(unique=["name"]))
    (verdict,) = made.check(batch({"name": "a"}, {"name": "a"}), Outside()).failures
    assert str(verdict.message) == "'rule' is not met. Another record further up has the same name."


def test_references_are_looked_up_once_a_batch():
    outside = Outside("DE", "CN")
    item = validation(reference={"connection": "hub", "object": "country", "field": "country", "key": "code"})
    found = ask(
        [item], {"country": "DE"}, {"country": "XX"}, {"country": None}, {"country": ""}, {"country": "XX"},
        outside=outside,
    )  # fmt: skip
    assert outside.asked == [["DE", "XX"]]
    assert [v.row for v in found.failures] == [1, 4]
    assert str(found.failures[0].message) == "'rule' is not met. There is no record of country with code 'XX'."
    assert found.failures[0].field == "country"


def test_references_that_are_all_empty_are_not_looked_up():
    outside = Outside()
    item = validation(reference={"connection": "erp", "object": "country", "field": "id", "key": "code"})
    assert not ask([item], {"id": None}, outside=outside).failures
    assert not outside.asked


def test_the_gravest_verdict_decides_and_of_equals_the_first():
    items = [
        validation("a", check="active", severity="warn"),
        validation("b", check="active"),
        validation("c", check="active", severity="quarantine"),
        validation("d", check="phone != null", severity="reject"),
    ]
    found = ask(items, {"active": False}, {"active": False, "phone": "1"}, {"active": True, "phone": "1"})
    assert {row: v.validation.name for row, v in found.blocking.items()} == {0: "d", 1: "b"}
    assert [(v.row, v.severity) for v in found.warnings] == [(0, OnFailure.WARN), (1, OnFailure.WARN)]


def test_every_mistake_of_the_conditions_is_told_at_its_place():
    items = [
        validation("a", check="nam == 'x'", when="1 + 1"),
        validation("b", unique=["name", "cuntry"]),
        validation("c", reference={"object": "x", "field": "phon", "key": "y"}),
    ]
    with pytest.raises(DocumentError) as refused:
        compile_validations(items, SCHEMA, object_name="crm customer")
    assert [(p.path, p.suggestion) for p in refused.value.problems] == [
        ("validations/0/check", "name"),
        ("validations/0/when", None),
        ("validations/1/unique/1", "country"),
        ("validations/2/reference/field", "phone"),
    ]


NAMES = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "", None]), st.booleans()), max_size=20)


@given(NAMES, st.lists(st.integers(0, 20), max_size=4))
def test_batches_make_no_difference(rows, cuts):
    """However the records are cut into batches, the same ones fail."""
    items = [validation("good", check="active"), validation("same", unique=["name"])]
    made = validator(*items)
    records = batch(*({"name": name, "active": active} for name, active in rows))
    whole = [v.row for v in made.check(records, Outside(), keys=records["id"].cast(pl.String)).failures]
    outside, found = Outside(), []
    places = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for start, end in pairwise(places):
        part = records[start:end]
        verdicts = made.check(part, outside, keys=part["id"].cast(pl.String))
        outside.memory.remember(verdicts.marks)
        found += [start + v.row for v in verdicts.failures]
    assert found == whole


@given(NAMES)
def test_tallies_add_up(rows):
    """Of every validation, those that meet it and those that fail are those that were asked."""
    items = [validation("good", check="active"), validation("same", unique=["name"], when="active")]
    found = ask(items, *({"name": name, "active": active} for name, active in rows))
    for item in items:
        failed = sum(v.validation is item for v in found.failures)
        assert found.tallies[item.name].failed == failed


def test_a_record_that_one_validation_is_not_asked_of_may_be_a_double_for_another():
    items = [validation("a", unique=["name"], when="active"), validation("b", unique=["country"])]
    found = ask(
        items,
        {"name": "x", "country": "y", "active": False},
        {"name": "x", "country": "y", "active": True},
    )
    assert [(v.row, v.validation.name) for v in found.failures] == [(1, "b")]


def test_a_reference_needs_no_further_values():
    item = validation(reference={"connection": "hub", "object": "country", "field": "country", "key": "code"})
    (verdict,) = ask([item], {"country": "XX"}).failures
    assert verdict.reason == verdict.message
