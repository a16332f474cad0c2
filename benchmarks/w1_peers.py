"""Syncline beside other programs on the same work: all customers of workload W1, then 7% of changes by a cursor.

Usage: python -m benchmarks.w1_peers [--rows N] [--turns N] [--case NAME]... [--folder FOLDER]; see docs/benchmarks.md.
Each turn plays all programs on one PostgreSQL, beginning with another one. A result that is not an exact copy is told
of and meets no goal.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import FOLDER, NotInstallableError, versions
from benchmarks.w1_bed import SETTINGS, SOURCE, TARGET, Bed, bed, customers_table
from benchmarks.w1_copies import differences
from benchmarks.w1_movers import MOVERS, QUIET, Job, Mover
from benchmarks.w1_product import installation
from benchmarks.w1_report import Report
from benchmarks.w1_rules import BY_CURSOR, DELETING, copying, mutation
from benchmarks.w1_spent import Meter, Spent

PSQL, OURS, PLAIN = "psql", "syncline", "syncline_plain"
BARE = ("CREATE TABLE customers (LIKE likeness)", "DROP TABLE likeness")
KINDS = ("full load", "cursor delta")
NAMES = (PSQL, OURS, PLAIN, *(mover.name for mover in MOVERS))


class Failed(RuntimeError):
    """Another program has not done its work."""


@dataclass(frozen=True)
class Done:
    """What a program has taken for one kind of work, and what is wrong with its copy."""

    spent: Spent
    wrong: str = ""


@dataclass
class Contest:
    """All turns: who takes part under which title, and what each has done, turn by turn, full load and delta."""

    place: Bed
    programs: Path
    titles: dict[str, str] = field(default_factory=dict)
    done: dict[str, list[tuple[Done, ...]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def enter(self, names: Sequence[str]) -> None:
        """Install what is missing; a program that cannot be installed is told of and left out."""
        known = {PSQL: "psql COPY into COPY", OURS: "Syncline", PLAIN: "Syncline, target without key and index"}
        self.titles = {name: known[name] for name in names if name in known}
        for mover in (one for one in MOVERS if one.name in names):
            try:
                told = ", ".join(versions(name, below=self.programs) for name in mover.environments)
            except NotInstallableError as error:
                self._say(f"{mover.title}: not measured, cannot be installed here: {error}")
                continue
            self.titles[mover.name] = mover.title
            self._say(f"{mover.title}: {told}")

    def turn(self, number: int) -> None:
        """Let everybody work once, in an order that begins with another one each turn."""
        names = list(self.titles)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            try:
                self._take(name, self._play(name))
            except Failed as error:
                self._say(f"{self.titles.pop(name)}: not measured, {error}")
                self.done.pop(name, None)

    def _play(self, name: str) -> tuple[Done, ...]:
        mover = next((one for one in MOVERS if one.name == name), None)
        if mover is not None:
            return self._moved(mover)
        return (self._piped(),) if name == PSQL else self._synced(plain=name == PLAIN)

    def _take(self, name: str, done: tuple[Done, ...]) -> None:
        self.done.setdefault(name, []).append(done)
        for kind, one in zip(KINDS, done, strict=False):
            spent, wrong = one.spent, f"; NOT EXACT: {one.wrong}" if one.wrong else ""
            print(f"  {name:15} {kind:12} {spent.wall:7.2f} s, {spent.own:7.2f} CPU s and {spent.servers:6.2f} of the"
                  f" server{wrong}", flush=True)  # fmt: skip

    def _piped(self) -> Done:
        self.place.renew(*customers_table("customers"))
        return self._measured(self.place.pipe, "customers")

    def _synced(self, *, plain: bool) -> tuple[Done, ...]:
        """Run one rule twice: everything, then the changes, whose deleted rows are removed."""
        place = self.place
        tables = (customers_table("likeness")[0], *BARE) if plain else customers_table("customers")
        place.renew(*tables)
        with installation(place.server.process.pid) as product:
            for name in (SOURCE, TARGET):
                product.connect(name, "postgresql", place.settings(name))
            product.publish(copying("peer", detect=BY_CURSOR, **DELETING))
            place.settle()
            full = Done(product.run("peer").spent, differences(place, "customers"))
            place.run(SOURCE, *mutation(place.rows))
            place.settle()
            return full, Done(product.run("peer").spent, differences(place, "customers"))

    def _moved(self, mover: Mover) -> tuple[Done, ...]:
        """Run another program: everything; then, from the start again, what follows changes."""
        place = self.place
        with tempfile.TemporaryDirectory(prefix="syncline-peer-") as name:
            job = Job(place.url(SOURCE), place.url(TARGET), Path(name), self.programs)
            place.renew()
            full = self._measured(lambda: _work(job, mover.full(job)), _quoted(mover.loaded[0]))
            place.renew()
            _work(job, mover.follow(job))
            place.run(SOURCE, *mutation(place.rows))
            table, gone = _quoted(mover.loaded[1]), f"(id % 100 = 50 AND id <= {place.rows})"
            delta = self._measured(lambda: _work(job, mover.follow(job)), table, f"NOT {gone}")
            (left,) = place.ask(TARGET, f"SELECT count(*) FROM {table} WHERE {gone}")
        told = f"{mover.title}: {left:,} deleted rows stay behind after the cursor delta"
        if told not in self.notes:
            self._say(told)
        return full, delta

    def _measured(self, work: Callable[[], None], table: str, condition: str = "true") -> Done:
        self.place.settle()
        spent = Meter(servers=(self.place.server.process.pid,)).of(work)
        return Done(spent, differences(self.place, table, condition))

    def _say(self, line: str) -> None:
        print(f"  {line}", flush=True)
        self.notes.append(line)

    def tell(self) -> None:
        """Print a table for each kind of work, and the ratios to Syncline as results."""
        report = Report(self.place.rows)
        for number, kind in enumerate(KINDS):
            print(f"\n| {kind} | wall (s) | CPU, CPU with the server (s) | Syncline faster: wall, CPU, CPU with the"
                  " server | goal | copy |\n|---|---|---|---|---|---|")  # fmt: skip
            for name in self.titles:
                if name in self.done and number < len(self.done[name][0]):
                    self._line(report, name, number)
        print("\n" + "\n".join(self.notes))
        report.end()

    def _line(self, report: Report, name: str, number: int) -> None:
        found = [turn[number] for turn in self.done[name]]
        ours = [turn[number] for turn in self.done[OURS]]
        goal = next((one.goals[number] for one in MOVERS if one.name == name), None)
        wrong = next((one.wrong for one in found if one.wrong), "")
        of: tuple[Callable[[Spent], float], ...] = (lambda s: s.wall, lambda s: s.own, lambda s: s.cpu)
        ratios = [
            statistics.median(get(a.spent) / get(b.spent) for a, b in zip(found, ours, strict=False)) for get in of
        ]
        walls = ", ".join(f"{one.spent.wall:.2f}" for one in found)
        own, both = (statistics.median(get(one.spent) for one in found) for get in of[1:])
        told = "" if goal is None else f"{goal:g}: " + ("met" if ratios[0] >= goal and not wrong else "NOT MET")
        times = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {self.titles[name]} | {walls} | {own:.2f}, {both:.2f} | {times} | {told} | {wrong or 'exact'} |")
        if name not in (OURS, PLAIN):
            mean = {self.titles[name]: statistics.median(one.spent.wall for one in found)}
            case, unit = f"{KINDS[number]} against {self.titles[name]}", f"times as fast as {self.titles[name]}"
            report.compare(case, ratios[0], unit, None if wrong else goal, mean)


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))


def _work(job: Job, script: str) -> None:
    environ = {**os.environ, **QUIET, "HOME": str(job.folder)}
    argv = ["bash", "-c", f"set -o pipefail; {script}"]
    done = subprocess.run(argv, cwd=job.folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).strip().splitlines() if line.strip()]
        raise Failed(f"it failed: {' / '.join(lines[-3:])[:600]}")


def main(arguments: argparse.Namespace) -> None:
    """Play all turns and print what they took."""
    names = [name for name in NAMES if not arguments.case or name in (OURS, *arguments.case)]
    print(f"{arguments.rows:,} customers; " + ", ".join(f"{name}={value}" for name, value in SETTINGS.items()))
    with bed(arguments.rows) as place:
        contest = Contest(place, arguments.folder.absolute())
        contest.enter(names)
        for turn in range(arguments.turns):
            load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
            print(f"turn {turn + 1} of {arguments.turns}; load {load} (1, 5, 15 minutes)", flush=True)
            contest.turn(turn)
        contest.tell()


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.w1_peers", description="Syncline beside others.")
    parser.add_argument("--rows", type=int, default=300_000, help="how many records")
    parser.add_argument("--turns", type=int, default=3, help="how often each works; the median counts")
    parser.add_argument("--case", action="append", default=[], choices=NAMES, help="only these, and Syncline")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the environments are made")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(parsed())
