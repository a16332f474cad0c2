"""`python -m webapp.migrations revision MESSAGE`: writes a revision for what changed in the rooms' models."""

from __future__ import annotations

import click

from webapp.migrations.services import revise


@click.group()
def main() -> None:
    """Look after the metadata database's revisions."""


@main.command()
@click.argument("message")
@click.option("--initial", is_flag=True, help="Write the first revision anew, in place of all others.")
@click.option("--removes", is_flag=True, help="It takes away what only versions before the newest revision use.")
def revision(message: str, *, initial: bool, removes: bool) -> None:
    """Write a revision that leads to the rooms' models as they are now."""
    for path in revise(message, initial=initial, removes=removes):
        click.echo(path)


main()
