"""Personal values in events: stored under a key of their person, shown while that key exists.

An event holds `{"$personal": "..."}` in the place of such a value, and its seal covers that. So when the key is
destroyed, the value is gone everywhere, and the event still proves that there was one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import sqlalchemy as sa

from webapp.audit.hooks import guard, seen
from webapp.audit.tags import Tag

MARK = "$personal"
ERASED = "$erased"
"""What is shown in the place of a value whose key is gone: `{"$erased": true}`."""
_PAGE = 500


_USER = frozenset({"first_name", "last_name", "email"})
_REASON = frozenset({"reason"})
"""It quotes the values for which a record was parked."""
_RESOLUTION = frozenset({"resolution"})
ALWAYS: dict[Tag, Collection[str] | None] = {
    Tag.USER_CREATED: _USER,
    Tag.USER_UPDATED: _USER,
    Tag.USER_DELETED: _USER,
    Tag.QUARANTINE_EDITED: None,
    Tag.QUARANTINE_DISCARDED: _REASON,
    Tag.QUARANTINE_EXPIRED: _REASON,
    Tag.DELIVERY_FAILED: frozenset({"problem"}),
    Tag.CASE_OPENED: frozenset({"title", "subject", "details"}),
    Tag.CASE_COMMENTED: frozenset({"text"}),
    Tag.CASE_CLOSED: _RESOLUTION,
    Tag.CASE_REOPENED: _RESOLUTION,
    Tag.CASE_ANSWERED: None,
}
"""Which values of events tell of people whatever the writer says; None: all, as they are of other systems' records."""


class Unguarded(RuntimeError):
    """Nothing in this process can hide personal values, so they are not written: whoever writes has to register it."""


def names_of(tag: Tag, values: Any, said: Collection[str]) -> Collection[str]:
    """Return which of an event's values are personal."""
    always = ALWAYS.get(tag, ())
    found = values if always is None and isinstance(values, Mapping) else always or ()
    return {*found, *said}


def person(kind: str, name: str, key: str | None) -> str:
    """Return the name of whom an event's personal values are about: its subject."""
    return "\0".join((kind, name, key or ""))


def hidden(tx: sa.Connection, who: str, values: Any, names: Collection[str]) -> Any:
    """Return an event's values with the named ones hidden; raises `Unguarded` where nothing can hide them."""
    if not isinstance(values, Mapping):
        return values
    chosen = {name: value for name, value in values.items() if name in names and value is not None}
    if not chosen:
        return values
    found = guard(tx)
    if found is None:
        raise Unguarded("no guard of personal values is registered for this database")
    texts = found.hide(tx, who, chosen)
    return {name: {MARK: texts[name]} if name in texts else value for name, value in values.items()}


def shown(tx: sa.Connection, events: Iterable[Any]) -> Iterator[Any]:
    """Yield events as far as who asks may see them, their personal values only if they can still be read.

    The others say that they are erased.
    """
    left = iter(events)
    while page := list(islice(left, _PAGE)):
        sides = (side for event in page if event for side in (event.before, event.after))
        texts = sorted({text for side in sides for text in _texts(side)})
        found = guard(tx) if texts else None
        values = found.show(tx, texts) if found else {}
        read = [_Shown(e, _read(e.before, values), _read(e.after, values)) if e and texts else e for e in page]
        yield from seen(tx, read)


def worded(event: Any, erased: str) -> Any:
    """Return an event for a page: `erased` stands in the place of values that are gone."""
    before, after = (
        {name: erased if part == {ERASED: True} else part for name, part in side.items()}
        if isinstance(side, Mapping)
        else side
        for side in (event.before, event.after)
    )
    return _Shown(event, before, after)


class _Shown:
    """An event's row with other values."""

    def __init__(self, event: Any, before: Any, after: Any) -> None:
        self._event = event
        self.before = before
        self.after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._event, name)


def readable(stored: Any, read: Any) -> Iterator[str]:
    """Yield the names of values of an event that are hidden as it is stored, and can be read still."""
    if isinstance(stored, Mapping) and isinstance(read, Mapping):
        for name, part in stored.items():
            if _is_hidden(part) and read.get(name) != {ERASED: True} and not _is_hidden(read.get(name)):
                yield name


def _texts(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        yield from (part[MARK] for part in values.values() if _is_hidden(part))


def _read(values: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(values, Mapping):
        return values
    return {name: known.get(part[MARK], {ERASED: True}) if _is_hidden(part) else part for name, part in values.items()}


def _is_hidden(part: Any) -> bool:
    return isinstance(part, Mapping) and len(part) == 1 and isinstance(part.get(MARK), str)
