"""What a run of the suite chooses by its options, and in which order: by the tests' names, so that a new test changes
nothing for the others.
"""

from __future__ import annotations

import zlib
from itertools import groupby

import pytest
from hypothesis import settings

MANY, PAIR = 5, 2
"""So many cases of one test are many; of a dear test never fewer than a pair are left."""
PART, LEAST = 5, 3
"""One example in so many of a law is tried where some are enough, and at least so many."""
LOCKS = ("crash", "dispatchers", "claims", "clocks", "migrations", "postgresql", "servers", "races")
SURFACES = ("pages", "views", "console", "designer", "form", "home", "test_api", "command", "cli/")
STORED = {"metadata_url", "empty_metadata_url"}
"""The fixtures of a metadata database."""


def some_cases(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with one in four cases of those of runs, two at least, and without every other one of those of
    connectors outside the conformance suite that have many: they try a death or a direction at every point there is.
    """
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {item.nodeid for name, cases in tests.items() for item in _part(cases, _how_many(name, len(cases)))}
    return [item for item in items if item.nodeid in kept]


def _part(cases: list[pytest.Item], how_many: int) -> list[pytest.Item]:
    return sorted(cases, key=lambda item: _drawing(item.nodeid))[:how_many]


def _drawing(name: str) -> int:
    return zlib.crc32(name.encode())


def _how_many(name: str, cases: int) -> int:
    if name.startswith("tests/runs/"):
        return max(PAIR, -(-cases // 4))
    few = cases < MANY or "::Test" in name or not name.startswith("tests/connectors/")
    return cases if few else -(-cases // 2)


def some_examples(items: list[pytest.Item]) -> None:
    """Let each law be tried with a part of its examples; deep searches are for the soak."""
    seen = set()
    for item in items:
        law = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
        asked = getattr(law, "_hypothesis_internal_use_settings", None)
        if asked is not None and law not in seen:
            seen.add(law)
            some = min(asked.max_examples, max(LEAST, asked.max_examples // PART))
            law._hypothesis_internal_use_settings = settings(asked, max_examples=some)  # type: ignore[union-attr]


def stored(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that use a metadata database."""
    return [item for item in items if STORED & set(getattr(item, "fixturenames", ()))]


def drawn(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return a part of tests that passed on SQLite: what the two databases do alike is shown there.

    One test in six, all of those about locks, deaths and revisions, one in 16 of a test's cases, one in 24 of the
    tests of pages, commands and the API, which ask the same services that their room's other tests ask.
    """
    return [item for item in items if _drawing(item.nodeid) % _one_test_in(item.nodeid) == 0]


def _one_test_in(name: str) -> int:
    module = name.partition("::")[0]
    if any(part in module for part in SURFACES):
        return 24
    if "[" in name:
        return 16
    return 1 if any(part in module for part in LOCKS) else 6


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with the modules that wait for browsers and processes spread among the first half of the others.

    Where several workers take module after module, some compute then while another waits, and none is left alone with
    a long module at the end.
    """
    modules = [list(found) for _, found in groupby(items, lambda item: item.nodeid.partition("::")[0])]
    waiting = [found for found in modules if _waits(found[0])]
    others = [found for found in modules if not _waits(found[0])]
    step = max(1, len(others) // (2 * len(waiting) or 1))
    ordered = []
    for number, found in enumerate(others):
        if number % step == 0 and waiting:
            ordered += waiting.pop(0)
        ordered += found
    return [*ordered, *(item for found in waiting for item in found)]


def _waits(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("browser") or item.get_closest_marker("kill"))
