"""Lookup tables as functions on the values that the C++ runtime passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from rules.language.library import Lookup
from rules.language.nodes import Find

_KEYS: WeakKeyDictionary[Lookup, Mapping[Any, tuple[Any, ...]]] = WeakKeyDictionary()


def search(find: Find) -> Callable[[Any], Any]:
    """Return the function of a key: the value, None where there is none; whether there is one if that is asked."""
    entries, column = _entries(find.table), find.column

    def value(key: Any) -> Any:
        row = entries.get(key)
        return None if row is None else row[column]

    return (lambda key: value(key) is not None) if find.ask else value


def _entries(table: Lookup) -> Mapping[Any, tuple[Any, ...]]:
    """Return a table with keys and values as the runtime has them, prepared once for a table."""
    if table not in _KEYS:
        rows = table.entries.items()
        _KEYS[table] = {_plain(key): tuple(_plain(value) for value in row) for key, row in rows}
    return _KEYS[table]


def _plain(value: Any) -> Any:
    """Return a value as the runtime has it: moments as UTC, decimals as floating point numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else value
