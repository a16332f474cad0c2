"""Cases: opened once, assigned, talked about, closed; each deed is in the audit log."""

from __future__ import annotations

import pytest

from webapp.audit import queries
from webapp.cases import services
from webapp.cases.services import CaseMissing, CaseRefused, NewCase, Wanted
from webapp.extensions import Actor, House

ANNA = Actor("user", "anna", "1")


def tags(house: House) -> list[str]:
    with house.db.read() as tx:
        return [row.tag.rpartition(":")[2] for row in queries.page(tx, queries.Filter(), 100)][::-1]


def titles(house: House, **wanted: object) -> list[str]:
    with house.db.read() as tx:
        return [case.title for case in services.listing(tx, Wanted(**wanted))]


def test_the_life_of_a_case(house: House) -> None:
    """A case is opened, given to somebody, talked about, closed with a decision, and opened again."""
    case_id = services.open_case(
        house, NewCase("conflict", "Which phone?", "customer 7", {"left": 1}, "customers"), ANNA
    )
    services.assign(house, case_id, "ben", ANNA)
    services.assign(house, case_id, "ben", ANNA)
    services.comment(house, case_id, " I ask them. ", ANNA)
    services.close(house, case_id, "the left one", ANNA)
    with house.db.read() as tx:
        case = services.get(tx, case_id)
        said = services.comments(tx, case_id)
    assert (case.state, case.assignee, case.resolution, case.closed_by) == ("closed", "ben", "the left one", "anna")
    assert (case.details, case.opened_by, [one.text for one in said]) == ({"left": 1}, "anna", ["I ask them."])
    services.reopen(house, case_id, ANNA)
    services.reopen(house, case_id, ANNA)
    with house.db.read() as tx:
        assert services.get(tx, case_id).resolution is None
    assert tags(house) == ["opened", "assigned", "commented", "closed", "reopened"]


def test_a_case_of_one_origin_is_opened_once(house: House) -> None:
    """What opens a case twice gets the number of the one that is known, also when that is closed."""
    first = services.open_case(house, NewCase("match", "Alike?", origin="link 7"), ANNA)
    services.close(house, first, "", ANNA)
    assert services.open_case(house, NewCase("match", "Alike?", origin="link 7"), ANNA) == first
    assert services.open_case(house, NewCase("match", "Alike?", origin="link 8"), ANNA) != first
    assert tags(house) == ["opened", "closed", "opened"]


def test_lists(house: House) -> None:
    """Cases are found by state, kind, rule and assignee, the latest first."""
    one = services.open_case(house, NewCase("conflict", "one", rule_name="a"), ANNA)
    services.open_case(house, NewCase("match", "two", rule_name="b", assignee="ben"), ANNA)
    services.open_case(house, NewCase("match", "three", rule_name="a"), ANNA)
    services.close(house, one, "", ANNA)
    assert titles(house) == ["three", "two"]
    assert titles(house, state=None) == ["three", "two", "one"]
    assert titles(house, kind="match", rule_name="a") == ["three"]
    assert titles(house, assignee="ben") == ["two"]
    assert titles(house, state="closed") == ["one"]
    assert titles(house, state=None, before=2) == ["one"]
    with house.db.read() as tx:
        assert services.count(tx, Wanted()) == 2


def test_what_cannot_be_done(house: House) -> None:
    """A case without words, a case that is not there, a closed case: each refusal says what to do."""
    case_id = services.open_case(house, NewCase("match", "x"), ANNA)
    services.close(house, case_id, "", ANNA)
    for deed in (
        lambda: services.open_case(house, NewCase("match", " "), ANNA),
        lambda: services.comment(house, case_id, " ", ANNA),
        lambda: services.comment(house, case_id, "x" * 10_001, ANNA),
        lambda: services.assign(house, case_id, "ben", ANNA),
        lambda: services.close(house, case_id, "", ANNA),
        lambda: services.close(house, case_id, "x" * 10_001, ANNA),
    ):
        with pytest.raises(CaseRefused):
            deed()
    with pytest.raises(CaseMissing), house.db.read() as tx:
        services.get(tx, 99)


def test_a_case_stands_or_falls_with_what_opens_it(house: House) -> None:
    """Opened and closed in somebody's transaction, a case goes with it."""

    def fail() -> None:
        with house.db.begin() as tx:
            case_id = services.open_case(house, NewCase("match", "x"), ANNA, tx)
            services.close(house, case_id, "", ANNA, tx)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert titles(house, state=None) == []
    assert tags(house) == []
