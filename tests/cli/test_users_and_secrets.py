"""`syncline user` and `syncline secrets`."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import sqlalchemy as sa
from werkzeug.security import check_password_hash

from tests.installation import CommandLine
from webapp.access import models
from webapp.extensions import SYSTEM
from webapp.rulebook import services as rulebook

ANN = ("user", "create", "ann", "--name", "Ann", "--email", "ann@example.com", "--role", "Operator")


def stored_password(syncline: CommandLine, username: str) -> str:
    with syncline.house.db.read() as connection:
        return str(connection.scalar(sa.select(models.user.c.password).where(models.user.c.username == username)))


def test_create_and_list(syncline: CommandLine) -> None:
    """A new user gets a password that is shown once and works."""
    made = syncline.ok(*ANN, "--json").json
    assert check_password_hash(stored_password(syncline, "ann"), made["password"])
    rows = syncline.ok("user", "list", "--json").json
    assert [(row["username"], row["roles"]) for row in rows] == [("admin", ["Admin"]), ("ann", ["Operator"])]
    assert "Operator" in syncline.ok("user", "list").out


def test_a_taken_name_is_refused(syncline: CommandLine) -> None:
    """One line says what is wrong, with a non-zero exit code."""
    syncline.ok(*ANN)
    answer = syncline(*ANN)
    assert answer.code == 1
    assert answer.err == "Error: 'ann' belongs to another user.\n"


def test_reset_password(syncline: CommandLine) -> None:
    """A new password replaces the old one."""
    old = syncline.ok(*ANN, "--json").json["password"]
    new = syncline.ok("user", "reset-password", "ann", "--json").json["password"]
    assert new != old
    assert check_password_hash(stored_password(syncline, "ann"), new)
    assert syncline("user", "reset-password", "bob").err == "Error: There is no user 'bob'.\n"


def test_remove_second_factor(syncline: CommandLine) -> None:
    """Who administers alone and has lost the phone gets in again from the machine; who has none is told so."""
    syncline.ok(*ANN)
    assert syncline("user", "remove-second-factor", "ann").err == "Error: There is no second factor.\n"
    profile, since = models.access_profile, datetime(2026, 1, 1, tzinfo=UTC)
    with syncline.house.db.begin() as tx:
        tx.execute(profile.update().values(second_factor_at=since))
    assert syncline.ok("user", "remove-second-factor", "ann").out == "ann signs in without a second factor now.\n"
    assert syncline("user", "remove-second-factor", "bob").err == "Error: There is no user 'bob'.\n"


def test_linking_an_identity(syncline: CommandLine) -> None:
    """An operator says who of the company a user is; what let the user in before no longer does, and nobody is two."""
    syncline.ok(*ANN)
    link = ("user", "link-identity", "ann", "--subject", "u-7")
    assert "Say --by" in syncline(*link).err
    assert "not set up for --by saml" in syncline(*link, "--by", "saml").err
    told = {"URL": "ldaps://ldap.example.com", "BASE": "dc=example", "ROLES": "*=Viewer"}
    syncline.environ.update({f"SYNCLINE_LDAP_{name}": value for name, value in told.items()})
    before = stored_password(syncline, "ann")
    assert syncline.ok(*link).out == "u-7 of ldap:ldap.example.com/dc=example signs in as ann from now on.\n"
    assert "signs in as a user already" in syncline(*link).err
    assert stored_password(syncline, "ann") != before
    with syncline.house.db.read() as tx:
        assert tx.scalars(sa.select(models.access_identity.c.subject)).all() == ["u-7"]


def test_secrets(syncline: CommandLine) -> None:
    """A secret is stored from standard input, listed by its reference, rewrapped, deleted, and never shown."""
    said = [
        syncline.ok("secrets", "set", "erp.password", stdin="correct horse\n"),
        syncline.ok("secrets", "list"),
        syncline.ok("secrets", "list", "--json"),
        syncline.ok("secrets", "rotate", "--json"),
        syncline.ok("audit", "list", "--json"),
    ]
    assert said[2].json == [{"reference": "vault:erp.password", "owner": "shared", "name": "erp.password"}]
    assert said[3].json == {"rewrapped": 2}, "it, and the key of the personal values of the first user"
    assert all("correct horse" not in answer.out + answer.err for answer in said)
    syncline.ok("secrets", "delete", "erp.password")
    assert syncline.ok("secrets", "list", "--json").json == []
    assert syncline("secrets", "delete", "erp.password").err == "Error: There is no shared secret 'erp.password'.\n"
    assert syncline("secrets", "set", "Not A Name", stdin="x").code == 1


def test_the_actor_is_the_systems_user(syncline: CommandLine) -> None:
    """What the command line does is audited under the name of the operating system's user."""
    syncline.ok(*ANN)
    event = syncline.ok("audit", "list", "--tag", "access:user:created", "--subject", "ann", "--json").json[0]
    assert (event["actor_kind"], event["actor_name"]) == ("cli", getpass.getuser())


def test_a_rule_gets_an_owner(syncline: CommandLine) -> None:
    """A rule made at the command line is the installation's until a user owns it, who may do what it does."""
    syncline.ok(*ANN)
    document = {"kind": "sync", "name": "customers", "left": {}, "right": {}, "key": {}, "fields": []}
    rulebook.create(syncline.house, document, SYSTEM)
    assert syncline.ok("rules", "owner", "customers", "ann").out == "customers: owned by ann\n"
    with syncline.house.db.read() as tx:
        assert rulebook.get(tx, "customers").owner == "ann"
    assert syncline("rules", "owner", "customers", "bob").err == "Error: There is no user 'bob'.\n"
