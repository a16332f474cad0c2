"""`syncline approve`, `runs undo` and `runs compare`: what follows a run."""

from __future__ import annotations

import click

from webapp.commands.runs import follow, runs
from webapp.commands.session import Failed, as_option, current, json_option, print_json
from webapp.runs import followups, reading, shadows, undo_preview
from webapp.runs.shadows import Compared, Kind, Wanted
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
@as_option
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


@runs.command()
@click.argument("shadow", type=int)
@click.argument("live", type=int, required=False)
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), default=None, help="Only such records.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0, shadows.MOST), help="Records to show.")
@as_option
@json_option
def compare(shadow: int, live: int | None, *, kind: str | None, limit: int, as_json: bool) -> None:
    """Compare the run SHADOW, record by record, with the run LIVE: the next live one of its rule unless said."""
    with current().house.db.read() as tx:
        ours = reading.get(tx, shadow)
        runs = [reading.get(tx, live)] if live else shadows.candidates(tx, ours)
        reason = shadows.hindrance(ours, *runs[:1])
        if reason is not None:
            raise Failed(str(reason))
        if not runs:
            raise Failed(f"No live run of '{ours.rule_name}' has ended since run {shadow}.")
        found = shadows.compared(tx, ours, runs[0], Wanted(kind or "", limit=limit))
    if as_json:
        about = {"shadow": shadow, "live": runs[0].id, "counts": found.counts, "matching": found.matching}
        print_json({**about, "records": [one.to_json() for one in found.records]})
        return
    told = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in found.counts.items() if number)
    click.echo(f"Shadow run {shadow} against live run {runs[0].id} of {ours.rule_name}: {told or 'no records'}")
    for one in found.records:
        _print_compared(one)


def _print_compared(one: Compared) -> None:
    outcomes = (deed.outcome if deed else "not met" for deed in (one.shadow, one.live))
    click.echo(f"{one.kind.value.replace('_', ' ')} {one.key}: {' -> '.join(outcomes)}")
    for name, ours, theirs in one.fields:
        click.echo(f"    {name}: {ours!r} -> {theirs!r}")
