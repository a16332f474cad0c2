"""`syncline transactions`: writes to several systems that wait for their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from connectors.errors import ConnectorError
from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.extensions import House
from webapp.runs.sagas import deeds
from webapp.runs.sagas import reading as saga_reading
from webapp.runs.sagas.reading import ShownSaga
from webapp.runs.transactions import forcing, reading, recovery
from webapp.runs.transactions.reading import ShownBranch, ShownTransaction

_REASON = click.option("--reason", required=True, help="Why; it is kept in the audit log.")


@click.group(invoke_without_command=True)
@click.option("--ask", is_flag=True, help="Ask the systems, too: since when, what is locked, what nothing is known of.")
@json_option
@click.pass_context
def transactions(context: click.Context, *, ask: bool, as_json: bool) -> None:
    """List the transactions over several systems that have not ended; or finish them."""
    if context.invoked_subcommand is not None:
        return
    house = current().house
    asked = reading.ask(house) if ask else None
    rows = [_row(one, branch) for one in reading.listing(house, asked) for branch in one.branches]
    if asked is not None:
        rows += [_stray(stray) for stray in reading.strays(house, asked)]
        rows += [{"connection": name, "problem": str(problem)} for name, problem in asked.problems.items()]
    if as_json:
        print_json(rows)
        return
    names = ("transaction", "rule", "run", "state", "age", "side", "connection", "part", "records", "locks", "problem")
    shown = [{name: row.get(name, "") for name in names} for row in rows]
    print_rows(shown, [(name, name.upper()) for name in names], nothing="No transaction is open.")


def _row(one: ShownTransaction, branch: ShownBranch) -> dict[str, Any]:
    return {
        "transaction": one.id,
        "rule": one.rule_name,
        "run": one.run_id,
        "state": one.state.value,
        "age": round(one.age.total_seconds()),
        "side": branch.side,
        "connection": branch.connection,
        "object": branch.object,
        "part": branch.state.value,
        "records": branch.records,
        "gid": branch.gid,
        "locks": ", ".join(branch.shown.locks) if branch.shown else "",
        "problem": str(branch.problem or ""),
    }


def _stray(stray: reading.Stray) -> dict[str, Any]:
    state = "ended" if stray.known else "unknown"
    locks = ", ".join(stray.found.locks)
    return {"connection": stray.connection, "gid": stray.found.gid, "state": state, "locks": locks}


@transactions.command()
def finish() -> None:
    """Carry out what is decided, and undo what nobody works on any more."""
    house = current().house
    left = recovery.recover(house)
    recovery.sweep(house)
    if left:
        raise Failed(f"{left} could not be finished yet; 'syncline transactions' says why.")
    click.echo("All that is decided is carried out.")


@transactions.command()
@click.argument("number", type=int, metavar="TRANSACTION")
@click.argument("side", type=click.Choice(["left", "right"]))
@_REASON
def forget(number: int, side: str, *, reason: str) -> None:
    """Take one system's part for done without telling the system: it is gone, or was put in order by hand."""
    session = current()
    try:
        forcing.forget(session.house, number, side, reason, session.actor)
    except forcing.NotForced as error:
        raise Failed(str(error)) from error
    click.echo("Done; the audit log has the reason.")


@transactions.command()
@json_option
def sagas(*, as_json: bool) -> None:
    """List the records that are between the steps of a saga, those that wait for a person first."""
    rows = [_between(one) for one in _all_sagas(current().house)]
    if as_json:
        print_json(rows)
        return
    names = ("saga", "rule", "run", "record", "state", "age", "step", "connection", "problem")
    print_rows(rows, [(name, name.upper()) for name in names], nothing="No record is between its steps.")


def _all_sagas(house: House) -> Iterator[ShownSaga]:
    behind = (0, 0)
    while found := saga_reading.listing(house, behind):
        yield from found
        behind = found[-1].place


def _between(one: ShownSaga) -> dict[str, Any]:
    step = one.stuck or next(iter(one.left), None)
    return {
        "saga": one.id,
        "rule": one.rule_name,
        "run": one.run_id,
        "record": one.record_key,
        "state": one.state.value,
        "mark": one.mark,
        "age": round(one.age.total_seconds()),
        "step": "" if step is None else step.name,
        "connection": "" if step is None else step.connection,
        "problem": str((step.problem if step else None) or one.reason or ""),
    }


@transactions.command("take-back")
@click.argument("number", type=int, metavar="SAGA")
@click.option("--taken-for-done", "deed", flag_value="done", help="The step was put in order by hand.")
@click.option("--give-up", "deed", flag_value="give_up", help="Leave all that is left as it is.")
@click.option("--reason", default="", help="Why; needed for both of these, and kept in the audit log.")
@click.option("--seen", metavar="MARK", help="The mark that was listed: nothing is done where it has gone on since.")
def take_back(number: int, *, deed: str | None, reason: str, seen: str | None) -> None:
    """Try once more to take a record's steps back, or end that by hand."""
    session = current()
    try:
        if deed == "give_up":
            deeds.give_up(session.house, number, reason, session.actor, seen)
            ended = True
        elif deed == "done":
            ended = deeds.take_for_done(session.house, number, reason, session.actor, seen)
        else:
            ended = deeds.again(session.house, number, session.actor, seen)
    except deeds.NotDone as error:
        raise Failed(str(error)) from error
    if not ended:
        raise Failed("Not all steps could be taken back; 'syncline transactions sagas' says why.")
    click.echo("Done.")


@transactions.command()
@click.argument("connection")
@click.argument("gid", metavar="ID")
@click.option("--commit/--roll-back", "commit", required=True, help="What becomes of it.")
@_REASON
def end(connection: str, gid: str, *, commit: bool, reason: str) -> None:
    """End a prepared write that a system shows and Syncline knows nothing of."""
    session = current()
    try:
        forcing.end_stray(session.house, connection, gid, reason, session.actor, commit=commit)
    except (forcing.NotForced, ConnectorError) as error:
        raise Failed(str(error)) from error
    click.echo("Done; the audit log has the reason.")
