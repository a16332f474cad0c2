"""`syncline quarantine`: records that failed, each with its reason."""

from __future__ import annotations

from typing import Any

import click

from webapp.commands import running
from webapp.commands.runs import fail_unless_well, print_run
from webapp.commands.session import Failed, as_option, current, json_option, print_json, print_rows
from webapp.runs import quarantine as parked
from webapp.runs import reading
from webapp.runs.quarantine_export import csv_lines, json_lines
from webapp.runs.quarantine_remap import Remap, affected, remap


@click.group(invoke_without_command=True)
@click.option("--rule", help="Only records of this rule.")
@click.option("--state", type=click.Choice(parked.STATES), default="open", show_default=True, help="Their state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Records to show.")
@as_option
@json_option
@click.pass_context
def quarantine(context: click.Context, *, rule: str | None, state: str, limit: int, as_json: bool) -> None:
    """List records that failed; or replay or discard them."""
    if context.invoked_subcommand is not None:
        return
    with current().house.db.read() as tx:
        entries = [_plain(entry) for entry in parked.listing(tx, rule=rule, state=state, limit=limit)]
    if as_json:
        print_json(entries)
        return
    columns = (("id", "ID"), ("rule", "RULE"), ("run", "RUN"), ("key", "KEY"), ("field", "FIELD"), ("reason", "REASON"))
    print_rows(entries, columns, nothing="No record waits in the quarantine.")


def _plain(entry: parked.Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "rule": entry.rule_name,
        "run": entry.run_id,
        "side": entry.side,
        "key": entry.left_key,
        "place": entry.place,
        "stage": entry.stage,
        "field": entry.field,
        "reason": str(entry.reason),
        "state": entry.state,
        "attempts": entry.attempts,
        "record": entry.values,
    }


@quarantine.command()
@click.argument("rule")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--wait", is_flag=True, help="Wait for the end.")
@json_option
def replay(rule: str, ids: tuple[int, ...], *, wait: bool, as_json: bool) -> None:
    """Run a rule again over its failed records: all, or those named."""
    session = current()
    run_id = parked.replay(session.house, rule, ids or None, session.actor)
    running.announce(session)
    if wait:
        row = running.finish(session, run_id)
    else:
        with session.house.db.read() as tx:
            row = reading.get(tx, run_id)
    print_run(row, as_json=as_json)
    fail_unless_well(row)


@quarantine.command()
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
def discard(ids: tuple[int, ...]) -> None:
    """Give up on failed records; they can still be looked up."""
    session = current()
    done = parked.discard(session.house, ids, session.actor)
    if done != len(ids):
        raise Failed(f"Only {done} of {len(ids)} records were discarded.")
    click.echo(f"{done} records are discarded.")


@quarantine.command()
@click.option("--rule", help="Only records of this rule.")
@click.option("--state", type=click.Choice(parked.STATES), default="open", show_default=True, help="Their state.")
@click.option("--side", type=click.Choice(("left", "right")), help="Only records read on this side.")
@as_option
@click.option("--csv", "as_csv", is_flag=True, help="CSV for spreadsheets instead of JSON lines.")
def export(rule: str | None, state: str, side: str | None, *, as_csv: bool) -> None:
    """Print failed records with all that is known of them."""
    session = current()
    asked = {"rule": rule, "state": state, "side": side}
    for line in (csv_lines if as_csv else json_lines)(session.house, asked, session.actor, str):
        click.echo(line, nl=False)


@quarantine.command("set")
@click.argument("rule")
@click.argument("field")
@click.argument("value")
@click.option("--only", help="Only where the field holds this value.")
@as_option
@click.option("--preview", is_flag=True, help="Only show what would change.")
def set_field(rule: str, field: str, value: str, *, only: str | None, preview: bool) -> None:
    """Set a field of all failed records of a rule; then replay them. An empty VALUE stands for no value."""
    session = current()
    change = Remap(rule, field, value, only)
    with session.house.db.read() as tx:
        found = affected(tx, change)
    for entry in found if preview else ():
        click.echo(f"{entry.left_key}: {entry.values[field]!r} -> {change.value!r}")
    if preview:
        click.echo(f"{len(found)} records would change.")
        return
    click.echo(f"{len(remap(session.house, change, session.actor))} records are corrected.")
