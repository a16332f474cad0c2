"""`syncline doctor`: what is wrong with an installation, and what to do."""

from __future__ import annotations

from pathlib import Path

import click

import config
from webapp.commands.session import Failed, json_option, print_json
from webapp.doctor import bundle as bundles
from webapp.doctor import services
from webapp.doctor.findings import State
from webapp.extensions import open_house

MARKS = {State.OK: "ok     ", State.WARNING: "WARNING", State.BAD: "BAD    "}
CODES = {State.OK: 0, State.WARNING: 0, State.BAD: 1}


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Write a support bundle to this new file.")
@json_option
def doctor(bundle: Path | None, *, as_json: bool) -> None:
    """Check this installation and say what to fix; the exit code is 1 where something is bad."""
    settings = config.from_environment()
    if not settings.data.is_dir():
        raise Failed(f"SYNCLINE_DATA: there is no folder {settings.data}. Run 'syncline init' first.")
    house = open_house(settings)
    click.get_current_context().call_on_close(house.db.engine.dispose)
    found = services.examine(house)
    if bundle is not None:
        try:
            bundles.write(house, bundle, found)
        except OSError as error:
            raise Failed(f"{bundle} cannot be written: {(error.strerror or 'unknown reason').lower()}.") from None
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        for one in found:
            click.echo(f"{MARKS[one.state]}  {one.check}: {one.said}")
            if one.todo:
                click.echo(f"         -> {one.todo}")
        if bundle is not None:
            click.echo(f"{bundle} holds no secret, no name and no record. Look into it before you send it.")
    click.get_current_context().exit(max(CODES[one.state] for one in found))
