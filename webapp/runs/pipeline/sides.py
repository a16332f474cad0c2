"""Which side is read and which is written: a rule that flows from right to left is read the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.documents.sync import Detect, Direction, On, Side, Strength, SyncRule
from rules.reconcile.one_way import TargetField
from rules.reconcile.situations import Situation

OTHER = {"left": "right", "right": "left"}
"""Each side's other side, the one that is read first before the other."""


@dataclass(frozen=True)
class Sides:
    """Source and target of a one-way rule, and the key field on each."""

    source: Side
    target: Side
    source_key: str
    target_key: str
    detect: Detect
    reverse: bool

    @classmethod
    def of(cls, rule: SyncRule) -> Sides:
        """Return the sides of a rule."""
        if rule.direction is Direction.RIGHT_TO_LEFT:
            return cls(rule.right, rule.left, rule.key.right, rule.key.left, rule.detect.right, reverse=True)
        return cls(rule.left, rule.right, rule.key.left, rule.key.right, rule.detect.left, reverse=False)

    @property
    def source_name(self) -> str:
        """Return the side that is read: left or right."""
        return "right" if self.reverse else "left"

    @property
    def mirrored(self) -> dict[str, str]:
        """Return the situations that have another name seen from the other side; empty when the left one is read."""
        pairs = (
            (Situation.UNMATCHED_LEFT, Situation.UNMATCHED_RIGHT),
            (Situation.DELETED_LEFT, Situation.DELETED_RIGHT),
        )
        return {a.value: b.value for pair in pairs for a, b in (pair, pair[::-1])} if self.reverse else {}

    def seen_from_source(self, actions: Mapping[str, str]) -> dict[str, str]:
        """Return the rule's actions by situation as if its source were the left side."""
        return {self.mirrored.get(name, name): action for name, action in actions.items()}

    def target_fields(self, rule: SyncRule, names: tuple[str, ...]) -> tuple[TargetField, ...]:
        """Return how each of the mapped target fields `names` is written."""
        maps = {(m.left if self.reverse else m.right): m for m in rule.fields}
        return tuple(
            TargetField(
                name, On.CREATE in maps[name].on, On.UPDATE in maps[name].on, maps[name].strength is Strength.WEAK
            )
            for name in names
            if name in maps
        )

    def matches(self, rule: SyncRule) -> tuple[tuple[str, str], ...]:
        """Return (source field, target field) of each correlation tier, best first; tiers compare one field exactly."""
        pairs = [tier.match[0] for tier in sorted(rule.correlate, key=lambda t: -t.confidence) if len(tier.match) == 1]
        return tuple((m.right, m.left) if self.reverse else (m.left, m.right) for m in pairs)
