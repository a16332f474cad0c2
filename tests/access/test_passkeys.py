"""Passkeys and security keys, as second factor and instead of the password."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.access.authenticator import Authenticator
from tests.webapp.conftest import PASSWORD, add_user, events, sign_in
from webapp.access import ceremonies, company, factors, models, passkeys, recovery, throttle, users
from webapp.access.passkeys import Passkey
from webapp.extensions import SYSTEM, House

PASSKEYS = "/account/passkeys/"


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    throttle._local.clear()


@pytest.fixture
def house(app: Flask) -> House:
    """Return the house of a console that is asked for at http://localhost."""
    return change(app, console_url="http://localhost")


def change(app: Flask, **settings: Any) -> House:
    house: House = app.extensions["syncline"]
    changed = dataclasses.replace(house, settings=dataclasses.replace(house.settings, **settings))
    app.extensions["syncline"] = changed
    return changed


def later(app: Flask, house: House, **by: int) -> None:
    app.extensions["syncline"] = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(**by))


def add(client: FlaskClient, key: Authenticator, name: str = "Laptop", *, alone: bool = False) -> Any:
    form = {"name": name, "alone": "true"} if alone else {"name": name}
    asked = client.post(PASSKEYS + "begin", data=form).get_json()
    return client.post(PASSKEYS, data={**form, "answer": key.make(asked)})


def known(house: House, user_id: int = 1) -> list[Passkey]:
    with house.db.read() as tx:
        return passkeys.of_user(tx, user_id)


def owing(app: Flask, username: str = "admin") -> FlaskClient:
    """Return a client that has shown the password and owes the second factor."""
    client = app.test_client()
    assert client.post("/login/", data={"username": username, "password": PASSWORD}).location == "/login/second"
    return client


def second(client: FlaskClient, key: Authenticator) -> int:
    asked = client.post("/login/second/begin").get_json()
    return client.post("/login/second", data={"answer": key.sign(asked)}).status_code


def alone(client: FlaskClient, key: Authenticator) -> int:
    asked = client.post("/login/passkey/begin").get_json()
    return client.post("/login/passkey/?next=/rules/", data={"answer": key.sign(asked)}).status_code


def test_a_passkey_is_a_second_factor(app: Flask, house: House, admin_client: FlaskClient):
    """The first passkey gives recovery codes; from then on it, or such a code, is asked for behind the password."""
    key = Authenticator(verifies=False)
    answer = add(admin_client, key)
    assert answer.status_code == 201
    codes = re.findall(r"[a-z2-9]{4}(?:-[a-z2-9]{4}){3,}", answer.text.partition('id="codes"')[2])
    assert len(codes) == recovery.CODES
    client = owing(app)
    page = client.get("/login/second").text
    assert "Use your passkey" in page
    assert "Recovery code" in page
    assert second(client, key) == 302
    assert client.get("/account/").status_code == 200
    assert events(house, "access:session:signed_in")[-1].after == {"by": "password and passkey"}
    assert owing(app).post("/login/second", data={"code": codes[0]}).status_code == 302
    assert owing(app).post("/login/second", data={"code": "123456"}).status_code == 401, "there is no app"
    assert events(house, "access:user:passkey_added")[-1].after == {"passkey": "Laptop", "alone": False}


def test_a_passkey_instead_of_the_password(app: Flask, house: House, admin_client: FlaskClient):
    """Only where the user wanted it, and where the device has asked for PIN or finger, a passkey alone lets in."""
    key, other = Authenticator(), Authenticator()
    assert "passkey" not in app.test_client().get("/login/").text.lower(), "nobody has one"
    add(admin_client, key, alone=True)
    add(admin_client, other, "Key")
    assert "Sign in with a passkey" in app.test_client().get("/login/").text
    client = app.test_client()
    assert alone(client, key) == 302
    assert client.get("/account/").status_code == 200
    assert events(house, "access:session:signed_in")[-1].after == {"by": "passkey"}
    assert alone(app.test_client(), other) == 401
    key.verifies = False
    assert alone(app.test_client(), key) == 401
    assert "user was not verified" in events(house, "access:session:sign_in_failed")[-1].reason


