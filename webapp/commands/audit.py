"""`syncline audit`: reading, exporting and checking the audit log."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from webapp.audit import export as writing
from webapp.audit.personal import shown
from webapp.audit.queries import Filter, last_id, page, stream
from webapp.audit.sentences import sentence
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.commands import audit_people, audit_seal
from webapp.commands.session import Failed, as_option, current, json_option, print_json, print_rows
from webapp.connections.permitted import asking
from webapp.evidence import package

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


def _filters(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--since", type=TIME, help="Only events from this time on (UTC where it names no zone)."),
            click.option("--until", type=TIME, help="Only events before this time."),
            click.option("--actor", default="", help="Only what this person, key or process did."),
            click.option(
                "--tag", default="", help="Only this tag, such as runs:run:ended, or its beginning, such as runs."
            ),
            click.option("--subject", default="", help="Only what was done to the thing of this name."),
            click.option("--run", type=int, help="Only what this run did."),
        )
    ):
        command = option(command)
    return command


def _wanted(options: dict[str, Any]) -> Filter:
    return Filter(since=_instant(options.pop("since")), until=_instant(options.pop("until")), **options)


def _instant(value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


@click.group()
def audit() -> None:
    """Read, export and check the audit log."""


@audit.command(name="list")
@_filters
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Events to show.")
@as_option
@json_option
def list_latest(*, limit: int, as_json: bool, **options: Any) -> None:
    """List events, the latest first."""
    with current().house.db.read() as connection:
        events = list(shown(connection, page(connection, _wanted(options), limit)))
    if as_json:
        print_json([writing.as_json(event) for event in events])
        return
    rows = [{"id": e.id, "at": e.at, "who": e.actor_name, "what": str(sentence(e))} for e in events]
    columns = (("id", "ID"), ("at", "AT (UTC)"), ("who", "WHO"), ("what", "WHAT"))
    print_rows(rows, columns, nothing="There are no such events.")


@audit.command()
@_filters
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "sealed"]),
    default="jsonl",
    show_default=True,
    help="How to write; sealed: the whole log in one file with its proofs, for 'syncline audit verify --file'.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@as_option
@click.option("--runs", is_flag=True, help="With sealed: the records of runs too.")
def export(*, form: str, output: Path | None, runs: bool, **options: Any) -> None:
    """Write events in the order in which they happened; the export itself is audited."""
    session, wanted = current(), _wanted(options)
    if form == "sealed":
        if not asking().system:
            raise Failed("A sealed export holds the whole log, so it is not for '--as'. Export it as jsonl or csv.")
        if output is None or not wanted.empty:
            raise Failed("A sealed export holds the whole log: name a file with --output, and no filter.")
        audit_seal.export_sealed(session, output, runs=runs)
        return
    house = session.house
    with house.db.begin() as tx:
        event = Event(Tag.AUDIT_EXPORTED, Subject("audit", "events"), after={"format": form, **wanted.told()})
        record(tx, session.actor, house.clock(), event)
        last = last_id(tx)
    with house.db.read() as connection:
        events = shown(connection, stream(connection, wanted, last))
        lines = writing.csv_lines(events) if form == "csv" else writing.jsonl(events)
        if output is None:
            _write(sys.stdout, lines)
        else:
            with output.open("w", encoding="utf-8", newline="") as file:
                _write(file, lines)


@audit.command(name="package")
@_filters
@click.option("--title", default="", help="What for; it stands on the report.")
@click.option("--runs", is_flag=True, help="The records of runs too.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def make_package(*, title: str, runs: bool, output: Path, **options: Any) -> None:
    """Write an evidence package: events with their proofs and a report, signed; 'verify --file' checks it."""
    session = current()
    audit_seal.write_package(
        session, output, package.Wanted(_wanted(options), title, runs, session.house.settings.language)
    )


for command in (*audit_seal.COMMANDS, *audit_people.COMMANDS):
    audit.add_command(command)


def _write(file: TextIO, lines: Any) -> None:
    for line in lines:
        file.write(line)
