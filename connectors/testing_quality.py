"""What a run of the conformance suite found, written down as `quality.json`: the part of the suite that is a plugin.

    pytest --connector-quality=acme/quality.json          # runs what says something about quality, and writes it
    pytest --connector-quality-check=acme/quality.json    # an ordinary run, which fails where the file says otherwise

Beside the laws, a test may show something that no law can: it is marked with what it is evidence of,
`@pytest.mark.connector_evidence("acme", "faults")`. What can be shown so is in `connectors.quality.EVIDENCE`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from connectors.errors import ConnectorError
from connectors.quality import EVIDENCE, FAILED, PASSED, SKIPPED
from connectors.testing_sample import ConformanceBase

WRITE, CHECK = "--connector-quality", "--connector-quality-check"
FORMAT = 1
_PROPERTY = "syncline_quality"
_ROOM = "connectors.testing"


def add_options(parser: pytest.Parser) -> None:
    """Add the two options to pytest."""
    group = parser.getgroup("syncline", "Connectors of Syncline")
    group.addoption(WRITE, metavar="FILE", help="run what says something about connectors' quality, and write it there")
    group.addoption(CHECK, metavar="FILE", help="fail where what is found is not what this file says")


def configure(config: pytest.Config) -> None:
    """Declare the mark, and watch the run where one of the options is given."""
    config.addinivalue_line(
        "markers", "connector_evidence(connector, criterion, detail): what a test shows beside the laws of the suite"
    )
    if config.getoption(WRITE) or config.getoption(CHECK):
        config.pluginmanager.register(Watch(config), "syncline-connector-quality")


class Watch:
    """Notes what becomes of each law and each piece of evidence."""

    def __init__(self, config: pytest.Config) -> None:
        self.written = config.getoption(WRITE)
        self.checked = config.getoption(CHECK)
        self.is_worker = hasattr(config, "workerinput")
        self.found: dict[str, Findings] = {}
        self.problems: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Note at each test what it says about which connector; run no others where only quality is wanted."""
        for item in items:
            item.user_properties += [(_PROPERTY, note) for note in _notes(item)]
        if self.written:
            silent = [item for item in items if not item.user_properties]
            config.hook.pytest_deselected(items=silent)
            items[:] = [item for item in items if item.user_properties]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what became of a test; of several processes, only the first takes in."""
        if self.is_worker or (report.when != "call" and report.passed):
            return
        for name, note in report.user_properties:
            if name == _PROPERTY and isinstance(note, list):
                self.found.setdefault(note[0], Findings()).add(note[1:], _outcome(report))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, or fail where it says otherwise."""
        if self.is_worker:
            return
        if self.written:
            write(Path(self.written), self.found)
        if self.checked:
            self.problems = differences(Path(self.checked), self.found)
            if self.problems and not session.exitstatus:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what the file should say."""
        for problem in self.problems:
            terminalreporter.write_line(problem, red=True)


class Findings:
    """What was found about one connector."""

    def __init__(self) -> None:
        self.laws: dict[str, set[str]] = {}
        self.evidence: dict[str, dict[str, set[str]]] = {}

    def add(self, note: Iterable[str], outcome: str) -> None:
        """Take in one result: of a law, or of a test that is evidence."""
        kind, name, detail = note
        if kind == "law":
            self.laws.setdefault(name, set()).add(outcome)
        else:
            self.evidence.setdefault(name, {}).setdefault(detail, set()).add(outcome)

    def result(self) -> dict[str, Any]:
        """Return what the file says: a law that failed once has failed; a skipped one with its reason."""
        laws = {name: _whole(found) for name, found in sorted(self.laws.items())}
        return {"laws": laws, "evidence": self.beside({})}

    def beside(self, known: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Return the evidence that was found, and what was known and not looked at."""
        shown = {}
        for name in sorted({*known, *self.evidence}):
            found = self.evidence.get(name, {})
            kept = {detail for detail in known.get(name, ()) if detail not in found}
            shown[name] = sorted(kept | {detail for detail, o in found.items() if _whole(o) == PASSED})
        return {name: details for name, details in shown.items() if details}


def write(path: Path, found: Mapping[str, Findings]) -> None:
    """Write what was found; what was not looked at stays as it was."""
    known = json.loads(path.read_text("utf-8"))["connectors"] if path.exists() else {}
    for name, findings in found.items():
        before = known.get(name, {"laws": {}, "evidence": {}})
        laws = dict(sorted({**before["laws"], **findings.result()["laws"]}.items()))
        known[name] = {"laws": laws, "evidence": findings.beside(before["evidence"])}
    document = {"format": FORMAT, "connectors": dict(sorted(known.items()))}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")


def differences(path: Path, found: Mapping[str, Findings]) -> list[str]:
    """Return what the file says otherwise of connectors that were tested with every law, their systems being there."""
    known = json.loads(path.read_text("utf-8"))["connectors"] if path.exists() else {}
    reasons = {outcome for one in known.values() for outcome in one["laws"].values()}
    problems = []
    for name, findings in sorted(found.items()):
        stated = known.get(name, {}).get("laws", {})
        laws = findings.result()["laws"]
        if len(laws) < len(laws_of_the_suite()) or laws == stated:
            continue
        if any(law.startswith(SKIPPED) and law not in reasons for law in laws.values()):
            continue  # the system is not there on this machine
        wrong = sorted(law for law in {*laws, *stated} if laws.get(law) != stated.get(law))
        problems.append(f"{path}: '{name}' is not what the suite finds ({', '.join(wrong)}). Write it anew.")
    return problems


def laws_of_the_suite() -> set[str]:
    """Return the names of all laws."""
    below = [ConformanceBase]
    names = set()
    while below:
        cls = below.pop()
        below += cls.__subclasses__()
        if cls.__module__.startswith(_ROOM):
            names |= {name for name in vars(cls) if name.startswith("test_")}
    return names


def _notes(item: pytest.Item) -> list[list[str]]:
    """Return what a test says: [connector, "law", name, ""] or [connector, "evidence", criterion, detail]."""
    cls = getattr(item, "cls", None)
    notes = []
    if isinstance(cls, type) and issubclass(cls, ConformanceBase) and _is_meant(cls):
        name = cls.connector.spec.name
        law = getattr(item, "originalname", item.name)
        if law in laws_of_the_suite():
            notes.append([name, "law", law, ""])
        declared = {criterion: getattr(cls, criterion, "") for criterion in EVIDENCE}
        notes += [[name, "evidence", criterion, detail] for criterion, detail in declared.items() if detail]
    for mark in item.iter_markers("connector_evidence"):
        connector, criterion, *detail = mark.args
        assert criterion in EVIDENCE, f"{item.nodeid}: '{criterion}' is not one of {', '.join(EVIDENCE)}"
        notes.append([connector, "evidence", criterion, *(detail or [item.nodeid.partition("[")[0]])])
    return notes


def _is_meant(suite: type[ConformanceBase]) -> bool:
    """Tell whether a class tests the connector that people use, and not a variant of it that a test made."""
    if suite.documented:
        return True
    spec = suite.connector.spec
    try:
        return registry.get(spec.name).spec == spec
    except ConnectorError:
        return False


def _outcome(report: pytest.TestReport) -> str:
    if report.passed:
        return PASSED
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return f"{SKIPPED}: {reason.removeprefix('Skipped: ')}"
    return FAILED


def _whole(outcomes: set[str]) -> str:
    return next((o for o in (FAILED, PASSED) if o in outcomes), min(outcomes))
