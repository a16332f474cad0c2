"""`syncline logs`: logs of changes that systems keep for rules."""

from __future__ import annotations

from typing import Any

import click

from connectors.errors import ConnectorError
from webapp.commands.session import Failed, Session, current, json_option, print_json, print_rows
from webapp.runs import log_keeping
from webapp.runs.log_keeping import KeptLog
from webapp.runs.pipeline.following import size_text


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def logs(context: click.Context, *, as_json: bool) -> None:
    """List the logs of changes that systems keep for rules, and how far each is behind; or give one up."""
    if context.invoked_subcommand is not None:
        return
    session = current()
    with session.house.db.read() as tx:
        found = log_keeping.listing(tx)
    rows = [_row(session, kept) for kept in found]
    if as_json:
        print_json(rows)
        return
    shown = [{**row, **{name: _size(row[name]) for name in ("behind", "kept")}} for row in rows]
    names = ("rule", "side", "connection", "object", "name", "needed", "behind", "kept", "problem")
    print_rows(shown, [(name, name.upper()) for name in names], nothing="No system keeps a log for a rule.")


@logs.command()
@click.argument("rule")
@click.option("--side", type=click.Choice(["left", "right"]), help="Only the log of this side.")
def drop(rule: str, *, side: str | None) -> None:
    """Let systems keep their logs for a rule no longer. If it still follows them, its next run compares all records."""
    session = current()
    with session.house.db.read() as tx:
        found = [kept for kept in log_keeping.listing(tx) if kept.rule_name == rule and side in (None, kept.side)]
    if not found:
        raise Failed(f"No system keeps a log for '{rule}'.")
    for kept in found:
        try:
            log_keeping.let_go(session.house, kept, session.actor)
        except ConnectorError as error:
            raise Failed(str(error)) from error
        click.echo(f"{kept.connection} keeps its log as {kept.name} no longer.")


def _row(session: Session, kept: KeptLog) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rule": kept.rule_name,
        "side": kept.side,
        "connection": kept.connection,
        "object": kept.object,
        "name": kept.name,
        "needed": kept.needed,
        "behind": None,
        "kept": None,
        "problem": None,
    }
    try:
        state = log_keeping.state(session.house, kept)
    except ConnectorError as error:
        return {**row, "problem": str(error)}
    if state is None:
        return row
    if state.lost is not None:
        return {**row, "problem": str(state.lost)}
    return {**row, "behind": state.behind, "kept": state.kept}


def _size(count: int | None) -> str | None:
    return None if count is None else size_text(count)
