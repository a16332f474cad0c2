"""`syncline audit`: legal holds, and what the log holds of people."""

from __future__ import annotations

from typing import Any

import click

from webapp.audit import export as writing
from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.evidence import holds, persons
from webapp.extensions import to_json

STAYS = """What stays: the record itself and the history of its entity, the stored records of runs, quarantine and
cases, deliveries and steps of records that are under way (see to them, then erase once more), user names, keys of
records and IP addresses in the log, and the key in backups made earlier, until they are let go."""


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
    click.echo(f"The legal hold {name} is in force.")


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


def _of_whom(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--user", "username", help="A user of Syncline."),
            click.option("--record", "record_of", nargs=2, metavar="ENTITY KEY", help="Whom this record is about."),
            click.option(
                "--rule",
                "rule_of",
                nargs=2,
                metavar="RULE KEY",
                help="Whom the record with this key in a rule is about.",
            ),
            click.option("--case", type=int, metavar="NUMBER", help="Whom this case is about: its words."),
        )
    ):
        command = option(command)
    return command


def _who(whom: dict[str, Any]) -> persons.Person:
    given = {name: value for name, value in whom.items() if value is not None}
    if len(given) != 1:
        raise Failed("Say of whom, one at a time: --user NAME, --record ENTITY KEY, --rule RULE KEY or --case NUMBER.")
    ((name, value),) = given.items()
    kind = {"username": "user", "record_of": "entity", "rule_of": "rule", "case": "case"}[name]
    return persons.Person(kind, *value) if isinstance(value, tuple) else persons.Person(kind, str(value))


@person.command(name="export")
@_of_whom
def export_person(**whom: Any) -> None:
    """Print all events about a person, one JSON object a line; the export itself is audited.

    What people corrected or decided of a record stands under the rule and the record's key in it (--rule), what they
    wrote in a case under the case (--case): export each.
    """
    session = current()
    for event in persons.export(session.house, _who(whom), session.actor):
        click.echo(to_json(writing.as_json(event)))


@person.command(name="erase")
@_of_whom
@click.option("--reason", help="Why, such as the number of the request.")
@click.confirmation_option("--yes", prompt="Personal values that are erased cannot be brought back. Go on?")
def erase_person(*, reason: str | None, **whom: Any) -> None:
    """Destroy the key of a person's values in the log; the events stay and still verify.

    What people corrected or decided of a record stands under the rule and the record's key in it (--rule), what they
    wrote in a case under the case (--case): erase each. What is not touched is listed at the end.
    """
    session = current()
    gone = persons.erase(session.house, _who(whom), session.actor, reason)
    click.echo("The personal values are erased." if gone else "The log held no personal values of this person.")
    click.echo(STAYS)


COMMANDS: tuple[click.Command, ...] = (hold, person)
