"""Fields of an object that have changed since a rule was made: what changed, and what the rule says to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rules.documents.flows import object_name
from rules.documents.policies import Drift
from rules.documents.problems import DocumentProblem
from rules.documents.sync import Direction, SideName, SyncRule
from rules.reconcile.used import placed_fields, used_fields
from rules.schema import FREE_SCALE, Field, FieldType, Schema
from rules.text import N_, Message, msg


class DriftKind(StrEnum):
    """How a field has changed; the names are the keys of a rule's `drift`."""

    NEW_FIELD = "new_field"
    TYPE_CHANGE = "type_change"
    REMOVED = "removed"


@dataclass(frozen=True)
class Drifted:
    """A field that has changed: its type before and now (None where it is not there), and what is to be done."""

    side: SideName
    field: str
    kind: DriftKind
    before: str | None
    after: str | None
    do: Drift
    what: Message
    message: Message


_WHAT: Mapping[DriftKind, str] = {
    DriftKind.NEW_FIELD: N_("{object} has a new field '{field}' ({after})."),
    DriftKind.TYPE_CHANGE: N_("'{field}' of {object} was {before} and is {after} now."),
    DriftKind.REMOVED: N_("'{field}' ({before}) is gone from {object}."),
}
_THEN: Mapping[Drift, str] = {
    Drift.IGNORE: N_("{what} The rule leaves it alone."),
    Drift.PROPOSE: N_("{what} Add it to the rule if its values are wanted on the other side."),
    Drift.QUARANTINE: N_(
        "{what} Records that cannot be mapped any more are parked. Look at the rule and publish it anew."
    ),
    Drift.SUSPEND: N_(
        "{what} The run has stopped. Undo the change and resume the run, or change the rule, publish it and start it "
        "anew."
    ),
}


def drifted(
    rule: SyncRule,
    before: Mapping[SideName, Schema],
    after: Mapping[SideName, Schema],
    asked: frozenset[str] = frozenset(),
) -> tuple[Drifted, ...]:
    """Return what has changed between the fields that a rule was made for and those found now, left side first.

    Every new field counts; a field that is gone or has another type counts only where the rule uses it. A field that
    merely holds more than before (longer texts, more digits, decimals where there were integers) has not changed.
    `asked` are the fields of the side read first that the rule's decision tables read by themselves.
    """
    used = used_fields(rule, before, asked)
    return tuple(
        finding
        for side in SideName
        if side in before and side in after
        for finding in _side(rule, side, before[side], after[side], used[side])
    )


def lacking(rule: SyncRule, schemas: Mapping[SideName, Schema]) -> tuple[DocumentProblem, ...]:
    """Return what a rule cannot do without and does not find: its keys, cursors, and what finds partners."""
    return tuple(
        DocumentProblem(path, msg("There is no field '{name}' in {object}.", name=name, object=object_name(rule, side)))
        for side, schema in schemas.items()
        for path, name in placed_fields(rule, side)
        if name is not None and name not in schema
        if rule.direction is Direction.TWO_WAY or not path.startswith(f"detect/{_UNREAD[rule.direction].value}/")
    )


_UNREAD = {Direction.LEFT_TO_RIGHT: SideName.RIGHT, Direction.RIGHT_TO_LEFT: SideName.LEFT}


def _side(rule: SyncRule, side: SideName, old: Schema, new: Schema, used: frozenset[str]) -> Iterator[Drifted]:
    for field in old.fields:
        if field.name not in used:
            continue
        if field.name not in new:
            yield _found(rule, side, DriftKind.REMOVED, field, None)
        elif not _holds(field, new[field.name]):
            yield _found(rule, side, DriftKind.TYPE_CHANGE, field, new[field.name])
    for field in new.fields:
        if field.name not in old:
            yield _found(rule, side, DriftKind.NEW_FIELD, None, field)


def _found(rule: SyncRule, side: SideName, kind: DriftKind, old: Field | None, new: Field | None) -> Drifted:
    before, after = (None if field is None else described(field) for field in (old, new))
    do = Drift(getattr(rule.drift, kind.value))
    name = (old or new).name  # type: ignore[union-attr]
    what = msg(_WHAT[kind], object=object_name(rule, side), field=name, before=before, after=after)
    return Drifted(side, name, kind, before, after, do, what, msg(_THEN[do], what=what))


def described(field: Field) -> str:
    """Return the type of a field with its limits, like `text(40)` or `decimal(12, 2)`."""
    if field.type is FieldType.DECIMAL and field.precision is not None:
        return f"{field.type.value}({field.precision}, {field.scale or 0})"
    limit = field.length if field.type is FieldType.TEXT else _fraction(field)
    return field.type.value if limit is None else f"{field.type.value}({limit})"


def _fraction(field: Field) -> int | None:
    return field.scale if field.type in _CLOCKS else None


_CLOCKS = frozenset({FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME})


def _holds(old: Field, new: Field) -> bool:
    """Tell whether a field holds all that it held before."""
    if old.type is FieldType.INTEGER and new.type is FieldType.DECIMAL:
        return True
    if old.type is not new.type:
        return False
    if old.type is FieldType.DECIMAL:
        return _at_least(_whole(new), _whole(old)) and _scale(new) >= _scale(old)
    if old.type in _CLOCKS:
        return (6 if new.scale is None else new.scale) >= (6 if old.scale is None else old.scale)
    return old.type is not FieldType.TEXT or _at_least(new.length, old.length)


def _at_least(new: int | None, old: int | None) -> bool:
    """Compare limits; None is no limit."""
    return new is None or (old is not None and new >= old)


def _whole(field: Field) -> int | None:
    return None if field.precision is None else field.precision - (field.scale or 0)


def _scale(field: Field) -> int:
    return FREE_SCALE if field.scale is None else field.scale
