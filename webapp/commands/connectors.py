"""`syncline connector`: which kinds of systems can be connected, how good each connector is, and new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from connectors import new_package, registry
from connectors.builtin.singer_programs import install_program, installed, remove_program
from connectors.errors import ConnectorError
from connectors.quality import Level, Rating, rate, results_of
from connectors.spi import ConnectorSpec
from webapp.commands.session import Failed, current, json_option, print_json, print_rows
from webapp.connections.catalogue import HUB, connector_class
from webapp.connections.catalogue_words import ABILITIES

LEVELS = tuple(level.word for level in Level if level)


@click.group()
def connector() -> None:
    """List the connectors, look into one, begin a new one, install Singer's taps and targets."""


@connector.command(name="list")
@json_option
def list_all(*, as_json: bool) -> None:
    """List all connectors with their versions and their quality; plugins that cannot be loaded with the reason."""
    rows = [_row(name) for name in registry.names() if name != HUB]
    if as_json:
        print_json(rows)
        return
    columns = (("name", "NAME"), ("label", "LABEL"), ("version", "VERSION"), ("quality", "QUALITY"), ("note", "TESTED"))
    print_rows([{**row, "note": row["problem"] or row["tested"]} for row in rows], columns, nothing="There are none.")


@connector.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show what a connector can do, its settings, and which criteria of quality it meets."""
    spec, rating = _loaded(name)
    facts = _row(name) | {
        "summary": spec.summary,
        "category": spec.category,
        "can": [ability.label for ability in ABILITIES if ability.held(spec.capabilities)],
        "settings": [{"name": s.name, "label": s.label, "required": s.required} for s in spec.settings],
        "criteria": _criteria(rating),
    }
    if as_json:
        print_json(facts)
        return
    for key in ("name", "label", "category", "summary", "version", "package", "quality", "tested", "can"):
        value = facts[key]
        click.echo(f"{key:<9} {', '.join(value) if isinstance(value, list) else value}")
    click.echo("settings  " + ", ".join(s["name"] + ("*" if s["required"] else "") for s in facts["settings"]))
    _print_criteria(rating)


@connector.command()
@click.argument("name")
@click.option("--level", type=click.Choice(LEVELS), default="bronze", show_default=True, help="The least that is good.")
@json_option
def check(name: str, *, level: str, as_json: bool) -> None:
    """Load a connector and say what its quality lacks; the exit code is not zero below the level asked for."""
    _, rating = _loaded(name)
    if as_json:
        print_json({"name": name, "quality": rating.level.word, "criteria": _criteria(rating)})
    else:
        click.echo(f"{name}: {rating.level.word}")
        _print_criteria(rating)
    if not rating.results.laws:
        raise Failed(f"The conformance suite has left no results for '{name}'. Run pytest with --connector-quality.")
    if rating.level < Level[level.upper()]:
        raise Failed(f"The connector '{name}' is not {level}: {_lacking(rating, Level[level.upper()])}.")


@connector.command()
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), help="The folder to make; syncline-NAME if not said.")
@json_option
def new(name: str, *, into: Path | None, as_json: bool) -> None:
    """Write the package of a new connector: complete, with a sample service, and its tests green."""
    folder = into or Path(f"syncline-{name}")
    files = [str(path) for path in new_package.write(name, folder)]
    if as_json:
        print_json({"name": name, "folder": str(folder), "files": files})
        return
    for file in files:
        click.echo(file)
    click.echo(f"\nIts tests are green: cd {folder} && python -m pytest\nREADME.md says how to go on.")


@connector.group()
def install() -> None:
    """Install programs that connectors use."""


@install.command()
@click.argument("requirement", metavar="NAME==VERSION")
@click.option("--program", help="The program of the package; the package's name if not said.")
@click.option(
    "--direct-network", is_flag=True, help="Let it reach any network by itself, which programs without HTTP need."
)
@json_option
def singer(requirement: str, *, program: str | None, direct_network: bool, as_json: bool) -> None:
    """Install a Singer tap or target into an environment of its own, from the registry of Python packages."""
    folder = current().settings.data / "singer"
    found = install_program(folder, requirement, program or "", direct=direct_network)
    if as_json:
        print_json({"name": found.name, "version": found.version})
    else:
        click.echo(f"{found.name} {found.version} is installed. Connect it: choose Singer in the catalogue.")


@connector.group()
def uninstall() -> None:
    """Take away programs that connectors use."""


@uninstall.command(name="singer")
@click.argument("name")
@json_option
def uninstall_singer(name: str, *, as_json: bool) -> None:
    """Take away a Singer tap or target; connections that use it say so."""
    remove_program(current().settings.data / "singer", name)
    if as_json:
        print_json({"name": name})
    else:
        click.echo(f"{name} is taken away.")


@connector.command()
@json_option
def programs(*, as_json: bool) -> None:
    """List the Singer taps and targets that are installed."""
    rows = [{"name": p.name, "version": p.version} for p in installed(current().settings.data / "singer")]
    if as_json:
        print_json(rows)
        return
    print_rows(rows, (("name", "NAME"), ("version", "VERSION")), nothing="No Singer tap or target is installed.")


def _row(name: str) -> dict[str, Any]:
    origin = registry.origin(name)
    facts: dict[str, Any] = {"name": name, "label": name, "version": origin.version, "package": origin.distribution}
    try:
        spec = connector_class(name).spec
    except ConnectorError as error:
        return facts | {"quality": "", "tested": "", "problem": str(error)}
    rating = rate(results_of(name, origin.package), spec.capabilities)
    shown = rating.results.evidence
    tested = [*shown.get("real_system", ()), *(f"{what} (rebuilt)" for what in shown.get("rebuilt_system", ()))]
    tested += [f"{what}; never a system" for what in shown.get("no_system", ())]
    found = {"label": spec.label, "quality": rating.level.word, "tested": ", ".join(tested), "problem": None}
    return facts | found


def _loaded(name: str) -> tuple[ConnectorSpec, Rating]:
    spec = connector_class(name).spec
    return spec, rate(results_of(name, registry.origin(name).package), spec.capabilities)


def _criteria(rating: Rating) -> list[dict[str, Any]]:
    return [
        {
            "level": judged.criterion.level.word,
            "criterion": judged.criterion.name,
            "label": judged.criterion.label,
            "answer": judged.answer.value,
            "evidence": list(judged.evidence),
        }
        for judged in rating.criteria
    ]


def _print_criteria(rating: Rating) -> None:
    for found in _criteria(rating):
        answer = {"met": "met", "unmet": "NOT MET", "not_needed": "does not apply"}[found["answer"]]
        click.echo(f"  {found['level']:<9}{answer:<16}{found['label']}")


def _lacking(rating: Rating, level: Level) -> str:
    return "; ".join(judged.criterion.label for judged in rating.unmet if judged.criterion.level <= level)
