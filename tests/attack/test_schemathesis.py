"""schemathesis, in an environment of its own, over the description of the API as each role and as a service account."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.attack import tools
from tests.attack.results import FOLDER, Attack
from tests.attack.target import ROLES, Target

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,ignored_auth"
)
"""What does not count: whether any sent value is taken, since many documents are right only as a whole."""
PROGRAM = "program"
"""A service account of a designer."""
_SECONDS = 40


@pytest.mark.parametrize("name", [*ROLES, PROGRAM])
def test_schemathesis(target: Target, tmp_path: Path, name: str):
    """As whoever: nothing fails, each answer has the documented shape, and without a key nothing is told."""
    program = tools.program("schemathesis", "schemathesis")
    attack = Attack(f"schemathesis-{name.lower()}", f"{tools.version('schemathesis')} over /api/v1 as {name}")
    token = target.accounts["Designer"] if name == PROGRAM else target.keys[name]
    report = tmp_path / "report.json"
    arguments = [
        f"{target.url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}", "--checks", CHECKS,
        "--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--seed", "1", "--no-color",
        "--workers", "1", "--max-time", str(_SECONDS), "--request-timeout", "30",
        "--report", "json", "--report-json-path", report,
        "--generation-database", "none", "--suppress-health-check", "all", "--no-shrink",
    ]  # fmt: skip
    done = subprocess.run(
        [program, "run", *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    _read(attack, name, report, done)
    attack.end(target.failures())


def _read(attack: Attack, name: str, report: Path, done: subprocess.CompletedProcess[str]) -> None:
    kept = FOLDER / "schemathesis"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{name}.txt").write_text(done.stdout + done.stderr)
    found = json.loads(report.read_text())
    attack.tried += found["test_cases"]["generated"]
    for failure in found["failures"]:
        attack.note(f"as {name}: {failure['title']}: {', '.join(failure['operations'][:6])}")
