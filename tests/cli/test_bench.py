"""`syncline bench`: which benchmarks it runs and what it tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from webapp.commands import bench


def test_options_of_w1_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is said of rows, turns and cases reaches the benchmark; its results become the file."""
    asked: list[tuple[str, list[str]]] = []
    result = {"suite": "w1", "case": "pass-through"}

    def run(name: str, arguments: list[str]) -> list[dict[str, Any]]:
        asked.append((name, arguments))
        return [result]

    monkeypatch.setattr(bench, "_run", run)
    file = tmp_path / "made" / "bench.json"
    said = ["w1", "--rows", "5000", "--case", "audit", "--case", "sqlite", "--output", str(file)]
    done = CliRunner().invoke(bench.bench, said)
    assert done.exit_code == 0, done.output
    assert asked == [("w1", ["--rows=5000", "--case=audit", "--case=sqlite"])]
    assert json.loads(file.read_text()) == [result]


def test_other_suites_take_no_rows() -> None:
    """An option that a suite does not have is refused, with the suite that has it."""
    done = CliRunner().invoke(bench.bench, ["rules", "--rows", "5000"])
    assert done.exit_code == 1
    assert "--rows=5000 belongs to the suites w1 and peers" in done.output


def test_a_folder_is_one_of_other_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where other programs are installed reaches their benchmark, and is refused for workload W1 itself."""
    asked: list[list[str]] = []
    monkeypatch.setattr(bench, "_run", lambda _name, arguments: asked.append(arguments) or [])
    said = ["--folder", "elsewhere", "--output", str(tmp_path / "bench.json")]
    assert CliRunner().invoke(bench.bench, ["peers", *said]).exit_code == 0
    assert asked == [["--folder=elsewhere"]]
    done = CliRunner().invoke(bench.bench, ["w1", *said])
    assert done.exit_code == 1
    assert "--folder belongs to the suite peers" in done.output
