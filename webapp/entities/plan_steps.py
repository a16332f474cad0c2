"""One step of a change plan, and how much it touches the records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rules.text import Message


class Tone(StrEnum):
    """How much a step touches the records."""

    SAFE = "safe"
    CHANGES = "changes"
    LOSES = "loses"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Step:
    """One thing that a change does: to which field, in a sentence, with the records that show it best."""

    field: str
    tone: Tone
    message: Message
    examples: tuple[int, ...] = ()
