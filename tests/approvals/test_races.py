"""Whoever decides at the same moment, a deed is done at most once, on either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.approvals.conftest import CLI, ask_for, events, proposed, who
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.approvals import deciding
from webapp.approvals.errors import ApprovalProblem, SecondPersonNeeded
from webapp.approvals.proposals import Proposal
from webapp.extensions import Actor, House

ROUNDS = 3


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Return what works come to that begin at the same moment; an error of ours is a result."""
    barrier, found = threading.Barrier(len(works)), [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            found[place] = work()
        except (ApprovalProblem, SecondPersonNeeded) as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in found, "something unexpected was raised"
    return found


def grants(number: int) -> frozenset[tuple[str, str]]:
    return frozenset({("Rules", "read"), *([("Runs", "read")] if number % 2 else [("Cases", "read")])})


@pytest.fixture
def role(house: House) -> int:
    made = role_editing.save_role(house, Role(None, "Sales", "", 0, frozenset({("Rules", "read")})), CLI)
    ask_for(house, "change_role")
    return made


def ask(house: House, role: int, actor: Actor, number: int) -> Proposal:
    wanted = Role(role, "Sales", f"In round {number}.", 0, grants(number))
    return proposed(house, actor, lambda: role_editing.save_role(house, wanted, actor))


def updates(house: House) -> int:
    return len(events(house, "access:role:updated"))


def test_two_approvers_at_once(house: House, role: int) -> None:
    """Exactly one of them does it; the other is told that it is decided."""
    anna, ben, carl = (who(house, name) for name in ("anna", "ben", "carl"))
    for number in range(ROUNDS):
        found = ask(house, role, anna, number)
        ends = at_once(*(partial(deciding.approve, house, found.id, by) for by in (ben, carl, ben)))
        assert sum(isinstance(end, Proposal) for end in ends) == 1
        assert updates(house) == number + 1


def test_author_and_approver_at_once(house: House, role: int) -> None:
    """A withdrawal and an approval at the same moment: one of them holds, and what is stored agrees with it."""
    anna, ben = who(house, "anna"), who(house, "ben")
    done = 0
    for number in range(ROUNDS):
        found = ask(house, role, anna, number)
        ends = at_once(
            partial(deciding.withdraw, house, found.id, anna), partial(deciding.approve, house, found.id, ben)
        )
        (end,) = [end for end in ends if isinstance(end, Proposal)]
        done += end.state == "applied"
        assert updates(house) == done


def test_author_approves_while_another_does(house: House, role: int) -> None:
    """The author's own attempt never counts, however the other's goes."""
    anna, ben = who(house, "anna"), who(house, "ben")
    found = ask(house, role, anna, 1)
    ends = at_once(partial(deciding.approve, house, found.id, anna), partial(deciding.approve, house, found.id, ben))
    assert isinstance(ends[0], ApprovalProblem)
    assert ends[1].decided_by == "ben"


def test_two_proposals_about_one_subject_at_once(house: House, role: int) -> None:
    """Both are approved at the same moment: one is done, the other is out of date."""
    anna, ben, carl = (who(house, name) for name in ("anna", "ben", "carl"))
    for number in range(ROUNDS):
        first, second = ask(house, role, anna, number), ask(house, role, anna, number + 10)
        ends = at_once(
            partial(deciding.approve, house, first.id, ben),
            partial(deciding.approve, house, second.id, carl),
        )
        assert sum(isinstance(end, Proposal) for end in ends) == 1
        assert updates(house) == number + 1


def test_edit_while_approved(house: House, role: int) -> None:
    """A change past the approvals at the same moment: the deed is done on what was shown, or not at all."""
    anna, ben = who(house, "anna"), who(house, "ben")
    for number in range(ROUNDS):
        found = ask(house, role, anna, number)

        def edit(number: int = number) -> str:
            with house.db.begin() as tx:
                role_editing.get_role(tx, role)
                tx.exec_driver_sql(f"UPDATE ab_role SET name = 'Sales' WHERE id = {role}")
                tx.exec_driver_sql(f"UPDATE access_role SET description = 'Edit {number}' WHERE role_id = {role}")
            return "edited"

        edited, end = at_once(edit, partial(deciding.approve, house, found.id, ben))
        assert edited == "edited"
        with house.db.read() as tx:
            stored = role_editing.get_role(tx, role)
        if isinstance(end, Proposal):  # it was first, or the edit came behind it
            assert stored.grants == grants(number)
        else:
            assert stored.description == f"Edit {number}"


def test_override_and_approval_at_once(house: House, role: int) -> None:
    """An emergency beside an approval does nothing twice."""
    anna, ben = who(house, "anna"), who(house, "ben")
    found = ask(house, role, anna, 1)
    ends = at_once(
        lambda: deciding.override(house, found.id, anna, "Fire."),
        partial(deciding.approve, house, found.id, ben),
    )
    assert sum(isinstance(end, Proposal) for end in ends) == 1
    assert updates(house) == 1
