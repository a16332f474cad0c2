"""Two versions of a rule on the same records: which outputs differ, who newly fails, who comes into scope or leaves it.

Whether values are unique and whether they exist elsewhere is not asked again: only a run knows the other records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import polars as pl

from rules.text import Message
from rules.trace import plain


class Fate(StrEnum):
    """What becomes of a record in one version."""

    OUT = "out_of_scope"
    REFUSED = "refused"
    MADE = "made"


class Kind(StrEnum):
    """How the fates of a record in two versions compare."""

    SAME = "same"
    DIFFERENT = "different"
    FAILING = "newly_failing"
    FIXED = "newly_fixed"
    ENTERED = "entered_scope"
    LEFT = "left_scope"


_KINDS = {
    (Fate.OUT, Fate.MADE): Kind.ENTERED,
    (Fate.OUT, Fate.REFUSED): Kind.FAILING,
    (Fate.MADE, Fate.OUT): Kind.LEFT,
    (Fate.MADE, Fate.REFUSED): Kind.FAILING,
    (Fate.REFUSED, Fate.OUT): Kind.LEFT,
    (Fate.REFUSED, Fate.MADE): Kind.FIXED,
}


@dataclass(frozen=True)
class Came:
    """What a version makes of a batch: each record's fate, its values, and why it is refused (row -> reason).

    `applies` has a mask for each field that is left alone for some records.
    """

    fates: pl.Series
    records: pl.DataFrame
    reasons: Mapping[int, Message] = field(default_factory=dict)
    applies: Mapping[str, pl.Series] = field(default_factory=dict)

    def values(self, row: int) -> dict[str, Any]:
        """Return what would be written of a record."""
        if self.fates[row] != Fate.MADE:
            return {}
        return {n: self.records[n][row] for n in self.records.columns if n not in self.applies or self.applies[n][row]}


class Version(Protocol):
    """One version of a rule."""

    def come(self, batch: pl.DataFrame, at: datetime) -> Came:
        """Return what becomes of the records of a batch."""


@dataclass(frozen=True)
class Change:
    """A record for which the versions differ: the fields that do, and why it is refused in either."""

    number: int
    key: str | None
    kind: Kind
    before: dict[str, Any]
    after: dict[str, Any]
    reason_before: Message | None = None
    reason_after: Message | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain data."""
        reasons = {"reason_before": self.reason_before, "reason_after": self.reason_after}
        return {
            "record": self.number,
            "key": self.key,
            "kind": self.kind.value,
            "before": plain(self.before),
            "after": plain(self.after),
            **{name: None if reason is None else str(reason) for name, reason in reasons.items()},
        }


@dataclass(frozen=True)
class Compared:
    """A batch in two versions: how each record compares."""

    kinds: pl.Series
    old: Came
    new: Came

    def counts(self) -> dict[str, int]:
        """Return how many records there are of each kind."""
        found = dict(self.kinds.value_counts().iter_rows())
        return {kind.value: int(found.get(kind.value, 0)) for kind in Kind}

    def changes(self, first: int, keys: pl.Series) -> Iterator[Change]:
        """Yield the records that differ; `first` is the number of the first record, `keys` their names."""
        for row in (self.kinds != Kind.SAME).arg_true().to_list():
            before, after = self.old.values(row), self.new.values(row)
            names = [n for n in {**before, **after} if n not in before or n not in after or before[n] != after[n]]
            yield Change(
                first + row,
                keys[row],
                Kind(self.kinds[row]),
                {n: before[n] for n in names if n in before},
                {n: after[n] for n in names if n in after},
                self.old.reasons.get(row),
                self.new.reasons.get(row),
            )


def compare(old: Version, new: Version, batch: pl.DataFrame, at: datetime) -> Compared:
    """Return how two versions compare on a batch; `at` is the moment for which decision tables are asked."""
    was, now = old.come(batch, at), new.come(batch, at)
    differs = _differs(was, now)
    kinds = [
        _KINDS.get((Fate(a), Fate(b)), Kind.DIFFERENT if differs[row] else Kind.SAME).value
        for row, (a, b) in enumerate(zip(was.fates, now.fates, strict=True))
    ]
    return Compared(pl.Series("kind", kinds, dtype=pl.String), was, now)


def _differs(was: Came, now: Came) -> pl.Series:
    """Return where two versions that both make a record, or both refuse it, differ in what they make or say."""
    made = (was.fates == Fate.MADE) & (now.fates == Fate.MADE)
    differs = pl.repeat(value=False, n=len(made), dtype=pl.Boolean, eager=True)
    for name in dict.fromkeys((*was.records.columns, *now.records.columns)):
        differs |= made & _field_differs(name, was, now)
    reasons = [row for row in {*was.reasons, *now.reasons} if was.reasons.get(row) != now.reasons.get(row)]
    both = (was.fates == Fate.REFUSED) & (now.fates == Fate.REFUSED)
    return differs | (both & pl.repeat(value=False, n=len(made), eager=True).scatter(reasons, values=True))


def _field_differs(name: str, was: Came, now: Came) -> pl.Series:
    written = [_written(name, came) for came in (was, now)]
    changed = written[0] != written[1]
    if name not in was.records.columns or name not in now.records.columns:
        return changed
    old, new = was.records[name], now.records[name]
    if old.dtype != new.dtype:
        old, new = old.cast(pl.String), new.cast(pl.String)
    return changed | (written[0] & old.ne_missing(new))


def _written(name: str, came: Came) -> pl.Series:
    if name in came.applies:
        return came.applies[name]
    return pl.repeat(value=name in came.records.columns, n=len(came.fates), dtype=pl.Boolean, eager=True)
