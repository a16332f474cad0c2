"""The benchmark of workload W1 still runs, and every case checks its own result. Nothing is said about time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import w1
from benchmarks.environments import FOLDER
from benchmarks.w1_cases import SCENARIOS
from benchmarks.w1_spent import Meter, processor_seconds

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"suite", "case", "value", "unit", "peers", "ratio", "goal", "met"}
FEW = ("delta_cursor", "two_way_delta", "rejected", "mariadb")
INSTALLED = {"sqlite": "adbc"}
"""Cases that need an environment of their own, which tests do not install."""


def _results(*arguments: str) -> list[dict[str, Any]]:
    argv = [sys.executable, "-m", "benchmarks.w1", "--rows=2000", "--together", *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"suite":')]


@pytest.mark.parametrize(
    "names", [FEW, pytest.param(w1.NAMES, marks=[pytest.mark.soak, pytest.mark.timeout(600)])], ids=["few", "all"]
)
def test_every_case_runs_and_checks_its_result(names: tuple[str, ...]) -> None:
    """Cases are measured on 2,000 records, one of each kind or all, and tell what the published format asks for."""
    found = [name for name in names if name not in INSTALLED or (FOLDER / INSTALLED[name] / ".complete").exists()]
    results = _results(*(f"--case={name}" for name in found))
    assert all(set(result) == KEYS and result["suite"] == "w1" for result in results)
    told = " ".join(result["case"] for result in results)
    assert [case.title for case in w1.CASES if case.name in found and case.title not in told] == []
    assert ("audit's share" in told) == (w1.AUDIT in names)
    assert "MariaDB" in told


def test_a_case_brings_what_it_is_compared_with() -> None:
    """Bad records are compared with the clean load, the audit with the first load."""
    assert w1.chosen(["bad_known"]) == ["first_load", "bad_known"]
    assert w1.chosen(["audit"]) == ["first_load", "audit"]
    assert w1.chosen([]) == list(w1.NAMES)


def test_each_case_has_a_name_of_its_own() -> None:
    """A case is asked for by its name."""
    assert len(set(w1.NAMES)) == len(w1.NAMES)
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_work_of_ended_processes_counts() -> None:
    """CPU time holds that of processes that are gone, and not that of this one."""
    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"]

    def work() -> None:
        subprocess.run(burn, check=True)

    spent = Meter().of(work)
    assert spent.cpu >= 0.25
    assert spent.wall > 0
    before = processor_seconds()
    assert sum(range(1_000_000))
    assert processor_seconds() - before < 0.05


def test_a_wrong_result_stops_the_benchmark() -> None:
    """A case that does not hold what it should is never reported as a figure."""
    scenario = next(one for one in SCENARIOS if one.name == "copying")
    with pytest.raises(AssertionError, match="counted"):
        scenario.cases[0].check((_Rows(5), None), _Ran({"read": 4, "created": 4}))  # type: ignore[arg-type]


class _Rows:
    def __init__(self, rows: int) -> None:
        self.rows = rows


class _Ran:
    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
