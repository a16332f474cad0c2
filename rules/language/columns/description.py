"""What a plan does, in words that the editor shows."""

from __future__ import annotations

from dataclasses import dataclass

from rules.text import Message


@dataclass(frozen=True)
class PlanDescription:
    """How an expression is worked out: its stages, and what makes it slow."""

    stages: tuple[Message, ...] = ()
    slow: tuple[Message, ...] = ()
