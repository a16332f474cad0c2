"""Schedules fire once a slot, in their own zone, and catch up as their rule says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rules.documents import DocumentError, DocumentProblem
from rules.text import msg
from tests.runs.conftest import ADMIN
from webapp.rulebook import services as rulebook
from webapp.rulebook.reading import ScheduledRule
from webapp.runs import requests, schedules
from webapp.runs.models import run, schedule_slot
from webapp.runs.schedules import due, fire_due, next_slot

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_slot_is_in_the_schedules_own_zone():
    """Nine o'clock in Shanghai is one o'clock UTC."""
    assert next_slot("0 9 * * *", "Asia/Shanghai", at("2026-01-01T00:00")) == at("2026-01-01T01:00")


def test_a_time_that_occurs_twice_fires_once():
    """When clocks go back, half past two happens twice; the schedule fires at one of them."""
    rule = ScheduledRule(1, "r", 1, "30 2 * * *", BERLIN, "once")
    slots = due(rule, at("2026-10-24T12:00"), at("2026-10-26T12:00"))
    assert len([s for s in slots if s.date().isoformat() == "2026-10-25"]) == 1


def test_a_time_that_does_not_occur_is_not_lost():
    """When clocks go forward, half past two is skipped by the clock, not by the schedule."""
    rule = ScheduledRule(1, "r", 1, "30 2 * * *", BERLIN, "once")
    slots = due(rule, at("2026-03-28T12:00"), at("2026-03-30T12:00"))
    assert len(slots) == 2


@pytest.fixture
def scheduled(world):
    world.customers("Ada")
    world.rule(schedule={"cron": "*/5 * * * *"})
    return world


def slots(world):
    with world.house.db.read() as tx:
        return tx.execute(schedule_slot.select().order_by(schedule_slot.c.slot)).all()


def test_a_new_schedule_starts_now(scheduled):
    """The first look begins the schedule: earlier slots were never promised."""
    assert fire_due(scheduled.house) == []
    assert fire_due(scheduled.house) == []
    scheduled.shift += timedelta(minutes=5)
    assert len(fire_due(scheduled.house)) == 1


def test_a_slot_fires_once(scheduled):
    """However often and from however many dispatchers the database is looked at, a slot makes one run."""
    fire_due(scheduled.house)
    scheduled.shift += timedelta(minutes=5)
    first = fire_due(scheduled.house)
    assert len(first) == 1
    assert fire_due(scheduled.house) == []
    assert [s.run_id for s in slots(scheduled)][1:] == first


def test_missed_slots_make_one_run(scheduled):
    """After an outage the latest missed slot fires, once."""
    fire_due(scheduled.house)
    scheduled.shift += timedelta(hours=3)
    assert len(fire_due(scheduled.house)) == 1
    assert fire_due(scheduled.house) == []


def test_missed_slots_may_be_skipped(world):
    """With `misfire: skip` an outage leaves no run behind; the next slot fires."""
    world.rule(schedule={"cron": "0 * * * *", "misfire": "skip"})
    world.shift = at("2030-01-01T00:10") - datetime.now(UTC)
    fire_due(world.house)
    world.shift += timedelta(hours=3, minutes=20)
    assert fire_due(world.house) == []
    assert slots(world)[-1].run_id is None
    world.shift += timedelta(minutes=30, seconds=5)
    assert len(fire_due(world.house)) == 1


def test_a_slot_is_skipped_while_the_rule_still_runs(scheduled):
    """A run that takes longer than its schedule is not doubled; the slot is noted without a run."""
    fire_due(scheduled.house)
    scheduled.shift += timedelta(minutes=5)
    fire_due(scheduled.house)
    scheduled.shift += timedelta(minutes=5)
    assert fire_due(scheduled.house) == []
    with scheduled.house.db.read() as tx:
        assert len(tx.execute(run.select()).all()) == 1


def test_a_paused_rule_does_not_fire(scheduled):
    """Pausing a rule stops its schedule."""
    fire_due(scheduled.house)
    rulebook.pause(scheduled.house, "customers", ADMIN)
    scheduled.shift += timedelta(minutes=5)
    assert fire_due(scheduled.house) == []


@pytest.mark.parametrize("change", [{"timezone": "Mars/Base"}, {"cron": "not a cron"}])
def test_a_schedule_that_cannot_be_read_stops_no_other(scheduled, monkeypatch, change):
    """A rule whose time zone is not known on this machine does not keep other rules from firing."""
    fire_due(scheduled.house)
    with scheduled.house.db.read() as tx:
        good = schedules.scheduled(tx)[0]
    broken = replace(good, **change)
    monkeypatch.setattr(schedules, "scheduled", lambda _: [broken, good])
    scheduled.shift += timedelta(minutes=5)
    assert len(fire_due(scheduled.house)) == 1


def test_a_rule_that_cannot_be_executed_stops_no_other(scheduled, monkeypatch):
    """A published rule that this version cannot read any more notes its slot without a run."""

    def unreadable(_document):
        raise DocumentError([DocumentProblem("fields", msg("nothing is mapped"))])

    fire_due(scheduled.house)
    scheduled.shift += timedelta(minutes=5)
    monkeypatch.setattr(requests, "parse_sync", unreadable)
    assert fire_due(scheduled.house) == []
    assert slots(scheduled)[-1].run_id is None
