"""Signing in with the name and the password of the company's directory, a real slapd."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests import directory_servers
from tests.access.authenticator import Authenticator
from tests.access.test_passkeys import add
from tests.directory_servers import SUFFIX, Directory
from tests.webapp.conftest import PASSWORD, add_user, client_of, events, sign_in
from webapp.access import attributes, directory, models, throttle, users
from webapp.access.identities import NotAdmitted
from webapp.access.users import User
from webapp.extensions import House

SECRET = "Ein Geheimnis für Li*(na)\\"
SCHEMA = """
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.99999.3.1 NAME 'account2' SUP top AUXILIARY MAY userAccountControl )
"""
ROLES = (("designers", "Designer"), ("auditors", "Auditor"))
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
LI = "uid=li.na," + PEOPLE


def person(name: str, **more: list[str]) -> tuple[str, dict[str, list[str]]]:
    values = {"objectClass": ["inetOrgPerson"], "uid": [name], "cn": [name], "sn": [name.title()]}
    return f"uid={name},{PEOPLE}", {**values, "userPassword": [SECRET], **more}


@pytest.fixture(scope="module")
def server() -> Iterator[Directory]:
    with directory_servers.slapd(SCHEMA) as found:
        found.add([
            (PEOPLE, {"objectClass": ["organizationalUnit"], "ou": ["people"]}),
            (GROUPS, {"objectClass": ["organizationalUnit"], "ou": ["groups"]}),
            person("li.na", givenName=["Na"], sn=["Li"], mail=["li.na@example.com"]),
            person("gone", objectClass=["inetOrgPerson", "account2"], userAccountControl=["514"]),
            person("works", objectClass=["inetOrgPerson", "account2"], userAccountControl=["512"]),
            person("boss", mail=["admin@localhost"]),
            person("twin", mail=["same@example.com"]), person("twin2", uid=["twin2", "twin"]),
            person("alone"),
            (f"cn=designers,{GROUPS}", {"objectClass": ["groupOfNames"], "cn": ["designers"],
             "member": [f"uid={uid},{PEOPLE}" for uid in ("li.na", "gone", "works", "boss", "twin")]}),
            (f"cn=auditors,{SUFFIX}", {"objectClass": ["groupOfNames"], "cn": ["auditors"],
             "member": [f"uid=alone,{PEOPLE}"]}),
        ])  # fmt: skip
        yield found


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    throttle._local.clear()


@pytest.fixture
def house(app: Flask, server: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Let the console ask the directory."""
    authority = tmp_path / "ca.pem"
    authority.write_text(server.certificate)
    monkeypatch.setenv("SYNCLINE_LDAP_PASSWORD", server.password)
    return change(
        app, ldap_url=f"ldap://localhost:{server.port}", ldap_ca=authority, ldap_base=SUFFIX, ldap_roles=ROLES,
        ldap_user=f"cn=reader,{SUFFIX}", ldap_groups=GROUPS, console_url="http://localhost",
        user_attributes=(("family", "SN"), ("nothing", "roomNumber")),
    )  # fmt: skip


def change(app: Flask, **settings: Any) -> House:
    house: House = app.extensions["syncline"]
    changed = dataclasses.replace(house, settings=dataclasses.replace(house.settings, **settings))
    app.extensions["syncline"] = changed
    return changed


def attempt(app: Flask, name: str, password: str = SECRET) -> tuple[FlaskClient, Any]:
    client = app.test_client()
    return client, client.post("/login/?next=/rules/", data={"username": name, "password": password})


def known(house: House, name: str) -> User | None:
    with house.db.read() as tx:
        return next((user for user in users.list_users(tx, name) if user.username == name), None)


@pytest.mark.parametrize("way", ["StartTLS", "LDAPS", "direct"])
def test_first_sign_in_makes_the_user(app: Flask, house: House, server: Directory, way: str):
    """Who is in a group with a role is let in with name, address and roles of the directory, and audited."""
    if way == "LDAPS":
        change(app, ldap_url=f"ldaps://localhost:{server.tls_port}")
    if way == "direct":
        change(app, ldap_direct=f"uid={{name}},{PEOPLE}", ldap_user="")
    client, answer = attempt(app, "li.na")
    assert answer.location == "/rules/"
    assert client.get("/rules/").status_code == 200
    user = known(house, "li.na")
    assert user is not None
    with house.db.read() as tx:
        assert attributes.attributes_of(tx, user.id) == {"family": "Li"}
    assert (user.name, user.email, user.roles) == ("Na Li", "li.na@example.com", ("Designer",))
    assert [event.tag.rpartition(":")[2] for event in events(house, "access")][-4:] == [
        "created", "identity_linked", "updated", "signed_in",
    ]  # fmt: skip
    assert events(house, "access:session:signed_in")[-1].after == {"by": "directory"}
    assert attempt(app, "LI.NA")[1].status_code == 302, "a directory does not tell small letters from large ones"
    with house.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(models.access_identity)) == 1


ODD = [
    "*",
    "li*",
    "li.na)(uid=*",
    "*)(|(uid=*))",
    "li.na\\",
    "li\\2ena",
    "(",
    ")",
    "li.na,ou=people",
    "",
    " ",
    "x" * 300,
]


@pytest.mark.parametrize("direct", [False, True])
def test_names_are_values_and_not_filters(app: Flask, house: House, direct: bool):
    """Whatever is entered as a name finds only who is called just so."""
    if direct:
        change(app, ldap_direct=f"uid={{name}},{PEOPLE}")
    for name in ODD:
        _client, answer = attempt(app, name)
        assert answer.status_code == 401
        assert "The user name or the password is wrong." in answer.text


