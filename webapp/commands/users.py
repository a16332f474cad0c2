"""`syncline user`: users from the command line, also for who has lost the password."""

from __future__ import annotations

from dataclasses import asdict

import click
import sqlalchemy as sa

from webapp.access import company, factors, users
from webapp.access.identities import NotAdmitted
from webapp.approvals.errors import SecondPersonNeeded
from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.extensions import House


@click.group()
def user() -> None:
    """List and create users, give new passwords."""


@user.command(name="list")
@json_option
def list_all(*, as_json: bool) -> None:
    """List all users."""
    house, found = current().house, list[users.User]()
    with house.db.read() as tx:
        while page := users.list_users(tx, after=found[-1].username if found else ""):
            found += page
    rows = [asdict(one) for one in found]
    if as_json:
        print_json(rows)
        return
    columns = (
        ("username", "USER"),
        ("first_name", "NAME"),
        ("email", "E-MAIL"),
        ("active", "ACTIVE"),
        ("roles", "ROLES"),
    )
    print_rows(rows, columns, nothing="There are no users.")


@user.command()
@click.argument("username")
@click.option("--name", required=True, help="First name, or the whole name.")
@click.option("--last-name", default="", help="Last name.")
@click.option("--email", required=True, help="E-mail address.")
@click.option(
    "--role", "roles", multiple=True, required=True, help="A role to hold; give it several times for several."
)
@json_option
def create(username: str, *, name: str, last_name: str, email: str, roles: tuple[str, ...], as_json: bool) -> None:
    """Create a user; prints the password for the first sign-in."""
    session = current()
    new = users.NewUser(username, name, last_name, email, roles)
    _, password, waits = users.create_user(session.house, new, session.actor)
    _tell(username, password, as_json=as_json)
    if waits:
        raise SecondPersonNeeded(waits)


@user.command(name="reset-password")
@click.argument("username")
@json_option
def reset_password(username: str, *, as_json: bool) -> None:
    """Give a user a new password and end all sessions; prints the password."""
    session = current()
    password = users.reset_password(session.house, _id_of(session.house.db.engine, username), session.actor)
    _tell(username, password, as_json=as_json)


@user.command(name="remove-second-factor")
@click.argument("username")
def remove_second_factor(username: str) -> None:
    """Let a user who has lost the phone sign in with the password alone, and end all sessions."""
    session = current()
    factors.take_away(session.house, _id_of(session.house.db.engine, username), session.actor)
    click.echo(f"{username} signs in without a second factor now.")


@user.command(name="link-identity")
@click.argument("username")
@click.option("--subject", required=True, help="What the provider or the directory calls the person.")
@click.option(
    "--by",
    type=click.Choice(["oidc", "ldap", "saml"]),
    help="Who calls them so; needed only where several ways to sign in are set up.",
)
def link_identity(username: str, *, subject: str, by: str | None) -> None:
    """Let somebody of the company's identity provider or directory sign in as a user.

    The user's password, second factor, sessions and API keys of before no longer count. Identities that are linked
    already stay.
    """
    session = current()
    issuer = _issuer(session.house, by)
    user_id = _id_of(session.house.db.engine, username)
    try:
        company.adopt(session.house, user_id, (issuer, subject), session.actor)
    except NotAdmitted as error:
        raise Failed(str(error.message)) from None
    click.echo(f"{subject} of {issuer} signs in as {username} from now on.")


def _issuer(house: House, by: str | None) -> str:
    """Return what a way to sign in is called, the only one where none is named."""
    known = company.issuers(house)
    if by is None and len(known) == 1:
        return next(iter(known.values()))
    if by is None:
        raise Failed("Say --by oidc, ldap or saml: there are several ways to sign in, or none.")
    if by not in known:
        raise Failed(f"This installation is not set up for --by {by}.")
    return known[by]


def _id_of(engine: sa.Engine, username: str) -> int:
    with engine.connect() as connection:
        found = next((u for u in users.list_users(connection, search=username) if u.username == username), None)
    if found is None:
        raise Failed(f"There is no user '{username}'.")
    return found.id


def _tell(username: str, password: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"username": username, "password": password})
        return
    click.echo(f"Sign in as {username} with the password: {password}")
    click.echo("It is shown only this once and has to be changed at the first sign-in.")
