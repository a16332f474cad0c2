"""`syncline run`, `runs`, `simulate`: starting rules and reading what they did."""

from __future__ import annotations

from typing import Any

import click

from rules.documents.policies import Priority
from rules.text import Message
from webapp.commands import running
from webapp.commands.session import Failed, Session, as_option, current, json_option, print_json, print_rows
from webapp.runs import dependencies, parts, reading, requests
from webapp.runs.reading import RunRow

MODES = ("simulate", "shadow", "live")


@click.command()
@click.argument("rule")
@click.option("--mode", type=click.Choice(MODES), default="live", show_default=True, help="What is done with changes.")
@click.option("--record", "record", multiple=True, metavar="SIDE:KEY", help="Only this record, such as left:42.")
@click.option("--with-dependencies", is_flag=True, help="First run the rules that come before it, in their order.")
@click.option("--wait", is_flag=True, help="Wait for the end; carries the run out itself where no worker does.")
@json_option
def run(rule: str, *, mode: str, record: tuple[str, ...], with_dependencies: bool, wait: bool, as_json: bool) -> None:
    """Run a published rule and print its counts; with --wait the exit code is zero only if the run ended well."""
    session = current()
    if record and mode != "live":
        raise Failed("Single records run live only; leave --mode out.")
    if record and with_dependencies:
        raise Failed("Single records run without other rules; leave --with-dependencies out.")
    if record:
        run_id = parts.run_records(session.house, rule, named(record), session.actor)
    elif with_dependencies:
        run_id = dependencies.start_in_order(session.house, rule, mode, session.actor)[-1]
    else:
        run_id = requests.start(session.house, rule, mode, session.actor)
    follow(session, run_id, wait=wait, as_json=as_json)


def named(records: tuple[str, ...]) -> list[dict[str, str]]:
    """Return records that are named like `left:42`."""
    wanted = []
    for text in records:
        side, colon, key = text.partition(":")
        if not colon or side not in ("left", "right") or not key:
            raise Failed(f"'{text}' does not name a record; write left:KEY or right:KEY.")
        wanted.append({"side": side, "key": key})
    return wanted


