"""Policies are stored, audited and guarded; the rights of a user come of roles held and brought by groups."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g

from rules.documents.problems import DocumentError
from rules.schema import FieldType
from tests.webapp.conftest import add_user, events
from webapp.access import attributes, group_editing, keys, models, role_editing, service_accounts, users
from webapp.access.errors import Refused
from webapp.access.group_editing import Group
from webapp.access.keys import NewKey
from webapp.access.role_editing import Role
from webapp.access.service_accounts import Wanted
from webapp.access.users import NewUser
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House
from webapp.policies import hooks, services
from webapp.policies.errors import NotPermitted
from webapp.policies.levels import Access
from webapp.policies.objects import DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.who import NOBODY, SYSTEM_WHO, current_who, who_of

CUSTOMER = DataObject.entity("customer")
FIELDS = (PolicyField("country"), PolicyField("phone", personal=True), PolicyField("n", FieldType.INTEGER))
CHINESE: dict[str, Any] = {
    "data": [{"on": "entity/customer", "rows": "record.country == user.country", "allow": ["read"]}]
}


def _role(house: House, name: str, *grants: tuple[str, str], policy: dict[str, Any] | None = None) -> int:
    role_id = role_editing.save_role(house, Role(None, name, grants=frozenset(grants)), SYSTEM)
    if policy is not None:
        services.set_policy(house, role_id, policy, SYSTEM)
    return role_id


def _rights(house: House, user_id: int) -> Rights:
    with house.db.read() as tx:
        return services.rights_of(tx, who_of(tx, user_id), CUSTOMER, FIELDS)


def _actor(house: House, username: str) -> Actor:
    with house.db.read() as tx:
        return Actor(
            "user", username, str(tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == username)))
        )


def test_a_policy_counts_at_once_and_is_audited(house: House) -> None:
    """A saved policy narrows its role's holders from the next question on; the log holds what was and what is."""
    role_id = _role(house, "Sales", ("Records", "read"), ("Records", "update"))
    ann = add_user(house, "ann", "Sales")
    assert _rights(house, ann).may("update")
    services.set_policy(house, role_id, CHINESE, SYSTEM)
    services.set_policy(house, role_id, CHINESE, SYSTEM)
    rights = _rights(house, ann)
    assert not rights.may("update")
    assert not rights.sees({"country": "CN"})
    attributes.set_attributes(house, ann, {"country": "CN"}, SYSTEM)
    assert _rights(house, ann).sees({"country": "CN"})
    assert not _rights(house, ann).sees({"country": None})
    (event,) = events(house, Tag.POLICY_SET)
    assert event.before == {"policy": {}}
    assert event.after == {"policy": CHINESE}
    assert events(house, Tag.USER_UPDATED)[-1].after == {"attributes": {"country": "CN"}}


