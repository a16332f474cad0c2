"""What is known of a field's value behind conditions on it: bounds, the only values it can have, values it cannot have.

Only what is certain: an empty field equals no value and has no order, and NaN is neither smaller nor larger than a
number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import ge, gt, le, lt
from typing import Any

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True)
class Question:
    """A question about one field: `==` or `in` some values, or an order against the only value."""

    field: str
    symbol: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Domain:
    """The values that a field can still have; a bound is a value and whether it is included.

    `filled` says that it certainly has one: equality was asked, which an empty field answers with "no". Bounds come
    from questions that are an error for an empty field, so nothing follows from them about emptiness.
    """

    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    only: frozenset[Any] | None = None
    never: frozenset[Any] = frozenset()
    filled: bool = False

    def answer(self, test: Question) -> bool | None:
        """Return the answer to a question if it is certain. "True" is certain only for a field that is not empty."""
        if self.impossible:
            return None
        if self.only is not None:
            answers = {_holds(value, test) for value in self.only}
            return _certain(answers.pop() if len(answers) == 1 else None, filled=self.filled)
        if test.symbol in _ORDERS:
            return self._ordered(test)
        possible = [value for value in test.values if value not in self.never and self._within(value)]
        return None if possible else False

    @property
    def impossible(self) -> bool:
        """Tell whether no value is left; then a contradiction was found before."""
        if self.only is not None:
            return not self.only
        if self.low is None or self.high is None:
            return False
        return bool(self.low[0] > self.high[0]) or (self.low[0] == self.high[0] and not (self.low[1] and self.high[1]))

    def narrowed(self, test: Question, *, answer: bool) -> Domain:
        """Return what is known once a question has been answered."""
        if test.symbol in _ORDERS:
            return self._bounded(test.symbol if answer else OPPOSITE[test.symbol], test.values[0])
        values = frozenset(test.values)
        if not answer:
            return replace(self, never=self.never | values, only=None if self.only is None else self.only - values)
        kept = values if self.only is None else self.only & values
        return replace(self, only=frozenset(v for v in kept - self.never if self._within(v)), filled=True)

    def _ordered(self, test: Question) -> bool | None:
        value = test.values[0]
        if test.symbol in ("<", "<="):
            return _below(self.low, self.high, value, inclusive=test.symbol == "<=")
        below = _below(self.low, self.high, value, inclusive=test.symbol == ">")
        return None if below is None else not below

    def _within(self, value: Any) -> bool:
        low = self.low is None or value > self.low[0] or (self.low[1] and value == self.low[0])
        return low and (self.high is None or value < self.high[0] or (self.high[1] and value == self.high[0]))

    def _bounded(self, symbol: str, value: Any) -> Domain:
        bound = (value, symbol in ("<=", ">="))
        low, high, only = self.low, self.high, self.only
        if only is not None:
            only = frozenset(v for v in only if _ORDERS[symbol](v, value))
        if symbol in ("<", "<=") and (high is None or value < high[0] or (value == high[0] and not bound[1])):
            high = bound
        if symbol in (">", ">=") and (low is None or value > low[0] or (value == low[0] and not bound[1])):
            low = bound
        return replace(self, low=low, high=high, only=only)


def _certain(answer: bool | None, *, filled: bool) -> bool | None:
    return None if answer and not filled else answer


def _holds(value: Any, test: Question) -> bool:
    order = _ORDERS.get(test.symbol)
    return value in test.values if order is None else order(value, test.values[0])


def _below(low: tuple[Any, bool] | None, high: tuple[Any, bool] | None, value: Any, *, inclusive: bool) -> bool | None:
    """Return whether all values between the bounds are below a value (or equal to it), None if some are."""
    if high is not None and (high[0] < value or (high[0] == value and (inclusive or not high[1]))):
        return True
    if low is not None and (low[0] > value or (low[0] == value and not (inclusive and low[1]))):
        return False
    return None
