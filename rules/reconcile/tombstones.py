"""Records that say themselves that they are deleted: on which side they are told by which condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.documents.sync import DeleteDetect, DetectBy, SideName, SyncRule
from rules.reconcile.agreement import flows_away_from


@dataclass(frozen=True)
class Tombstone:
    """A condition that holds for deleted records of a side; `path` is its place in the document."""

    path: str
    text: str


def tombstones(rule: SyncRule) -> Mapping[SideName, Tombstone]:
    """Return by side which of its records are deleted; nothing for rules that notice deletions otherwise."""
    if rule.deletes.detect is not DeleteDetect.TOMBSTONE:
        return {}
    source, said = flows_away_from(rule), rule.deletes
    found = {source or SideName.LEFT: Tombstone("deletes/when", said.when or "")}
    if source is None:
        found[SideName.RIGHT] = Tombstone("deletes/when_right", said.when_right or "")
    return {side: mark for side, mark in found.items() if mark.text}


def told(rule: SyncRule, side: SideName) -> bool:
    """Tell whether what is read of a side says which of its records are gone: by events or by tombstones."""
    if by_events(rule, side):
        return flows_away_from(rule) in (None, side)
    return side in tombstones(rule)


def by_events(rule: SyncRule, side: SideName) -> bool:
    """Tell whether a side's deletions are events: where the rule waits for these, and where a log names them anyway."""
    captured = getattr(rule.detect, side.value).by is DetectBy.CDC
    named = (DeleteDetect.EVENT, DeleteDetect.FULL_SCAN) if captured else (DeleteDetect.EVENT,)
    return rule.deletes.detect in named
