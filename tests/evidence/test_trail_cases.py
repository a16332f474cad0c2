"""The steps of a record's history that cases tell of."""

from __future__ import annotations

from tests.cases.waiting import PHONES, make_rule, wait
from webapp.evidence.prover import Prover
from webapp.evidence.trail_people import PeopleSteps
from webapp.extensions import House


def test_a_case_is_told_once_of_both_its_records(house: House):
    """A rule knows the records of both systems by their keys; the case about the two is one step and not two."""
    rule = make_rule(house)
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), ("2", "8", "linked_conflict", PHONES))
    with house.db.read() as tx:
        steps = list(PeopleSteps(tx, Prover(tx)).of([], [("r", rule, "1"), ("r", rule, "7")]))
    assert [step.url for step in steps] == ["/cases/1"]
