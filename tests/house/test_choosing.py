"""What `make test` chooses of the suite."""

from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import choosing


def item(name: str, mark: str = "", fixtures: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(nodeid=name, fixturenames=fixtures, get_closest_marker=lambda asked: asked == mark)


def test_no_test_loses_all_its_cases() -> None:
    """Of a test of runs a fourth of its cases is left and two at least, of others elsewhere all, however called."""
    for count, left in ((1, 1), (2, 2), (3, 2), (8, 2), (9, 3), (40, 10)):
        items = [item(f"tests/runs/test_x.py::test_{count}[{number}]") for number in range(count)]
        assert len(choosing.some_cases(items)) == left
    others = [item(f"tests/web/test_x.py::test_y[{number}]") for number in range(40)]
    assert choosing.some_cases(others) == others


@given(st.lists(st.tuples(st.sampled_from(["", "browser", "kill"]), st.integers(1, 3)), max_size=12))
def test_the_order_keeps_modules_together(modules: list[tuple[str, int]]) -> None:
    """Every test runs once and beside those of its module, and modules that wait are apart while others are left."""
    items = [item(f"{at}.py::{n}", mark) for at, (mark, count) in enumerate(modules) for n in range(count)]
    ordered = choosing.in_order(items)
    assert sorted(one.nodeid for one in ordered) == sorted(one.nodeid for one in items)
    found = [int(name) for name, _ in groupby(ordered, lambda one: one.nodeid.partition(".")[0])]
    assert sorted(found) == [*range(len(modules))]
    waits = "".join("w" if modules[at][0] else "." for at in found)
    assert "ww" not in waits.rstrip("w")


@settings(max_examples=30)
@given(st.none())
def a_law(_nothing: None) -> None:
    """Something that is tried often."""


def test_laws_are_tried_less_often() -> None:
    """A law keeps a fifth of its examples, whichever of its cases asks, and a few at least."""
    choosing.some_examples([SimpleNamespace(obj=a_law), SimpleNamespace(obj=a_law), SimpleNamespace()])  # type: ignore[list-item]
    assert a_law._hypothesis_internal_use_settings.max_examples == 6  # type: ignore[attr-defined]


def test_locks_are_tried_on_postgresql() -> None:
    """All tests about locks that use the metadata database run on PostgreSQL, and a part of the others."""
    locks = [item(f"tests/runs/test_claims.py::test_{number}", "", ("metadata_url",)) for number in range(30)]
    others = [item(f"tests/runs/test_y.py::test_{number}", "", ("metadata_url",)) for number in range(300)]
    assert choosing.drawn(choosing.stored([*locks, item("tests/runs/test_claims.py::test_without")])) == locks
    assert 30 < len(choosing.drawn(others)) < 80
