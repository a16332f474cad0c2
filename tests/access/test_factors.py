"""The second factor: codes of an authenticator app, and recovery codes."""

from __future__ import annotations

import dataclasses
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

import config
from tests.webapp.conftest import PASSWORD, add_user, events, sign_in
from webapp.access import factors, models, recovery, throttle
from webapp.app import create_app
from webapp.extensions import House
from webapp.vault import services as vault

SET_UP = "/account/second-factor/"


def key_of(client: FlaskClient) -> str:
    """Return the key that the page shows for those who cannot scan it."""
    found = re.search(r"<code>([A-Z2-7 ]{32,})</code>", client.get(SET_UP).text)
    assert found is not None
    return found[1].replace(" ", "")


def code_of(key: str, house: House, later: int = 0) -> str:
    return pyotp.TOTP(key).at(house.clock() + timedelta(seconds=later))


def set_up(client: FlaskClient, house: House) -> tuple[str, list[str]]:
    """Set a second factor up; return its key and the recovery codes."""
    key = key_of(client)
    answer = client.post(SET_UP, data={"current": PASSWORD, "code": code_of(key, house)})
    assert answer.status_code == 201
    return key, codes_of(answer.text)


def codes_of(page: str) -> list[str]:
    """Return the recovery codes of a page."""
    found = re.search(r'<code id="codes">([^<]*)</code>', page)
    assert found is not None
    return found[1].split()


def first_step(client: FlaskClient) -> None:
    answer = client.post("/login/?next=/rules/", data={"username": "admin", "password": PASSWORD})
    assert answer.location == "/login/second?next=/rules/"
    assert client.get("/account/").status_code == 302, "a password alone lets nobody in"


def second_step(client: FlaskClient, code: str) -> int:
    return client.post("/login/second?next=/rules/", data={"code": code}).status_code


def at(app: Flask, house: House, later: int) -> None:
    """Let the console's clock go later by so many seconds than it really is."""
    app.extensions["syncline"] = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(seconds=later))


def test_signing_in_with_a_code(app: Flask, admin_client: FlaskClient, house: House):
    """Behind the password a code of the app is asked for; each counts once, also the one that set the factor up."""
    key, _codes = set_up(admin_client, house)
    other = app.test_client()
    first_step(other)
    assert second_step(other, code_of(key, house)) == 401, "it has been used"
    at(app, house, 60)
    now = code_of(key, house, 60)
    assert second_step(other, f" {now[:3]} {now[3:]} ") == 302
    assert other.get("/account/").status_code == 200
    again = app.test_client()
    first_step(again)
    assert second_step(again, now) == 401
    assert second_step(again, code_of(key, house, 600)) == 401
    assert [event.reason for event in events(house, "access:session:sign_in_failed")] == ["wrong code"] * 3
    assert len(events(house, "access:session:signed_in")) == 2


def test_recovery_codes(app: Flask, admin_client: FlaskClient, house: House):
    """Each lets in once; new ones put the old ones out of use."""
    _key, codes = set_up(admin_client, house)
    assert len(set(codes)) == recovery.CODES
    assert all(len(code.replace("-", "")) == 24 for code in codes), "too many to be guessed from their digests"
    client = app.test_client()
    first_step(client)
    assert second_step(client, codes[0].upper()) == 302
    assert "9 recovery codes left" in client.get(SET_UP).text
    first_step(client := app.test_client())
    assert second_step(client, codes[0]) == 401
    answer = admin_client.post(SET_UP + "recovery", data={"current": PASSWORD})
    fresh = codes_of(answer.text)
    assert second_step(client, codes[1]) == 401
    assert second_step(client, fresh[1]) == 302


