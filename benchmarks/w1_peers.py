"""Syncline beside other programs on the same work: all customers of workload W1, then 7% of changes by a cursor."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.environments import NotInstallableError, environment, versions
from benchmarks.w1_bed import SOURCE, TARGET, Bed
from benchmarks.w1_movers import MOVERS, QUIET, Job, Mover
from benchmarks.w1_report import Report
from benchmarks.w1_rules import mutation
from benchmarks.w1_spent import Meter, Spent

OURS = ("pass_through", "delta_cursor")
"""The cases that the others are compared with; the second one also removes deleted rows, and maps."""


class Failed(RuntimeError):
    """Another program has not done its work."""


def compare(mover: Mover, bed: Bed, report: Report, ours: dict[str, Spent]) -> None:
    """Measure one program and tell how many times faster Syncline is; a program that fails is told of."""
    try:
        told = ", ".join(versions(name) for name in mover.environments if environment(name))
    except NotInstallableError as error:
        report.say(f"{mover.title}: not measured, cannot be installed here: {error}")
        return
    try:
        full, delta, left = _measured(mover, bed)
    except Failed as error:
        report.say(f"{mover.title} ({told}): not measured, {error}")
        return
    for case, other, own, goal in zip(("full load", "cursor delta"), (full, delta), OURS, mover.goals, strict=True):
        print(f"  {mover.name + ', ' + case:30} {other.wall:7.2f} s, {other.cpu:7.2f} CPU s", flush=True)
        mine = ours[own]
        for what, mean, seconds in (("", mine.wall, other.wall), (" (CPU time)", mine.cpu, other.cpu)):
            unit = f"times as fast as {mover.title}{what}"
            report.result(
                f"{case} against {mover.title}{what}", seconds / mean, unit, None if what else goal,
                {mover.title: round(seconds, 3), "syncline": round(mean, 3)},
            )  # fmt: skip
    report.say(f"{told}: {left:,} deleted rows stay behind after the cursor delta")


def _measured(mover: Mover, bed: Bed) -> tuple[Spent, Spent, int]:
    """Return what both jobs have taken, and how many deleted rows are left."""
    with tempfile.TemporaryDirectory(prefix="syncline-peer-") as name:
        job = Job(bed.url(SOURCE), bed.url(TARGET), Path(name))
        bed.renew()
        full = _spent(bed, job, mover.full(job))
        _holds(bed, mover.loaded[0], "true")
        bed.renew()
        _work(job, mover.follow(job))
        bed.run(SOURCE, *mutation(bed.rows))
        delta = _spent(bed, job, mover.follow(job))
        _holds(bed, mover.loaded[1], "updated_at >= '2026-01-01'")
        gone = f"id % 100 = 50 AND id <= {bed.rows}"
        return full, delta, int(bed.ask(TARGET, f"SELECT count(*) FROM {_quoted(mover.loaded[1])} WHERE {gone}")[0])


def _holds(bed: Bed, table: str, condition: str) -> None:
    """Check how many rows meet a condition, and the sum of one of their fields, against the source."""
    asked = "SELECT count(*), round(sum(balance::numeric), 2), max(customer_no) FROM {} WHERE {}"
    wanted, found = (
        bed.ask(SOURCE, asked.format("customers", condition)),
        bed.ask(TARGET, asked.format(_quoted(table), condition)),
    )
    if wanted != found:
        raise Failed(f"its table {table} holds {found} and not {wanted} (rows, sum of balance, last number)")


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))


def _spent(bed: Bed, job: Job, script: str) -> Spent:
    bed.settle()
    return Meter().of(lambda: _work(job, script))


def _work(job: Job, script: str) -> None:
    environ = {**os.environ, **QUIET, "HOME": str(job.folder)}
    argv = ["bash", "-c", f"set -o pipefail; {script}"]
    done = subprocess.run(argv, cwd=job.folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).strip().splitlines() if line.strip()]
        raise Failed(f"it failed: {' / '.join(lines[-3:])[:600]}")


NAMES = tuple(mover.name for mover in MOVERS)
