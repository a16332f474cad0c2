"""`syncline secrets`: shared secrets of the vault, which connections refer to as vault:NAME."""

from __future__ import annotations

import re
import sys

import click

from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.connections import approving
from webapp.entities import resealing
from webapp.entities.storage import NoEntity
from webapp.vault import references
from webapp.vault import services as vault
from webapp.vault.services import Owner

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


@click.group()
def secrets() -> None:
    """Look after the secrets in the vault; their values are never shown."""


@secrets.command(name="list")
@json_option
def list_all(*, as_json: bool) -> None:
    """List the secrets: shared ones, and those of connections."""
    house = current().house
    with house.db.read() as tx:
        rows = [
            {"reference": _reference(Owner(kind, owner), name), "owner": kind, "name": owner}
            for kind in (references.SHARED, "connection")
            for owner in vault.owners(tx, kind)
            for name in vault.names(tx, Owner(kind, owner))
        ]
    if as_json:
        print_json(rows)
        return
    print_rows(rows, (("reference", "REFERENCE"), ("owner", "OWNER")), nothing="There are no secrets in the vault.")


def _reference(owner: Owner, name: str) -> str:
    return f"vault:{owner.name}" if owner.kind == references.SHARED else references.own(owner, name)


@secrets.command(name="set")
@click.argument("name")
def set_one(name: str) -> None:
    """Store a shared secret; its value is asked for, or read from standard input."""
    session = current()
    if not NAME.fullmatch(name):
        raise Failed(f"'{name}' is not a name: use small letters, digits, dots, dashes and underscores.")
    value = click.prompt("Value", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    with session.house.db.begin() as tx:
        approving.put_shared(tx, session.house, name, value, session.actor)
    click.echo(f"Stored. Refer to it with vault:{name}")


@secrets.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete a shared secret."""
    session = current()
    with session.house.db.begin() as tx:
        gone = approving.delete_shared(tx, session.house, name, session.actor)
    if not gone:
        raise Failed(f"There is no shared secret '{name}'.")
    click.echo(f"Deleted vault:{name}")


@secrets.command()
@click.argument("entity")
def renew(entity: str) -> None:
    """Encrypt the encrypted fields of an entity with a new key; the scheduler does it while everything goes on."""
    session = current()
    try:
        resealing.renew(session.house, entity, session.actor)
    except NoEntity as error:
        raise Failed(str(error)) from None
    click.echo(f"The encrypted fields of '{entity}' get a new key. The entity's page shows how far that is.")


@secrets.command()
@json_option
def rotate(*, as_json: bool) -> None:
    """Protect all secrets with a new key; can be repeated if it was stopped."""
    session = current()
    done = vault.rotate(session.house, session.actor)
    if as_json:
        print_json({"rewrapped": done})
    else:
        click.echo(f"{done} secrets are protected by the new key.")
