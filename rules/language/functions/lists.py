"""Functions on lists. Items are compared by kind and value: 1 and 1.0 are equal, 1 and true are not."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

from rules.language.functions.bounds import finite, whole
from rules.language.functions.registry import Chapter, FunctionError, Group, extend
from rules.language.jsontext import write_json
from rules.text import N_, msg

MAX_ITEMS = 100_000
_lists = Chapter(Group.LISTS)
_WORDS = {int: "number", float: "number", str: "text", bool: "boolean", datetime: "datetime"}


def _numbers(items: list[Any], name: str) -> list[Any]:
    for place, item in enumerate(items, 1):
        if type(item) not in (int, float) or not math.isfinite(item):
            raise FunctionError(msg("{name}() needs numbers; item {place} is none.", name=name, place=place))
    return items


def _exact(items: list[Any]) -> Decimal:
    return sum((Decimal(repr(item)) for item in items), Decimal(0))


def total(items: list[Any]) -> Any:
    """Return the sum, calculated in decimals so that 0.1 + 0.2 is 0.3; 0 for no items."""
    numbers = _numbers(items, "sum")
    if all(type(number) is int for number in numbers):
        return whole(sum(numbers))
    return finite(float(_exact(numbers)))


def average(items: list[Any]) -> float | None:
    """Return the mean, None for no items."""
    return finite(float(_exact(_numbers(items, "avg")) / len(items))) if items else None


def _alike(items: list[Any], name: str) -> list[Any]:
    """Return the items if they can be ordered: numbers only, or text only."""
    kinds = {_WORDS.get(type(item)) for item in items}
    if len(kinds) > 1 or not kinds <= {"number", "text"} or any(item != item for item in items):  # noqa: PLR0124 - NaN
        raise FunctionError(msg("{name}() orders numbers, or text, but not this list.", name=name))
    return items


def least(items: list[Any]) -> Any:
    """Return the smallest item, None for no items."""
    return min(_alike(items, "min"), default=None)


def most(items: list[Any]) -> Any:
    """Return the largest item, None for no items."""
    return max(_alike(items, "max"), default=None)


def ordered(items: list[Any]) -> list[Any]:
    """Return the items from the smallest to the largest; text by its characters' codes."""
    return sorted(_alike(items, "sort"))


def _key(item: Any) -> tuple[str, Any]:
    kind = _WORDS.get(type(item), "other")
    return kind, write_json(item) if isinstance(item, (list, dict)) else bytes(item) if isinstance(
        item, bytearray
    ) else item


def distinct(items: list[Any]) -> list[Any]:
    """Return every item once, in the order of their first places."""
    found: dict[Any, Any] = {}
    for item in items:
        found.setdefault(_key(item), item)
    return list(found.values())


def includes(items: list[Any], item: Any) -> bool:
    """Tell whether a list holds an item."""
    wanted = _key(item)
    return any(_key(other) == wanted for other in items)


def _plain(item: Any) -> Any:
    if isinstance(item, datetime):
        raise FunctionError(msg("Dates and times cannot be taken out of a list by this function. Use [0]."))
    return item


def first(items: list[Any]) -> Any:
    """Return the first item, None for no items."""
    return _plain(items[0]) if items else None


def last(items: list[Any]) -> Any:
    """Return the last item, None for no items."""
    return _plain(items[-1]) if items else None


def part(items: list[Any], start: int, end: int | None = None) -> list[Any]:
    """Return the items from `start` (0 is the first) up to but not including `end`."""
    if start < 0 or (end is not None and end < start):
        raise FunctionError(msg("slice() from {start} to {end} is not possible.", start=start, end=end))
    return items[start:end]


def flatten(items: list[Any]) -> list[Any]:
    """Return a list in which lists are replaced by their items; one level only."""
    found: list[Any] = []
    for item in items:
        found += item if isinstance(item, list) else [item]
        if len(found) > MAX_ITEMS:
            raise FunctionError(msg("A list may have at most {limit} items here.", limit=MAX_ITEMS))
    return found


def compact(items: list[Any]) -> list[Any]:
    """Return the items that are neither empty (null) nor text of nothing but spaces."""
    return [item for item in items if item is not None and not (isinstance(item, str) and item.strip() == "")]


_lists.own(
    N_("Adds the numbers of a list up; 0 for an empty list."),
    {"sum([1, 2, 3])": "6", "sum([0.1, 0.2])": "0.3"},
    {"sum(list: list) -> item": total},
)
_lists.own(
    N_("Returns the mean of the numbers of a list; empty (null) for an empty list."),
    {"avg([1, 2, 6])": "3.0"},
    {"avg(list: list) -> number or null": average},
)
extend({"min([3, 1, 2])": "1"}, {"min(list: list) -> item or null": least})
extend({"max(['a', 'b'])": "'b'"}, {"max(list: list) -> item or null": most})
_lists.own(
    N_("Orders a list of numbers, or of text, from the smallest to the largest."),
    {"sort([3, 1, 2])": "[1, 2, 3]"},
    {"sort(list: list) -> same": ordered},
)
_lists.own(
    N_("Keeps every item of a list once."),
    {"distinct(['a', 'b', 'a'])": "['a', 'b']"},
    {"distinct(list: list) -> same": distinct},
)
_lists.own(
    N_("Tells whether a list holds an item, like 'in'."),
    {"includes(['a', 'b'], 'b')": "true"},
    {"includes(list: list, item: any) -> boolean": includes},
)
_lists.own(
    N_("Takes the first item of a list; empty (null) for an empty list."),
    {"first(['a', 'b'])": "'a'", "first([])": "null"},
    {"first(list: list) -> item or null": first},
)
_lists.own(
    N_("Takes the last item of a list; empty (null) for an empty list."),
    {"last(['a', 'b'])": "'b'"},
    {"last(list: list) -> item or null": last},
)
_lists.own(
    N_("Takes the items from a position up to, but not including, another. The first item has position 0."),
    {"slice([1, 2, 3, 4], 1, 3)": "[2, 3]", "slice([1, 2, 3], 1)": "[2, 3]"},
    {
        "slice(list: list, start: integer) -> same": part,
        "slice(list: list, start: integer, end: integer) -> same": part,
    },
)
_lists.own(
    N_("Makes one list of a list of lists."),
    {"flatten([[1, 2], [3]])": "[1, 2, 3]"},
    {"flatten(list: list) -> list": flatten},
)
_lists.own(
    N_("Leaves out the items that are empty (null) or text of nothing but spaces."),
    {"compact(['a', null, ' ']).join(', ')": "'a'"},
    {"compact(list: list) -> same": compact},
)
extend({"[1, 2].reverse()": "[2, 1]"}, {"reverse(list: list) -> same": lambda items: items[::-1]})
