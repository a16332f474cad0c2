"""`syncline`: the one command line."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

import click
import sqlalchemy as sa

import config
from rules.text import Message
from webapp import loading
from webapp.approvals.errors import SecondPersonNeeded
from webapp.extensions import ForPeople
from webapp.supervisor.errors import UNUSABLE, CannotStart

COMMANDS: dict[str, str] = {
    "up": "processes:up",
    "web": "processes:web",
    "worker": "processes:worker",
    "scheduler": "processes:scheduler",
    "init": "processes:init",
    "backup": "backups:backup",
    "restore": "backups:restore",
    "doctor": "doctor:doctor",
    "apply": "configuration:apply",
    "export": "configuration:export",
    "run": "runs:run",
    "runs": "followups:runs",
    "explain": "explain:explain",
    "rules": "rules:rules",
    "simulate": "runs:simulate",
    "verify": "verify:verify",
    "backfill": "parts:backfill",
    "rebaseline": "parts:rebaseline",
    "approve": "followups:approve",
    "approval": "approvals:approval",
    "cases": "cases:cases",
    "events": "events:events",
    "hook": "hooks:hook",
    "quarantine": "quarantine:quarantine",
    "logs": "logs:logs",
    "transactions": "transactions:transactions",
    "deliveries": "deliveries:deliveries",
    "connection": "connections:connection",
    "connector": "connectors:connector",
    "audit": "audit:audit",
    "secrets": "secrets:secrets",
    "user": "users:user",
    "bench": "bench:bench",
    "demo": "demo:demo",
}

WAITS = 3
"""Exit code of a command whose deed was not done but waits for a second person."""


class Commands(click.Group):
    """Loads a command's module when the command is called, so that each starts quickly."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the documentation."""
        return [*COMMANDS]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a deed that a second person has to approve is proposed instead of done."""
        try:
            return super().invoke(ctx)
        except SecondPersonNeeded as needed:
            from webapp.commands.approvals import propose  # noqa: PLC0415 - loads what approvals need

            propose(needed)
            raise click.exceptions.Exit(WAITS) from None

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        with loading.for_good():
            found: click.Command = getattr(importlib.import_module(f"webapp.commands.{module}"), name)
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="syncline")
def cli() -> None:
    """Keep a company's systems in agreement."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; whatever goes wrong is one line on stderr and an exit code that is not zero."""
    try:
        code = cli.main(list(arguments) if arguments is not None else None, prog_name="syncline", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        code = 1
    except Exception as error:  # noqa: BLE001 - the last stop: no traceback on the terminal
        code = _tell(error)
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: Exception) -> int:
    """Say in one line what went wrong and return the exit code."""
    if isinstance(error, (config.SettingError, CannotStart)):
        click.echo(f"Error: {_one_line(error)}", err=True)
        return UNUSABLE
    if _says_what_to_do(error):
        click.echo(f"Error: {_one_line(error)}", err=True)
    elif isinstance(error, sa.exc.DBAPIError):
        click.echo(f"Error: SYNCLINE_DATABASE_URL: the database refused ({_one_line(error.orig)}).", err=True)
    else:
        _log(error)
        what = f"{type(error).__name__}: {_one_line(error)}".rstrip(": ")
        click.echo(f"Error: something unexpected happened ({what}). The logs in the data folder have more.", err=True)
    return 1


def _says_what_to_do(error: Exception) -> bool:
    """Tell whether an error was written for a person: the rooms' errors carry a message that can be translated."""
    from rules.documents.problems import DocumentError  # noqa: PLC0415 - loads the rule language

    return isinstance(getattr(error, "message", None), Message) or isinstance(error, (DocumentError, ForPeople))


def _one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())


def _log(error: Exception) -> None:
    logger = logging.getLogger("syncline.cli")
    if logging.getLogger().handlers:
        logger.error("The command failed", exc_info=error)


if __name__ == "__main__":
    main()
