"""Which values flow where: a rule's field pairs, seen from the side that is read to the side that is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rules.documents.sync import Direction, FieldDirection, FieldMap, On, OnError, SideName, Strength, SyncRule


@dataclass(frozen=True)
class Entry:
    """One target field: where its value comes from, and when it is set; `path` is its place in the document."""

    path: str
    target: str
    source: str | None
    expression: str | None
    expression_path: str
    when: str | None
    on: tuple[On, ...]
    strength: Strength
    on_error: OnError = OnError.QUARANTINE
    default: str | int | float | bool | None = None
    when_key: str = "when"
    reference: str | None = None

    @property
    def when_path(self) -> str:
        """Return the place of the condition in the document."""
        return f"{self.path}/{self.when_key}"


@dataclass(frozen=True)
class Flow:
    """One direction of a rule."""

    source: SideName
    target: SideName
    entries: tuple[Entry, ...]


def flows(rule: SyncRule) -> tuple[Flow, ...]:
    """Return the direction of a one-way rule, or both of a two-way rule."""
    right = Flow(SideName.LEFT, SideName.RIGHT, tuple(_entries(rule, FieldDirection.LEFT_TO_RIGHT)))
    left = Flow(SideName.RIGHT, SideName.LEFT, tuple(_entries(rule, FieldDirection.RIGHT_TO_LEFT)))
    return {
        Direction.LEFT_TO_RIGHT: (right,),
        Direction.RIGHT_TO_LEFT: (left,),
        Direction.TWO_WAY: (right, left),
    }[rule.direction]


def seen_from(rule: SyncRule, side: SideName) -> SyncRule:
    """Return the rule as if it only flowed away from a side, with the decisions and validations about its records."""
    first = flows(rule)[0].source.value
    return replace(
        rule,
        direction=Direction.LEFT_TO_RIGHT if side is SideName.LEFT else Direction.RIGHT_TO_LEFT,
        decisions=tuple(one for one in rule.decisions if (one.side or first) == side.value),
        validations=tuple(one for one in rule.validations if (one.side or first) == side.value),
    )


def _entries(rule: SyncRule, way: FieldDirection) -> Iterator[Entry]:
    for number, field_map in enumerate(rule.fields):
        entry = _entry(f"fields/{number}", field_map, way)
        if entry is not None and field_map.direction in (FieldDirection.BOTH, way):
            yield entry


def _entry(path: str, pair: FieldMap, way: FieldDirection) -> Entry | None:
    """Return what a pair writes in one direction; None where it has no field or no value there."""
    if way is FieldDirection.LEFT_TO_RIGHT:
        target, source, expression, name = pair.right, pair.left, pair.to_right, "to_right"
    else:
        target, source, expression, name = pair.left, pair.right, pair.to_left, "to_left"
    if target is None or (source is None and expression is None):
        return None
    leftwards = way is FieldDirection.RIGHT_TO_LEFT and pair.when_left is not None
    return Entry(
        path,
        target,
        source,
        expression,
        f"{path}/{name}",
        when=pair.when_left if leftwards else pair.when,
        on=pair.on,
        strength=pair.strength,
        on_error=pair.on_error,
        default=pair.default,
        when_key="when_left" if leftwards else "when",
        reference=pair.reference,
    )


def connections(rule: SyncRule, flow: Flow) -> tuple[str, str]:
    """Return the connections that a direction reads and writes."""
    names = {SideName.LEFT: rule.left.connection, SideName.RIGHT: rule.right.connection}
    return names[flow.source], names[flow.target]


def object_name(rule: SyncRule, side: SideName) -> str:
    """Return how messages call the object of a side."""
    part = rule.left if side is SideName.LEFT else rule.right
    return f"{part.connection} {part.object}"
