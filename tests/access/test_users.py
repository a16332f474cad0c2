"""Users: who may make, change, disable and delete whom."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.security import check_password_hash, generate_password_hash

from tests.webapp.conftest import PASSWORD, add_user, client_of, events, sign_in
from webapp.access import breached, groups, models, passwords, removal, roles, services, users
from webapp.access.errors import Missing, Refused
from webapp.access.group_editing import Group, save_group
from webapp.access.users import NewUser
from webapp.extensions import SYSTEM, Actor, House


@pytest.fixture
def manager(house: House) -> Actor:
    """Return somebody who manages users without being an administrator."""
    with house.db.begin() as tx:
        role_id = roles.add_role(tx, "People", "")
        ids = roles.permission_ids(tx)
        wanted = [(action, "Users") for action in ("read", "create", "update", "delete")]
        roles.grant(tx, role_id, {ids[pair] for pair in wanted})
    user_id = add_user(house, "mina", "People")
    return Actor("user", "mina", str(user_id))


def _id(house: House, username: str) -> int:
    with house.db.read() as connection:
        return connection.scalar(sa.select(models.user.c.id).where(models.user.c.username == username))


def _admin(house: House) -> Actor:
    return Actor("user", "admin", str(_id(house, "admin")))


def test_first_administrator_is_made_once(app: Flask, house: House):
    """The first user is made on an empty installation only, with a password that works."""
    assert services.ensure_admin(house) is None
    with house.db.begin() as tx:
        for table in (models.user_role, models.access_profile, models.user):
            tx.execute(sa.delete(table))
    password = services.ensure_admin(house)
    assert re.fullmatch(r"([a-z]+-){4}\d{9}", password)
    sign_in(app.test_client(), "admin", password)


@pytest.mark.parametrize(
    "password",
    ["P@ssw0rd123", "qwerty123456", "iloveyou2024", "1234567890", "Summer2025!", "monkeymonkey", "annabel-syncline",
     "ann likes green tea", "aaaaaaaaaaaaaaaa", "short-one"],
)  # fmt: skip
def test_passwords_that_are_guessed(password: str):
    """Well-known passwords, those with the user's or the product's name, repeated and short ones are refused."""
    with pytest.raises(Refused):
        passwords.check_new(password, "ann")


@pytest.mark.parametrize(
    "password", ["mango-plum-river-82", "tr0ub4dor&3x", "马到成功-river-29", "mango-plum-river-82" * 13]
)
def test_passwords_that_are_not(password: str):
    """A few words, or something odd, will do; so does the longest one, and it is judged at once."""
    passwords.check_new(password, "ann")


def test_password_is_stored_as_scrypt(house: House, monkeypatch: pytest.MonkeyPatch):
    """What is stored of a password is a salted scrypt hash that takes 128 megabytes to compute."""
    monkeypatch.setattr(passwords, "generate_password_hash", generate_password_hash)
    add_user(house, "ann")
    with house.db.read() as connection:
        stored = connection.scalar(sa.select(models.user.c.password).where(models.user.c.username == "ann"))
    assert re.match(r"scrypt:131072:8:1\$\w{16,}\$", stored)
    assert PASSWORD not in stored
    assert check_password_hash(stored, PASSWORD)


def test_user_is_added_in_the_console(app: Flask, house: House, admin_client: FlaskClient):
    """An administrator adds a user, who signs in with the shown password and has to change it first."""
    form = {"username": "li.wei", "first_name": "伟", "last_name": "李", "email": "li@example.com", "roles": ["Viewer"]}
    answer = admin_client.post("/users/new", data=form)
    assert answer.status_code == 201
    password = re.search(r'<code id="once">([^<]+)</code>', answer.text)[1]
    client = sign_in(app.test_client(), "li.wei", password)
    assert client.get("/").location == "/account/"
    assert client.get("/api/v1/audit/").status_code == 403
    changed = client.post(
        "/account/password", data={"current": password, "password": "a new one 42", "again": "a new one 42"}
    )
    assert changed.status_code == 302
    assert client.get("/").status_code == 200
    made = events(house, "access:user:created")[-1]
    assert (made.actor_name, made.subject, made.after["roles"]) == ("admin", "li.wei", ["Viewer"])
    assert "password" not in str(made.after)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "a b"),
        ("username", "admin"),
        ("username", "ADMIN"),
        ("first_name", ""),
        ("email", "nobody"),
        ("email", "ADMIN@localhost"),
        *(("email", f"a@b{sign}corp") for sign in ' ,;:<>[]()"\\'),
        ("roles", []),
    ],
)
def test_wrong_values_are_told_at_the_field(admin_client: FlaskClient, house: House, field: str, value: object):
    """A value that cannot be taken is shown again with the reason at its field; nothing is stored."""
    form = {
        "username": "new",
        "first_name": "N",
        "last_name": "",
        "email": "n@example.com",
        "roles": ["Viewer"],
        field: value,
    }
    answer = admin_client.post("/users/new", data=form)
    assert answer.status_code == 422
    assert 'class="field-error"' in answer.text
    assert len(events(house, "access:user:created")) == 1


def test_whoever_has_a_role_by_a_group_needs_none_given(house: House):
    """The last role that was given to a user may be taken away if a group brings one, and only then."""
    user_id, admin = add_user(house, "ann", "Viewer"), _admin(house)
    bare = NewUser("ann", "Ann", "", "ann@example.com", ())
    save_group(house, Group(name="Empty", members=("ann",)), admin)
    with pytest.raises(Refused):
        users.update_user(house, user_id, bare, admin)
    save_group(house, Group(name="Lookers", roles=("Viewer",), members=("ann",)), admin)
    users.update_user(house, user_id, bare, admin)
    with house.db.read() as connection:
        assert groups.roles_of(connection, user_id) == ((), {"Viewer": ("Lookers",)})


def test_change_is_audited_with_before_and_after(house: House):
    """The log shows only what changed, before and after."""
    user_id = add_user(house, "ann", "Viewer")
    users.update_user(
        house, user_id, NewUser("ann", "Ann", "Test", "ann@example.com", ("Operator", "Viewer")), _admin(house)
    )
    changed = events(house, "access:user:updated")[-1]
    assert changed.before == {"roles": ["Viewer"]}
    assert changed.after == {"roles": ["Operator", "Viewer"]}


def test_last_administrator_stays(house: House):
    """The last active administrator can be neither disabled, deleted nor stripped of the role."""
    admin = _id(house, "admin")
    with pytest.raises(Refused, match="last active administrator"):
        users.set_active(house, admin, False, SYSTEM)
    with pytest.raises(Refused, match="last active administrator"):
        removal.delete_user(house, admin, SYSTEM)
    with pytest.raises(Refused, match="last active administrator"):
        users.update_user(house, admin, NewUser("admin", "A", "", "a@localhost", ("Viewer",)), SYSTEM)
    add_user(house, "second", "Admin")
    users.set_active(house, admin, False, SYSTEM)
    with pytest.raises(Refused, match="last active administrator"):
        users.set_active(house, _id(house, "second"), False, SYSTEM)


def test_nobody_disables_or_deletes_themselves(house: House):
    """An administrator cannot lock the own account by mistake, even if there is another."""
    add_user(house, "second", "Admin")
    for deed in (
        lambda: users.set_active(house, _id(house, "admin"), False, _admin(house)),
        lambda: removal.delete_user(house, _id(house, "admin"), _admin(house)),
    ):
        with pytest.raises(Refused, match="yourself"):
            deed()


def test_a_manager_of_users_cannot_become_administrator(house: House, manager: Actor):
    """Who manages users can give no role that holds more than their own, to others or themselves."""
    with pytest.raises(Refused, match="do not hold yourself"):
        users.create_user(house, NewUser("evil", "E", "", "e@example.com", ("Admin",)), manager)
    mine = _id(house, "mina")
    with pytest.raises(Refused, match="do not hold yourself"):
        users.update_user(house, mine, NewUser("mina", "M", "", "m@example.com", ("People", "Admin")), manager)
    users.create_user(house, NewUser("fine", "F", "", "f@example.com", ("People",)), manager)


def test_a_manager_of_users_cannot_take_an_administrator_over(house: House, manager: Actor):
    """Who manages users cannot reset, disable, change or delete somebody who may do more."""
    admin = _id(house, "admin")
    for deed in (
        lambda: users.reset_password(house, admin, manager),
        lambda: users.set_active(house, admin, False, manager),
        lambda: removal.delete_user(house, admin, manager),
        lambda: users.update_user(house, admin, NewUser("admin", "A", "", "mine@evil.example", ("Admin",)), manager),
    ):
        with pytest.raises(Refused, match="do not hold yourself"):
            deed()


def test_disabling_ends_sessions(app: Flask, house: House):
    """A disabled user is out at the next request and stays out; enabling does not revive old sessions."""
    client = client_of(app, "ann", "Viewer")
    assert client.get("/").status_code == 200
    users.set_active(house, _id(house, "ann"), False, SYSTEM)
    assert client.get("/").status_code == 302
    users.set_active(house, _id(house, "ann"), True, SYSTEM)
    assert client.get("/").status_code == 302


def test_password_change_ends_other_sessions(app: Flask, house: House):
    """After a change of the password only the session that changed it lives on."""
    here, there = client_of(app, "ann", "Viewer"), sign_in(app.test_client(), "ann")
    new = "another good one 7"
    here.post("/account/password", data={"current": PASSWORD, "password": new, "again": new})
    assert here.get("/").status_code == 200
    assert there.get("/").status_code == 302
    assert events(house, "access:user:password_changed")[-1].after is None


def test_nobody_waits_while_passwords_are_looked_at(house: House, monkeypatch: pytest.MonkeyPatch):
    """Others write while a password is hashed, which takes long; a change that comes first counts."""
    user_id = add_user(house, "ann", "Viewer")
    others: list[str] = []

    def slow(password: str) -> str:
        with house.db.begin() as tx:  # waits until it fails where the change holds the database
            tx.execute(sa.update(models.user).where(models.user.c.id == user_id).values(first_name=password))
        others.append(password)
        return passwords.hashed(password)

    monkeypatch.setattr(users, "hashed", slow)
    ann = Actor("user", "ann", str(user_id))
    users.change_own_password(house, user_id, PASSWORD, "another good one 7", ann)
    assert others == ["another good one 7"]

    def overtaken(password: str) -> str:
        with house.db.begin() as tx:
            tx.execute(sa.update(models.user).where(models.user.c.id == user_id).values(password="changed"))
        return passwords.hashed(password)

    monkeypatch.setattr(users, "hashed", overtaken)
    with pytest.raises(Refused, match="wrong"):
        users.change_own_password(house, user_id, "another good one 7", "yet another one 8", ann)


@pytest.mark.parametrize(
    ("current", "new", "again"),
    [
        ("wrong", "a good password", "a good password"),
        (PASSWORD, "short", "short"),
        (PASSWORD, "a good password", "another"),
        (PASSWORD, PASSWORD, PASSWORD),
        (PASSWORD, "aaaaaaaaaaaa", "aaaaaaaaaaaa"),
        (PASSWORD, "Password123!", "Password123!"),
        (PASSWORD, "xx-annette-1", "xx-annette-1"),
    ],
)
def test_weak_or_wrong_passwords_are_refused(app: Flask, current: str, new: str, again: str):
    """A password that is short, well known, repeated, holds the user name or is not confirmed is refused."""
    client = client_of(app, "annette", "Viewer")
    answer = client.post("/account/password", data={"current": current, "password": new, "again": again})
    assert answer.status_code == 422
    assert "field-error" in answer.text


def test_deleted_user_is_gone_with_keys(app: Flask, house: House, admin_client: FlaskClient):
    """A deleted user's sessions end; the log keeps the name."""
    client = client_of(app, "ann", "Viewer")
    assert admin_client.post(f"/users/{_id(house, 'ann')}/delete").status_code == 302
    assert client.get("/").status_code == 302
    assert events(house, "access:user:deleted")[-1].subject == "ann"
    with house.db.read() as connection, pytest.raises(Missing):
        users.get_user(connection, 999)


