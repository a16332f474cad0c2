"""`syncline hook`: inbound web hooks and their keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.events import hook_documents, hooks
from webapp.events.hook_schemes import SCHEMES
from webapp.events.hooks import CURRENT, NEXT, SECONDS, HookRefused, Wanted


@click.group()
def hook() -> None:
    """Look after the addresses at which other systems tell that something happened."""


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except HookRefused as refusal:
        raise Failed(str(refusal.message)) from None


@hook.command(name="list")
@json_option
def list_all(*, as_json: bool) -> None:
    """List the web hooks."""
    session = current()
    with session.house.db.read() as tx:
        found = hooks.list_hooks(tx)
        documents = [hook_documents.read(tx, one.name) for one in found]
    if as_json:
        print_json(documents)
        return
    address = session.house.settings.console_url.rstrip("/")
    rows = [
        {
            "name": one.name,
            "address": f"{address}/hooks/{one.name}",
            "type": one.type,
            "scheme": one.scheme,
            "keys": ", ".join(one.keys) or "none",
            "state": "active" if one.enabled else "disabled",
        }
        for one in found
    ]
    print_rows(rows, [(name, name.upper()) for name in rows[0]] if rows else [], nothing="There are no web hooks.")


@hook.command()
@click.argument("name")
@click.argument("type_", metavar="TYPE")
@click.option("--label", default="", help="What people call it.")
@click.option("--scheme", default="syncline", show_default=True, type=click.Choice(list(SCHEMES)), help="How it signs.")
@click.option("--seconds", default=SECONDS, show_default=True, help="How far the signed time may be from ours.")
def add(name: str, type_: str, label: str, scheme: str, seconds: int) -> None:
    """Make a web hook whose deliveries become events of a type, and print its first key, once."""
    session = current()
    with _told():
        key = hooks.create(session.house, Wanted(name, type_, label, scheme, seconds=seconds), "", session.actor)
    click.echo(f"Made. Address: {session.house.settings.console_url.rstrip('/')}/hooks/{name}")
    click.echo(f"Key: {key}")


@hook.group()
def key() -> None:
    """Add, switch and remove the keys of a web hook."""


@key.command(name="add")
@click.argument("name")
@click.option("--own", is_flag=True, help="Enter the key that the sender gave, instead of having one made.")
def add_key(name: str, *, own: bool) -> None:
    """Give a web hook a key beside the one that it has; one that is made here is printed, once."""
    session, given = current(), ""
    if own:
        given = click.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip()
        if not given:
            raise Failed("No key was entered.")
    with _told():
        made = hooks.add_key(session.house, name, given, session.actor)
    click.echo("Stored." if own else f"Key: {made}")


@key.command()
@click.argument("name")
def switch(name: str) -> None:
    """Make the next key the current one; the one before it is refused from now on."""
    session = current()
    with _told():
        hooks.switch_key(session.house, name, session.actor)
    click.echo("Switched.")


@key.command()
@click.argument("name")
@click.argument("place", type=click.Choice([CURRENT, NEXT]))
def remove(name: str, place: str) -> None:
    """Remove a key, which is refused from now on."""
    session = current()
    with _told():
        hooks.remove_key(session.house, name, place, session.actor)
    click.echo("Removed.")
