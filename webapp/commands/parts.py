"""`syncline backfill` and `rebaseline`: a rule over a part of its records, and what both sides agree on."""

from __future__ import annotations

from typing import Any

import click

from webapp.commands.runs import MODES, follow, named
from webapp.commands.session import Failed, current, json_option
from webapp.runs import parts, rebaselines
from webapp.runs.parts import Wanted

_DIFFERING = "Who is right where both sides differ; cases: as at the first meeting, the rest waits for people."


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
    run_id = parts.run_part(session.house, rule, _part(asked), str(asked["mode"]), session.actor)
    follow(session, run_id, wait=wait, as_json=as_json)


@click.command()
@click.argument("rule")
@click.option("--differing", type=click.Choice(rebaselines.DIFFERING), required=True, help=_DIFFERING)
@click.option("--record", "record", multiple=True, metavar="SIDE:KEY", help="Only this record, such as left:42.")
@click.option("--side", type=click.Choice(("left", "right")), help="The side that is read: left unless said.")
@click.option("--where", metavar="CONDITION", help="Only records that meet a condition over the fields of that side.")
@click.option("--range", "span", nargs=3, metavar="FIELD FROM TO", help="From FROM to before TO; '' for no bound.")
@click.option("--wait", is_flag=True, help="Wait for the end; carries the run out itself where no worker does.")
@json_option
def rebaseline(rule: str, *, record: tuple[str, ...], wait: bool, as_json: bool, **asked: str | None) -> None:
    """Simulate that both sides of a two-way rule count as they are now; `approve` then carries that out."""
    session = current()
    part = _part(asked)
    if record and part != Wanted():
        raise Failed("Name either records or a part of them.")
    if part.incomplete:
        raise click.UsageError("Name --where or --range with --side, and a FIELD in --range.")
    wanted = named(record) if record else None if part == Wanted() else part
    run_id = rebaselines.request(session.house, rule, str(asked["differing"]), session.actor, wanted)
    follow(session, run_id, wait=wait, as_json=as_json)
    if not as_json:
        click.echo(f"Nothing is written yet. Look at the plan, then: syncline approve {run_id}")


def _part(asked: dict[str, Any]) -> Wanted:
    field, start, end = (text or None for text in asked["span"] or ("", "", ""))
    return Wanted(asked["side"], asked["where"], field, start, end)
