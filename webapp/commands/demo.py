"""What `syncline up --demo` calls: writes the demo systems, applies their configuration, runs each rule once."""

from __future__ import annotations

import click

from webapp.commands import running
from webapp.commands.session import Failed, current, json_option, print_json
from webapp.configuration import files, services
from webapp.demo.systems import write
from webapp.runs import reading, requests

RULES = ("customers_crm_erp", "orders_crm_erp", "employees_hr", "contacts_both_ways")


@click.command(hidden=True)
@json_option
def demo(*, as_json: bool) -> None:
    """Add two demo systems with their configuration to this installation, and run each rule once."""
    session = current()
    folder = session.settings.data / "files" / "demo"
    write(folder)
    applied = services.apply(session.house, files.read([folder]), session.actor)
    with session.house.db.read() as tx:
        known = reading.latest(tx, RULES)
    ran = [_first_run(rule) for rule in RULES if rule not in known]
    if as_json:
        print_json({"changes": applied.changes, "runs": ran})
    else:
        click.echo(f"The demo systems are in {folder}. {applied.changes} changes made, {len(ran)} rules run.")


def _first_run(rule: str) -> int:
    session = current()
    run_id = requests.start(session.house, rule, "live", session.actor)
    running.announce(session)
    row = running.finish(session, run_id)
    if row.state != "succeeded":
        raise Failed(f"The first run of '{rule}' is {row.state}. {row.message or ''}".strip())
    return run_id