def test_a_passkey_counts_while_the_company_lets_its_user_in(app: Flask, house: House, admin_client: FlaskClient):
    """Whom the company has not let in for a week comes by it again first; whom it does not know need not."""
    key = Authenticator()
    add(admin_client, key, alone=True)
    later(app, house, days=400)
    assert alone(app.test_client(), key) == 302, "no provider knows this user"
    app.extensions["syncline"] = house
    with house.db.begin() as tx:
        company.link(tx, users.get_user(tx, 1), ("https://id.example.com", "x"), SYSTEM, house.clock())
    later(app, house, days=6, hours=23)
    assert alone(app.test_client(), key) == 302
    later(app, house, days=7)
    client = app.test_client()
    asked = client.post("/login/passkey/begin").get_json()
    answer = client.post("/login/passkey/", data={"answer": key.sign(asked)})
    assert answer.status_code == 401
    assert "Sign in by your company first." in answer.text
    assert events(house, "access:session:sign_in_failed")[-1].reason.endswith("by the company for 7 days.")
    company.admit(app.extensions["syncline"], {"sub": "x"}, ("Admin",), "https://id.example.com")
    assert alone(app.test_client(), key) == 302


def _wrong_origin(key: Authenticator) -> None:
    key.origin = "http://localhost.example.com"


def _wrong_place(key: Authenticator) -> None:
    key.place = "example.com"


def _goes_back(key: Authenticator) -> None:
    key.count = 0


def _stands_still(key: Authenticator) -> None:
    key.count -= 1


def _other_key(key: Authenticator) -> None:
    key.key = Authenticator().key


def _unknown(key: Authenticator) -> None:
    key.number = Authenticator().number


def _other_user(key: Authenticator) -> None:
    key.handle = "bm9ib2R5"


@pytest.mark.parametrize(
    "spoil", [_wrong_origin, _wrong_place, _goes_back, _stands_still, _other_key, _unknown, _other_user]
)
def test_answers_that_do_not_count(
    app: Flask, house: House, admin_client: FlaskClient, spoil: Callable[[Authenticator], None]
):
    """What another page, device, key or user answers, or a copy of the device, lets nobody in, either way."""
    key = Authenticator(count=5)
    add(admin_client, key, alone=True)
    assert alone(app.test_client(), key) == 302
    spoil(key)
    assert alone(app.test_client(), key) == 401
    spoil(key)
    assert second(owing(app), key) == 401
    assert events(house, "access:session:sign_in_failed")[-1].reason == "wrong passkey"


@pytest.mark.parametrize(
    "answer",
    ["", "[]", "[" * 20_000, '{"id": "\\ud800", "response": {}}', '{"id": "x", "response": {"userHandle": []}}'],
)
def test_garbage_is_no_answer(app: Flask, house: House, answer: str):
    """What no device would send is refused as a wrong answer is."""
    client = app.test_client()
    client.post("/login/passkey/begin")
    assert client.post("/login/passkey/", data={"answer": answer}).status_code == 401


def test_a_challenge_counts_once(app: Flask, house: House, admin_client: FlaskClient):
    """An answer lets in once, also for who has the cookie of before; it counts ten minutes, for what it was asked."""
    key = Authenticator()
    add(admin_client, key, alone=True)
    client = app.test_client()
    asked = client.post("/login/passkey/begin").get_json()
    cookie = client.get_cookie("syncline")
    assert cookie is not None
    answer = key.sign(asked)
    assert client.post("/login/passkey/", data={"answer": answer}).status_code == 302
    thief = app.test_client()
    thief.set_cookie("syncline", cookie.value)
    with house.db.begin() as tx:  # even where the counter does not show it
        tx.execute(sa.update(models.access_passkey).values(sign_count=0))
    assert thief.post("/login/passkey/", data={"answer": answer}).status_code == 401
    assert thief.post("/login/passkey/", data={"answer": answer}).status_code == 401
    client = owing(app)
    asked = client.post("/login/passkey/begin").get_json()
    assert client.post("/login/second", data={"answer": key.sign(asked)}).status_code == 401, "asked for otherwise"
    client = app.test_client()
    asked = client.post("/login/passkey/begin").get_json()
    later(app, house, minutes=11)
    assert client.post("/login/passkey/", data={"answer": key.sign(asked)}).status_code == 401


def test_keys_of_other_users_and_of_the_disabled(app: Flask, house: House, admin_client: FlaskClient):
    """A user's passkey lets in that user alone, and only while the user is not disabled."""
    ann, key, hers = add_user(house, "ann", "Viewer"), Authenticator(), Authenticator()
    add(admin_client, key)
    add(sign_in(app.test_client(), "ann"), hers, alone=True)
    assert second(owing(app), hers) == 401
    assert second(owing(app, "ann"), key) == 401
    with house.db.begin() as tx:
        tx.execute(sa.update(models.user).where(models.user.c.id == ann).values(active=False))
    assert alone(app.test_client(), hers) == 401
    assert app.test_client().post("/login/second/begin").status_code == 409, "no password was shown"


