"""Fields that refer to records of another rule: keys through links, exactly typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from rules.documents import DocumentError, parse_sync
from rules.documents.check import check_sync
from rules.language.library import Library
from rules.mapping import compile_mapping
from rules.mapping.references import LinkEnd, SameKeys, Standing
from rules.schema import Field, FieldType, Schema
from rules.testing import SyncTests

RULE: dict[str, Any] = {
    "kind": "sync",
    "name": "orders",
    "left": {"connection": "crm", "object": "purchase"},
    "right": {"connection": "erp", "object": "sale"},
    "key": {"left": "id", "right": "id"},
    "fields": [{"left": "id", "right": "id"}, {"left": "person", "right": "partner", "reference": "customers"}],
}
LEFT = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("person")), ("id",))
RIGHT = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("partner", FieldType.INTEGER)), ("id",))


@dataclass
class Links:
    """Links in memory: number on the left, text or number on the right."""

    right: FieldType = FieldType.INTEGER
    known: Mapping[str, str] = field(default_factory=lambda: {"1": "101", "2": "102"})
    why: Mapping[str, Standing] = field(default_factory=dict)
    places: tuple[str, str] = ("crm", "erp")

    @property
    def ends(self) -> Mapping[str, LinkEnd]:
        left = LinkEnd(self.places[0], "person", Field("id", FieldType.INTEGER))
        return {"left": left, "right": LinkEnd(self.places[1], "partner", Field("no", self.right))}

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        known = dict(self.known) if side == "left" else {b: a for a, b in self.known.items()}
        return keys.replace_strict(known, default=None, return_dtype=pl.String)

    def standing(self, side: str, keys: Sequence[str]) -> Mapping[str, Standing]:
        assert side in self.ends
        return {key: self.why[key] for key in keys if key in self.why}


def _mapped(links: Links, *people: str | None, rule: Mapping[str, Any] = RULE, right: Schema = RIGHT) -> Any:
    mapping = compile_mapping(parse_sync(rule), LEFT, right, Library(links={"customers": links}))
    batch = pl.DataFrame({"id": list(range(len(people))), "person": list(people)}, schema=LEFT.dtypes())
    return mapping.apply(batch), mapping, batch


def test_a_key_becomes_the_linked_one_and_nothing_stays_nothing():
    """Each value becomes the key of the linked record in the target's type; an empty field stays empty."""
    mapped, mapping, batch = _mapped(Links(), "1", None, "2")
    assert mapped.records["partner"].to_list() == [101, None, 102]
    assert mapped.errors == ()
    assert [column.to_list() for column in mapping.referred(batch)] == [["101", None, "102"]]


def test_keys_meet_by_value_and_not_by_spelling():
    """A text that stands for the number of a key finds it; one that is no number is an error of the mapping."""
    mapped, _, _ = _mapped(Links(), " 01 ", "x")
    assert mapped.records["partner"].to_list() == [101, None]
    assert [(error.row, error.stage) for error in mapped.errors] == [(1, "map")]


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (None, "It waits for person 3 of the rule 'customers', which is not linked yet."),
        (Standing.PARKED, "It waits for person 3 of the rule 'customers', which is in quarantine itself."),
        (Standing.REMOVED, "was linked but is not any more"),
        (Standing.APART, "is to stay without a partner"),
    ],
)
def test_a_record_without_a_link_is_told_with_its_reason(standing: Standing | None, words: str):
    """Only the record whose reference has no link waits; the reason names the other record and what is known of it."""
    mapped, _, _ = _mapped(Links(why={"3": standing} if standing else {}), "1", "3")
    (error,) = mapped.errors
    assert (error.row, error.field, error.stage) == (1, "partner", "reference")
    assert words in str(error.message)
    assert {name: error.message.values[name] for name in ("rule", "side", "key")} == {
        "rule": "customers", "side": "left", "key": "3",
    }  # fmt: skip


