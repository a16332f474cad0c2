"""A schedule for people: every few minutes, hourly, daily, weekly, or cron for what those cannot say.

`plan_of` and `cron_of` turn one into the other without loss; `words` says it in the reader's language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from webapp.rulebook.translation import translate as _
from webapp.web.storable import natural

MANUAL, MINUTES, HOURLY, DAILY, WEEKLY, CRON = "manual", "minutes", "hourly", "daily", "weekly", "cron"
STEPS = (1, 2, 3, 5, 10, 15, 20, 30)

_MINUTES = re.compile(r"\*(?:/(\d{1,2}))? \* \* \* \*")
_HOURLY = re.compile(r"(\d{1,2}) \* \* \* \*")
_DAILY = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* \*")
_WEEKLY = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* ([0-6](?:,[0-6])*)")


@dataclass(frozen=True)
class Plan:
    """What the friendly picker shows; only the parts of its kind count. Days: 0 is Sunday, as in cron."""

    kind: str = MANUAL
    every: int = 5
    minute: int = 0
    time: str = "02:00"
    days: tuple[int, ...] = (1,)
    cron: str = "*/5 * * * *"


def plan_of(cron: str | None) -> Plan:
    """Return the simplest plan that says the same as the cron text; None is by hand only."""
    if not cron:
        return Plan()
    text = " ".join(cron.split())
    if (m := _MINUTES.fullmatch(text)) and int(m[1] or 1) in STEPS:
        return Plan(MINUTES, every=int(m[1] or 1), cron=text)
    if (m := _HOURLY.fullmatch(text)) and int(m[1]) < 60:
        return Plan(HOURLY, minute=int(m[1]), cron=text)
    if (m := _DAILY.fullmatch(text)) and _is_time(m):
        return Plan(DAILY, time=_time(m), cron=text)
    if (m := _WEEKLY.fullmatch(text)) and _is_time(m):
        return Plan(WEEKLY, time=_time(m), days=tuple(sorted({int(d) for d in m[3].split(",")})), cron=text)
    return Plan(CRON, cron=text)


def cron_of(plan: Plan) -> str | None:
    """Return the cron text of a plan; None where the rule runs by hand only."""
    hour, minute = (int(part) for part in plan.time.split(":")[:2])
    days = ",".join(str(day) for day in plan.days)
    return {
        MANUAL: None,
        MINUTES: "* * * * *" if plan.every == 1 else f"*/{plan.every} * * * *",
        HOURLY: f"{plan.minute} * * * *",
        DAILY: f"{minute} {hour} * * *",
        WEEKLY: f"{minute} {hour} * * {days}",
        CRON: plan.cron,
    }[plan.kind]


_SEVERAL = re.compile(r"([0-5]?\d(?:,[0-5]?\d)+) \* \* \* \*")
"""Several minutes of each hour, which no part of the picker sets and people say in words all the same."""


def plan_from_form(form: Mapping[str, Any], days: list[str]) -> Plan:
    """Return the plan of a submitted picker; parts that cannot be read fall back to the picker's own defaults."""
    time = str(form.get("schedule_time") or "02:00")
    return Plan(
        kind=str(form.get("schedule_kind") or MANUAL),
        every=_number(form.get("schedule_every"), 5),
        minute=_number(form.get("schedule_minute"), 0) % 60,
        time=time if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", time) else "02:00",
        days=tuple(sorted({int(d) for d in days if d in set("0123456")})) or (1,),
        cron=" ".join(str(form.get("schedule_cron") or "").split()),
    )


def words(schedule: object) -> str:
    """Return a schedule as a person says it: "every 5 minutes", "daily at 02:00"."""
    if not isinstance(schedule, Mapping) or not schedule:
        return _("only when started by hand")
    plan = plan_of(str(schedule.get("cron", "")))
    text = _clause(plan)
    return text if plan.kind in {MINUTES, HOURLY} else f"{text} ({schedule.get('timezone', 'UTC')})"


def upcoming(cron: str, timezone: str, now: datetime, count: int = 3) -> list[datetime]:
    """Return the next times (UTC) that the schedule fires; nothing for cron text that cannot be read."""
    try:
        ticks = CronSim(cron, now.astimezone(ZoneInfo(timezone)))
        return [next(ticks).astimezone(UTC) for _tick in range(count)]
    except (CronSimError, ValueError, KeyError, StopIteration):
        return []


def zones() -> list[str]:
    """Return the names of the time zones, UTC first."""
    regions = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return ["UTC", *sorted(zone for zone in available_timezones() if zone.startswith(regions))]


def day_names() -> list[tuple[int, str]]:
    """Return the days of the week from Monday on, with cron's numbers."""
    names = [_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday")]
    return [((number + 1) % 7, name) for number, name in enumerate(names)]


def _clause(plan: Plan) -> str:
    if plan.kind == MINUTES:
        return _("every minute") if plan.every == 1 else _("every %(count)d minutes", count=plan.every)
    if plan.kind == HOURLY:
        return _("every hour at minute %(minute)s", minute=f"{plan.minute:02d}")
    if plan.kind == DAILY:
        return _("daily at %(time)s", time=plan.time)
    if plan.kind == WEEKLY:
        days = ", ".join(name for number, name in day_names() if number in plan.days)
        return _("every %(days)s at %(time)s", days=days, time=plan.time)
    if minutes := _SEVERAL.fullmatch(plan.cron):
        return _("every hour at minute %(minute)s", minute=", ".join(f"{int(m):02d}" for m in minutes[1].split(",")))
    return _("by the cron schedule %(cron)s", cron=plan.cron)


def _is_time(match: re.Match[str]) -> bool:
    return int(match[1]) < 60 and int(match[2]) < 24


def _time(match: re.Match[str]) -> str:
    return f"{int(match[2]):02d}:{int(match[1]):02d}"


def _number(text: Any, default: int) -> int:
    number = natural(str(text or ""))
    return default if number is None else number
