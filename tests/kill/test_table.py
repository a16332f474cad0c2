"""The table of faults names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import tests.kill

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_faults_is_true():
    """Each test that the table names exists, and each test of this folder that kills something is in the table."""
    named = re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", tests.kill.__doc__ or "")
    assert len(named) > 30
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []
    told = {path for path, _ in named}
    mine = {f"tests/kill/{path.name}" for path in Path(__file__).parent.glob("test_*.py")} - {
        "tests/kill/test_table.py"
    }
    assert mine <= told
