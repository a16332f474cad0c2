"""`syncline cases`: what waits for a person."""

from __future__ import annotations

from dataclasses import asdict

import click

from webapp.cases import services
from webapp.commands.session import current, json_option, print_json, print_rows


@click.command()
@click.option("--all", "all_", is_flag=True, help="Closed cases as well.")
@click.option("--rule", help="Only cases of this rule.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Cases to show.")
@json_option
def cases(*, all_: bool, rule: str | None, limit: int, as_json: bool) -> None:
    """List the cases that wait for a decision, the latest first."""
    with current().house.db.read() as tx:
        found = services.listing(tx, services.Wanted(None if all_ else "open", rule_name=rule), limit)
    if as_json:
        print_json([asdict(case) for case in found])
        return
    names = ("id", "state", "rule_name", "title", "subject", "assignee", "opened_at")
    columns = [(name, name.upper().replace("_", " ")) for name in names]
    print_rows([asdict(case) for case in found], columns, nothing="No case waits for a decision.")
