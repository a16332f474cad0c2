"""Starting Syncline: everything at once, or one process."""

from __future__ import annotations

import click

import config
from webapp import logs
from webapp.commands.session import json_option, print_json
from webapp.supervisor import preflight
from webapp.supervisor.up import up as start_all

DEMO_FOLDER = "data/demo"


@click.command()
@click.option("--demo", is_flag=True, help="Start with two demo systems, in a data folder of its own (data/demo).")
def up(*, demo: bool) -> None:
    """Start everything and watch it: Redis, console, workers, scheduler."""
    settings = config.from_environment()
    if demo and not config.is_set("SYNCLINE_DATA"):
        settings = config.from_environment(config.environment(SYNCLINE_DATA=DEMO_FOLDER))
    start_all(settings, _say, prepare=("demo", "--json") if demo else ())


def _say(line: str) -> None:
    try:
        click.echo(line)
    except OSError:  # the terminal is gone; go on stopping
        return


@click.command()
def web() -> None:
    """Run the console's web server alone."""
    from webapp.supervisor.console import serve  # noqa: PLC0415 - the other commands need no web server

    settings = config.from_environment()
    preflight.data_folder(settings)
    preflight.port(settings)
    preflight.assets()
    logs.configure(settings, "web")
    serve(settings)


@click.command()
@click.option("--name", default="worker-1", show_default=True, help="Its name in logs; unique on this machine.")
def worker(name: str) -> None:
    """Run one worker that executes runs, until SIGTERM."""
    from webapp import worker as process  # noqa: PLC0415 - loads connectors and rules

    settings = ready(name)
    process.run(settings, name)


@click.command()
def scheduler() -> None:
    """Run the scheduler that wakes workers, until SIGTERM."""
    from webapp import dispatcher  # noqa: PLC0415 - loads rules

    settings = ready("scheduler")
    dispatcher.run(settings)


def ready(name: str) -> config.Settings:
    """Return the settings of a process after its surroundings were checked."""
    settings = config.from_environment()
    preflight.data_folder(settings)
    preflight.database(settings)
    preflight.redis_answers(settings)
    logs.configure(settings, name)
    return settings


@click.command()
@json_option
def init(*, as_json: bool) -> None:
    """Prepare or upgrade the database and create the first user."""
    from webapp.extensions import open_house  # noqa: PLC0415
    from webapp.installation import initialise  # noqa: PLC0415 - loads every room's tables

    settings = config.from_environment()
    preflight.data_folder(settings)
    preflight.database(settings)
    logs.configure(settings, "init")
    house = open_house(settings)
    done = initialise(house)
    house.db.engine.dispose()
    result = {"revision": done.after, "before": done.before, "username": done.username, "password": done.password}
    if as_json:
        print_json(result)
        return
    click.echo(f"The database is ready (revision {done.after}).")
    if done.password:
        click.echo(f"Sign in as {done.username} with the password: {done.password}")
        click.echo("The password is shown only this once.")
