"""`syncline approval`: what waits for a second person; deciding is done in the console, where a person is known."""

from __future__ import annotations

from typing import Any

import click
import sqlalchemy as sa

from webapp.approvals import (
    proposals,
    settings_deed,  # noqa: F401 - importing a room makes its deeds known
)
from webapp.approvals.deeds import appliers, plain_difference
from webapp.approvals.errors import ApprovalMissing, SecondPersonNeeded
from webapp.approvals.models import approval as table
from webapp.approvals.proposals import STATES, WAITING, Proposal
from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.evidence import agreed, holds  # noqa: F401 - the same; those of the other rooms come with the session
from webapp.runs import followups  # noqa: F401


def propose(needed: SecondPersonNeeded) -> None:
    """Store what a command was asked for as a proposal, and say so."""
    session = current()
    found = proposals.propose(session.house, needed.deed, session.actor)
    click.echo(f"This needs a second person. It waits as proposal {found.id}: {found.title}", err=True)


@click.group()
def approval() -> None:
    """Look at what waits for the approval of a second person."""


@approval.command(name="list")
@click.option("--state", type=click.Choice(["all", *STATES]), default=WAITING, show_default=True, help="Which ones.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="Proposals to show.")
@json_option
def list_all(*, state: str, limit: int, as_json: bool) -> None:
    """List proposals, the newest first."""
    condition = sa.true() if state == "all" else table.c.state == state
    with current().house.db.read() as tx:
        found = proposals.latest(tx, condition, limit=limit)
    rows = [_row(one) for one in found]
    if as_json:
        print_json(rows)
        return
    columns = (("id", "ID"), ("state", "STATE"), ("what", "WHAT"), ("author", "AUTHOR"), ("expires_at", "UNTIL (UTC)"))
    print_rows(rows, columns, nothing="Nothing waits for a second person.")


@approval.command()
@click.argument("number", type=int)
@json_option
def show(number: int, *, as_json: bool) -> None:
    """Show a proposal: what would change, and what was said about it."""
    with current().house.db.read() as tx:
        try:
            found = proposals.get(tx, number)
        except ApprovalMissing:
            raise Failed(f"There is no proposal {number}.") from None
        talk = proposals.comments(tx, number)
    if found.kind not in appliers:
        raise Failed(f"Proposal {number} is of a kind that this version does not know.")
    shown = plain_difference(found.before or {}, found.after or {})
    if as_json:
        said = [{"at": one.at, "author": one.author, "text": one.text} for one in talk]
        print_json({**_row(found), "before": shown.before, "after": shown.after, "comments": said})
        return
    click.echo(f"Proposal {found.id} by {found.author}, {found.state}: {found.title}")
    if found.reason:
        click.echo(f"Reason: {found.reason}")
    for path in {**shown.before, **shown.after}:
        click.echo(f"    {path}: {_said(shown.before, path)} -> {_said(shown.after, path)}")
    for name in found.secrets:
        click.echo(f"    {name}: a new secret, which is not shown")
    for one in talk:
        click.echo(f"{one.at:%Y-%m-%d %H:%M} {one.author}: {one.text}")


def _row(found: Proposal) -> dict[str, Any]:
    names = ("id", "kind", "subject", "state", "author", "reason", "created_at", "expires_at", "decided_at")
    plain = {name: getattr(found, name) for name in (*names, "decided_by", "decision")}
    return {**plain, "what": str(found.title), "secrets": list(found.secrets)}


def _said(side: Any, path: str) -> Any:
    return side.get(path, "(none)")
