"""Proposals are decided once, by a second person, and done exactly as they were shown."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from rules.text import Message
from tests.approvals.conftest import CLI, Clock, add_user, ask_for, events, needed, proposed, who
from webapp.access import factors, keys, role_editing, service_accounts, users
from webapp.access.role_editing import Role
from webapp.approvals import deciding, gate, hooks, proposals, settings, settings_deed
from webapp.approvals.deeds import Deed
from webapp.approvals.errors import NotApplicable, NotDecided, SecondPersonNeeded, Stale
from webapp.approvals.hooks import Told
from webapp.approvals.proposals import Proposal
from webapp.events import waiting
from webapp.events.models import notice
from webapp.extensions import Actor, House

SALES = Role(None, "Sales", "Sells.", 0, frozenset({("Rules", "read")}))


@pytest.fixture
def role(house: House) -> int:
    """Return a role that needs a second person from now on."""
    made = role_editing.save_role(house, SALES, CLI)
    ask_for(house, "change_role")
    return made


def wider(role: int, *more: tuple[str, str]) -> Role:
    return Role(role, "Sales", "Sells.", 0, frozenset({("Rules", "read"), ("Runs", "read"), *more}))


def ask(house: House, role: int, actor: Actor) -> Proposal:
    return proposed(house, actor, lambda: role_editing.save_role(house, wider(role), actor))


def stored(house: House, role: int) -> frozenset[Any]:
    with house.db.read() as tx:
        return role_editing.get_role(tx, role).grants


def state(house: House, number: int) -> str:
    with house.db.read() as tx:
        return proposals.get(tx, number).state


def test_nothing_is_done_before_a_second_person_approves(house: House, role: int) -> None:
    """The deed waits; approved by another it is done exactly, in its author's name, and both are in the log."""
    anna, ben = who(house, "anna"), who(house, "ben")
    found = ask(house, role, anna)
    assert stored(house, role) == SALES.grants
    assert found.shown().after.keys() == {"Runs"}
    done = deciding.approve(house, found.id, ben, "Looks right.")
    assert (done.state, done.decided_by, done.decision) == ("applied", "ben", "Looks right.")
    assert stored(house, role) == wider(role).grants
    tags = [(event.tag, event.actor_name) for event in events(house)][-3:]
    assert tags == [
        ("approvals:proposal:proposed", "anna"),
        ("access:role:updated", "anna"),
        ("approvals:proposal:approved", "ben"),
    ]


def test_an_author_never_approves(house: House, role: int) -> None:
    """Neither signed in anew nor by a key of one's own, nor does the command line that proposed."""
    anna = who(house, "anna")
    found = ask(house, role, anna)
    keys.create_key(house, keys.NewKey("robot", ("approvals:approve",), None), anna)
    with house.db.read() as tx:
        number = keys.list_keys(tx, house.clock())[0].id
    for same in (Actor("user", "anna", anna.id, "10.9.9.9"), Actor("key", "robot", str(number)), CLI):
        with pytest.raises(NotDecided):
            deciding.approve(house, found.id, same)
    by_key = ask(house, role, Actor("key", "robot", str(number)))
    with pytest.raises(NotDecided, match="yourself"):
        deciding.approve(house, by_key.id, anna)
    assert stored(house, role) == SALES.grants


def test_a_key_of_another_approves(house: House, role: int) -> None:
    """A key decides as its owner."""
    found = ask(house, role, who(house, "anna"))
    keys.create_key(house, keys.NewKey("robot", ("approvals:approve",), None), who(house, "ben"))
    with house.db.read() as tx:
        number = keys.list_keys(tx, house.clock())[0].id
    assert deciding.approve(house, found.id, Actor("key", "robot", str(number))).state == "applied"


