"""`syncline bench`: which benchmarks it runs and what it tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from webapp.commands import bench


def test_options_of_w1_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is said of rows, turns, cases and peers reaches the benchmark; its results become the file."""
    asked: list[tuple[str, list[str]]] = []
    result = {"suite": "w1", "case": "pass-through"}

    def run(name: str, arguments: list[str]) -> list[dict[str, Any]]:
        asked.append((name, arguments))
        return [result]

    monkeypatch.setattr(bench, "_run", run)
    file = tmp_path / "made" / "bench.json"
    said = ["w1", "--rows", "5000", "--case", "audit", "--case", "sqlite", "--peers", "--output", str(file)]
    done = CliRunner().invoke(bench.bench, said)
    assert done.exit_code == 0, done.output
    assert asked == [("w1", ["--rows=5000", "--case=audit", "--case=sqlite", "--peers"])]
    assert json.loads(file.read_text()) == [result]


def test_other_suites_take_no_rows() -> None:
    """An option that a suite does not have is refused, with the suite that has it."""
    done = CliRunner().invoke(bench.bench, ["rules", "--rows", "5000"])
    assert done.exit_code == 1
    assert "--rows=5000 belongs to the suite w1" in done.output
