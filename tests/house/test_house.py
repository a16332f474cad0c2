"""The house rules that no other tool checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for folder in ("rules", "connectors", "webapp")
    for path in (ROOT / folder).rglob("*.py")
    if "versions" not in path.parts
)
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
LONGEST = 400


@pytest.mark.parametrize("path", [*MODULES, ROOT / "config.py", ROOT / "wsgi.py"], ids=[*NAMES, "config.py", "wsgi.py"])
def test_modules_are_short(path: Path) -> None:
    """A module has at most 400 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_modules_are_named_by_their_noun() -> None:
    """No module is called utils, helpers, common, misc or manager."""
    assert [name for name in NAMES if re.search(r"(^|_|/)(utils?|helpers?|common|misc|managers?)(_|\.py$)", name)] == []


def test_only_config_reads_the_environment() -> None:
    """Settings are read once, in config.py."""
    pattern = re.compile(r"\bos\.(environ|getenv|putenv)\b|\bfrom os import .*\b(environ|getenv)\b")
    assert [name for name, path in zip(NAMES, MODULES, strict=True) if pattern.search(path.read_text("utf-8"))] == []


def test_every_module_says_what_it_is_for() -> None:
    """A module or package begins with a sentence about itself."""
    without = [
        name
        for name, path in zip(NAMES, MODULES, strict=True)
        if path.stat().st_size and not re.match(r'(#.*\n)*"""\S', path.read_text("utf-8"))
    ]
    assert without == []


def test_the_front_ends_lock_names_no_address() -> None:
    """package-lock.json names packages and their digests, not where they came from."""
    assert "://" not in re.sub(r'"(url|funding|homepage)": "[^"]*"', "", (ROOT / "package-lock.json").read_text())
