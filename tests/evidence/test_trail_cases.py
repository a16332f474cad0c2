"""The steps of a record's history that cases tell of."""

from __future__ import annotations

from tests.cases.waiting import PHONES, make_rule, wait
from webapp.evidence.prover import Prover
from webapp.evidence.trail_people import Named, PeopleSteps
from webapp.extensions import House


def test_a_case_is_told_once_of_both_its_records(house: House):
    """A rule knows the records of both systems by their keys; the case about the two is one step and not two."""
    rule = make_rule(house)
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), ("2", "8", "linked_conflict", PHONES))
    with house.db.read() as tx:
        known = [Named("r", rule, "left", "1"), Named("r", rule, "right", "7")]
        steps = list(PeopleSteps(tx, Prover(tx)).of([], known))
    assert [step.url for step in steps] == ["/cases/1"]


def test_a_case_of_another_record_with_the_same_key_is_not_told(house: House):
    """Both systems may use one key for different records: only cases about the record of this side are its own."""
    rule = make_rule(house)
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), ("7", "1", "linked_conflict", PHONES))
    with house.db.read() as tx:
        told = {
            (side, key): [step.url for step in PeopleSteps(tx, Prover(tx)).of([], [Named("r", rule, side, key)])]
            for side in ("left", "right")
            for key in ("1", "7")
        }
    assert told == {
        ("left", "1"): ["/cases/1"], ("right", "7"): ["/cases/1"],
        ("left", "7"): ["/cases/2"], ("right", "1"): ["/cases/2"],
    }  # fmt: skip
