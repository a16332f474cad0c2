"""`syncline verify`: comparing both systems of a rule."""

from __future__ import annotations

import click

from webapp.commands import running
from webapp.commands.runs import fail_unless_well
from webapp.commands.session import Failed, as_option, current, json_option, print_json
from webapp.runs import verification
from webapp.runs.parts import Wanted
from webapp.runs.verification import Verification


@click.command()
@click.argument("rule")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0, 1000), help="Differences to show.")
@click.option("--sample", type=click.IntRange(1, verification.MOST), help="Compare about so many records only.")
@click.option("--where", help="Compare only records that meet this condition.")
@click.option("--range", "span", nargs=3, metavar="FIELD FROM TO", help="Compare only records whose field lies there.")
@as_option
@json_option
def verify(
    rule: str, *, limit: int, sample: int | None, where: str | None, span: tuple[str, str, str] | None, as_json: bool
) -> None:
    """Compare both systems of a rule field by field, now; exits with 0 only if all agree. Writes nothing."""
    session = current()
    part = Wanted(None, where, *(span or ())) if where or span else None
    run_id = verification.request(session.house, rule, session.actor, part=part, sample=sample)
    running.announce(session)
    row = running.finish(session, run_id)
    with session.house.db.read() as tx:
        found = verification.find(tx, run_id)
        listed = verification.differences(tx, run_id, limit=limit) if limit else []
    if found is None:
        fail_unless_well(row)
        raise Failed(f"Run {run_id} of '{rule}' has not found anything.")
    if as_json:
        print_json({**found.to_json(), "differences": [one.to_json() for one in listed]})
    else:
        _print(rule, found)
        for one in listed:
            _print_difference(one)
    if not found.agrees:
        raise Failed(f"Both systems of '{rule}' do not agree.")


def _print(rule: str, found: Verification) -> None:
    click.echo(f"Run {found.run_id} compared both systems of {rule}: {'all agree' if found.agrees else 'they differ'}")
    for side, counts in found.counts.items():
        told = ", ".join(
            f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number or name == "read"
        )
        click.echo(f"    {side}: {told}")
    click.echo(f"    checksums: left {found.left_sum}, right {found.right_sum}")


def _print_difference(one: verification.Difference) -> None:
    key = one.left_key if one.left_key is not None else one.right_key
    waits = {"case": " (waits in a case)", "quarantine": " (in quarantine)"}.get(one.waits or "", "")
    click.echo(f"{one.kind.replace('_', ' ')} {key}{waits}")
    for field in one.details.get("fields", []):
        click.echo(f"    {field['field']}: left {field['left']!r}, right {field['right']!r}")
