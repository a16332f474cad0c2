"""What commands share: the house and the actor of a call, and how results are printed."""

from __future__ import annotations

import getpass
import json
import os
import socket
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import click
import sqlalchemy as sa

import config
from webapp import logs, tracing
from webapp.extensions import Actor, House, open_house, to_json


class Failed(click.ClickException):
    """A command could not do what was asked; the text says why and what to do."""

    def show(self, file: Any = None) -> None:
        """Print one line on stderr."""
        click.echo(f"Error: {self.format_message()}", file=file, err=True)


@dataclass(frozen=True)
class Session:
    """One call of a command."""

    settings: config.Settings

    @cached_property
    def house(self) -> House:
        """Return the house of an installation that has been initialised."""
        from webapp.access import approving  # noqa: PLC0415 - loads users and roles
        from webapp.cases import pairs  # noqa: PLC0415 - loads the runs
        from webapp.entities import hub  # noqa: PLC0415 - loads connectors and rules
        from webapp.events import kind, sources  # noqa: F401, PLC0415 - event rules make themselves known
        from webapp.installation import require  # noqa: PLC0415 - loads every room's tables
        from webapp.runs.outbox import reading  # noqa: F401, PLC0415 - and what keeps connections: of deliveries,
        from webapp.runs.sagas import reading as steps  # noqa: F401, PLC0415 - of steps of records,
        from webapp.runs.transactions import reading as doubts  # noqa: F401, PLC0415 - and of what is in doubt
        from webapp.vault import people  # noqa: PLC0415 - loads cryptography

        house = open_house(self.settings)
        click.get_current_context().find_root().call_on_close(house.db.engine.dispose)
        if house.db.is_sqlite and not _sqlite_exists(house):
            raise Failed(
                f"SYNCLINE_DATA: there is no installation in {self.settings.data}. "
                "Run 'syncline init' or 'syncline up' first, or set SYNCLINE_DATA to the data folder of one."
            )
        logs.configure(self.settings, "cli", terminal=False)
        tracing.begin(self.settings, "cli")
        require(house)
        hub.register(house)
        sources.register()
        pairs.register()
        people.register(house)
        approving.prepare(house)
        return house

    @cached_property
    def actor(self) -> Actor:
        """Return who calls: the user of the operating system."""
        return cli_actor()


def cli_actor() -> Actor:
    """Return who calls a command: the user of the operating system."""
    return Actor("cli", _user_name(), str(os.getuid()), address=socket.gethostname())


def _sqlite_exists(house: House) -> bool:
    path = house.db.engine.url.database
    return bool(path) and os.path.exists(str(path))


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def current() -> Session:
    """Return the session of this call; raises `SettingError` where a setting cannot be used."""
    context = click.get_current_context().find_root()
    if not isinstance(context.obj, Session):
        context.obj = Session(config.from_environment())
    return context.obj


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _seen_as(context: click.Context, _option: click.Parameter, username: str | None) -> None:
    """Let the rest of the call show only what a user may see."""
    if username is None:
        return
    from webapp.access import models  # noqa: PLC0415 - loads the tables of users
    from webapp.connections import in_policies as connections  # noqa: PLC0415
    from webapp.connections.permitted import asked_by  # noqa: PLC0415 - loads policies
    from webapp.entities import in_policies as entities  # noqa: PLC0415
    from webapp.policies.who import NOBODY, who_of  # noqa: PLC0415
    from webapp.runs import sight_audit  # noqa: PLC0415

    house = current().house
    for room in (connections, entities, sight_audit):
        room.register()
    with house.db.read() as tx:
        number = tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == username))
        who = NOBODY if number is None else who_of(tx, number)
    if who is NOBODY:
        raise Failed(f"--as: there is no active user called '{username}'.")
    context.with_resource(asked_by(who))


as_option = click.option(
    "--as",
    metavar="USER",
    expose_value=False,
    callback=_seen_as,
    help="Show only what this user may see of records; without it everything, as on this machine.",
)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(json.loads(to_json(value)), ensure_ascii=False, indent=2))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Iterable[tuple[str, str]], *, nothing: str) -> None:
    """Print rows as an aligned table of (field, heading) columns, or a sentence where there are none."""
    if not rows:
        click.echo(nothing)
        return
    chosen = list(columns)
    lines = [[heading for _, heading in chosen], *([_cell(row.get(name)) for name, _ in chosen] for row in rows)]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(chosen))]
    for line in lines:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value).replace("\n", " ")


def _width(text: str) -> int:
    """Return how many columns a terminal needs: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
