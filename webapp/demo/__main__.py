"""`python -m webapp.demo FOLDER`: writes the demo systems and their configuration into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from webapp.demo.systems import write


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the demo systems and their configuration into FOLDER."""
    for path in write(folder):
        click.echo(path)


main()