def test_a_linked_key_that_does_not_fit_is_an_error():
    """A linked key that is none of its type, or does not fit the field, is told and not written."""
    mapped, _, _ = _mapped(Links(known={"1": "C-7"}), "1")
    assert "which is no integer" in str(mapped.errors[0].message)
    mapped, _, _ = _mapped(Links(FieldType.TEXT, known={"1": "C-7", "2": "8"}), "1", "2")
    assert mapped.records["partner"].to_list() == [None, 8]
    assert [(error.row, error.stage) for error in mapped.errors] == [(0, "map")]


def test_the_rule_may_lie_the_other_way_round():
    """A rule whose left side is this rule's right side serves as well."""
    turned = Links(places=("erp", "crm"), known={"101": "1"})
    mapped, _, _ = _mapped(turned, "1")
    assert mapped.records["partner"].to_list() == [101]


def test_what_is_missing_may_be_left_empty():
    """`on_error: null` writes the record with an empty field instead of letting it wait; conditions hold as ever."""
    entry = {**RULE["fields"][1], "on_error": "null"}
    mapped, _, _ = _mapped(Links(), "9", rule={**RULE, "fields": [RULE["fields"][0], entry]})
    assert mapped.errors == ()
    assert mapped.records["partner"].to_list() == [None]
    entry = {**RULE["fields"][1], "when": "id > 0"}
    mapped, _, _ = _mapped(Links(), "9", "1", rule={**RULE, "fields": [RULE["fields"][0], entry]})
    assert mapped.errors == ()
    assert mapped.records["partner"].to_list() == [None, 101]


def test_a_reference_that_cannot_work_is_refused():
    """A rule that is not there, lies elsewhere or has keys of a type that cannot become these is told at the key."""
    for library, words in (
        (Library(), "There is no sync rule called 'customers'."),
        (Library(links={"customers": Links(places=("crm", "hr"))}), "does not lie between 'crm' and 'erp'"),
        (Library(links={"customers": Links(FieldType.BINARY)}), "binary"),
    ):
        with pytest.raises(DocumentError) as refused:
            compile_mapping(parse_sync(RULE), LEFT, RIGHT, library)
        (problem,) = refused.value.problems
        assert problem.path == "fields/1/reference"
        assert words in str(problem.message)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"left": None, "to_right": "1"}, "fields/1/reference"),
        ({"to_right": "person"}, "fields/1/to_right"),
        ({"to_left": "partner"}, "fields/1/to_left"),
    ],
)
def test_a_reference_needs_both_fields_and_no_expression(change: dict[str, Any], path: str):
    """A field that refers to records gets its value from their links alone."""
    entry = {name: value for name, value in ({**RULE["fields"][1], **change}).items() if value is not None}
    with pytest.raises(DocumentError) as refused:
        parse_sync({**RULE, "fields": [RULE["fields"][0], entry]})
    assert path in [problem.path for problem in refused.value.problems]


def test_policies_that_compare_values_say_nothing_of_keys():
    """A conflict of references is settled by who wins, never by comparing keys; such a default asks a person."""
    both = {**RULE, "direction": "two_way", "fields": [RULE["fields"][0], {**RULE["fields"][1], "conflict": "max"}]}
    library = Library(links={"customers": Links()})
    paths = [problem.path for problem in check_sync(parse_sync(both), LEFT, RIGHT, library=library)]
    assert "fields/1/conflict" in paths
    usual = {**RULE, "direction": "two_way", "conflict": {"default": "max"}}
    found = check_sync(parse_sync(usual), LEFT, RIGHT, library=library)
    assert "fields/1/conflict" not in [problem.path for problem in found]


def test_examples_take_keys_as_they_are():
    """In the tests of a rule each record is linked to one with the same key, whatever is linked at the moment."""
    tests = [{"name": "same", "given": {"id": 1, "person": "7"}, "expect": {"partner": 7}}]
    links = {"customers": Links()}
    found = SyncTests(parse_sync({**RULE, "tests": tests}), LEFT, RIGHT, Library(links=links)).run()
    assert [result.passed for result in found.results] == [True]
    same = SameKeys(links)
    assert (list(same), len(same)) == (["customers"], 1)
    assert same["customers"].standing("left", ["1"]) == {}