def test_a_service_account_is_no_second_person(house: House, role: int) -> None:
    """It approves nothing, and what it has proposed its owner does not approve."""
    anna, ben = who(house, "anna"), who(house, "ben")
    made = service_accounts.create(house, service_accounts.Wanted("robot", "Deploys.", "anna", ("Admin",)), ben)
    keys_ = keys.NewKey("robots", ("approvals:approve",), None)
    keys.create_key(house, keys_, ben, made)
    with house.db.read() as tx:
        robot = Actor("key", "robots", str(keys.list_keys(tx, house.clock())[0].id))
    with pytest.raises(NotDecided, match="no person"):
        deciding.approve(house, ask(house, role, ben).id, robot)
    found = proposed(house, robot, lambda: role_editing.save_role(house, wider(role, ("Cases", "read")), robot))
    for same in (anna, ben):  # whose account it is, and who has its key
        with pytest.raises(NotDecided, match="yourself"):
            deciding.approve(house, found.id, same)
    assert deciding.approve(house, found.id, who(house, "carl")).state == "applied"


@pytest.mark.parametrize("how", ["made", "password", "factor", "enabled"])
def test_nobody_approves_whom_the_author_could_be(house: House, role: int, clock: Clock, how: str) -> None:
    """An account that the author has made or got hold of since is no second person; a third one still is."""
    anna = who(house, "anna")
    found = ask(house, role, anna)
    clock.forward(hours=1)
    name = "ben"
    if how == "made":
        name = "dora"
        users.create_user(house, users.NewUser("dora", "Dora", "", "dora@example.com", ("Admin",)), anna)
    elif how == "password":
        users.reset_password(house, int(who(house, "ben").id or 0), anna)
    elif how == "enabled":
        users.set_active(house, int(who(house, "ben").id or 0), False, anna)
        users.set_active(house, int(who(house, "ben").id or 0), True, anna)
    else:
        with house.db.begin() as tx:
            factors._forget(tx, house, users.get_user(tx, int(who(house, "ben").id or 0)), anna)
    with pytest.raises(NotDecided, match="Another person"):
        deciding.approve(house, found.id, who(house, name))
    assert deciding.approve(house, found.id, who(house, "carl")).state == "applied"


def test_approving_takes_the_permission_of_the_deed_as_well(house: House, role: int) -> None:
    """Who may approve but not change roles decides nothing about roles, and rejects nothing either."""
    role_editing_free(house, "Looker", {("Approvals", "read"), ("Approvals", "approve"), ("Roles", "read")})
    add_user(house, "dora", "Looker")
    found = ask(house, role, who(house, "anna"))
    for decide in (deciding.approve, lambda h, n, a: deciding.reject(h, n, a, "No.")):
        with pytest.raises(NotDecided, match="'update' in Roles"):
            decide(house, found.id, who(house, "dora"))


def role_editing_free(house: House, name: str, grants: set[tuple[str, str]]) -> None:
    """Add a role, approved."""
    wanted = Role(None, name, "", 0, frozenset(grants))
    found = proposed(house, CLI, lambda: role_editing.save_role(house, wanted, CLI))
    deciding.approve(house, found.id, who(house, "carl"))


def test_an_author_who_may_not_any_more_gets_nothing_approved(house: House, role: int) -> None:
    """Rights that were taken from the author meanwhile are not lent by an approval."""
    found = ask(house, role, who(house, "anna"))
    users.set_active(house, int(who(house, "anna").id or 0), False, CLI)
    with pytest.raises(NotDecided, match="may not do it any more"):
        deciding.approve(house, found.id, who(house, "ben"))


def test_what_has_changed_since_is_not_approved(house: House, role: int, clock: Clock) -> None:
    """A proposal about what is no more ends as out of date; its author can propose it again on what holds now."""
    anna, ben = who(house, "anna"), who(house, "ben")
    first = ask(house, role, anna)
    wanted = wider(role, ("Cases", "read"))
    other = proposed(house, ben, lambda: role_editing.save_role(house, wanted, ben))
    deciding.approve(house, other.id, who(house, "carl"))
    assert state(house, first.id) == "stale"
    with pytest.raises(NotDecided, match="decided already"):
        deciding.approve(house, first.id, ben)
    repeated = deciding.again(house, first.id, anna)
    assert deciding.approve(house, repeated.id, ben).state == "applied"
    assert stored(house, role) == wider(role).grants


