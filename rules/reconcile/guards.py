"""Limits that stop a run which is about to do too much: what is counted, and which guards are passed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from rules.documents.policies import Guard, GuardAction, Metric
from rules.reconcile.policies import empty
from rules.text import N_, Message, msg

_COUNTED: Mapping[Metric, str] = {
    Metric.DELETES: N_("{count} records are about to be deleted; the guard allows {limit}."),
    Metric.CREATES: N_("{count} records are about to be created; the guard allows {limit}."),
    Metric.UPDATES: N_("{count} records are about to be changed; the guard allows {limit}."),
    Metric.BLANKED: N_("{count} values are about to be emptied; the guard allows {limit}."),
    Metric.CONFLICTS: N_("{count} records have conflicts; the guard allows {limit}."),
    Metric.REJECTS: N_("{count} records are parked or refused; the guard allows {limit}."),
}
_DONE: Mapping[GuardAction, str] = {
    GuardAction.SUSPEND: N_(
        "{what} The run has stopped before it wrote them. Simulate the rule to see its changes; then approve them, or "
        "change the guard."
    ),
    GuardAction.WARN: N_("{what} The run goes on, as the guard only warns."),
}


@dataclass(frozen=True)
class Tripped:
    """A guard that is passed: its place in the rule, what was counted, and a sentence that says so."""

    number: int
    guard: Guard
    count: int
    message: Message


def tripped(
    guards: Sequence[Guard], counts: Mapping[str, int], total: int | None, read: int = 0
) -> tuple[Tripped, ...]:
    """Return the guards that are passed, in the order of the rule.

    Args:
        guards: the guards of the rule.
        counts: by metric, how many there are so far, the chunk that is about to be written included.
        total: how many records a share refers to; None or 0 where that is not known: then the records read so far.
        read: how many records have been read so far.
    """
    return tuple(_tripped(guards, counts, max(1, total or read)))


def _tripped(guards: Sequence[Guard], counts: Mapping[str, int], total: int) -> Iterator[Tripped]:
    for number, guard in enumerate(guards):
        count = counts.get(guard.metric.value, 0)
        if count >= guard.min and count > _allowed(guard, total):
            what = msg(_COUNTED[guard.metric], count=count, limit=_limit(guard, total))
            yield Tripped(number, guard, count, msg(_DONE[guard.do], what=what))


def _allowed(guard: Guard, total: int) -> Fraction:
    if isinstance(guard.over, int):
        return Fraction(guard.over)
    return Fraction(guard.over.removesuffix("%")) * total / 100


def _limit(guard: Guard, total: int) -> Message | int:
    if isinstance(guard.over, int):
        return guard.over
    allowed = int(_allowed(guard, total))
    return msg("{allowed} ({share} of {total} records)", allowed=allowed, share=guard.over, total=total)


def blanked(before: pl.DataFrame, after: pl.DataFrame) -> int:
    """Count the values that a write empties: filled in `before`, null or an empty text in `after`.

    Both have a row a record; what only one of them has is no value that is lost by writing.
    """
    names = [name for name in after.columns if name in before.columns]
    return sum(int((~empty(before[name]) & empty(after[name])).sum()) for name in names)
