"""Who is a second person: nobody behind whom the author could be, nor the other way round."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.approvals.conftest import ask_for, needed, proposed, who
from tests.approvals.test_deciding import ask, role, wider  # noqa: F401
from webapp.access import factors, group_editing, keys, models, removal, role_editing, service_accounts, users
from webapp.access.group_editing import Group
from webapp.access.service_accounts import Wanted
from webapp.approvals import deciding
from webapp.approvals.errors import NotDecided
from webapp.approvals.proposals import Proposal
from webapp.extensions import Actor, House


def add(house: House, name: str, actor: Actor) -> Actor:
    users.create_user(house, users.NewUser(name, name, "", f"{name}@example.com", ("Admin",)), actor)
    return who(house, name)


def robot(house: House, owner: str, by: Actor) -> int:
    """Add a service account with a key `robots`."""
    made = service_accounts.create(house, Wanted("robot", "Deploys.", owner, ("Admin",)), by)
    keys.create_key(house, keys.NewKey("robots", ("approvals:approve",), None), by, made)
    return made


def key(house: House, name: str = "robots") -> Actor:
    with house.db.read() as tx:
        return Actor("key", name, str(next(k.id for k in keys.list_keys(tx, house.clock()) if k.name == name)))


def ask_by(house: House, role_id: int, actor: Actor) -> Proposal:
    return proposed(house, actor, lambda: role_editing.save_role(house, wider(role_id, ("Cases", "read")), actor))


def refused(house: House, found: Proposal, *others: Actor) -> None:
    """See that some people cannot approve a proposal, and that Ben, who has nothing to do with it, can."""
    for one in others:
        with pytest.raises(NotDecided, match="person has to approve"):
            deciding.approve(house, found.id, one)
    assert deciding.approve(house, found.id, who(house, "ben")).state == "applied"


def test_nobody_approves_what_an_account_of_their_own_making_proposes(house: House, role: int) -> None:  # noqa: F811
    """Who has made an account, or given it a new password, may be the one who proposes by it."""
    anna, carl = who(house, "anna"), who(house, "carl")
    refused(house, ask(house, role, add(house, "dora", anna)), anna)
    users.reset_password(house, int(carl.id or 0), anna)
    refused(house, ask_by(house, role, carl), anna)


def test_one_person_has_not_made_both(house: House, role: int) -> None:  # noqa: F811
    """Two accounts that one person has made lately are not two persons, and neither are those that the first made."""
    anna = who(house, "anna")
    dora, eric = add(house, "dora", anna), add(house, "eric", anna)
    fred = add(house, "fred", eric)
    refused(house, ask(house, role, dora), eric, fred, anna)
    refused(house, ask_by(house, role, anna), fred)


def test_a_role_or_a_name_gives_nobody_an_account(house: House, role: int) -> None:  # noqa: F811
    """An administrator who has given somebody a role approves what that one proposes."""
    new = users.NewUser("carl", "Carlo", "Test", "carl@example.com", ("Admin", "Auditor"))
    users.update_user(house, int(who(house, "carl").id or 0), new, who(house, "anna"))
    found = ask(house, role, who(house, "carl"))
    assert deciding.approve(house, found.id, who(house, "anna")).state == "applied"


def test_whoever_has_had_the_key_in_hand(house: House, role: int) -> None:  # noqa: F811
    """Who has made or replaced the key of a service account does not approve what it proposes, by either of the two."""
    anna, carl = who(house, "anna"), who(house, "carl")
    robot(house, "carl", carl)
    keys.rotate_key(house, int(key(house).id or 0), timedelta(hours=1), anna)
    refused(house, ask_by(house, role, key(house)), anna, carl)
    found = proposed(
        house, key(house, "robots (1)"),
        lambda: role_editing.save_role(house, wider(role, ("Audit", "read")), key(house, "robots (1)")),
    )  # fmt: skip
    refused(house, found, anna, carl)


def test_whoever_has_handed_the_account_on(house: House, role: int) -> None:  # noqa: F811
    """Another owner, named for the occasion, does not make a second person of the one before."""
    anna, carl = who(house, "anna"), who(house, "carl")
    made = robot(house, "anna", carl)
    service_accounts.update(house, made, Wanted("robot", "Deploys.", "carl", ("Admin",)), anna)
    refused(house, ask_by(house, role, key(house)), anna, carl)


def test_an_account_made_by_a_service_account_of_ones_own(house: House, role: int) -> None:  # noqa: F811
    """What a service account makes its owner has made, also when its keys are gone."""
    anna = who(house, "anna")
    made = robot(house, "anna", anna)
    dora = add(house, "dora", key(house))
    removal.delete_user(house, made, anna)
    refused(house, ask(house, role, anna), dora)


def test_a_passkey_that_was_taken_away(house: House, role: int) -> None:  # noqa: F811
    """Who has removed somebody's last factor may have got in as that one."""
    anna, carl = who(house, "anna"), who(house, "carl")
    values = {"name": "x", "handle": "h", "credential": "c", "public_key": "p", "digest": "d", "transports": []}
    flags = {"alone": False, "synced": False, "sign_count": 0, "created_at": house.clock()}
    with house.db.begin() as tx:
        tx.execute(sa.insert(models.access_passkey).values(user_id=int(carl.id or 0), **values, **flags))
    factors.take_away(house, int(carl.id or 0), anna)
    refused(house, ask(house, role, anna), carl)


def test_roles_come_and_go_by_a_group_in_no_order_alone(house: House) -> None:
    """Members of a group get or lose its roles by a second person, whichever of the two is written first."""
    ask_for(house, "change_membership")
    anna = who(house, "anna")

    def save(roles: tuple[str, ...], members: tuple[str, ...]) -> int:
        return group_editing.save_group(house, Group(number, "Team", "", roles, members), anna)

    number: int | None = None
    number = save((), ("carl",))
    needed(lambda: save(("Viewer",), ("carl",)))
    save((), ())
    save(("Viewer",), ())
    asked = proposed(house, anna, lambda: save(("Viewer",), ("carl",)))
    deciding.approve(house, asked.id, who(house, "ben"))
    needed(lambda: save((), ("carl",)))
    needed(lambda: save(("Viewer",), ()))
    needed(lambda: group_editing.delete_group(house, number or 0, anna))
