"""The law of deliveries: which state follows which, and how long to wait. Pure.

A delivery is *waiting* (the intent, committed with the run's chunk), then *sending*, and ends *delivered* (the target
has answered), *failed* (it is parked in the quarantine) or *dropped* (by a person). Of one key only the oldest open one
is sent. A target of which nothing gets through is away: nobody is to blame for that, so nothing is parked.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=5)


class State(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DROPPED = "dropped"


class Op(StrEnum):
    """What a run wants of a record of the target."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    LINK = "link"
    UNLINK = "unlink"


OPEN = (State.WAITING.value, State.SENDING.value)


def backoff(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row."""
    doublings: int = min(max(failures - 1, 0), 20)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def after_failure(failures: int, times: int, *, refused: bool, others_passed: bool) -> State:
    """Return the state of a delivery that has failed for the `failures`-th time while others got through.

    Args:
        failures: How often it has failed so, this time included.
        times: How often the rule lets a call be repeated.
        refused: Whether the target has refused this very record.
        others_passed: Whether anything of the same batch got through; if not, the target is away.
    """
    if refused:
        return State.FAILED
    return State.FAILED if others_passed and failures > times else State.WAITING
