"""Which side is read and which is written: a rule that flows from right to left is read the other way round."""

from __future__ import annotations

from dataclasses import dataclass

from rules.documents.sync import Detect, Direction, On, Side, Strength, SyncRule
from rules.reconcile.one_way import TargetField


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