def test_a_change_past_the_approvals_is_noticed(house: House, role: int) -> None:
    """Whatever has changed the subject, by whatever way, the hash tells."""
    found = ask(house, role, who(house, "anna"))
    with house.db.begin() as tx:
        tx.exec_driver_sql(f"UPDATE access_role SET description = 'Sells more.' WHERE role_id = {role}")
    with pytest.raises(Stale):
        deciding.approve(house, found.id, who(house, "ben"))
    assert state(house, found.id) == "stale"


def test_what_its_room_refuses_goes_on_waiting(house: House, role: int) -> None:
    """A deed that cannot be done now is told and left to wait; nothing of it stays."""
    anna = who(house, "anna")
    found = proposed(house, anna, lambda: role_editing.delete_role(house, role, anna))
    add_user(house, "dora", "Sales")
    with pytest.raises(NotApplicable, match="hold the role"):
        deciding.approve(house, found.id, who(house, "ben"))
    assert state(house, found.id) == "waiting"


def test_rejecting_takes_a_reason_and_withdrawing_is_the_authors(house: House, role: int) -> None:
    """A rejected or withdrawn proposal cannot be approved any more."""
    anna, ben = who(house, "anna"), who(house, "ben")
    first = ask(house, role, anna)
    with pytest.raises(NotDecided, match="Say why"):
        deciding.reject(house, first.id, ben, "  ")
    with pytest.raises(NotDecided, match="Withdraw it instead"):
        deciding.reject(house, first.id, anna, "No.")
    with pytest.raises(NotDecided, match="can withdraw"):
        deciding.withdraw(house, first.id, ben)
    deciding.reject(house, first.id, ben, "Too much.")
    second = ask(house, role, anna)
    deciding.withdraw(house, second.id, anna)
    for number in (first.id, second.id):
        with pytest.raises(NotDecided, match="decided already"):
            deciding.approve(house, number, ben)
    assert stored(house, role) == SALES.grants


def test_proposals_expire(house: House, role: int, clock: Clock) -> None:
    """After the days of the settings a proposal counts no more, even before it is swept."""
    found = ask(house, role, who(house, "anna"))
    clock.forward(days=7)
    with pytest.raises(NotDecided, match="expired"):
        deciding.approve(house, found.id, who(house, "ben"))
    assert (deciding.expire_due(house), deciding.expire_due(house)) == (1, 0)
    assert state(house, found.id) == "expired"
    assert deciding.again(house, found.id, who(house, "anna")).state == "waiting"


def test_an_emergency_is_loud(house: House, role: int) -> None:
    """Who may override does the deed at once and alone, with a reason; the log has a tag for it, all approvers hear."""
    anna, heard = who(house, "anna"), list[Told]()
    found = ask(house, role, anna)
    with pytest.raises(NotDecided, match="Say why"):
        deciding.override(house, found.id, anna, " ")
    hooks.told.append(lambda _tx, told: heard.append(told))
    try:
        done = deciding.override(house, found.id, anna, "The plant stands still.")
    finally:
        hooks.told.pop()
    assert (done.state, stored(house, role)) == ("overridden", wider(role).grants)
    assert {"ben", "carl"} <= set(heard[-1].usernames)
    (event,) = events(house, "approvals:emergency:overridden")
    assert event.reason == "The plant stands still."
    keys.create_key(house, keys.NewKey("robot", ("approvals:approve",), None), anna)
    with house.db.read() as tx:
        key = Actor("key", "robot", str(keys.list_keys(tx, house.clock())[0].id))
    with pytest.raises(NotDecided):
        deciding.override(house, proposed_delete(house, role, anna).id, key, "By a program.")


def proposed_delete(house: House, role: int, actor: Actor) -> Proposal:
    return proposed(house, actor, lambda: role_editing.delete_role(house, role, actor))


