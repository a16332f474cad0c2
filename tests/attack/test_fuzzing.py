"""Every parser of foreign input, fed with bytes that follow the code they reach (atheris)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import NotInstallableError
from tests.attack import tools
from tests.attack.results import FOLDER, Attack

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

SECONDS = 12
"""For each parser."""
_BROKEN = re.compile(r"Uncaught Python exception|ERROR: libFuzzer|^Traceback", re.MULTILINE)


def test_parsers():
    """A parser refuses what it cannot read with an error of its own, soon, and takes nothing that was not signed."""
    folder, path, by = FOLDER / "fuzzing", "", "seeds changed at random, as atheris has no wheel for this Python"
    try:
        programs = tools.program("atheris", "python").parent
        path = str(next(programs.parent.glob("lib/python*/site-packages")))
        by = tools.version("atheris")
    except NotInstallableError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    attack = Attack("fuzzing", f"parsers by {by}")
    command = [sys.executable, "-m", "tests.attack.fuzzing", str(SECONDS), str(folder)]
    within = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=within, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    logs = {log.parent.name: log.read_text(errors="replace") for log in sorted(folder.glob("*/log"))}
    for name, log in logs.items():
        counted = re.findall(r"number_of_executed_units: (\d+)", log)
        attack.tried += int(counted[-1]) if counted else 0
        if not counted or _BROKEN.search(log):
            attack.note(
                f"{name}: {' '.join(re.findall(r'^[A-Za-z_.]+(?:Error|Exception|Operation).*', log, re.M)[:2])}"
            )
    attack.what = f"{len(logs)} {attack.what}"
    attack.end()
