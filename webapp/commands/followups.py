"""`syncline approve` and `runs undo`: what follows a run."""

from __future__ import annotations

import click

from webapp.commands.runs import follow, runs
from webapp.commands.session import Failed, current, json_option, print_json
from webapp.runs import followups, reading, undo_preview
from webapp.runs.undo_preview import Preview


@click.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option("--wait", is_flag=True, help="Wait for the end; carries the run out itself where no worker does.")
@json_option
def approve(run_id: int, *, wait: bool, as_json: bool) -> None:
    """Carry out the plan of the simulation RUN as shown, without records that have changed since."""
    session = current()
    follow(session, followups.approve(session.house, run_id, session.actor), wait=wait, as_json=as_json)


@runs.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option("--preview", is_flag=True, help="Only show what would be undone now, and what stays and why.")
@click.option("--wait", is_flag=True, help="Wait for the end; carries the run out itself where no worker does.")
@json_option
def undo(run_id: int, *, preview: bool, wait: bool, as_json: bool) -> None:
    """Take back what a finished run wrote, as far as its fields still hold it; pauses a one-way rule's schedule."""
    session = current()
    if not preview:
        follow(session, followups.undo(session.house, run_id, session.actor), wait=wait, as_json=as_json)
        return
    with session.house.db.read() as tx:
        row = reading.get(tx, run_id)
    reason = followups.undo_hindrance(row)
    if reason is not None:
        raise Failed(str(reason))
    found = undo_preview.preview(session.house, row)
    if as_json:
        print_json(found.to_json())
    else:
        _print_preview(found)


def _print_preview(found: Preview) -> None:
    click.echo(f"Would delete {found.deleted}, restore {found.updated} and create again {found.created} records.")
    click.echo(f"{found.left_alone} records stay as they are, {found.partly} are restored in part.")
    for sample in found.stays:
        click.echo(f"    {sample.key}: {sample.reason}")
    if not found.complete:
        click.echo(f"The last {found.looked_at} of {found.records} records were looked up.")