@pytest.mark.parametrize("direct", [False, True])
def test_passwords_that_are_wrong(app: Flask, house: House, direct: bool):
    """A wrong password, and an empty one, which a directory takes for a guest, are refused in the same words."""
    if direct:
        change(app, ldap_direct=f"uid={{name}},{PEOPLE}")
    for name, password in (
        ("li.na", "wrong"),
        ("li.na", ""),
        ("nobody", SECRET),
        ("li.na", "x" * 300),
    ):
        _client, answer = attempt(app, name, password)
        assert answer.status_code == 401
        assert "The user name or the password is wrong." in answer.text
        throttle._local.clear()
    assert attempt(app, "li.na", "\0")[1].status_code == 400, "it gets nowhere near the directory"
    assert events(house, "access:session:sign_in_failed")[-1].reason == "unknown user"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "The account is disabled in the directory."),
        ("alone", "Your groups give you no role here."),
        ("twin", "several users of this name"),
        ("boss", "Another user has this e-mail address."),
    ],
)
def test_who_is_not_let_in(app: Flask, house: House, name: str, said: str):
    """Disabled accounts, those without a group that counts, and who would become another user are refused."""
    _client, answer = attempt(app, name)
    assert answer.status_code == 401
    assert said in answer.text
    assert said.rstrip(".") in events(house, "access:session:sign_in_failed")[-1].reason


def test_disabled_here(app: Flask, house: House, admin_client: FlaskClient):
    """Who is disabled here gets in no more, whatever the directory says; who is not, does."""
    attempt(app, "works")
    user = known(house, "works")
    assert user is not None
    admin_client.post(f"/users/{user.id}/disable")
    assert "is disabled" in attempt(app, "works")[1].text


def test_roles_follow_the_groups(app: Flask, house: House, server: Directory):
    """The roles are those of the groups at each sign-in."""
    attempt(app, "li.na")
    server.change(f"dn: cn=designers,{GROUPS}\nchangetype: modify\ndelete: member\nmember: {LI}\n\n")
    try:
        assert attempt(app, "li.na")[1].status_code == 401
        change(app, ldap_groups="", ldap_roles=(*ROLES, ("*", "Viewer")))
        attempt(app, "li.na")
        assert known(house, "li.na").roles == ("Viewer",)
    finally:
        server.change(f"dn: cn=designers,{GROUPS}\nchangetype: modify\nadd: member\nmember: {LI}\n\n")


def test_users_of_our_own_go_on(app: Flask, house: House, server: Directory):
    """Users with a password here sign in by it, also while the directory is away, which is said to the others."""
    sign_in(app.test_client())
    add_user(house, "li.na", "Viewer")
    sign_in(app.test_client(), "li.na")
    assert attempt(app, "li.na")[1].status_code == 401, "the address is taken"
    change(app, ldap_url="ldap://localhost:1")
    sign_in(app.test_client())
    answer = attempt(app, "works")[1]
    assert answer.status_code == 401
    assert "The directory cannot be asked." in answer.text


def test_what_the_settings_get_wrong(app: Flask, house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A wrong password of our own user, an authority that did not sign, no file: nobody gets in."""
    change(app, ldap_ca=tmp_path / "none.pem")
    with pytest.raises(NotAdmitted, match="SYNCLINE_LDAP_CA"):
        directory.known(app.extensions["syncline"], "li.na", SECRET)
    change(app, ldap_ca=None)
    with pytest.raises(NotAdmitted, match="cannot be encrypted"):
        directory.known(app.extensions["syncline"], "li.na", SECRET)
    monkeypatch.setenv("SYNCLINE_LDAP_PASSWORD", "wrong")
    app.extensions["syncline"] = house
    with pytest.raises(NotAdmitted, match="does not let"):
        directory.known(house, "li.na", SECRET)


def test_guessing_is_slowed_down(app: Flask, house: House):
    """Wrong passwords of the directory count as those of our own do."""
    for _ in range(throttle.PER_USER):
        attempt(app, "li.na", "wrong")
    assert attempt(app, "li.na")[1].status_code == 429


def test_second_factor_and_fresh_proof(app: Flask, house: House):
    """The directory's password is the first factor; a passkey is asked for behind it, and either is a fresh proof."""
    client, _answer = attempt(app, "li.na")
    page = client.get("/account/").text
    assert "Current password" not in page, "it is changed in the directory"
    with house.db.begin() as tx:
        tx.execute(sa.update(models.access_session).values(proven_at=house.clock() - timedelta(hours=1)))
    begin = "/account/passkeys/begin"
    assert client.post(begin, data={"name": "Laptop"}).status_code == 401
    assert client.post(begin, data={"name": "Laptop", "proof_password": PASSWORD}).status_code == 401
    assert client.post(begin, data={"name": "Laptop", "proof_password": SECRET}).status_code == 200
    key = Authenticator()
    assert add(client, key).status_code == 201
    client, answer = attempt(app, "li.na")
    assert answer.location == "/login/second?next=/rules/"
    asked = client.post("/login/second/begin").get_json()
    assert client.post("/login/second", data={"answer": key.sign(asked)}).status_code == 302
    with house.db.read() as tx:
        assert tx.scalars(sa.select(models.access_session.c.by)).all()[-1] == "directory"
    client_of(app, "vera", "Viewer")