def test_names_are_said_as_usual():
    """A Chinese name has the family name first; other names do not."""
    assert users.full_name("伟", "李") == "李伟"
    assert users.full_name("Ann", "Keller") == "Ann Keller"
    assert users.full_name("Syncline", "") == "Syncline"


def test_list_is_searched_and_paged(house: House):
    """Users are found by a part of a name or address, in pages by name."""
    for name in ("ann", "anton", "bea"):
        add_user(house, name, "Viewer")
    with house.db.read() as connection:
        assert [user.username for user in users.list_users(connection, "AN")] == ["ann", "anton"]
        assert [user.username for user in users.list_users(connection, after="ann", limit=1)] == ["anton"]
        assert users.list_users(connection, "%") == []


@pytest.mark.parametrize("password", ["MdnGwmDZIoAjE", "WetNyar42535688", "whatevernikorian", "WHATEVERnikorian"])
def test_passwords_that_everybody_knows(password: str):
    """A password that was stolen often is refused although it looks safe, in large and small letters alike."""
    assert passwords.seems_safe(password)
    with pytest.raises(Refused, match="easy to guess"):
        passwords.check_new(password, "ann")


def test_the_list_of_known_passwords():
    """It is sorted and whole, small, finds its first and last mark, and takes no other password for a known one."""
    data = breached.FILE.read_bytes()
    marks = [data[at : at + breached.SIZE] for at in range(0, len(data), breached.SIZE)]
    assert marks == sorted(set(marks))
    assert len(data) % breached.SIZE == 0
    assert 50_000 < len(marks) < 100_000
    assert not any(breached.is_known(passwords.generate_password()) for _ in range(1000))


@pytest.mark.parametrize("password", ["  two blanks in front", "Ümläute und 中文", "a" * 60 + "correct-horse" * 15])
def test_passwords_are_taken_as_they_are(password: str):
    """Blanks, letters of any kind, their case and every letter of a long password count."""
    stored = passwords.hashed(password)
    assert passwords.fits(stored, password)
    for other in (password.strip() + "x", password.upper(), password[:-1], password + " "):
        assert not passwords.fits(stored, other)
    assert not passwords.fits(passwords.NOBODY, password)
    assert passwords.NOBODY.startswith(f"{passwords.METHOD}$")


def test_fields_of_passwords_hide_and_help(client: FlaskClient):
    """A password is not shown while it is typed, and programs that keep passwords may fill it in."""
    field = re.search(r'<input[^>]*name="password"[^>]*>', client.get("/login/").text)[0]
    assert 'type="password"' in field
    assert 'autocomplete="current-password"' in field
    assert "paste" not in field
