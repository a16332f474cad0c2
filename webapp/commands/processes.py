"""Starting Syncline: everything at once, or one process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import SQLAlchemyError

import config
from webapp import loading, logs
from webapp.commands.session import cli_actor, json_option, print_json
from webapp.supervisor import instance, preflight
from webapp.supervisor.up import up as start_all

if TYPE_CHECKING:
    from webapp.backups.moving import Moved
    from webapp.extensions import House

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
    with contextlib.suppress(SQLAlchemyError):  # pages say so until the database answers
        fits(settings)
    serve(settings)


@click.command()
@click.option("--name", default="worker-1", show_default=True, help="Its name in logs; unique on this machine.")
def worker(name: str) -> None:
    """Run one worker that executes runs, until SIGTERM."""
    with loading.for_good():
        from webapp import worker as process  # noqa: PLC0415 - loads connectors and rules

    loading.sparing()
    settings = ready(name)
    process.run(settings, name)


@click.command()
def scheduler() -> None:
    """Run the scheduler that wakes workers, until SIGTERM."""
    with loading.for_good():
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
    fits(settings)
    return settings


def fits(settings: config.Settings) -> None:
    """Check that this version may work on the database."""
    from webapp.extensions import open_database  # noqa: PLC0415
    from webapp.migrations.services import require  # noqa: PLC0415 - loads Alembic

    db = open_database(settings.database_url)
    try:
        with db.read() as connection:
            require(connection)
    finally:
        db.engine.dispose()


@click.command()
@click.option(
    "--from",
    "origin",
    metavar="sqlite:PATH",
    help="Move an installation from SQLite into the empty PostgreSQL database of SYNCLINE_DATABASE_URL.",
)
@json_option
def init(origin: str | None, *, as_json: bool) -> None:
    """Prepare or upgrade the database and create the first user."""
    from webapp.extensions import open_house  # noqa: PLC0415
    from webapp.installation import initialise  # noqa: PLC0415 - loads every room's tables

    settings = config.from_environment()
    preflight.data_folder(settings)
    preflight.database(settings)
    logs.configure(settings, "init")
    house = open_house(settings)
    click.get_current_context().call_on_close(house.db.engine.dispose)
    moved = _moved(house, origin, quiet=as_json) if origin else None
    done = initialise(house)
    result: dict[str, Any] = {
        "revision": done.after, "before": done.before, "username": done.username, "password": done.password
    }  # fmt: skip
    if moved:
        result |= {"tables": moved.tables, "rows": moved.rows}
    if as_json:
        print_json(result)
        return
    click.echo(f"The database is ready (revision {done.after}).")
    if done.password:
        click.echo(f"Sign in as {done.username} with the password: {done.password}")
        click.echo("The password is shown only this once.")


def _moved(house: House, origin: str, *, quiet: bool) -> Moved:
    """Move an installation and say what to do with the old database."""
    from webapp.backups import moving  # noqa: PLC0415 - loads every room's tables

    path = moving.source_path(origin)
    if instance.running(house.settings.data) or instance.running(path.parent):
        raise moving.CannotMove("--from: Syncline runs on this data folder. Stop it and call this again.")
    tell = (lambda _name, _rows: None) if quiet else (lambda name, rows: click.echo(f"{rows:>12,}  {name}"))
    moved = moving.move(house, path, cli_actor(), tell)
    if not quiet:
        click.echo(
            f"Moved {moved.rows:,} rows of {len(moved.tables)} tables; all are as they were, by count and digest."
        )
        click.echo(f"{path} is kept as it was: keep it as a backup, and start no process on it any more.")
    return moved
