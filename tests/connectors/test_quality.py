"""The quality scale: it is what the conformance suite gives, and each criterion can be met and missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from connectors import quality, registry
from connectors.quality import CRITERIA, EVIDENCE, PASSED, Answer, Level, Results, rate, results_of
from connectors.spi import Capabilities
from connectors.testing_quality import Findings, differences, laws_of_the_suite
from tests.connectors import evidence

FILE = Path(quality.__file__).parent / quality.FILE
STALE = "run `make quality`"
LAWS = dict.fromkeys(sorted(laws_of_the_suite()), PASSED)
FULL = Capabilities(create=True, update=True, delete=True, cursor=True, deletions=True, transactions=True)
BEST = Results(LAWS, dict.fromkeys(EVIDENCE, ("shown",)))


def stated() -> dict[str, dict]:
    return json.loads(FILE.read_text("utf-8"))["connectors"]


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_every_connector_has_results(name: str) -> None:
    """Each built-in connector that can be read was tested with every law of the suite, as it is now."""
    if name in evidence.WITHOUT or not registry.get(name).spec.capabilities.read:
        pytest.skip("the suite needs a system, and tests by reading")
    assert name in stated(), STALE
    assert set(stated()[name]["laws"]) == laws_of_the_suite(), STALE
    assert not [law for law, found in stated()[name]["laws"].items() if found == quality.FAILED], STALE
    rating = rate(results_of(name, "connectors"), registry.get(name).spec.capabilities)
    assert rating.level >= Level.SILVER, [judged.criterion.name for judged in rating.unmet]


def test_the_file_is_what_the_suite_gives(tmp_path: Path) -> None:
    """The suite writes for a connector what the file says; where the file says otherwise, a run fails."""
    own, wrong = tmp_path / "quality.json", tmp_path / "wrong.json"
    other = stated()
    other["sqlite"]["laws"]["test_lookup_finds_by_key"] = "skipped: nothing"
    wrong.write_text(json.dumps({"format": 1, "connectors": other}))
    suite = "tests/connectors/test_sqlite.py::TestConformance"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite]
    command += ["--connector-quality", str(own), "--connector-quality-check", str(wrong)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=evidence.ROOT, env={**os.environ, "CI": ""}
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "'sqlite' is not what the suite finds (test_lookup_finds_by_key)" in done.stdout
    found = json.loads(own.read_text())["connectors"]
    assert list(found) == ["sqlite"]
    assert found["sqlite"]["laws"] == stated()["sqlite"]["laws"], STALE
    assert found["sqlite"]["evidence"]["real_system"] == stated()["sqlite"]["evidence"]["real_system"], STALE


def test_evidence_leads_to_tests() -> None:
    """What is named as evidence is there: tests, and headings of pages."""
    assert [test for _, _, test in evidence.tests() if not evidence.exists(test)] == []
    assert {criterion for _, criterion, _ in (*evidence.tests(), *evidence.declared())} <= set(EVIDENCE)
    for _, criterion, page in evidence.declared():
        if criterion in ("documented", "benchmark"):
            assert (evidence.ROOT / page.partition("#")[0]).is_file(), page
    for name, found in stated().items():
        for details in found["evidence"].values():
            wrong = [d for d in details if "::" in d and not evidence.exists(d)]
            assert not wrong, f"{name}: {wrong}: {STALE}"


def test_the_best_is_platinum() -> None:
    """With every law kept and everything shown, a connector is platinum; what has no results is not rated."""
    assert rate(BEST, FULL).level is Level.PLATINUM
    assert rate(Results(), FULL).level is Level.UNRATED
    assert rate(BEST, FULL).unmet == ()
    assert rate(BEST, FULL).level.word == "platinum"


@pytest.mark.parametrize("criterion", CRITERIA, ids=[criterion.name for criterion in CRITERIA])
def test_each_criterion_can_be_missed(criterion: quality.Criterion) -> None:
    """Without what a criterion asks for, its level and all above do not hold."""
    for results in (replace(BEST, laws={}), replace(BEST, evidence={})):
        rating = rate(results, FULL)
        found = next(judged for judged in rating.criteria if judged.criterion is criterion)
        if found.answer is Answer.UNMET:
            assert rating.level < criterion.level
            return
    rating = rate(Results(), FULL)
    assert criterion in [judged.criterion for judged in rating.unmet]


def test_a_broken_law_is_no_bronze() -> None:
    """One law that failed takes every level away."""
    failed = replace(BEST, laws={**LAWS, "test_filter_loses_nothing": "failed"})
    assert rate(failed, FULL).level is Level.UNRATED
    assert failed.count("failed") == 1


def test_what_a_kind_of_system_cannot_have_does_not_count() -> None:
    """A queue is looked up by nobody, and what only reads writes nothing twice."""
    skipped = {law: f"skipped: no {law}" for law in LAWS if "lookup" in law or "fence" in law}
    laws = {**LAWS, **skipped}
    messages = rate(replace(BEST, laws=laws), Capabilities(messages=True))
    assert {j.criterion.name for j in messages.criteria if j.answer is Answer.NOT_NEEDED} == {"lookup", "exactly_once"}
    assert messages.level is Level.PLATINUM
    assert set(messages.results.skipped) == set(skipped)


@pytest.mark.parametrize("text", ["", "[]", '{"connectors": []}', '{"connectors": {"x": {}}}'])
def test_a_broken_file_says_nothing(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's file that cannot be read is no reason to show no catalogue."""
    name = f"package_{abs(hash(text))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text('"""Nothing."""')
    (tmp_path / name / "quality.json").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert results_of("x", name).laws == {}
    assert results_of("x", "no_such_package_at_all").laws == {}


def test_a_part_of_the_suite_proves_nothing(tmp_path: Path) -> None:
    """A run of some laws only is not compared, nor one on a machine where the system is not there."""
    assert differences(tmp_path / "none.json", {}) == []
    path = tmp_path / "quality.json"
    path.write_text(json.dumps({"connectors": {"acme": {"laws": LAWS}}}))
    findings = Findings()
    for law in LAWS:
        findings.add(["law", law, ""], "skipped: Acme is not installed")
    assert differences(path, {"acme": findings}) == []
    failing = Findings()
    for law in LAWS:
        failing.add(["law", law, ""], "failed")
    assert len(differences(path, {"acme": failing})) == 1


def test_where_a_connector_comes_from() -> None:
    """A plugin's version and documentation are those of its package, also where its module is not there."""
    assert registry.origin("sqlite").package == "connectors"
    points = entry_points(group="console_scripts", name="syncline")
    origin = registry._plugin(next(iter(points)))
    assert (origin.distribution, origin.package, origin.plugin) == ("syncline", "webapp", True)
    alone = registry._plugin(EntryPoint("acme", "acme.main:X", registry.GROUP))
    assert (alone.distribution, alone.version) == ("acme", "")
