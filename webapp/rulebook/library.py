"""The published lookup and decision tables and the links of rules, as expressions and rules ask them.

A run pins the versions that were published when it was requested, so that it means the same from its first chunk to its
last, and when it is explained years later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from rules.documents.decision_table import KIND as DECISION_TABLE
from rules.documents.decision_table import parse_decision_table
from rules.documents.lookup import KIND as LOOKUP
from rules.documents.lookup import parse_lookup
from rules.language.library import Library
from webapp.entities import lookups
from webapp.extensions import House
from webapp.rulebook.linking import Shelf
from webapp.rulebook.models import rule, rule_version

Pins = Mapping[str, Mapping[str, int]]
"""Kind -> name -> id of the version."""

T = TypeVar("T")
_KEPT = 64
_parsed: OrderedDict[str, Any] = OrderedDict()
_lock = Lock()  # the threads of a process share what is kept


def pins(tx: sa.Connection) -> dict[str, dict[str, int]]:
    """Return the versions of lookup and decision tables that are published now."""
    published = sa.and_(rule_version.c.rule_id == rule.c.id, rule_version.c.version == rule.c.published_version)
    query = sa.select(rule.c.kind, rule.c.name, rule_version.c.id).join(rule_version, published)
    found: dict[str, dict[str, int]] = {LOOKUP: {}, DECISION_TABLE: {}}
    for kind, name, version_id in tx.execute(query.where(rule.c.kind.in_(found)).order_by(rule.c.name)):
        found[kind][name] = version_id
    return found


def version_numbers(tx: sa.Connection, pinned: Pins | None) -> dict[str, int]:
    """Return name -> version number of what is pinned."""
    ids = {version_id: name for names in (pinned or {}).values() for name, version_id in names.items()}
    query = sa.select(rule_version.c.id, rule_version.c.version).where(rule_version.c.id.in_(ids))
    return {ids[row.id]: row.version for row in tx.execute(query)}


def library(house: House, pinned: Pins | None = None, tx: sa.Connection | None = None) -> Library:
    """Return the tables as pinned, or as published now; each is read when it is first asked."""
    connect: Callable[[], AbstractContextManager[sa.Connection]] = (
        house.db.read if tx is None else lambda: nullcontext(tx)
    )
    if pinned is None:
        with connect() as reading:
            pinned = pins(reading)
    return _library(pinned, connect)


def published(tx: sa.Connection) -> lookups.Published:
    """Return the lookup tables that are published now, for the expressions of entities, which are a room below."""
    pinned = pins(tx)
    ids = list(pinned[LOOKUP].values())
    query = sa.select(rule_version.c.digest).where(rule_version.c.id.in_(ids)).order_by(rule_version.c.id)
    return lookups.Published(tuple(tx.scalars(query)), _library(pinned, lambda: nullcontext(tx)))


def with_document(pinned: Pins, tx: sa.Connection, document: Mapping[str, Any]) -> Library:
    """Return the tables as pinned, but one of them as `document` has it; raises `DocumentError`."""
    found = _library(pinned, lambda: nullcontext(tx))
    shelf, parse = _SHELVES[str(document["kind"])]
    return replace(found, **{shelf: _Instead(getattr(found, shelf), str(document["name"]), parse(document))})


_SHELVES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    LOOKUP: ("lookups", parse_lookup),
    DECISION_TABLE: ("tables", parse_decision_table),
}


def _library(pinned: Pins, connect: Callable[[], AbstractContextManager[sa.Connection]]) -> Library:
    shelves = {shelf: _Shelf(pinned.get(kind, {}), connect, parse) for kind, (shelf, parse) in _SHELVES.items()}
    return Library(**shelves, links=Shelf(connect))


@dataclass(frozen=True)
class _Instead(Mapping[str, Any]):
    """The tables of a kind, one of them in another version."""

    others: Mapping[str, Any]
    name: str
    table: Any

    def __getitem__(self, name: str) -> Any:
        return self.table if name == self.name else self.others[name]

    def __contains__(self, name: object) -> bool:
        return name in self.others

    def __iter__(self) -> Iterator[str]:
        return iter(self.others)

    def __len__(self) -> int:
        return len(self.others)


class _Shelf(Mapping[str, T], Generic[T]):
    """Tables of one kind by name."""

    def __init__(
        self,
        ids: Mapping[str, int],
        connect: Callable[[], AbstractContextManager[sa.Connection]],
        parse: Callable[[Mapping[str, Any]], T],
    ) -> None:
        self._ids = ids
        self._connect = connect
        self._parse = parse
        self._taken: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._taken:
            self._taken[name] = self._read(self._ids[name])
        return self._taken[name]

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def _read(self, version_id: int) -> T:
        """Return a table; the last ones are kept, so that a large one is read once a process."""
        mine = rule_version.c.id == version_id
        with self._connect() as tx:
            digest = str(tx.scalar(sa.select(rule_version.c.digest).where(mine)))
            found: T | None = _kept(digest)
            if found is not None:
                return found
            made = self._parse(tx.scalar(sa.select(rule_version.c.document).where(mine)) or {})
        return _kept(digest, made) or made


def _kept(digest: str, made: T | None = None) -> T | None:
    """Return the table of a digest, the one just made if no other thread was faster; None if there is none."""
    with _lock:
        found: T | None = _parsed.pop(digest, made)
        if found is not None:
            _parsed[digest] = found
        while len(_parsed) > _KEPT:
            _parsed.popitem(last=False)
        return found


lookups.published.append(published)
