"""An explained expression: a tree of its parts, each with its place in the text and the value it had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rules.text import Message


class State(StrEnum):
    """What is known of a part: its value, why it has none, or that nobody asked for it."""

    VALUE = "value"
    ERROR = "error"
    SKIPPED = "skipped"


class Role(StrEnum):
    """What a part is to the part around it."""

    WHOLE = "whole"
    CLAUSE = "clause"
    TEST = "test"
    CHOICE = "choice"
    ITEM = "item"
    PART = "part"


@dataclass(frozen=True)
class Step:
    """One part of an expression as it was for one record.

    `start` and `end` are offsets in the whole text. `decides` tells that the part settled the value around it. `note`
    says in plain words what came of the part there. `item` is the value of a loop's variable.
    """

    text: str
    start: int
    end: int
    state: State
    value: Any = None
    error: Message | None = None
    role: Role = Role.WHOLE
    decides: bool = False
    note: Message | None = None
    item: Any = None
    steps: tuple[Step, ...] = ()

    def walk(self) -> Iterator[Step]:
        """Yield the step and all below it, each before its parts."""
        yield self
        for step in self.steps:
            yield from step.walk()

    @property
    def cause(self) -> Step | None:
        """Return the innermost part that has an error, None where there is none."""
        if self.state is not State.ERROR:
            return None
        return next((found for step in self.steps if (found := step.cause)), self)

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain data; what has nothing to say is left out."""
        told = {
            "value": plain(self.value) if self.state is State.VALUE else None,
            "error": None if self.error is None else str(self.error),
            "note": None if self.note is None else str(self.note),
            "item": plain(self.item) if self.role is Role.ITEM else None,
            "decides": self.decides or None,
            "steps": [step.to_json() for step in self.steps] or None,
        }
        kept = {name: value for name, value in told.items() if value is not None or (name, self.state) == _EMPTY}
        place = {"text": self.text, "start": self.start, "end": self.end}
        return {**place, "role": self.role.value, "state": self.state.value, **kept}


_EMPTY = ("value", State.VALUE)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: decimals, times and binary data as text."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float) and value - value != 0:  # NaN and the infinities are no JSON
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
