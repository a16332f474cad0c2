"""Audit events as who asks may see them: the event stays; values that they may not see are not in it.

Values of a field that is hidden or masked are shown so, those of a record that may not be seen are left out. Where it
cannot be told whose values they are, dots stand in their place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rules.schema import Schema
from webapp.audit import hooks, looks, personal
from webapp.audit.tags import Tag
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asking, rights_to, sees_all, whole
from webapp.entities import records, storage
from webapp.policies.masks import DOTS
from webapp.policies.objects import CONNECTION, DataObject
from webapp.policies.rights import Rights
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.sight import Sight, Sights, known_schema
from webapp.web.storable import natural

_RECORDS = frozenset({Tag.RECORD_CREATED, Tag.RECORD_UPDATED, Tag.RECORD_DELETED})
_SEVERAL = frozenset({Tag.RECORDS_EXPORTED, Tag.RECORDS_IMPORTED})
_SENTENCES = frozenset({"reason", "message", "problem", "result", "where", "range"})
"""Values of events about rules that may quote what records hold."""
_CASE = frozenset({"title", "subject", "details", "resolution", "text"})


def register() -> None:
    """Let the audit log show events as far as who asks may see them; once a process."""
    if _seen not in hooks.sights:
        hooks.sights.append(_seen)
        hooks.whole.append(whole)


def _seen(tx: sa.Connection, events: Sequence[Any]) -> list[Any]:
    if asking().system:
        return list(events)
    looks = _Looks(tx)
    return [event if event is None else looks.event(event) for event in events]


class _Looks:
    """Looks at events for who asks; what it finds of rules and entities is kept."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx
        self._sights = Sights(tx)
        self._rights: dict[str, Rights] = {}
        self._whole: bool | None = None

    def event(self, event: Any) -> Any:
        """Return an event as it may be seen."""
        kind, tag = event.subject_kind, event.tag
        if tag.startswith("events:") or (kind == "case" and event.actor_kind != "user"):
            return event if self.whole else _said(event, _CASE)
        if kind == "entity" and tag in _RECORDS:
            return _looked(event, self._record(event))
        if kind == "entity" and tag in _SEVERAL:
            return event if sees_all(self._entity(event.subject)) else _said(event, None)
        if tag == Tag.DATA_SEEN:
            return event if self._may_name(event.subject) else _said(event, frozenset({"keys"}))
        if kind == "rule" and tag.startswith(("runs:", "cases:")):
            return self._of_rule(event)
        return event

    @property
    def whole(self) -> bool:
        """Tell whether who asks sees all records there are."""
        if self._whole is None:
            self._whole = whole(self._tx)
        return self._whole

    def _entity(self, name: str) -> Rights:
        if name not in self._rights:
            schema = known_schema(self._tx, HUB, name) or Schema(())
            self._rights[name] = rights_to(self._tx, HUB, name, schema)
        return self._rights[name]

    def _may_name(self, data: str) -> bool:
        """Tell whether keys of a data object may be told; the numbers of an entity's records always may."""
        found = DataObject.of(data)
        if found.kind != CONNECTION:
            return True
        place = found.name.partition("/")[::2]
        return sees_all(rights_to(self._tx, *place, known_schema(self._tx, *place) or Schema(())))

    def _record(self, event: Any) -> Any:
        rights = self._entity(event.subject)
        if sees_all(rights):
            return event
        images = [dict(side) if isinstance(side, Mapping) else {} for side in (event.before, event.after)]
        now = self._now(event.subject, event.record_key)
        states = [{**now, **image} for image in images if image] or [now]
        if not all(rights.sees(state) for state in states):
            return hooks.Seen(event, None, None)
        before, after = (_values(rights, side) for side in (event.before, event.after))
        return hooks.Seen(event, before, after)

    def _now(self, name: str, key: str | None) -> dict[str, Any]:
        """Return a record as it is now, which tells of the fields that an event does not hold."""
        number = natural(key or "")
        if number is None:
            return {}
        try:
            entity = storage.current(self._tx, name)
        except storage.NoEntity:
            return {}
        found = to_texts(records.by_ids(self._tx, entity, [number]))
        return dict(json.loads(found[0])) if found else {}

    def _of_rule(self, event: Any) -> Any:
        sight = self._sights.of_run(event.run_id or 0, event.subject)
        if sight.everything:
            return event
        before, after = (self._image(sight, event.tag, side) for side in (event.before, event.after))
        plain = sight.all_rows and all(side.plain(side.key) for side in sight.sides.values())
        return hooks.Seen(event, before, after, event.record_key if plain else event.record_key and DOTS)

    def _image(self, sight: Sight, tag: str, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if tag == Tag.QUARANTINE_EDITED:
            return {name: _of_field(sight, name, value) for name, value in values.items()} if sight.all_rows else None
        if tag == Tag.CASE_ANSWERED:
            return _answer(values)
        return {name: DOTS if name in _SENTENCES and value else value for name, value in values.items()}


def _looked(event: Any, shown: Any) -> Any:
    """Return what is shown of an event about a record; that its personal values are seen is told of."""
    stored, names = getattr(event, "_event", event), set[str]()
    for side in ("before", "after"):
        read, seen = getattr(event, side), getattr(shown, side)
        if isinstance(read, Mapping) and isinstance(seen, Mapping):
            names |= {n for n in personal.readable(getattr(stored, side), read) if seen.get(n) == read[n]}
    looks.looked(DataObject.entity(event.subject).text, names, [event.record_key] if event.record_key else ())
    return shown


def _of_field(sight: Sight, name: str, value: Any) -> Any:
    """Return a value of a field of one of the sides; the event does not tell of which."""
    seen = [side.value(name, value) for side in sight.sides.values() if side.knows(name)]
    return seen[0] if seen and all(one == seen[0] for one in seen) else DOTS


def _answer(values: Mapping[str, Any]) -> dict[str, Any]:
    fields = values.get("fields")
    shown = {**values, **({"key": DOTS} if values.get("key") else {})}
    if isinstance(fields, Mapping):
        takes = {n: {**t, "value": DOTS} if isinstance(t, Mapping) and "value" in t else t for n, t in fields.items()}
        shown["fields"] = takes
    return shown


def _values(rights: Rights, side: Any) -> Any:
    if not isinstance(side, Mapping):
        return side
    seen = rights.fields_shown(side)
    return {name: seen.get(name, DOTS) for name in side}


def _said(event: Any, names: frozenset[str] | None) -> Any:
    """Return an event without its key, and with dots for its texts: those with these names, or all."""
    before, after = (
        {name: DOTS if _may_quote(value) and (names is None or name in names | _SENTENCES) else value
         for name, value in side.items()} if isinstance(side, Mapping) else side
        for side in (event.before, event.after)
    )  # fmt: skip
    return hooks.Seen(event, before, after, event.record_key and DOTS)


def _may_quote(value: Any) -> bool:
    return isinstance(value, (str, list, Mapping)) and bool(value)
