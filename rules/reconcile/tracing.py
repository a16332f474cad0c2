"""Why each field of a linked pair came out as it did: what both sides gave, what was agreed on, and who decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rules.documents.sync import ConflictPolicy, FieldMap, Strength
from rules.reconcile.merge import Merged, MergeField, Pairs
from rules.reconcile.resolve import Gives, Resolver, merge_resolved
from rules.reconcile.situations import Situation
from rules.text import N_, Message, msg
from rules.trace.steps import plain

SIDES = ("left", "right")
_OTHER = {"left": "right", "right": "left"}
_MARKS = {"left": "r:", "right": "l:"}
"""Under which mark a baseline holds what was agreed on in the type of a side: what the other side gave."""


class How(StrEnum):
    """How a field pair was decided."""

    UNCHANGED = "unchanged"
    SAME = "same"
    FLOWS = "flows"
    FIRST = "first"
    SETTLED = "settled"
    ANSWERED = "answered"
    OPEN = "open"
    WAITS = "waits"
    KEPT = "kept"
    STRONG = "strong"
    WEAK = "weak"
    CREATE_ONLY = "create_only"


_POLICIES: Mapping[ConflictPolicy, str] = {
    ConflictPolicy.LEFT: N_("{left} wins"),
    ConflictPolicy.RIGHT: N_("{right} wins"),
    ConflictPolicy.NEWER: N_("the newer record wins"),
    ConflictPolicy.MAX: N_("the larger value wins"),
    ConflictPolicy.MIN: N_("the smaller value wins"),
    ConflictPolicy.UNION: N_("both get what either of them has"),
    ConflictPolicy.FIRST_NON_EMPTY: N_("{left} wins unless it is empty"),
    ConflictPolicy.EXPRESSION: N_("an expression says what both get"),
    ConflictPolicy.MANUAL: N_("a person decides"),
}
_WORDS: Mapping[How, str] = {
    How.UNCHANGED: N_("Neither side has changed it since they last agreed."),
    How.SAME: N_("Both sides say the same."),
    How.FLOWS: N_("Only {by} has changed it since they last agreed, so {to} gets its value."),
    How.FIRST: N_("The records meet for the first time, and only {by} has a value, so {to} gets it."),
    How.SETTLED: N_("Both sides have changed it. The rule says: {policy}. {then}"),
    How.ANSWERED: N_("Both sides had changed it, and a person has decided. {then}"),
    How.OPEN: N_("Both sides have changed it, and a person has to decide. Until then both stay as they are."),
    How.WAITS: N_("It has changed, but the condition of the field holds it back."),
    How.KEPT: N_("Only {by} has changed it, and it flows the other way only, so both stay as they are."),
    How.STRONG: N_("The rule always enforces it: {to} gets the value of {by}."),
    How.WEAK: N_("The rule fills it only where it is empty."),
    How.CREATE_ONLY: N_("The rule sets it only when a record is created."),
}
_THEN: Mapping[tuple[str, ...], str] = {
    ("right",): N_("{right} gets the value of {left}."),
    ("left",): N_("{left} gets the value of {right}."),
    SIDES: N_("Both get a new value."),
    (): N_("Nothing is written."),
}


@dataclass(frozen=True)
class PairTrace:
    """One field pair; what is told by side has the keys `left` and `right`, as far as there is something to tell."""

    name: str
    fields: Mapping[str, str]
    holds: Mapping[str, Any]
    gives: Mapping[str, Any]
    base: Mapping[str, Any]
    changed: tuple[str, ...]
    writes: Mapping[str, Any]
    how: How
    policy: ConflictPolicy
    wins: str | None = field(default=None)

    def words(self, names: Mapping[str, str]) -> Message:
        """Return in a sentence how it was decided; `names` are what people call the two sides."""
        by = self.changed[0] if self.changed else _OTHER[next(iter(self.writes), "right")]
        values = {**names, "by": names[by], "to": names[_OTHER[by]]}
        then = msg(_THEN[tuple(side for side in SIDES if side in self.writes)], **names)
        return msg(_WORDS[self.how], **values, policy=msg(_POLICIES[self.policy], **names), then=then)

    def to_json(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the field pair as plain data."""
        parts = {"holds": self.holds, "gives": self.gives, "agreed": self.base, "writes": self.writes}
        return {
            "field": self.name,
            "fields": dict(self.fields),
            **{name: plain(dict(part)) for name, part in parts.items()},
            "changed": list(self.changed),
            "how": self.how.value,
            "policy": self.policy.value,
            "words": str(self.words(names)),
        }


