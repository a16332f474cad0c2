"""What can be found wrong with a sealed log, by name, and the report of a check. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rules.text import Message

LISTED = 100
"""So many findings of one kind are listed; all are counted."""


class Kind(StrEnum):
    """What can have been done to a log."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REWRITTEN = "rewritten"
    TRUNCATED = "truncated"
    UNSIGNED = "unsigned"
    FORKED = "forked"
    ROLLED_BACK = "rolled_back"
    FORGED = "forged"
    KEYS = "keys"
    BACKDATED = "backdated"
    RESTORED = "restored"
    RUN_CHANGED = "run_changed"
    RUN_MISSING = "run_missing"


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit."""

    kind: Kind
    message: Message

    def to_json(self) -> dict[str, str]:
        """Return the finding as the command line and the API show it."""
        return {"kind": self.kind.value, "message": str(self.message)}


@dataclass
class Report:
    """What was checked and found; `trusted` tells whether a key of the reader's was the beginning of it."""

    size: int = 0
    events: int = 0
    removed: int = 0
    checkpoints: int = 0
    elsewhere: int = 0
    root: str = ""
    trusted: bool = False
    chunks: int = 0
    removed_until: str = ""
    """What is older than this may have been removed by the retention."""
    waiting: int = 0
    """Events that are not sealed yet, so that nothing can be said of them."""
    sealed_at: datetime | None = None
    """When the last checkpoint was signed."""
    counts: dict[Kind, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Tell whether nothing was done to the log behind its own back.

        A clock that was behind, and a backup that was put back, as the log itself says, are told of.
        """
        return set(self.counts) <= {Kind.BACKDATED, Kind.RESTORED}

    def add(self, kind: Kind, message: Message) -> None:
        """Note a finding."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= LISTED:
            self.findings.append(Finding(kind, message))

    def to_json(self) -> dict[str, Any]:
        """Return the report as the command line and the API show it."""
        plain = ("size", "events", "removed", "checkpoints", "elsewhere", "root", "trusted", "chunks", "waiting")
        return {
            "intact": self.intact,
            **{name: getattr(self, name) for name in plain},
            "sealed_at": self.sealed_at.isoformat() if self.sealed_at else None,
            "counts": {kind.value: count for kind, count in self.counts.items()},
            "findings": [finding.to_json() for finding in self.findings],
        }
