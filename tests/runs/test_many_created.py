"""A run that creates many records lists the first of them; all others are found by key, counted and downloaded."""

from __future__ import annotations

import json

import pytest

from tests.runs.conftest import ADMIN, numbers
from webapp.runs import downloads, plans, reading
from webapp.runs.pipeline import journal
from webapp.runs.plans import Wanted


@pytest.fixture
def few(world, monkeypatch):
    """Seven customers of which rows are kept for three."""
    monkeypatch.setattr(journal, "LISTED", 3)
    monkeypatch.setattr(reading, "LISTED", 3)
    world.customers(*"ABCDEFG")
    world.rule()
    return world.pages_of(2)


def test_the_first_are_listed_and_any_is_found_by_its_key(few):
    """What was written to a record that has no row is told from its chunk."""
    run = few.run()
    assert numbers(run) == {"read": 7, "created": 7}
    assert [record.key for record in few.records(run.id)] == ["1", "2", "3"]
    with few.house.db.read() as tx:
        (found,) = reading.records(tx, run.id, key="6")
        assert reading.with_differences(found).after == {"no": 6, "title": "F", "tel": "+86 6"}
        assert [row.run_id for row in reading.history(tx, "customers", "6")] == [run.id]
        assert [row.run_id for row in reading.history(tx, "customers", "2")] == [run.id]
        assert reading.records(tx, run.id, key="8") == []


def test_a_later_change_of_the_same_record_stands_in_its_history(few):
    """History joins rows and chunks, the latest first."""
    first = few.run().id
    few.crm("UPDATE customer SET phone = 'new' WHERE id = ?", (6,))
    second = few.run().id
    with few.house.db.read() as tx:
        found = reading.history(tx, "customers", "6")
    assert [(row.run_id, row.outcome) for row in found] == [(second, "updated"), (first, "created")]


def test_a_plan_counts_all_and_downloads_hold_all(few):
    """Groups of a plan count what is not listed too, and the download has a line for every record with its values."""
    run = few.run("simulate")
    with few.house.db.read() as tx:
        assert [(g.situation, g.outcome, g.records) for g in plans.groups(tx, run.id)] == [
            ("unmatched_left", "created", 7)
        ]
        assert plans.count(tx, run.id, Wanted()) == 3
    lines = list(downloads.outcome_lines(few.house, run, ADMIN, str))
    assert len(lines) == 1 + 7
    assert json.dumps({"no": 7, "title": "G", "tel": "+86 7"}, separators=(",", ":")).replace('"', '""') in lines[-1]
