"""Workload W1: runs of rules against `psql` binary COPY piped into COPY, in turns on the same machine.

Usage: python -m benchmarks.w1 [--rows N] [--turns N] [--case NAME]... docs/benchmarks.md says what is measured.
Each scenario begins with the pipe into a fresh target, then plays its cases with a fresh installation and databases.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.w1_bed import SETTINGS, Bed, bed, customers_table, psql
from benchmarks.w1_cases import SCENARIOS, Scenario
from benchmarks.w1_product import installation
from benchmarks.w1_report import Figure, Report
from benchmarks.w1_spent import Meter, Spent

CASES = tuple(case for scenario in SCENARIOS for case in scenario.cases if case.listed)
NAMES = tuple(case.name for case in CASES)


def pipe(place: Bed) -> Spent:
    """Return what `psql` takes into a fresh target."""
    place.renew(*customers_table("customers"))
    place.settle()
    return Meter().of(place.pipe)


def play(scenario: Scenario, wanted: Sequence[str], place: Bed, report: Report, known: dict[str, Spent]) -> None:
    """Play the cases of a scenario that are wanted; `known` are the times of this turn."""
    names = [case.name for case in scenario.cases if case.name in wanted]
    if not names:
        return
    known["psql"] = pipe(place)
    print(f"  {'(psql)':22} {known['psql'].wall:7.2f} s, {known['psql'].cpu:7.2f} CPU s", flush=True)
    scenario.prepare(place)
    with installation() as product:
        for case, ran in scenario.play((place, product), names[-1]):
            known[case.name] = ran.spent
            if case.name in names:
                base = known[case.of] if case.of else None
                told = {"of": "the clean first load"} if case.of not in ("", "psql") else {}
                report.add(Figure(case.name, case.title, case.goal, ran.spent, base, **told))


def chosen(asked: Sequence[str]) -> list[str]:
    """Return the cases that are asked for and those that they are compared with."""
    found = [case for case in CASES if not asked or case.name in asked]
    return [case.name for case in CASES if case in found or case.name in {one.of for one in found}]


def main(arguments: argparse.Namespace) -> None:
    """Run the cases in turns and print what they took."""
    wanted = chosen(arguments.case)
    report = Report(arguments.rows)
    print(f"{arguments.rows:,} customers, {psql()}")
    print("PostgreSQL: " + ", ".join(f"{name}={value}" for name, value in SETTINGS.items()), flush=True)
    with bed(arguments.rows) as place:
        for turn in range(arguments.turns):
            print(f"turn {turn + 1} of {arguments.turns}", flush=True)
            known: dict[str, Spent] = {}
            for scenario in SCENARIOS:
                play(scenario, wanted, place, report, known)
    report.end()


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.w1")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--case", action="append", default=[], choices=NAMES)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(parsed())
