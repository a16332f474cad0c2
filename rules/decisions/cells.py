"""What a cell says, as frozen values without behaviour; `reading` makes them, `writing` gives their canonical text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TypeAlias

from rules.text import Message

Value: TypeAlias = bool | int | float | str | Decimal | date | time | datetime


@dataclass(frozen=True)
class AnyValue:
    """`-`: applies to every record."""


@dataclass(frozen=True)
class Null:
    """`null`: an empty value."""


@dataclass(frozen=True)
class Range:
    """Values between two ends; None is no end. One value is a range that is closed at both ends."""

    low: Value | None = None
    high: Value | None = None
    low_closed: bool = False
    high_closed: bool = False

    @property
    def point(self) -> bool:
        """Tell whether this is one value."""
        return self.low is not None and self.low_closed and self.high_closed and self.low == self.high


Test: TypeAlias = Null | Range


@dataclass(frozen=True)
class Tests:
    """Alternatives; with `negated`, every value that none of them covers, and empty ones only with `or_null`."""

    items: tuple[Test, ...]
    negated: bool = False
    or_null: bool = False


@dataclass(frozen=True)
class Expression:
    """An expression of the rule language."""

    text: str


@dataclass(frozen=True)
class Constant:
    """A written value of an output; None is an empty value."""

    value: Value | None


InputCell: TypeAlias = AnyValue | Tests | Expression
OutputCell: TypeAlias = Constant | Expression
ANY = AnyValue()


class CellError(ValueError):
    """A cell cannot be read; `column` counts from 1, in characters of the cell."""

    def __init__(self, message: Message, column: int = 1) -> None:
        super().__init__(str(message))
        self.message = message
        self.column = column
