"""How a rule behaves when something is wrong, and when it runs by itself: limits, errors, changed fields, schedules."""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rules.documents.shape import entry

SHARE = r"^[0-9]+(\.[0-9]+)?%$"
DURATION = r"^[0-9]{1,9}(ms|s|m|h|d)$"
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Return the time that a duration like `5m`, `2s` or `1d` stands for."""
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return timedelta(**{_UNITS[unit]: int(number)})


class Metric(StrEnum):
    """What a guard counts."""

    DELETES = "deletes"
    CREATES = "creates"
    UPDATES = "updates"
    BLANKED = "blanked"
    CONFLICTS = "conflicts"
    REJECTS = "rejects"


class GuardAction(StrEnum):
    """What a guard does when its limit is passed."""

    SUSPEND = "suspend"
    WARN = "warn"


class Drift(StrEnum):
    """What to do when an object's fields have changed."""

    IGNORE = "ignore"
    PROPOSE = "propose"
    QUARANTINE = "quarantine"
    SUSPEND = "suspend"


class Backoff(StrEnum):
    """How the wait grows between attempts."""

    EXPONENTIAL = "exponential"
    FIXED = "fixed"


class ErrorAction(StrEnum):
    """What to do after an error that trying again does not heal."""

    QUARANTINE = "quarantine"
    SUSPEND = "suspend"


class Misfire(StrEnum):
    """What becomes of runs that were due while nothing was running."""

    ONCE = "once"
    SKIP = "skip"


class Priority(StrEnum):
    """How soon work gets its turn while other work waits as well."""

    URGENT = "urgent"
    NORMAL = "normal"
    BACKGROUND = "background"


class Execute(StrEnum):
    """Where a rule's mapping is worked out."""

    WORKER = "worker"
    PUSHDOWN = "pushdown"


@dataclass(frozen=True)
class Guard:
    """A limit that stops a run which is about to do too much."""

    metric: Metric = entry("What is counted.")
    over: str | int = entry("The limit: a number, or a share of the records like `5%`.", pattern=SHARE, minimum=0)
    min: int = entry("Counts below this never trip the guard.", 0, minimum=0)
    do: GuardAction = entry("suspend: stop the run and wait for a person; warn: note it.", GuardAction.SUSPEND)


@dataclass(frozen=True)
class Deactivation:
    """What says that a record is no longer active."""

    field: str = entry("The field that is set.", minLength=1)
    value: str | int | float | bool = entry("Its value; of the field's type, dates and times as text.")


@dataclass(frozen=True)
class Deactivations:
    """What `deactivate` writes, per side."""

    left: Deactivation | None = entry("Into records of the left side.", None)
    right: Deactivation | None = entry("Into records of the right side.", None)


@dataclass(frozen=True)
class DriftPolicy:
    """What to do when the fields of an object have changed."""

    new_field: Drift = entry("A field was added.", Drift.PROPOSE, enum=["propose", "ignore", "suspend"])
    type_change: Drift = entry("A field has another type.", Drift.QUARANTINE, enum=["quarantine", "suspend"])
    removed: Drift = entry("A field is gone.", Drift.SUSPEND, enum=["suspend"])


@dataclass(frozen=True)
class Transient:
    """What to do when a system does not answer."""

    retry: int = entry("How often to try again.", 5, minimum=0, maximum=100)
    backoff: Backoff = entry("exponential: wait twice as long each time; fixed: always the same.", Backoff.EXPONENTIAL)


@dataclass(frozen=True)
class ErrorPolicy:
    """What to do about errors."""

    transient: Transient = entry("No answer, a time-out, too many requests.", Transient())
    data: ErrorAction = entry("A record that is refused: quarantine it, or suspend the run.", ErrorAction.QUARANTINE)
    auth: ErrorAction = entry("Credentials that are refused.", ErrorAction.SUSPEND, enum=["suspend"])
    stop_after: int = entry("Stop the run after so many refused records.", 1000, minimum=1)
    expire: str | None = entry(
        "Discard parked records that nobody has settled so long after their last attempt, such as `30d`; never if left"
        " out.",
        None,
        pattern=r"^[1-9][0-9]{0,5}(m|h|d)$",
    )


@dataclass(frozen=True)
class Split:
    """From when on a run is split into slices, on which many workers can work at a time."""

    over: int = entry("Split a run over a source with at least so many records.", 500_000, minimum=2)
    every: int = entry("So many records make a slice.", 250_000, minimum=1)


@dataclass(frozen=True)
class Schedule:
    """When the rule runs by itself."""

    cron: str = entry("Five cron fields: minute, hour, day, month, weekday.", minLength=9)
    timezone: str = entry("The time zone of the schedule.", "UTC", minLength=1)
    misfire: Misfire = entry("Runs missed while the system was down: once: one run; skip: none.", Misfire.ONCE)


@dataclass(frozen=True)
class ServiceLevel:
    """What people may expect of the rule; where it does not keep that, it is shown as late or failing."""

    fresh_within: str | None = entry("How long ago the last run that went well may have begun.", None, pattern=DURATION)
    done_within: str | None = entry("How long a run may take.", None, pattern=DURATION)
    at_most_failed: str | int | None = entry(
        "How many records may be in quarantine: a number, or a share of the records like `1%`.",
        None,
        pattern=SHARE,
        minimum=0,
    )
    at_most_waiting: int | None = entry("How many pairs of records may wait for a person.", None, minimum=0)
    decided_within: str | None = entry("How long a pair of records may wait for a person.", None, pattern=DURATION)

    @property
    def fresh_time(self) -> timedelta | None:
        """Return the age that the last run may have."""
        return None if self.fresh_within is None else duration(self.fresh_within)

    @property
    def run_time(self) -> timedelta | None:
        """Return the time that a run may take."""
        return None if self.done_within is None else duration(self.done_within)

    @property
    def deciding_time(self) -> timedelta | None:
        """Return the time that a pair of records may wait."""
        return None if self.decided_within is None else duration(self.decided_within)