def trace_pair(
    pair: Pairs, fields: Sequence[MergeField], maps: Sequence[FieldMap], resolvers: Sequence[Resolver], gives: Gives
) -> tuple[PairTrace, ...]:
    """Return how each field of a pair of records (frames of one row) was decided; `maps` are the rule's field pairs."""
    return tuple(_traced(pair, item, maps[int(item.name)], resolvers, gives) for item in fields)


def _traced(pair: Pairs, item: MergeField, said: FieldMap, resolvers: Sequence[Resolver], gives: Gives) -> PairTrace:
    mine = tuple(resolver for resolver in resolvers if resolver.name == item.name)
    merged = merge_resolved(pair, (item,), mine, gives)
    names = {"left": item.left or said.left, "right": item.right or said.right}
    known = {side: name for side, name in names.items() if name is not None}
    records = {"left": pair.left, "right": pair.right}
    given = {"left": pair.to_right, "right": pair.to_left}
    writes = dict(_writes(item, merged))
    return PairTrace(
        item.name,
        known,
        {side: records[side][name][0] for side, name in known.items() if name in records[side].columns},
        {side: frame[item.name][0] for side, frame in given.items() if item.name in frame.columns},
        dict(_agreed(pair, item)),
        tuple(side for side in SIDES if getattr(merged, f"changed_{side}")[0]),
        writes,
        _how(pair, item, merged, writes),
        item.policy,
        pair.wins,
    )


def _writes(item: MergeField, merged: Merged) -> Iterator[tuple[str, Any]]:
    for side in SIDES:
        written = getattr(merged, side).get(getattr(item, side))
        if written is not None and written[0][0]:
            yield side, written[1][0]


def _agreed(pair: Pairs, item: MergeField) -> Iterator[tuple[str, Any]]:
    for side, mark in _MARKS.items():
        if pair.known[0] and f"{mark}{item.name}" in pair.base.columns:
            yield side, pair.base[f"{mark}{item.name}"][0]


def _how(pair: Pairs, item: MergeField, merged: Merged, writes: Mapping[str, Any]) -> How:
    if not item.on_update:
        return How.CREATE_ONLY
    if merged.situation[0] == Situation.LINKED_CONFLICT:
        return _settled(pair, item, merged)
    if item.strength is not Strength.NORMAL:
        return _forced(item, writes)
    if writes:
        return How.FLOWS if pair.known[0] else How.FIRST
    if not (merged.changed_left[0] or merged.changed_right[0]):
        return How.UNCHANGED if pair.known[0] else How.SAME
    return _resting(item, merged)


def _settled(pair: Pairs, item: MergeField, merged: Merged) -> How:
    if merged.conflicts[item.name][0]:
        return How.OPEN
    answered = item.name in pair.chosen and pair.chosen[item.name]["take"][0] is not None
    return How.ANSWERED if answered else How.SETTLED


def _forced(item: MergeField, writes: Mapping[str, Any]) -> How:
    if item.strength is Strength.WEAK:
        return How.WEAK
    return How.STRONG if writes else How.SAME


def _resting(item: MergeField, merged: Merged) -> How:
    """Tell why a change is not written although nobody contradicts it."""
    if not merged.held[item.name][0]:
        return How.SAME
    given = merged.changed_left if item.right is not None else merged.changed_right
    return How.WAITS if given[0] or not item.guarded else How.KEPT