def test_a_policy_is_checked_against_the_fields_that_are_known(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition or field that an object does not have is refused with its place, and nothing is stored."""
    monkeypatch.setattr(hooks, "fields_of", [lambda _tx, data: FIELDS if data == CUSTOMER else None])
    role_id = _role(house, "Sales", ("Records", "read"))
    wrong = {"data": [{"on": "entity/customer", "rows": "record.land == 'CN'", "fields": {"fone": "hide"}}]}
    with pytest.raises(DocumentError) as refused:
        services.set_policy(house, role_id, wrong, SYSTEM)
    assert [problem.path for problem in refused.value.problems] == ["data/0/fields/fone", "data/0/rows"]
    with house.db.read() as tx:
        assert services.document_of(tx, role_id) == {}


def test_groups_bring_roles(house: House) -> None:
    """Who is in a group has its roles, in rooms and on records, until the group or the user leaves."""
    _role(house, "Sales", ("Records", "read"), policy=CHINESE)
    ann = add_user(house, "ann", "Viewer")
    add_user(house, "bob", "Viewer")
    group = group_editing.save_group(house, Group(None, "East", "", ("Sales", "Operator"), ("ann",)), SYSTEM)
    with house.db.read() as tx:
        who = who_of(tx, ann)
    assert who.roles == ("Operator", "Sales", "Viewer")
    assert who.groups == ("East",)
    assert who.by_group == {"Operator": ("East",), "Sales": ("East",)}
    assert _rights(house, ann).may("update")
    assert any(reason.groups == ("East",) for reason in _rights(house, ann).why("update"))
    with pytest.raises(Refused, match="group 'East' brings the role 'Sales'"):
        role_editing.delete_role(house, _id_of(house, "Sales"), SYSTEM)
    group_editing.save_group(house, Group(group, "East", "", ("Sales",), ("bob",)), SYSTEM)
    assert not _rights(house, ann).may("update")
    assert group_editing.delete_group(house, group, SYSTEM) == "East"
    tags = [event.tag for event in events(house) if ":group:" in event.tag]
    assert tags == [Tag.GROUP_CREATED, Tag.GROUP_UPDATED, Tag.GROUP_DELETED]


def _id_of(house: House, role: str) -> int:
    with house.db.read() as tx:
        return int(tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == role)) or 0)


def test_a_role_takes_its_policy_along(house: House) -> None:
    """A role that is deleted leaves no policy to one that gets its number."""
    role_id = _role(house, "Sales", ("Records", "read"), policy=CHINESE)
    role_editing.delete_role(house, role_id, SYSTEM)
    again = _role(house, "Other", ("Records", "read"))
    with house.db.read() as tx:
        assert services.policy_of(tx, again).empty


def test_built_in_roles_keep_their_policies(house: House) -> None:
    """What a built-in role shows belongs to the version: an auditor reads no personal values."""
    auditor = add_user(house, "eve", "Auditor")
    assert _rights(house, auditor).access("phone") is Access.HIDE
    assert _rights(house, auditor).access("country") >= Access.READ
    assert _rights(house, add_user(house, "two", "Auditor", "Viewer")).access("phone") is Access.READ
    with pytest.raises(Refused, match="built in"):
        services.set_policy(house, _id_of(house, "Viewer"), CHINESE, SYSTEM)


def test_nobody_gives_more_than_is_shown_to_them(house: House) -> None:
    """Who sees a part of the data gives no role that shows more, changes no policy, and not the own attributes."""
    manage = tuple((room, action) for room in ("Users", "Roles") for action in ("read", "create", "update"))
    narrow = _role(house, "Narrow", ("Records", "read"), *manage, policy=CHINESE)
    _role(house, "Wide", ("Records", "read"))
    ann, _bob = add_user(house, "ann", "Narrow"), add_user(house, "bob", "Narrow")
    actor = _actor(house, "ann")
    with pytest.raises(Refused, match="You see only a part of the data, so you can give only"):
        users.create_user(house, NewUser("new", "New", "", "new@example.com", ("Wide",)), actor)
    with pytest.raises(Refused, match="You see only a part"):
        group_editing.save_group(house, Group(None, "East", "", ("Wide",), ("ann",)), actor)
    with pytest.raises(Refused, match="cannot say what others see"):
        services.set_policy(house, narrow, {}, actor)
    with pytest.raises(Refused, match="My account"):
        attributes.set_attributes(house, ann, {"country": "DE"}, actor)
    users.create_user(house, NewUser("new", "New", "", "new@example.com", ("Narrow",)), actor)
    add_user(house, "eve", "Narrow", "Viewer")  # who reads all, but changes only a part
    with pytest.raises(Refused, match="cannot say what others see"):
        services.set_policy(house, narrow, {}, _actor(house, "eve"))
    add_user(house, "root", "Narrow", "Admin")
    services.set_policy(house, narrow, {**CHINESE, "personal": "mask"}, _actor(house, "root"))
    # who is an administrator by a group is not taken over either
    group_editing.save_group(house, Group(None, "Heads", "", ("Admin",), ("bob",)), SYSTEM)
    with pytest.raises(Refused):
        users.reset_password(house, _bob, actor)


def test_nobody_reaches_what_is_kept_from_them_through_others_or_without_a_role(house: House) -> None:
    """Who sees a part of the data loses no role that denies, and does nothing as somebody who sees another part."""
    manage = tuple((room, action) for room in ("Users", "Keys") for action in ("read", "create", "delete"))
    rooms = (("Records", "read"), ("Users", "update"), *manage)
    _role(house, "Narrow", *rooms, policy=CHINESE)
    _role(house, "Blind", ("Records", "read"), policy={"data": [{"on": "*", "fields": {"phone": "deny"}}]})
    _role(house, "Wide", ("Records", "read"))
    ann, bob, eve = (add_user(house, name, "Narrow", "Blind") for name in ("ann", "bob", "eve"))
    for user, country in ((ann, "CN"), (bob, "CN"), (eve, "DE")):
        attributes.set_attributes(house, user, {"country": country}, SYSTEM)
    actor, said = _actor(house, "ann"), "You see only a part of the data"
    users.reset_password(house, bob, actor)
    with pytest.raises(Refused, match=said):
        users.reset_password(house, eve, actor)
    with pytest.raises(Refused, match=said):
        attributes.set_attributes(house, bob, {"country": "DE"}, actor)
    for user, first, held in ((ann, "Ann", ("Narrow",)), (ann, "Otto", ("Narrow", "Blind")), (bob, "Bob", ("Narrow",))):
        name = "ann" if user == ann else "bob"
        new = NewUser(name, first, "Test", f"{name}@example.com", held)
        with pytest.raises(Refused, match=said):
            users.update_user(house, user, new, actor)
    with pytest.raises(Refused, match=said):
        users.create_user(house, NewUser("new", "New", "", "new@example.com", ("Narrow",)), actor)
    group = group_editing.save_group(house, Group(None, "East", "", ("Blind",), ("bob",)), SYSTEM)
    plain = NewUser("bob", "Bob", "Test", "bob@example.com", ("Narrow",))
    users.update_user(house, bob, plain, SYSTEM)
    with pytest.raises(Refused, match=said):
        group_editing.save_group(house, Group(group, "East", "", ("Blind",), ()), actor)
    with pytest.raises(Refused, match=said):
        group_editing.delete_group(house, group, actor)
    robot = service_accounts.create(house, Wanted("robot", "Counts", "bob", ("Wide",)), SYSTEM)
    with pytest.raises(Refused, match=said):
        keys.create_key(house, NewKey("mine", ("records:read",), 30), actor, robot)
    assert keys.create_key(house, NewKey("own", ("records:read",), 30), actor)


@pytest.mark.parametrize("wanted", [{"Roles": "x"}, {"roles": "x"}, {"a b": "x"}, {"a": "x" * 501}, {"a": "\x00"},
                                    {f"a{n}": "x" for n in range(51)}])  # fmt: skip
def test_attributes_that_cannot_be(house: House, wanted: dict[str, str]) -> None:
    """An attribute has a plain name that means nothing else, and a short text."""
    with pytest.raises(Refused):
        attributes.set_attributes(house, add_user(house, "ann", "Viewer"), wanted, SYSTEM)


def test_who_asks(app: Flask, house: House) -> None:
    """Outside of a request Syncline itself asks; in one, nobody who has not signed in, and a key's owner by the key."""
    assert current_who() == SYSTEM_WHO
    assert services.rights(CUSTOMER, FIELDS).everything
    ann = add_user(house, "ann", "Viewer")
    with app.test_request_context():
        assert current_who() == NOBODY
        assert not services.rights(CUSTOMER, FIELDS).may("read")
    with app.test_request_context():
        g.api_user_id = ann
        assert current_who().username == "ann"
        rights = services.rights(CUSTOMER, FIELDS)
        assert services.rights(CUSTOMER, FIELDS) is rights
        with pytest.raises(NotPermitted):
            rights.require("update")
    users.set_active(house, ann, False, SYSTEM)
    with house.db.read() as tx:
        assert who_of(tx, ann) == NOBODY
