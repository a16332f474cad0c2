"""Schedules for people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.rulebook import timetable
from webapp.rulebook.timetable import Plan, cron_of, plan_of


@pytest.mark.parametrize(
    ("cron", "kind", "words"),
    [
        ("*/5 * * * *", "minutes", "every 5 minutes"),
        ("* * * * *", "minutes", "every minute"),
        ("7 * * * *", "hourly", "every hour at minute 07"),
        ("30 2 * * *", "daily", "daily at 02:30 (Asia/Shanghai)"),
        ("0 8 * * 1,5", "weekly", "every Monday, Friday at 08:00 (Asia/Shanghai)"),
        ("0 0 1 * *", "cron", "by the cron schedule 0 0 1 * * (Asia/Shanghai)"),
        ("5,35 * * * *", "cron", "every hour at minute 05, 35 (Asia/Shanghai)"),
        ("*/7 * * * *", "cron", "by the cron schedule */7 * * * * (Asia/Shanghai)"),
        ("99 * * * *", "cron", "by the cron schedule 99 * * * * (Asia/Shanghai)"),
    ],
)
def test_cron_in_words(cron: str, kind: str, words: str) -> None:
    """The simplest way to say a schedule is found, and what has none is shown as cron."""
    assert plan_of(cron).kind == kind
    assert timetable.words({"cron": cron, "timezone": "Asia/Shanghai"}) == words


def test_no_schedule() -> None:
    """A rule without a schedule runs by hand."""
    assert plan_of(None).kind == "manual"
    assert cron_of(Plan()) is None
    assert timetable.words(None) == "only when started by hand"


PLANS = st.one_of(
    st.builds(Plan, kind=st.just("minutes"), every=st.sampled_from(timetable.STEPS)),
    st.builds(Plan, kind=st.just("hourly"), minute=st.integers(0, 59)),
    st.builds(Plan, kind=st.just("daily"), time=st.times().map(lambda t: f"{t:%H:%M}")),
    st.builds(
        Plan,
        kind=st.just("weekly"),
        time=st.times().map(lambda t: f"{t:%H:%M}"),
        days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    ),
)


@given(PLANS)
def test_plans_survive_cron(plan: Plan) -> None:
    """What the picker says is the same after it was written as cron and read again."""
    cron = cron_of(plan)
    again = plan_of(cron)
    assert again.kind == plan.kind
    assert cron_of(again) == cron


def test_form_with_nonsense_falls_back() -> None:
    """Parts of the form that cannot be read become the picker's own defaults, never an error."""
    plan = timetable.plan_from_form(
        {"schedule_kind": "daily", "schedule_time": "25:99", "schedule_minute": "x", "schedule_every": "-1"}, ["9", ""]
    )
    assert (plan.time, plan.minute, plan.every, plan.days) == ("02:00", 0, 5, (1,))


def test_upcoming_respects_the_zone() -> None:
    """The next times are instants; a schedule at 08:00 in Shanghai fires at midnight UTC."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert timetable.upcoming("0 8 * * *", "Asia/Shanghai", now, 1) == [datetime(2026, 3, 2, tzinfo=UTC)]
    assert timetable.upcoming("nonsense", "UTC", now) == []
    assert timetable.upcoming("0 0 30 2 *", "UTC", now) == []
    assert timetable.upcoming("0 8 * * *", "Mars/Olympus", now) == []