def test_those_concerned_get_an_e_mail(house: House, role: int) -> None:
    """Everybody who may approve is told of a proposal, its author of what became of it; each at most once."""
    waiting.register()
    anna, ben = who(house, "anna"), who(house, "ben")
    found = ask(house, role, anna)
    assert told(house) == [("ben", "anna asks"), ("carl", "anna asks")]
    deciding.reject(house, found.id, ben, "Too much.")
    assert told(house)[2:] == [("anna", "ben has rejected")]
    deciding.override(house, ask(house, role, anna).id, anna, "The plant stands still.")
    assert sorted(told(house)[5:]) == [("ben", "EMERGENCY: anna has"), ("carl", "EMERGENCY: anna has")]


def told(house: House) -> list[tuple[str, str]]:
    """Return who was told, and how that begins."""
    begins = ("anna asks", "ben has rejected", "EMERGENCY: anna has")
    with house.db.read() as tx:
        rows = tx.execute(sa.select(notice.c.username, notice.c.lines).order_by(notice.c.id)).all()
    texts = [(name, str(Message.from_json(lines[0]["message"]))) for name, lines in rows]
    return [(name, next(begin for begin in begins if text.startswith(begin))) for name, text in texts]


def test_the_same_wish_waits_once(house: House, role: int) -> None:
    """An import that runs each night does not fill the inbox."""
    anna = who(house, "anna")
    assert ask(house, role, anna).id == ask(house, role, anna).id
    assert ask(house, role, who(house, "ben")).id != ask(house, role, anna).id


def test_proposing_takes_a_permission(house: House, role: int) -> None:
    """Who may do a deed but not propose is refused, and nothing waits."""
    role_editing_free(house, "Bare", {("Roles", "read"), ("Roles", "update"), ("Rules", "read"), ("Runs", "read")})
    add_user(house, "dora", "Bare")
    with pytest.raises(NotDecided, match="may not propose"):
        ask(house, role, who(house, "dora"))


def test_an_approved_deed_lets_no_other_through(house: House, role: int) -> None:
    """What passes is the proposed outcome on the proposed subject, and only while it is carried out."""
    deed = Deed("role", "Sales", ("change_role",), {"a": 1})
    with house.db.begin() as tx:
        gate.let_through(tx, gate.Passage("role", "Sales", proposals.digest({"a": 1})))
        gate.require(tx, deed)
        for other in (
            Deed("role", "Sales", ("change_role",), {"a": 2}),
            Deed("role", "Buy", ("change_role",), {"a": 1}),
        ):
            with pytest.raises(SecondPersonNeeded):
                gate.require(tx, other)
        gate.let_through(tx, None)
        with pytest.raises(SecondPersonNeeded):
            gate.require(tx, deed)


def test_the_settings_need_a_second_person_themselves(house: House, role: int) -> None:
    """Nobody switches the approvals off alone, nor weakens them; switched on they can be at once."""
    anna = who(house, "anna")
    off = {"kind": "approvals", "name": "settings"}
    found = proposed(house, anna, lambda: settings_deed.save(house, off, anna))
    assert needed(lambda: settings_deed.save(house, {**off, "deeds": {"change_role": {}}, "days": 300}, anna))
    deciding.approve(house, found.id, who(house, "ben"))
    with house.db.read() as tx:
        assert settings.current(tx) == settings.Settings()
    role_editing.save_role(house, wider(role), anna)


def test_deeds_can_be_limited(house: House) -> None:
    """To rules that write to a connection, and to an installation's profile."""
    limited = settings.parse(
        {
            "kind": "approvals",
            "name": "settings",
            "deeds": {"publish_rule": {"connections": ["erp"], "only": "production"}},
        }
    )
    to_erp = Deed("rule", "r", ("publish_rule",), {}, connections={"erp", "hub"})
    to_crm = Deed("rule", "r", ("publish_rule",), {}, connections={"crm"})
    assert limited.asks(to_erp, "production")
    assert limited.asks(to_erp, None)
    assert not limited.asks(to_erp, "evaluation")
    assert not limited.asks(to_crm, "production")
    assert settings.parse(settings.to_document(limited)) == limited
