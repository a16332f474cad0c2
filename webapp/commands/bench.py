"""`syncline bench`: runs the benchmarks of a checkout and gathers what they measured in build/bench.json."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from webapp.commands.session import Failed
from webapp.supervisor.preflight import ROOT

SUITES: dict[str, tuple[str, ...]] = {
    "rules": ("rules",),
    "sync": ("sync",),
    "connectors": ("connectors", "files", "soap", "rest"),
    "web": ("entities", "web"),
    "correlation": ("correlation",),
    "scale": ("scale",),
    "capacity": ("capacity",),
    "w1": ("w1",),
    "peers": ("w1_peers",),
}
CHOOSING = ("w1", "peers")
"""The suites whose size, turns and cases can be chosen."""
BENCHMARKS = ROOT / "benchmarks"
RESULT = '{"suite":'
"""How a line begins that is a result: one JSON object a line, printed by a benchmark among what it says to people."""


@click.command()
@click.argument("suite", required=False, type=click.Choice(list(SUITES)))
@click.option("--rows", type=click.IntRange(min=1000), help="w1, peers: how many records (1,000,000; 300,000).")
@click.option("--turns", type=click.IntRange(min=1), help="w1, peers: how often each case is measured (3).")
@click.option("--case", "cases", multiple=True, help="w1, peers: only this case; can be given more than once.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="peers: where other programs are installed (build/movers)."
)
@click.option(
    "--output", type=click.Path(path_type=Path), default=ROOT / "build" / "bench.json", help="The file to write."
)
def bench(suite: str | None, *, output: Path, cases: tuple[str, ...], **options: int | Path | None) -> None:
    """Measure: all suites, or one of rules, sync, connectors, web, correlation, scale, capacity, w1 and peers."""
    asked = [f"--{name}={value}" for name, value in options.items() if value is not None]
    asked += [f"--case={name}" for name in cases]
    if asked and suite not in CHOOSING:
        raise Failed(f"{asked[0]} belongs to the suites w1 and peers: syncline bench w1 {asked[0]}")
    if options["folder"] is not None and suite != "peers":
        raise Failed("--folder belongs to the suite peers: syncline bench peers --folder FOLDER")
    modules = [name for key in ([suite] if suite else SUITES) for name in SUITES[key]]
    present = [name for name in modules if (BENCHMARKS / f"{name}.py").exists()]
    if not present:
        raise Failed(f"There are no benchmarks of {suite or 'any suite'} in {BENCHMARKS}.")
    results = [result for name in present for result in _run(name, asked)]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", "utf-8")
    click.echo(f"{len(results)} results written to {output}")


def _run(name: str, asked: list[str]) -> list[dict[str, Any]]:
    """Run a benchmark, show what it says and return its results."""
    argv = [sys.executable, "-m", f"benchmarks.{name}", *asked]
    results = []
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own scripts
        for line in process.stdout or ():
            if line.startswith(RESULT):
                results.append(json.loads(line))
            else:
                click.echo(line, nl=False)
    if process.returncode:
        raise Failed(f"The benchmark '{name}' failed with exit code {process.returncode}.")
    return results
