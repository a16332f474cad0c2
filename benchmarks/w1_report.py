"""What was measured: a line for each run as it ends, the table, and the results for build/bench.json."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.w1_spent import Spent

MEMORY = 500
"""MB that a run may take at most, whatever the number of rows."""
PIPE = "psql COPY into COPY"


@dataclass(frozen=True)
class Figure:
    """One measured run, and what it is compared with."""

    name: str
    title: str
    goal: float | None
    spent: Spent
    base: Spent | None = None
    of: str = PIPE

    @property
    def times(self) -> float:
        """Return the multiple of wall time, or the seconds where nothing is compared."""
        return self.spent.wall / self.base.wall if self.base else self.spent.wall

    @property
    def cpu(self) -> float:
        """Return the multiple of CPU time, or the CPU seconds."""
        return self.spent.cpu / self.base.cpu if self.base and self.base.cpu else self.spent.cpu

    @property
    def unit(self) -> str:
        """Return the unit of both."""
        return f"times {self.of}" if self.base else "s"


@dataclass
class Report:
    """The figures of all turns."""

    rows: int
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    others: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Take up a figure and show it."""
        self.figures.setdefault(figure.name, []).append(figure)
        spent = figure.spent
        memory = "" if spent.peak is None else f", {spent.peak:,.0f} MB"
        print(
            f"  {figure.name:22} {spent.wall:7.2f} s, {spent.cpu:7.2f} CPU s{memory}; {figure.times:.2f} {figure.unit},"
            f" {figure.cpu:.2f} of CPU",
            flush=True,
        )

    def say(self, line: str) -> None:
        """Show a line, now and below the table."""
        print(f"  {line}", flush=True)
        self.notes.append(line)

    def result(self, case: str, value: float, unit: str, goal: float | None) -> None:
        """Take up a result of another kind than a run; the median of all turns counts."""
        print(f"  {case}: {value:.2f} {unit}", flush=True)
        self.others.setdefault(case, []).append({**_head(case, round(value, 3), unit), "goal": goal})

    def compare(self, case: str, value: float, unit: str, goal: float | None, others: dict[str, float]) -> None:
        """Take up a comparison with the seconds of others: its value has to reach the goal, not to stay below it."""
        head = _head(case, round(value, 3), unit)
        self.others[case] = [{**head, "goal": goal, "peers": others, "ratio": round(value, 3)}]

    def end(self) -> None:
        """Print the table and the results."""
        lines = [line for found in self.figures.values() for line in self._lines(found)]
        results = [*lines, *map(_middle, self.others.values())]
        width = max((len(one["case"]) for one in results), default=0)
        print()
        for one in results:
            goal = "" if one["goal"] is None else f"  goal {one['goal']:g}: {'met' if one['met'] else 'NOT MET'}"
            print(f"{one['case']:{width}}  {one['value']:10,.3f} {one['unit']}{goal}")
        for note in self.notes:
            print(note)
        for one in results:
            print(json.dumps({**one, "case": f"{one['case']} ({self.rows:,} rows)"}, separators=(",", ":")))

    def _lines(self, found: list[Figure]) -> Iterator[dict[str, Any]]:
        one = found[0]
        value = _median(found, lambda figure: figure.times)
        ratio = value if one.base else None
        yield {**_head(one.title, value, one.unit), "ratio": ratio, **_goal(value, one.goal)}
        yield _head(f"{one.title}: CPU", _median(found, lambda figure: figure.cpu), one.unit.replace("s", "CPU s", 1)
                    if one.unit == "s" else f"{one.unit} (CPU time)")  # fmt: skip
        peaks = [figure.spent.peak for figure in found if figure.spent.peak is not None]
        if peaks:
            yield {**_head(f"{one.title}: memory", round(max(peaks)), "MB"), **_goal(max(peaks), MEMORY)}


def _median(found: list[Figure], of: Callable[[Figure], float]) -> float:
    return round(statistics.median(of(figure) for figure in found), 3)


def _middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    value = statistics.median(one["value"] for one in found)
    if not found[0]["peers"]:
        return {**found[0], "value": value, **_goal(value, found[0]["goal"])}
    met = None if found[0]["goal"] is None else value >= found[0]["goal"]
    return {**found[0], "value": value, "ratio": value, "met": met}


def _goal(value: float, goal: float | None) -> dict[str, Any]:
    return {"goal": goal, "met": None if goal is None else bool(value <= goal)}


def _head(case: str, value: float, unit: str) -> dict[str, Any]:
    head = {"suite": "w1", "case": case, "value": value, "unit": unit}
    return {**head, "peers": {}, "ratio": None, "goal": None, "met": None}