def test_several_keys_with_names(app: Flask, house: House, admin_client: FlaskClient):
    """Keys have names of their own; one is removed with the password, and the last takes the recovery codes along."""
    first, other = Authenticator(), Authenticator()
    add(admin_client, first)
    assert add(admin_client, other, "laptop").status_code == 422
    assert add(admin_client, other, " ").status_code == 422
    assert add(admin_client, other, "Key <1>").location == PASSKEYS
    assert add(admin_client, other, "Again").status_code == 422, "it is there already"
    assert admin_client.post(PASSKEYS, data={"name": "Forged", "answer": "{}"}).status_code == 422
    assert "Key &lt;1&gt;" in admin_client.get(PASSKEYS).text
    assert [key.name for key in known(house)] == ["Laptop", "Key <1>"]
    for number, (form, status) in enumerate([({"current": "wrong"}, 422), ({"current": PASSWORD}, 302)]):
        remove = f"{PASSKEYS}{known(house)[0].id}/remove"
        assert admin_client.get(remove).status_code == 200
        assert admin_client.post(remove, data=form).status_code == status, number
    assert admin_client.get(f"{PASSKEYS}99/remove").status_code == 404
    assert second(owing(app), other) == 302
    admin_client.post(f"{PASSKEYS}{known(house)[0].id}/remove", data={"current": PASSWORD})
    with house.db.read() as tx:
        assert recovery.left(tx, 1) == 0
        assert not factors.any_of(tx, 1)
    assert len(events(house, "access:user:passkey_removed")) == 2


def test_what_is_asked_of_the_browser(app: Flask, admin_client: FlaskClient, house: House):
    """The setting says whether PIN or finger are asked for; what lets in alone always asks and lies on the device."""
    key = Authenticator()
    add(admin_client, key)
    asked = admin_client.post(PASSKEYS + "begin", data={"alone": "true"}).get_json()
    chosen = asked["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")
    assert len(asked["excludeCredentials"]) == 1
    assert "admin" not in json.dumps(asked["user"]["id"])
    assert app.test_client().post("/login/passkey/begin").get_json()["userVerification"] == "required"
    change(app, passkey_verification="required")
    key.verifies = False
    client = owing(app)
    assert client.post("/login/second/begin").get_json()["userVerification"] == "required"
    assert second(client, key) == 401


@pytest.mark.parametrize(
    ("url", "name", "origin"),
    [
        ("https://syncline.example.com", "syncline.example.com", "https://syncline.example.com"),
        ("https://syncline.example.com:443", "syncline.example.com", "https://syncline.example.com"),
        ("https://syncline.example.com:8443", "syncline.example.com", "https://syncline.example.com:8443"),
        ("http://127.0.0.1:8080", "localhost", "http://localhost:8080"),
        ("http://syncline.example.com", None, None),
        ("https://10.1.2.3", None, None),
        ("http://0.0.0.0:8080", None, None),
    ],
)
def test_where_passkeys_work(house: House, url: str, name: str | None, origin: str | None):
    """Passkeys belong to the console's address, and need a name and encryption, but for this machine."""
    where = ceremonies.place(dataclasses.replace(house.settings, console_url=url))
    assert (where and where.name, where and where.origin) == (name, origin)


def test_without_a_place(app: Flask, house: House, admin_client: FlaskClient):
    """Where browsers offer no passkeys the page says why, and where they would."""
    change(app, console_url="http://10.1.2.3")
    assert "address with a name" in admin_client.get(PASSKEYS).text
    assert admin_client.post(PASSKEYS + "begin", data={"name": "x"}).status_code == 409
    change(app, console_url="http://127.0.0.1:8080")
    assert "http://localhost:8080/account/passkeys/" in admin_client.get(PASSKEYS).text


def test_an_administrator_helps(app: Flask, house: House, admin_client: FlaskClient):
    """Who has lost everything gets in again when an administrator removes all second factors."""
    ann = add_user(house, "ann", "Viewer")
    add(sign_in(app.test_client(), "ann"), Authenticator())
    assert "Remove second factor" in admin_client.get(f"/users/{ann}").text
    admin_client.post(f"/users/{ann}/second-factor/remove")
    assert known(house, ann) == []
    sign_in(app.test_client(), "ann")


def test_it_is_a_second_factor_where_one_is_required(app: Flask, house: House, client: FlaskClient):
    """An installation that asks for a second factor is content with a passkey."""
    change(app, require_second_factor=True)
    sign_in(client)
    assert client.get("/rules/").location == "/account/second-factor/"
    assert "Use a passkey" in client.get("/account/second-factor/").text
    add(client, Authenticator())
    assert client.get("/rules/").status_code == 200
    answer = client.post("/account/second-factor/recovery", data={"current": PASSWORD})
    assert answer.status_code == 201, "passkeys have recovery codes too"
