"""The last runs of a rule as small charts: how long they took, what they wrote, what failed, what had to wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.runs import service_levels, verification
from webapp.runs.models import run
from webapp.runs.reading import ACTIVE, RunRow, rows
from webapp.runs.service_levels import Level
from webapp.runs.verification import Verification

SHOWN = 30
WIDTH, HEIGHT, GAP = 8, 36, 2
WRITTEN = ("created", "updated", "deleted")


@dataclass(frozen=True)
class Bar:
    """One run in a chart: where its bar stands, how high it is, and the number that it shows."""

    run: RunRow
    x: int
    y: int
    height: int
    value: float


@dataclass(frozen=True)
class Chart:
    """One number over the last runs; `name` is seconds, written, quarantined or cases."""

    name: str
    bars: tuple[Bar, ...]
    last: float
    most: float

    @property
    def width(self) -> int:
        """Return how wide the chart is."""
        return SHOWN * (WIDTH + GAP) - GAP


@dataclass(frozen=True)
class Panel:
    """What the page of a rule shows of its history."""

    charts: tuple[Chart, ...]
    runs: int
    level: Level | None
    compared: Verification | None


_NUMBERS: dict[str, Callable[[RunRow], float]] = {
    "seconds": lambda row: row.seconds or 0.0,
    "written": lambda row: sum(row.counts[name] for name in WRITTEN),
    "quarantined": lambda row: row.counts["quarantined"],
    "cases": lambda row: row.counts["cases"],
}


def history(tx: sa.Connection, rule_id: int, limit: int = SHOWN) -> list[RunRow]:
    """Return the last runs of a rule that were to write and have ended, the oldest first."""
    mine = (run.c.rule_id == rule_id, run.c.kind == "sync", run.c.mode == "live", run.c.state.not_in(ACTIVE))
    return list(reversed(rows(tx, *mine, limit=limit)))


def charts(found: list[RunRow]) -> tuple[Chart, ...]:
    """Return a chart of each number that is worth one: the duration and what was written always."""
    made = [_chart(name, found) for name in _NUMBERS] if found else []
    return tuple(chart for chart in made if chart.most or chart.name in ("seconds", "written"))


def _chart(name: str, found: list[RunRow]) -> Chart:
    values = [_NUMBERS[name](row) for row in found]
    most = max(values)
    start = (SHOWN - len(found)) * (WIDTH + GAP)
    bars = []
    for number, (row, value) in enumerate(zip(found, values, strict=True)):
        height = max(round(value / most * HEIGHT), 2) if value else 1
        bars.append(Bar(row, start + number * (WIDTH + GAP), HEIGHT - height, height, value))
    return Chart(name, tuple(bars), values[-1], most)


def panel(tx: sa.Connection, name: str, rule_id: int, now: datetime) -> Panel:
    """Return what is shown of a rule."""
    found = history(tx, rule_id)
    level = next(iter(service_levels.levels(tx, now, name=name)), None)
    return Panel(charts(found), len(found), level, verification.latest(tx, rule_id))
