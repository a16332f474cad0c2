"""Workload W1: runs of rules against `psql` binary COPY piped into COPY, in turns on the same machine.

Usage: python -m benchmarks.w1 [--rows N] [--turns N] [--case NAME]... [--together]; see docs/benchmarks.md.
Each scenario begins with the pipe into a fresh target, then plays its cases with a fresh installation and databases.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import w1_elsewhere as elsewhere
from benchmarks.w1_bed import SETTINGS, Bed, bed, customers_table, psql
from benchmarks.w1_cases import SCENARIOS, Scenario
from benchmarks.w1_product import Installation, installation
from benchmarks.w1_report import Figure, Report
from benchmarks.w1_spent import Meter, Spent

CASES = tuple(case for scenario in SCENARIOS for case in scenario.cases if case.listed)
AUDIT, AUDIT_GOAL, TITLE_OF_AUDIT = "audit", 8, "audit's share of CPU, first load with 8 expressions"
NAMES = (*(case.name for case in CASES), AUDIT, *elsewhere.CASES)


@dataclass
class Turn:
    """All wanted cases once; with `shared`, in one installation, which is quicker and less exact."""

    place: Bed
    wanted: Sequence[str]
    report: Report
    shared: Installation | None = None
    known: dict[str, Spent] = field(default_factory=dict)

    def play(self) -> None:
        """Play all scenarios."""
        for scenario in SCENARIOS:
            names = [case.name for case in scenario.cases if case.name in self.wanted]
            if names:
                self._scenario(scenario, names)
        for name in elsewhere.CASES:
            if name in self.wanted:
                with self._installation() as product:
                    elsewhere.load(name, self.place, self.report, product)

    def _scenario(self, scenario: Scenario, names: Sequence[str]) -> None:
        self._pipe()
        scenario.prepare(self.place)
        with self._installation() as product:
            for case, ran in scenario.play((self.place, product), names[-1]):
                self.known[case.name] = ran.spent
                if case.name in names:
                    base = self.known[case.of] if case.of else None
                    told = {"of": "the clean first load"} if case.of not in ("", "psql") else {}
                    self.report.add(Figure(case.name, case.title, case.goal, ran.spent, base, **told))
                if case.name == "first_load" and AUDIT in self.wanted:
                    self._audit(product, ran.row.id, ran.spent)

    def _pipe(self) -> None:
        """Measure what `psql` takes into a fresh target."""
        self.place.renew(*customers_table("customers"))
        self.place.settle()
        spent = self.known["psql"] = Meter().of(self.place.pipe)
        print(f"  {'(psql)':22} {spent.wall:7.2f} s, {spent.cpu:7.2f} CPU s", flush=True)

    def _audit(self, product: Installation, run_id: int, spent: Spent) -> None:
        """Measure what the first load has spent on proving what it did."""
        argv = [sys.executable, "-m", "benchmarks.w1_audit", product.house.settings.database_url, str(run_id)]
        found = subprocess.run(argv, check=True, capture_output=True, text=True)
        self.report.result(TITLE_OF_AUDIT, 100 * float(found.stdout) / spent.cpu, "% of CPU time", AUDIT_GOAL)

    @contextlib.contextmanager
    def _installation(self) -> Iterator[Installation]:
        if self.shared is not None:
            yield self.shared
            return
        with installation() as product:
            yield product


def chosen(asked: Sequence[str]) -> list[str]:
    """Return the cases that are asked for and those that they are compared with."""
    names = asked or NAMES
    needed = {case.of for case in CASES if case.name in names}
    needed |= {"first_load"} if AUDIT in names else set()
    return [name for name in NAMES if name in names or name in needed]


def main(arguments: argparse.Namespace) -> None:
    """Run the cases in turns and print what they took."""
    wanted = chosen(arguments.case)
    report = Report(arguments.rows)
    print(f"{arguments.rows:,} customers, {psql()}")
    told = ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
    print(f"PostgreSQL: {'in memory' if arguments.together else told}", flush=True)
    with bed(arguments.rows, durable=not arguments.together) as place, contextlib.ExitStack() as stack:
        shared = stack.enter_context(installation()) if arguments.together else None
        for turn in range(arguments.turns):
            print(f"turn {turn + 1} of {arguments.turns}", flush=True)
            Turn(place, wanted, report, shared).play()
    report.end()


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.w1", description="Workload W1 against psql.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many records")
    parser.add_argument("--turns", type=int, default=3, help="how often each case is measured; the median counts")
    parser.add_argument("--case", action="append", default=[], choices=NAMES, help="only these")
    parser.add_argument(
        "--together", action="store_true", help="one turn in one installation, in memory: to try it out"
    )
    arguments = parser.parse_args(argv)
    arguments.turns = 1 if arguments.together else arguments.turns
    return arguments


if __name__ == "__main__":
    main(parsed())
