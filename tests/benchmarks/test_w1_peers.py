"""The comparison with other programs: what counts as an exact copy. Nothing is said about time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.w1_bed import TARGET, Bed, bed
from benchmarks.w1_copies import differences
from benchmarks.w1_peers import Contest, Done
from benchmarks.w1_spent import Spent


@pytest.fixture(scope="module")
def place() -> Iterator[Bed]:
    """Return a source of 1,000 customers."""
    with bed(1000, durable=False) as found:
        yield found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("SELECT 1", ""),
        ("ALTER TABLE customers ALTER balance TYPE numeric, ALTER level TYPE bigint, ALTER gender TYPE text", ""),
        ("DELETE FROM customers WHERE id = 7", "999 rows, not 1,000"),
        ("UPDATE customers SET balance = balance + 0.01 WHERE id = 7", "other values: sum of balance, balance"),
        ("UPDATE customers SET created_at = created_at + interval '1 us' WHERE id = 7", "other values: created_at"),
        ("UPDATE customers SET city = (ARRAY['x', 'y'])[id] WHERE id < 3", "other values: city"),
        ("UPDATE customers SET attrs = 'null' WHERE attrs IS NULL", "other values: attrs"),
        (
            "ALTER TABLE customers ALTER updated_at TYPE timestamp USING updated_at AT TIME ZONE 'UTC'",
            "time zone lost: updated_at",
        ),
    ],
)
def test_a_wrong_copy_is_told_of(place: Bed, change: str, told: str) -> None:
    """Rows, amounts, any value and lost time zones count; another type that holds the same does not."""
    place.renew("SELECT 1")
    place.run("postgres", f"DROP DATABASE {TARGET} WITH (FORCE)", f"CREATE DATABASE {TARGET} TEMPLATE original")
    place.run(TARGET, change)
    assert differences(place, "customers") == told


def test_a_wrong_copy_meets_no_goal(place: Bed, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A program that Syncline beats by far is not called beaten where its copy is wrong."""
    ours, theirs = Done(Spent(1, 1)), Spent(100, 100)
    contest = Contest(place, tmp_path, {"syncline": "Syncline", "sling": "sling", "ingestr": "ingestr"})
    contest.done = {"syncline": [(ours,)], "sling": [(Done(theirs, "5 rows"),)], "ingestr": [(Done(theirs),)]}
    contest.tell()
    lines = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")}
    assert "2.5: NOT MET | 5 rows |" in lines["sling"]
    assert "1.8: met | exact |" in lines["ingestr"]
