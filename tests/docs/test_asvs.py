"""The table of OWASP ASVS 5.0 is whole, and what it names is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from tests.docs import reference
from tests.docs.test_docs import _anchors
from tests.house import test_house

ROOT = reference.ROOT
PAGE = ROOT / "docs" / "security" / "asvs.md"
INVENTORY = ROOT / "docs" / "security" / "inventories.md"
NUMBERS = Path(__file__).with_name("asvs.txt")
VERDICTS = ("met", "not shown", "not met", "does not apply")
_CRYPTOGRAPHY = r"(cryptography|jwt|signxml|webauthn|hmac|pyotp)(\..*)?"


@cache
def rows() -> list[list[str]]:
    """Return number, level, subject, verdict, place and tests of each requirement."""
    lines = re.findall(r"^\| (\d+\.\d+\.\d+ \|.*) \|$", PAGE.read_text("utf-8"), flags=re.M)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def test_every_requirement_is_answered_once() -> None:
    """Each number of levels 1 and 2, and those of level 3 that are taken up, has one row in its order."""
    numbers = [line.split() for line in NUMBERS.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert Counter(level for _, level in numbers) == {"1": 70, "2": 183, "3": 7}
    assert [row[:2] for row in rows()] == numbers
    assert all(len(row) == 6 and row[3] in VERDICTS for row in rows())


def test_the_numbers_at_the_top_are_counted() -> None:
    """The counts by level are those of the rows."""
    found = Counter((row[1], row[3]) for row in rows())
    text = PAGE.read_text("utf-8")
    for level in "123":
        counts = [found[level, verdict] for verdict in VERDICTS]
        assert f"| {level} | {' | '.join(map(str, [*counts, sum(counts)]))} |" in text, level
    counts = [sum(found[level, verdict] for level in "123") for verdict in VERDICTS]
    assert f"| all | {' | '.join(map(str, [*counts, len(rows())]))} |" in text


@cache
def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_what_is_named_is_there() -> None:
    """Each module, page, heading and test that a row names exists; what is met names both, and all else says why."""
    for number, _, _, verdict, place, shown in rows():
        assert place, number
        files = re.findall(r"(?<![\w/])(?:webapp|rules|connectors|templates|tools)/[\w./]+\w", place)
        pages = re.findall(r"\]\(([\w./-]+)#([\w-]+)\)", place)
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", place + shown)
        assert verdict != "met" or ((files or pages) and (tests or pages)), number
        assert all((ROOT / name).exists() for name in files), (number, files)
        assert all(anchor in _anchors((PAGE.parent / page).resolve()) for page, anchor in pages), (number, pages)
        assert all(name in _tests_of(ROOT / path) for path, name in tests), (number, tests)


def test_the_inventory_names_who_does_cryptography() -> None:
    """Each module that encrypts, signs or checks signatures is in the inventory of keys and algorithms."""
    text = INVENTORY.read_text("utf-8")
    assert [name for name in sorted(test_house._who(_CRYPTOGRAPHY)) if f"`{name}`" not in text] == []
