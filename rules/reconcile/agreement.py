"""One-way rules that have to know what both sides agreed on last: for cases, for fields that flow the other way.

Most one-way rules only compare what the source says with what the target holds. A rule that asks for more is executed
like one that flows both ways, whose other direction does nothing but what the rule says of it.
"""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from rules.documents.defaults import actions
from rules.documents.parse import parse_sync
from rules.documents.shape import entry
from rules.documents.sync import (
    Action,
    DeleteDetect,
    DetectBy,
    Direction,
    FieldDirection,
    FieldMap,
    On,
    SideName,
    Situations,
    Strength,
    SyncRule,
)

_SOURCES: Mapping[Direction, SideName] = {
    Direction.LEFT_TO_RIGHT: SideName.LEFT,
    Direction.RIGHT_TO_LEFT: SideName.RIGHT,
}
_WAYS: Mapping[SideName, Direction] = {side: way for way, side in _SOURCES.items()}
_AGAINST: Mapping[Direction, FieldDirection] = {
    Direction.LEFT_TO_RIGHT: FieldDirection.RIGHT_TO_LEFT,
    Direction.RIGHT_TO_LEFT: FieldDirection.LEFT_TO_RIGHT,
}
_KEEPS = {Action.RECREATE, Action.IGNORE}


@dataclass(frozen=True, kw_only=True)
class AgreeingRule(SyncRule):
    """A rule that flows one way, in the form in which it is executed: both ways, each field with its direction."""

    source: SideName = entry("The side that the rule flows away from.", SideName.LEFT)

    @property
    def target(self) -> SideName:
        """Return the side that the rule flows to."""
        return _other(self.source)


def needs_agreement(rule: SyncRule) -> bool:
    """Tell whether a one-way rule asks for something that only the last agreement of both sides can answer."""
    source = _SOURCES.get(rule.direction)
    return source is not None and any(_wishes(rule, source))


def executed(rule: SyncRule) -> SyncRule:
    """Return the rule as it is executed: a one-way rule that needs what was agreed as one that flows both ways."""
    if not needs_agreement(rule):
        return rule
    values = {item.name: getattr(rule, item.name) for item in fields(rule)}
    source = _SOURCES[rule.direction]
    return AgreeingRule(
        **{
            **values,
            "direction": Direction.TWO_WAY,
            "fields": tuple(_directed(pair, rule.direction) for pair in rule.fields),
            "situations": _said(rule),
            "decisions": tuple(replace(one, side=one.side or source.value) for one in rule.decisions),
            "validations": tuple(replace(one, side=one.side or source.value) for one in rule.validations),
            "tests": (),
        },
        source=source,
    )


def executed_way(document: Mapping[str, Any]) -> Direction:
    """Return which way the rule of a document flows when it is executed; raises `DocumentError`."""
    return executed(parse_sync(document)).direction


def flows_away_from(rule: SyncRule) -> SideName | None:
    """Return the side that a rule which flows one way flows away from; None where it flows both ways."""
    return rule.source if isinstance(rule, AgreeingRule) else _SOURCES.get(rule.direction)


def looks_at_all(rule: SyncRule, side: str) -> bool:
    """Tell whether a rule that is executed both ways has to read a side by itself.

    The target of a rule that flows one way is looked at only through the records of its source, unless something is to
    be done about what is found, or has changed, in the target alone.
    """
    if not isinstance(rule, AgreeingRule) or side != rule.target.value:
        return True
    there = rule.left if rule.target is SideName.LEFT else rule.right
    return (
        any(pair.direction is _AGAINST[_WAYS[rule.source]] for pair in rule.fields)
        or any(pair.strength is Strength.STRONG and On.UPDATE in pair.on for pair in rule.fields)
        or actions(rule)[f"unmatched_{side}"] is not Action.IGNORE
        or there.where is not None
    )


def scans(rule: SyncRule, side: str) -> bool:
    """Tell whether a run reads the keys of a side to notice what is gone.

    Where all of the source of a rule that flows one way is read, what its target lacks is noticed in any case.
    """
    if rule.deletes.detect is DeleteDetect.FULL_SCAN:
        return True
    if not isinstance(rule, AgreeingRule) or side != rule.target.value:
        return False
    source = rule.detect.left if rule.source is SideName.LEFT else rule.detect.right
    return source.by is DetectBy.FULL


def _wishes(rule: SyncRule, source: SideName) -> Iterator[bool]:
    """Yield for each thing that a rule may ask for whether it asks for it and needs the last agreement for that."""
    said, target = rule.situations, _other(source)
    yield any(getattr(said, item.name) is Action.CASE for item in fields(said))
    yield any(pair.direction is _AGAINST[rule.direction] for pair in rule.fields)
    yield said.linked_conflict not in (None, Action.UPDATE)
    yield said.edit_vs_delete is not None
    yield getattr(said, f"deleted_{target}") not in (None, *_KEEPS)
    yield getattr(said, f"unmatched_{target}") not in (None, Action.IGNORE)
    yield getattr(said, f"unmatched_{source}") in (Action.DELETE, Action.DEACTIVATE)
    yield said.out_of_scope is Action.DEACTIVATE
    gone = actions(rule)[f"deleted_{source}"]
    yield rule.deletes.detect is not DeleteDetect.NONE and gone in (Action.CASE, Action.RECREATE)
    yield any(one.side not in (None, source.value) for one in rule.validations)
    strengths = {pair.strength for pair in rule.fields if On.UPDATE in pair.on}
    yield {Strength.STRONG, Strength.NORMAL} <= strengths


def _directed(pair: FieldMap, way: Direction) -> FieldMap:
    return replace(pair, direction=FieldDirection(way.value)) if pair.direction is FieldDirection.BOTH else pair


def _said(rule: SyncRule) -> Situations:
    """Return the actions of all situations, but for an edit against a deletion that the rule does not speak of."""
    return replace(Situations(**actions(rule)), edit_vs_delete=rule.situations.edit_vs_delete)


def _other(side: SideName) -> SideName:
    return SideName.RIGHT if side is SideName.LEFT else SideName.LEFT
