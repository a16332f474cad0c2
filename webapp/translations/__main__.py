"""`python -m webapp.translations update|compile|missing`: keep the catalogs of the console's texts."""

from __future__ import annotations

import click

from webapp.translations import catalogs


@click.group()
def cli() -> None:
    """Keep the catalogs of the console's texts."""


@cli.command()
def update() -> None:
    """Bring the catalogs to the texts that code and templates hold."""
    for language in catalogs.LANGUAGES:
        click.echo(str(catalogs.update(language)))


@cli.command()
def compile() -> None:  # noqa: A001 - the command's name
    """Write the compiled catalogs that the console reads."""
    for language in catalogs.LANGUAGES:
        click.echo(str(catalogs.compile_catalog(language)))


@cli.command()
def missing() -> None:
    """List what is not translated; fails if there is something."""
    found = [f"{language}: {problem}" for language in catalogs.LANGUAGES for problem in catalogs.problems(language)]
    for line in found:
        click.echo(line)
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    cli()