@pytest.mark.parametrize("given", [{"current": "wrong"}, {"code": "000000"}])
def test_set_up_asks_for_password_and_code(admin_client: FlaskClient, house: House, given: dict[str, str]):
    """Who finds an open console cannot lock its user out, and nobody locks themselves out by a wrong clock."""
    key = key_of(admin_client)
    answer = admin_client.post(SET_UP, data={"current": PASSWORD, "code": code_of(key, house), **given})
    assert answer.status_code == 422
    assert key_of(admin_client) == key, "the picture stays"
    with house.db.read() as tx:
        assert not factors.is_set(tx, 1)


def test_removing(app: Flask, admin_client: FlaskClient, house: House):
    """Its user removes it with the password; then a password is enough, and nothing of it is left."""
    set_up(admin_client, house)
    assert admin_client.post(SET_UP + "remove", data={"current": "wrong"}).status_code == 422
    assert admin_client.post(SET_UP + "remove", data={"current": PASSWORD}).status_code == 302
    sign_in(app.test_client())
    with house.db.read() as tx:
        assert not tx.execute(sa.select(models.access_recovery)).all()
        assert vault.names(tx, vault.Owner("user", "admin")) == ()


def test_lost_phone(app: Flask, admin_client: FlaskClient, house: House):
    """Who manages users removes the factor of another one, which ends all sessions; others cannot."""
    ann = add_user(house, "ann", "Viewer")
    client = sign_in(app.test_client(), "ann")
    set_up(client, house)
    set_up(admin_client, house)
    assert client.post("/users/1/second-factor/remove").status_code == 403
    assert "Remove second factor" in admin_client.get(f"/users/{ann}").text
    admin_client.post(f"/users/{ann}/second-factor/remove")
    assert client.get("/account/").status_code == 302
    sign_in(app.test_client(), "ann")
    with house.db.read() as tx:
        assert factors.is_set(tx, 1)
        assert not factors.is_set(tx, ann)


def test_the_key_is_sealed(admin_client: FlaskClient, house: House):
    """The key is in the vault only: neither in other tables nor in the log."""
    key, codes = set_up(admin_client, house)
    with house.db.read() as tx:
        rows = [str(tx.execute(sa.select(table)).all()) for table in (models.access_profile, models.access_recovery)]
        assert vault.names(tx, vault.Owner("user", "admin")) == ("authenticator",)
    told = str(rows) + str(events(house))
    assert key not in told
    assert not any(code.replace("-", "") in told for code in codes)


def test_waiting_is_bounded(app: Flask, admin_client: FlaskClient, house: House):
    """A password that was given five minutes ago is asked for again; without one there is no second step."""
    key, _codes = set_up(admin_client, house)
    client = app.test_client()
    assert client.get("/login/second").location == "/login/"
    first_step(client)
    at(app, house, 301)
    assert client.post("/login/second", data={"code": code_of(key, house, 301)}).location == "/login/"
    assert client.get("/account/").status_code == 302


def test_guessing_is_slowed_down(app: Flask, admin_client: FlaskClient, house: House):
    """Codes cannot be tried one after the other."""
    throttle._local.clear()
    set_up(admin_client, house)
    client = app.test_client()
    first_step(client)
    for number in range(throttle.PER_USER):
        assert second_step(client, f"{number:06d}") == 401
    assert second_step(client, "000009") == 429
    throttle._local.clear()


def test_codes_from_many_addresses(app: Flask, admin_client: FlaskClient, house: House):
    """Wrong codes are counted by their user, from wherever they come."""
    throttle._local.clear()
    set_up(admin_client, house)
    statuses = []
    for number in range(throttle.PER_USER + 1):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"10.0.0.{number}"
        first_step(client)
        statuses.append(second_step(client, f"{number:06d}"))
    assert statuses == [401] * throttle.PER_USER + [429]
    throttle._local.clear()


def test_wrong_codes_of_others(app: Flask, admin_client: FlaskClient, house: House):
    """However many wrong codes others give, one's own right code counts."""
    throttle._local.clear()
    key, _codes = set_up(admin_client, house)
    for number in range(throttle.PER_ADDRESS + 1):
        throttle.failed(house, f"user-{number}", "")
    at(app, house, 60)
    client = app.test_client()
    first_step(client)
    assert second_step(client, code_of(key, house, 60)) == 302
    throttle._local.clear()


