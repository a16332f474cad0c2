"""`syncline cases` and `approve`: what waits for a person."""

from __future__ import annotations

import click

from webapp.commands.session import Failed, current, json_option, print_json


@click.command()
@json_option
def cases(*, as_json: bool) -> None:
    """List the cases that wait for a decision.

    Cases come from two-way rules and doubtful matches. The rules of this version work in one direction and have none.
    """
    _ = current().house
    if as_json:
        print_json([])
    else:
        click.echo("No case waits for a decision.")


@click.command()
@click.argument("run_id", metavar="RUN", type=int)
def approve(run_id: int) -> None:
    """Execute the plan of a simulation; this version cannot do so yet and says so."""
    raise Failed(
        f"This version cannot execute the plan of run {run_id}. Start the rule with 'syncline run' instead; "
        "it decides anew on the records as they are then."
    )
