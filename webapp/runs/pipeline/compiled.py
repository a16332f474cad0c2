"""Compiled mappings, kept for the next run of the same rule over the same fields in the same process.

A mapping that has asked the library (tables, links of other rules) belongs to its run and is not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from rules.documents.sync import SyncRule
from rules.language.library import Library
from rules.mapping import Mapping as FieldMapping
from rules.mapping import compile_mapping
from rules.schema import Schema

MOST = 16
Key = tuple[str, Schema, Schema]

_kept: OrderedDict[Key, FieldMapping] = OrderedDict()
_lock = Lock()


def compiled(rule: SyncRule, left: Schema, right: Schema, library: Library) -> FieldMapping:
    """Return the mapping of a rule, as `compile_mapping` does; raises `DocumentError`."""
    key = (repr(rule), left, right)
    with _lock:
        found = _kept.pop(key, None)
        if found is not None:
            _kept[key] = found
            return found
    asked: list[str] = []
    watched = Library(*(_Watched(shelf, asked) for shelf in (library.lookups, library.tables, library.links)))
    made = compile_mapping(rule, left, right, watched)
    if not asked:
        with _lock:
            _kept[key] = made
            while len(_kept) > MOST:
                _kept.popitem(last=False)
    return made


class _Watched(Mapping[str, Any]):
    """A shelf of the library that notes whether it is asked."""

    def __init__(self, shelf: Mapping[str, Any], asked: list[str]) -> None:
        self._shelf, self._asked = shelf, asked

    def __getitem__(self, name: str) -> Any:
        self._asked.append(name)
        return self._shelf[name]

    def __contains__(self, name: object) -> bool:
        self._asked.append(str(name))
        return name in self._shelf

    def __iter__(self) -> Iterator[str]:
        self._asked.append("")
        return iter(self._shelf)

    def __len__(self) -> int:
        self._asked.append("")
        return len(self._shelf)
