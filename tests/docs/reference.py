"""The parts of the documentation that are made from the code: `python -m tests.docs.reference` writes them."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

import config
from tests.installation import installed
from webapp.access import role_documents
from webapp.app import create_app
from webapp.cli import COMMANDS, cli
from webapp.configuration import schemas
from webapp.web import openapi

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_CLI_HEAD = """# Command line

`syncline` is in the virtual environment: `.venv/bin/syncline`. It works on the installation of `SYNCLINE_DATA` (and
`SYNCLINE_DATABASE_URL`), whether or not `syncline up` runs.

Every command has `--help`. A command that fails says why in one line on stderr and ends with an exit code that is not
zero: 1 if what was asked for could not be done, 2 if it was called wrongly, 78 if a setting cannot be used, 130 after
Ctrl-C. Commands that print data print JSON with `--json`.

`syncline run RULE --wait` carries the run out itself where no worker takes it within three seconds, and at once where
nothing runs at all. So it can be called from cron without a running installation.
"""
_API_HEAD = """# REST API

All operations below `/api/v1`. Send an API key, made in the console under Keys, as `Authorization: Bearer syn_...`; a
key can do what its scopes say and its user may do. The OpenAPI document of a running installation is at
`/api/v1/openapi.json`, a page to read it at `/api/docs`; it also lists the operations of each entity's records.

Answers that are no success are `application/problem+json` with `detail`, which says what is wrong and what to do.

| operation | scope | what it does |
|---|---|---|
"""


def cli_page() -> str:
    """Return docs/cli.md."""
    return _CLI_HEAD + "".join(_command(path, command) for path, command in commands())


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is shown, with its name."""

    def below(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group)
        for child in group.list_commands(context):
            command = group.get_command(context, child)
            if command is not None and not command.hidden:
                yield f"{name} {child}", command
                if isinstance(command, click.Group):
                    yield from below(command, f"{name} {child}")

    yield from below(cli, "syncline")


def _command(name: str, command: click.Command) -> str:
    depth = "##" if name.count(" ") == 1 else "###"
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    words = [name, *(p.make_metavar(click.Context(command)) for p in arguments)]
    words += ["[OPTIONS]"] if options else []
    words += ["[COMMAND]"] if isinstance(command, click.Group) else []
    text = " ".join((command.help or "").split())
    table = "".join(f"| {_names(p)} | {_meaning(p)} |\n" for p in options)
    head = f"\n{depth} `{name.removeprefix('syncline ')}`\n\n    {' '.join(words)}\n\n{text}\n"
    return head + (f"\n| option | meaning |\n|---|---|\n{table}" if options else "")


def _names(option: click.Option) -> str:
    return ", ".join(f"`{name}`" for name in option.opts)


def _meaning(option: click.Option) -> str:
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    known = f" One of {', '.join(f'`{c}`' for c in choices)}." if choices else ""
    default = f" Default: `{option.default}`." if option.show_default and option.default not in (None, "") else ""
    return f"{option.help}{known}{default}".replace("|", "\\|")


def settings_table() -> str:
    """Return the table of all settings."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    rows += [f"| `{v.name}` | {f'`{v.default}`' if v.default else ''} | {v.meaning} |" for v in config.SETTINGS]
    return "\n".join(rows)


def kinds_table() -> str:
    """Return the table of the kinds of documents."""
    rows = ["| kind | schema | what it states |", "|---|---|---|"]
    rows += [f"| `{kind}` | [{kind}.json](schemas/{kind}.json) | {about} |" for kind, about in schemas.ABOUT.items()]
    return "\n".join(rows)


def permissions_table() -> str:
    """Return the table of what a role can be permitted."""
    rooms = role_documents.document_schema()["properties"]["permissions"]["properties"]
    rows = ["| area | actions |", "|---|---|"]
    rows += [f"| `{room}` | {', '.join(f'`{a}`' for a in about['items']['enum'])} |" for room, about in rooms.items()]
    return "\n".join(rows)


def api_page() -> str:
    """Return docs/api.md."""
    rows = [
        f"| `{method.upper()} {path}` | `{about['x-scope']}` | {about['summary']} |\n"
        for path, item in api()["paths"].items()
        for method, about in item.items()
    ]
    return _API_HEAD + "".join(rows)


def api() -> dict[str, Any]:
    """Return the OpenAPI document of an installation without entities."""
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder)) as house:
        app = create_app(house.settings)
        with app.app_context():
            document = openapi.document(house)
        app.extensions["syncline"].db.engine.dispose()
    return document


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "kinds": kinds_table,
    "permissions": permissions_table,
}


def with_tables(text: str) -> str:
    """Return a page with its tables made new; the prose between them is written by hand."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            before, _, rest = text.partition(start)
            text = f"{before}{start}\n\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text


def pages() -> dict[Path, str]:
    """Return every page and schema that is made from code, as it should be."""
    found = {DOCS / "cli.md": cli_page(), DOCS / "api.md": api_page()}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text("utf-8")
        if path not in found and re.search(rf"<!-- ({'|'.join(TABLES)}) -->", text):
            found[path] = with_tables(text)
    for kind, make in schemas.SCHEMAS.items():
        found[DOCS / "schemas" / f"{kind}.json"] = json.dumps(make(), ensure_ascii=False, indent=2) + "\n"
    return found


def write() -> None:
    """Write them all."""
    assert COMMANDS
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