def test_passwords_are_not_guessed_within_a_session(admin_client: FlaskClient, house: House):
    """Who finds an open console cannot try passwords one after the other; each try is in the log."""
    throttle._local.clear()
    set_up(admin_client, house)
    for _number in range(throttle.PER_USER):
        assert admin_client.post(SET_UP + "remove", data={"current": "wrong"}).status_code == 422
    answer = admin_client.post(SET_UP + "remove", data={"current": PASSWORD})
    assert "Too many failed attempts." in answer.text
    found = events(house, "access:session:sign_in_failed")
    assert [event.reason for event in found] == ["wrong password, signed in"] * throttle.PER_USER
    throttle._local.clear()


def test_a_new_password_is_no_way_round(app: Flask, admin_client: FlaskClient, house: House):
    """Who gets a new first password from an administrator still owes the code."""
    ann = add_user(house, "ann", "Viewer")
    set_up(sign_in(app.test_client(), "ann"), house)
    page = admin_client.post(f"/users/{ann}/password").text
    new = re.search(r'<code id="once">([^<]+)</code>', page)
    assert new is not None
    client = app.test_client()
    answer = client.post("/login/", data={"username": "ann", "password": new[1]})
    assert answer.location == "/login/second"
    assert client.get("/account/").status_code == 302


def test_not_for_oneself(admin_client: FlaskClient, house: House):
    """Who manages users does not go round the password on the own account."""
    set_up(admin_client, house)
    admin_client.post("/users/1/second-factor/remove")
    assert admin_client.post("/users/1/password").status_code == 302
    assert admin_client.get("/account/").status_code == 200
    with house.db.read() as tx:
        assert factors.is_set(tx, 1)


def test_one_code_twice_at_once(app: Flask, admin_client: FlaskClient, house: House):
    """Of two requests with one code only one gets in."""
    key, _codes = set_up(admin_client, house)
    at(app, house, 60)
    later: House = app.extensions["syncline"]
    code = code_of(key, house, 60)
    with ThreadPoolExecutor(4) as pool:
        passed = list(pool.map(lambda _number: factors.passes(later, 1, code), range(4)))
    assert sorted(passed) == ["", "", "", "code"]


def test_digits_of_any_width(app: Flask, admin_client: FlaskClient, house: House):
    """Codes that a Chinese input method has typed count; letters of any kind are a wrong code and no error."""
    key, _codes = set_up(admin_client, house)
    at(app, house, 60)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code_of(key, house, 60))
    client = app.test_client()
    first_step(client)
    assert second_step(client, "密码é") == 401
    assert second_step(client, wide) == 302


def test_everybody_needs_one(app: Flask, house: House):
    """Where the installation asks for it, nobody does anything else before a second factor is set up."""
    strict = create_app(dataclasses.replace(house.settings, require_second_factor=True))
    strict.config["WTF_CSRF_ENABLED"] = False
    client = sign_in(strict.test_client())
    assert client.get("/rules/").location == SET_UP
    assert client.get("/api/v1/rules/").status_code == 403
    set_up(client, house)
    assert client.get("/rules/").status_code == 200
    strict.extensions["syncline"].db.engine.dispose()


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"SYNCLINE_PROFILE": "production"}, True),
        ({"SYNCLINE_PROFILE": "production", "SYNCLINE_REQUIRE_SECOND_FACTOR": "no"}, False),
        ({"SYNCLINE_REQUIRE_SECOND_FACTOR": "yes"}, True),
    ],
)
def test_production_asks_for_one(environ: dict[str, str], asked: bool):
    """Everybody needs a second factor in production, unless the operator says otherwise."""
    assert config.from_environment(environ).require_second_factor is asked
