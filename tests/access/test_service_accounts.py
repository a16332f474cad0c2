"""Service accounts: programs with keys, owned by people; and keys that are replaced."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import PASSWORD, add_user, client_of, events
from webapp.access import company, keys, models, removal, service_accounts, users
from webapp.access.errors import Missing, Refused
from webapp.access.identities import NotAdmitted
from webapp.access.keys import NewKey
from webapp.access.passwords import hashed
from webapp.access.role_editing import Role, save_role
from webapp.access.service_accounts import ServiceAccount, Wanted
from webapp.extensions import SYSTEM, Actor, House

ADMIN = Actor("user", "admin", "1")
AUDIT = "/api/v1/audit/"


@pytest.fixture
def account(house: House) -> int:
    add_user(house, "olga", "Auditor")
    return service_accounts.create(house, Wanted("erp-bot", "Loads orders", "olga", ("Auditor",)), ADMIN)


@pytest.fixture
def key(house: House, account: int) -> str:
    return keys.create_key(house, NewKey("erp", ("audit:read",), 30), ADMIN, account)


def status(app: Flask, key: str) -> int:
    return app.test_client().get(AUDIT, headers={"Authorization": f"Bearer {key}"}).status_code


def found(house: House, account: int) -> ServiceAccount:
    with house.db.read() as tx:
        return service_accounts.get(tx, account, house.clock())


def key_id(house: House, name: str) -> int:
    with house.db.read() as tx:
        return tx.scalars(sa.select(models.access_key.c.id).where(models.access_key.c.name == name)).one()


def set_active(house: House, name: str, active: bool) -> None:
    with house.db.begin() as tx:
        tx.execute(sa.update(models.user).where(models.user.c.username == name).values(active=active))


def test_from_the_page_to_the_use(app: Flask, house: House, admin_client: FlaskClient):
    """An account is made with purpose, owner and roles; its key acts in its name, and the page shows the last use."""
    add_user(house, "olga", "Auditor")
    form = {"name": "erp-bot", "purpose": "Loads orders", "owner": "olga", "roles": "Auditor"}
    for field, wrong in (("name", "-"), ("purpose", ""), ("owner", "nobody"), ("roles", "")):
        assert admin_client.post("/service-accounts/new", data={**form, field: wrong}).status_code == 422, field
    page = admin_client.post("/service-accounts/new", data=form).location
    made = admin_client.post(f"/keys/new?for={page.rpartition('/')[2]}", data={"name": "erp", "days": "30",
                             "grants": ["Audit:read"]})  # fmt: skip
    token = re.search(r'<code id="once">(syn_[^<]+)</code>', made.text)[1]
    assert "never" in admin_client.get("/service-accounts/").text
    assert status(app, token) == 200
    assert "never" not in admin_client.get("/service-accounts/").text
    shown = admin_client.get(page)
    assert "erp" in shown.text
    assert "Loads orders" in shown.text
    changed = {**form, "purpose": "Loads invoices", "owner": "admin"}
    assert admin_client.post(page, data=changed).location == "/service-accounts/"
    assert events(house, "access:user:service_account_set")[-1].before == {"owner": "olga", "purpose": "Loads orders"}
    admin_client.get("/")  # which tells that it is saved
    assert "erp-bot" not in admin_client.get("/users/").text
    assert admin_client.get(page.replace("service-accounts", "users")).status_code == 404
    admin_client.post(f"{page}/disable")
    assert status(app, token) == 401
    admin_client.post(f"{page}/enable")
    assert status(app, token) == 200
    admin_client.post(f"{page}/delete")
    assert status(app, token) == 401
    assert admin_client.get(page).status_code == 404


def test_nobody_signs_in_as_one(app: Flask, house: House, account: int):
    """Not with a password, not by the company, and no administrator gives it a password."""
    with house.db.begin() as tx:
        tx.execute(sa.update(models.user).where(models.user.c.id == account).values(password=hashed(PASSWORD)))
    answer = app.test_client().post("/login/", data={"username": "erp-bot", "password": PASSWORD})
    assert answer.status_code == 401
    claims = {"sub": "x", "email": "erp-bot@service.invalid", "email_verified": True}
    with pytest.raises(NotAdmitted, match="service account"):
        company.admit(house, claims, ("Auditor",), "https://id.example.com")


def test_the_owner_goes(app: Flask, house: House, account: int, key: str):
    """While the owner is disabled the keys stop, if the setting says so; who is deleted leaves a disabled account."""
    assert status(app, key) == 200
    set_active(house, "olga", False)
    assert status(app, key) == 401
    free = dataclasses.replace(house.settings, service_accounts_follow_owner=False)
    app.extensions["syncline"] = dataclasses.replace(house, settings=free)
    assert status(app, key) == 200
    with house.db.read() as tx:
        olga = tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == "olga"))
    removal.delete_user(house, olga, ADMIN)
    assert status(app, key) == 401
    left = found(house, account)
    assert (left.owner, left.active) == ("", False)
    service_accounts.update(house, account, Wanted("erp-bot", "Loads", "admin", ("Auditor",)), ADMIN)
    users.set_active(house, account, True, ADMIN)
    assert status(app, key) == 200


def test_nobody_gives_what_they_do_not_hold(app: Flask, house: House, account: int, key: str):
    """Neither an account nor a key holds more than who makes it; a key holds no more than its account."""
    grants = frozenset({("Keys", "read"), ("Keys", "create"), ("Rules", "read")})
    save_role(house, Role(None, "Maker", "", 0, grants), SYSTEM)
    maker = Actor("user", "max", str(add_user(house, "max", "Maker")))
    with pytest.raises(Refused):
        service_accounts.create(house, Wanted("bot", "Does things", "max", ("Admin",)), maker)
    with pytest.raises(Refused):
        service_accounts.update(house, account, Wanted("erp-bot", "Mine now", "max", ("Maker",)), maker)
    with pytest.raises(Refused):
        keys.rotate_key(house, key_id(house, "erp"), timedelta(0), maker)
    with pytest.raises(Refused, match="roles of this account"):
        keys.create_key(house, NewKey("wide", ("rules:delete",), 30), ADMIN, account)
    with pytest.raises(Missing):
        keys.create_key(house, NewKey("person's", ("audit:read",), 30), ADMIN, int(maker.id or 0))
    owner = Wanted("bot", "Does things", "erp-bot", ("Viewer",))
    with pytest.raises(Refused, match="a person"):
        service_accounts.create(house, owner, ADMIN)
    assert client_of(app, "vera", "Viewer").get("/service-accounts/").status_code == 403


def test_a_key_is_replaced(app: Flask, house: House, admin_client: FlaskClient, account: int, key: str):
    """The new key has the name; the old one goes on for as long as was chosen, and ends by itself."""
    page = f"/keys/{key_id(house, 'erp')}/rotate"
    assert admin_client.get(page).status_code == 200
    assert admin_client.post(page, data={"overlap": "x"}).status_code == 422
    made = admin_client.post(page, data={"overlap": "24"})
    token = re.search(r'<code id="once">(syn_[^<]+)</code>', made.text)[1]
    assert [status(app, one) for one in (key, token)] == [200, 200]
    names = {one.name: one for one in found(house, account).keys}
    assert set(names) == {"erp", "erp (1)"}
    assert names["erp"].scopes == ("audit:read",)
    assert names["erp"].expires_at > names["erp (1)"].expires_at
    assert events(house, "access:key:rotated")[-1].subject == "erp"
    later(app, house, hours=25)
    assert [status(app, one) for one in (key, token)] == [401, 200]
    app.extensions["syncline"] = house
    again = admin_client.post(f"/keys/{key_id(house, 'erp')}/rotate", data={"overlap": "0"})
    assert again.status_code == 201
    assert status(app, token) == 401
    assert admin_client.post(page, data={"overlap": "24"}).status_code in {201, 422}
    assert admin_client.get("/keys/999/rotate").status_code == 404


def later(app: Flask, house: House, **by: Any) -> None:
    app.extensions["syncline"] = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(**by))


def test_keys_of_people_are_replaced_by_them_alone(app: Flask, house: House):
    """Nobody gets a key that acts as somebody else."""
    owner = Actor("user", "ann", str(add_user(house, "ann", "Admin")))
    keys.create_key(house, NewKey("hers", ("audit:read",), None), owner)
    with pytest.raises(Refused, match="Only its owner"):
        keys.rotate_key(house, key_id(house, "hers"), timedelta(0), ADMIN)
    _name, token = keys.rotate_key(house, key_id(house, "hers"), timedelta(0), owner)
    assert status(app, token) == 200
    keys.revoke_key(house, key_id(house, "hers"), owner)
    with pytest.raises(Refused, match="has ended"):
        keys.rotate_key(house, key_id(house, "hers"), timedelta(0), owner)
