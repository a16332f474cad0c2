"""`syncline backfill`: a rule over a part of its records."""

from __future__ import annotations

import click

from webapp.commands.runs import MODES, follow
from webapp.commands.session import current, json_option
from webapp.runs import parts
from webapp.runs.parts import Wanted


@click.command()
@click.argument("rule")
@click.option("--side", type=click.Choice(("left", "right")), help="The side to read; the first that the rule reads.")
@click.option("--where", metavar="CONDITION", help="A condition over the fields of that side.")
@click.option("--range", "span", nargs=3, metavar="FIELD FROM TO", help="From FROM to before TO; '' for no bound.")
@click.option("--mode", type=click.Choice(MODES), default="live", show_default=True, help="What is done with changes.")
@click.option("--wait", is_flag=True, help="Wait for the end; carries the run out itself where no worker does.")
@json_option
def backfill(rule: str, *, wait: bool, as_json: bool, **asked: str | None) -> None:
    """Run a published rule over a part of a side; cursors stay where they are, and nothing is deleted."""
    session = current()
    field, start, end = (text or None for text in asked["span"] or ("", "", ""))
    wanted = Wanted(asked["side"], asked["where"], field, start, end)
    run_id = parts.run_part(session.house, rule, wanted, str(asked["mode"]), session.actor)
    follow(session, run_id, wait=wait, as_json=as_json)
