"""`syncline audit`: legal holds, and what the log holds of people."""

from __future__ import annotations

import click

from webapp.audit import export as writing
from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.evidence import holds, persons
from webapp.extensions import to_json


@click.group()
def hold() -> None:
    """Keep events whatever the retention says."""


@hold.command(name="list")
@json_option
def list_holds(*, as_json: bool) -> None:
    """List legal holds, those that count first."""
    with current().house.db.read() as tx:
        rows = [
            {
                "name": one.name,
                "covers": " ".join(filter(None, (one.scope.kind, one.scope.name, one.scope.record))) or "everything",
                "reason": one.reason,
                "placed_by": one.placed_by,
                "placed_at": one.placed_at,
                "released_at": one.released_at,
            }
            for one in holds.listing(tx)
        ]
    if as_json:
        print_json(rows)
        return
    columns = (("name", "HOLD"), ("covers", "COVERS"), ("reason", "REASON"), ("released_at", "RELEASED (UTC)"))
    print_rows(rows, columns, nothing="There are no legal holds.")


@hold.command(name="place")
@click.argument("name")
@click.option("--reason", required=True, help="Why, such as the number of the case.")
@click.option("--kind", help="Only events about this kind of thing, such as user, entity or rule.")
@click.option("--subject", help="Only events about the thing of this name.")
@click.option("--record", "key", help="Only events about the record of this key.")
def place_hold(name: str, *, reason: str, kind: str | None, subject: str | None, key: str | None) -> None:
    """Place a legal hold; without further options it keeps everything."""
    session = current()
    holds.place(session.house, name, reason, holds.Scope(kind, subject, key), session.actor)
    click.echo(f"The legal hold {name} counts from now on.")


@hold.command(name="release")
@click.argument("name")
def release_hold(name: str) -> None:
    """Release a legal hold."""
    session = current()
    holds.release(session.house, name, session.actor)
    click.echo(f"The legal hold {name} is released.")


@click.group()
def person() -> None:
    """Give out or erase what the log holds of a person."""


def _who(username: str | None, record_of: tuple[str, str] | None) -> persons.Person:
    if (username is None) == (record_of is None):
        raise Failed("Say of whom: either --user NAME or --record ENTITY KEY.")
    return persons.Person("user", username) if username else persons.Person("entity", *(record_of or ()))


@person.command(name="export")
@click.option("--user", "username", help="A user of Syncline.")
@click.option("--record", "record_of", nargs=2, metavar="ENTITY KEY", help="Whom this record is about.")
def export_person(*, username: str | None, record_of: tuple[str, str] | None) -> None:
    """Print all events about a person, one JSON object a line; the export itself is audited."""
    session = current()
    for event in persons.export(session.house, _who(username, record_of), session.actor):
        click.echo(to_json(writing.as_json(event)))


@person.command(name="erase")
@click.option("--user", "username", help="A user of Syncline.")
@click.option("--record", "record_of", nargs=2, metavar="ENTITY KEY", help="Whom this record is about.")
@click.option("--reason", help="Why, such as the number of the request.")
@click.confirmation_option("--yes", prompt="Personal values that are erased cannot be brought back. Go on?")
def erase_person(*, username: str | None, record_of: tuple[str, str] | None, reason: str | None) -> None:
    """Destroy the key of a person's values in the log; the events stay and still verify.

    The record itself, its history, and stored records of runs are not touched.
    """
    session = current()
    gone = persons.erase(session.house, _who(username, record_of), session.actor, reason)
    click.echo("The personal values are erased." if gone else "The log held no personal values of this person.")


COMMANDS: tuple[click.Command, ...] = (hold, person)
