"""`syncline apply` and `export`: configuration as code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rules.documents import ABSENT, dump_document
from webapp.commands.session import current, json_option, print_json
from webapp.configuration import files, services
from webapp.configuration.errors import ConfigurationRefused
from webapp.configuration.kinds import KINDS
from webapp.configuration.services import Applied, Options, Step


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--prune", is_flag=True, help="Also delete what the files do not state.")
@click.option("--allow-loss", is_flag=True, help="Allow changes of entities that lose values.")
@json_option
def apply(paths: tuple[Path, ...], *, dry_run: bool, prune: bool, allow_loss: bool, as_json: bool) -> None:
    """Bring connections, entities, roles and rules to what files state, all or nothing.

    A folder stands for the configuration files in it.
    """
    session = current()
    try:
        stated = files.read(paths)
        options = Options(dry_run=dry_run, prune=prune, lossy=allow_loss)
        applied = services.apply(session.house, stated, session.actor, options)
    except ConfigurationRefused as error:
        _refuse(error, as_json=as_json)
    if as_json:
        print_json(applied.to_json())
    else:
        _print(applied)
    for warning in applied.warnings:
        click.echo(f"Warning: {warning}", err=True)


def _refuse(error: ConfigurationRefused, *, as_json: bool) -> None:
    if as_json:
        print_json({"changes": 0, "mistakes": [mistake.to_json() for mistake in error.mistakes]})
    for mistake in error.mistakes:
        click.echo(f"Error: {mistake}", err=True)
    raise click.exceptions.Exit(1)


def _print(applied: Applied) -> None:
    for step in applied.steps:
        if step.action != "unchanged":
            _print_step(step)
    unchanged = sum(step.action == "unchanged" for step in applied.steps)
    verb = "would be made" if applied.dry_run else "made"
    noun = "change" if applied.changes == 1 else "changes"
    click.echo(f"{applied.changes} {noun} {verb}, {unchanged} unchanged.")


def _print_step(step: Step) -> None:
    more = f" (proposal {step.proposal}: a second person has to approve it)" if step.proposal else ""
    click.echo(f"{step.action} {step.kind} {step.name}{more}")
    for found in step.differences:
        click.echo(f"    {found.path}: {_value(found.before)} -> {_value(found.after)}")


def _value(value: Any) -> str:
    return "(none)" if value is ABSENT else json.dumps(value, ensure_ascii=False)


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only this kind; can be repeated.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; .json for JSON.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of YAML.")
def export(kinds: tuple[str, ...], output: Path | None, *, as_json: bool) -> None:
    """Write connections, entities, roles and rules as a file that `apply` reads; secrets stay behind."""
    session = current()
    documents = services.export(session.house, session.actor, kinds)
    as_json = as_json or (output is not None and output.suffix == ".json")
    text = _json(documents) if as_json else "---\n".join(map(dump_document, documents))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
        click.echo(f"{len(documents)} documents written to {output}", err=True)
    secrets = services.own_secrets(documents)
    if secrets:
        click.echo(f"Secrets are not written. Set them where you apply the file: {', '.join(secrets)}", err=True)


def _json(documents: list[dict[str, Any]]) -> str:
    return json.dumps(documents, ensure_ascii=False, indent=2) + "\n"