@click.command()
@click.argument("rule")
@click.option("--draft", is_flag=True, help="Try the draft instead of what is published.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0, 10_000), help="Changes to show.")
@as_option
@json_option
def simulate(rule: str, *, draft: bool, limit: int, as_json: bool) -> None:
    """Show what a rule would change now, without changing anything."""
    session = current()
    run_id = requests.start(session.house, rule, "simulate", session.actor, draft=draft)
    running.announce(session)
    row = running.finish(session, run_id)
    with session.house.db.read() as tx:
        shown = [reading.with_differences(r) for r in reading.records(tx, run_id, limit=limit)] if limit else []
    changes = [_change(one) for one in shown]
    if as_json:
        print_json({**row.to_json(), "changes": changes})
    else:
        print_run(row, as_json=False)
        for change in changes:
            _print_change(change)
    fail_unless_well(row)


def _change(shown: reading.ShownRecord) -> dict[str, Any]:
    head = {"key": shown.row.left_key or shown.row.right_key, "outcome": shown.row.outcome}
    reason = {"reason": str(shown.reason), "field": shown.row.field} if shown.reason else {}
    return {**head, "before": shown.before, "after": shown.after, **reason}


def _print_change(change: dict[str, Any]) -> None:
    click.echo(f"{change['outcome']} {change['key']}" + (f": {change['reason']}" if change.get("reason") else ""))
    for name in {**change["before"], **change["after"]}:
        click.echo(f"    {name}: {change['before'].get(name)!r} -> {change['after'].get(name)!r}")


@click.group(invoke_without_command=True)
@click.option("--rule", help="Only runs of this rule.")
@click.option("--state", type=click.Choice(reading.STATES), help="Only runs in this state.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Runs to show.")
@as_option
@json_option
@click.pass_context
def runs(context: click.Context, *, rule: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the latest first; or show, pause, resume, cancel or undo one."""
    if context.invoked_subcommand is not None:
        return
    with current().house.db.read() as tx:
        found = reading.listing(tx, rule=rule, state=state, limit=limit)
    if as_json:
        print_json([row.to_json() for row in found])
        return
    columns = [
        ("run", "RUN"),
        ("rule", "RULE"),
        ("mode", "MODE"),
        ("state", "STATE"),
        ("at", "REQUESTED"),
        ("what", ""),
    ]
    print_rows([_line(row) for row in found], columns, nothing="There are no runs.")


def _line(row: RunRow) -> dict[str, Any]:
    return {**row.to_json(), "at": row.requested_at, "what": _counts(row)}


@runs.command()
@click.argument("run_id", metavar="RUN", type=int)
@as_option
@json_option
def show(run_id: int, *, as_json: bool) -> None:
    """Show a run with its log."""
    with current().house.db.read() as tx:
        row = reading.get(tx, run_id)
        log = [
            {"at": line.at, "level": line.level, "message": _text(line.message)}
            for line in reading.log_lines(tx, run_id)
        ]
    if as_json:
        print_json({**row.to_json(), "message": str(row.message) if row.message else None, "log": log})
        return
    print_run(row, as_json=False)
    for line in log:
        click.echo(f"{line['at']:%Y-%m-%d %H:%M:%S}  {line['level']:<7}  {line['message']}")


def _text(stored: dict[str, Any]) -> str:
    return str(Message.from_json(stored))


@runs.command()
@click.argument("run_id", metavar="RUN", type=int)
def cancel(run_id: int) -> None:
    """Cancel a run: at once where it waits, else behind the chunk at hand."""
    session = current()
    requests.cancel(session.house, run_id, session.actor)
    click.echo(f"Run {run_id} is cancelled.")


@runs.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.argument("priority", type=click.Choice([str(one) for one in Priority]))
def priority(run_id: int, *, priority: str) -> None:
    """Change how soon a run that waits gets a worker."""
    session = current()
    requests.prioritise(session.house, run_id, priority, session.actor)
    running.announce(session)
    click.echo(f"Run {run_id} is {priority}.")


@runs.command()
@click.argument("run_id", metavar="RUN", type=int)
@json_option
def pause(run_id: int, *, as_json: bool) -> None:
    """Let a run stop behind the chunk at hand; it keeps its place, and `resume` lets it go on."""
    session = current()
    requests.pause(session.house, run_id, session.actor)
    with session.house.db.read() as tx:
        row = reading.get(tx, run_id)
    if as_json:
        print_run(row, as_json=True)
    else:
        click.echo(f"Run {run_id} is paused." if row.paused else f"Run {run_id} stops behind its chunk at hand.")


@runs.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option("--wait", is_flag=True, help="Wait for the end.")
@json_option
def resume(run_id: int, *, wait: bool, as_json: bool) -> None:
    """Let a failed or suspended run go on behind its last chunk."""
    session = current()
    requests.resume(session.house, run_id, session.actor)
    running.announce(session)
    if wait:
        row = running.finish(session, run_id)
    else:
        with session.house.db.read() as tx:
            row = reading.get(tx, run_id)
    print_run(row, as_json=as_json)
    fail_unless_well(row)


def follow(session: Session, run_id: int, *, wait: bool, as_json: bool) -> None:
    """Announce a run that was requested, wait for its end if asked, and print it; fails where it has not ended well."""
    running.announce(session)
    if wait:
        row = running.finish(session, run_id)
    else:
        with session.house.db.read() as tx:
            row = reading.get(tx, run_id)
        if not running.workers_expected(session):
            click.echo("No worker runs here now; the run waits for 'syncline up', or use --wait.", err=True)
    print_run(row, as_json=as_json)
    fail_unless_well(row)


def print_run(row: RunRow, *, as_json: bool) -> None:
    """Print a run with its counts."""
    if as_json:
        print_json(row.to_json())
        return
    click.echo(f"Run {row.id} of {row.rule_name} ({row.mode}): {row.state}")
    click.echo(f"    {_counts(row)}")


def _counts(row: RunRow) -> str:
    return ", ".join(f"{number} {name}" for name, number in row.counts.items() if number or name == "read")


def fail_unless_well(row: RunRow) -> None:
    """Exit with an error where a run has not ended well."""
    if row.state in {"failed", "suspended", "cancelled"}:
        raise Failed(f"Run {row.id} of '{row.rule_name}' is {row.state}. {row.message or ''}".strip())
