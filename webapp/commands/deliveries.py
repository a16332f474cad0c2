"""`syncline deliveries`: what rules with an outbox have committed and their targets have not answered yet."""

from __future__ import annotations

import click

from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.runs.outbox import deeds, reading
from webapp.runs.outbox.reading import STATES


@click.group(invoke_without_command=True)
@click.option("--rule", help="Only those of a rule.")
@click.option("--connection", help="Only those to a connection.")
@click.option("--key", help="Only those of a record, by its key on either side.")
@click.option(
    "--state", type=click.Choice(("open", *STATES)), default="open", help="In which state.", show_default=True
)
@click.option("--limit", type=int, default=100, help="At most so many.", show_default=True)
@json_option
@click.pass_context
def deliveries(  # noqa: PLR0913 - one an option
    context: click.Context,
    *,
    rule: str | None,
    connection: str | None,
    key: str | None,
    state: str,
    limit: int,
    as_json: bool,
) -> None:
    """List deliveries, the latest first; or have them tried, or drop them."""
    if context.invoked_subcommand is not None:
        return
    with current().house.db.read() as tx:
        filters = {"rule_name": rule, "connection": connection, "key": key, "state": state}
        rows = [one.to_json() for one in reading.listing(tx, filters, limit=limit)]
    if as_json:
        print_json(rows)
        return
    names = ("delivery", "rule", "run", "key", "op", "connection", "state", "attempts", "did", "problem")
    print_rows(rows, [(name, name.upper()) for name in names], nothing="No delivery fits.")


@deliveries.command()
@click.option("--rule", help="Only those of a rule.")
def retry(*, rule: str | None) -> None:
    """Let what waits be tried at once."""
    session = current()
    click.echo(f"{deeds.retry(session.house, rule, session.actor)} deliveries are tried now.")


@deliveries.command()
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="DELIVERY...")
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
def drop(numbers: tuple[int, ...], *, reason: str) -> None:
    """Take deliveries out of the outbox unsent."""
    session = current()
    try:
        deeds.drop(session.house, numbers, reason, session.actor)
    except deeds.NotDone as error:
        raise Failed(str(error)) from error
    click.echo("Dropped; the audit log has the reason.")
