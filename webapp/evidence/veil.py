"""A record's history as far as who asks may see it: fields, rows and keys by the policies of their roles.

A change of which it cannot be told whether its record may be seen is shown without values: that it happened, and its
proof, stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from rules.schema import Schema
from rules.text import Message
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asking, rights_to, sees_all
from webapp.entities import storage
from webapp.entities.permitted import Permit, permit_of
from webapp.evidence.places import Place
from webapp.evidence.trail_steps import Change, Step, Values
from webapp.policies.levels import Access
from webapp.policies.masks import DOTS
from webapp.runs.sight import Sight, Sights, known_schema


class Veil:
    """What who asks may see."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx
        self.who = asking()
        self._sights = Sights(tx)
        self._permits: dict[str, Permit | None] = {}

    def step(self, step: Step) -> Step:
        """Return a step as it may be seen."""
        if self.who.system:
            return step
        changes = tuple(self._change(step, change) for change in step.changes)
        places = tuple(self.place(place) for place in step.places)
        return self._told(replace(step, changes=changes, places=places))

    def place(self, place: Place) -> Place:
        """Return where a record is, its key as it may be seen."""
        if self.who.system or (place.connection == HUB and place.field in ("", "id")):
            return place
        schema = known_schema(self._tx, place.connection, place.object) or Schema(())
        rights = rights_to(self._tx, place.connection, place.object, schema, [place.field] if place.field else ())
        plain = sees_all(rights) if not place.field else rights.access(place.field) >= Access.READ
        return place if plain else replace(place, key=str(rights.value(place.field, place.key) or DOTS))

    def _change(self, step: Step, change: Change) -> Change:
        before, after = change.before, change.after
        if step.run is not None and change.side:
            shown = [self._of_run(self._sights.of_run(step.run.id), change.side, side) for side in (before, after)]
        else:
            shown = [self._own(change.place, side) for side in (before, after)]
        return replace(change, place=self.place(change.place), before=shown[0], after=shown[1])

    def _of_run(self, sight: Sight, side: str, values: Values | None) -> Values | None:
        own = sight.sides[side]
        if values is None:
            return None
        return own.values(values) if own.sees(values) else dict.fromkeys(values, DOTS)

    def _own(self, place: Place, values: Values | None) -> Values | None:
        permit = self._permit(place.object)
        if values is None:
            return None
        if permit is None:
            return dict.fromkeys(values, DOTS)
        if not permit.unrestricted and not (permit.rows is None or permit.rights.sees(values)):
            return dict.fromkeys(values, DOTS)
        known: Mapping[str, Any] = {name: v for name, v in values.items() if name in permit.entity.schema}
        permit.looked([{"id": place.key, **known}], list(known))
        return permit.shown(known)

    def _permit(self, entity: str) -> Permit | None:
        if entity not in self._permits:
            try:
                found = permit_of(self._tx, self.who, storage.current(self._tx, entity))
            except storage.NoEntity:
                self._permits[entity] = None
            else:
                self._permits[entity] = found if found.may("read") else None
        return self._permits[entity]

    def _told(self, step: Step) -> Step:
        """Return a step whose sentences say nothing that may not be seen."""
        if not step.rule:
            return step
        sight = self._sights.of_run(step.run.id if step.run else 0, step.rule)
        if sight.everything:
            return step
        reason = sight.message(step.reason) if isinstance(step.reason, Message) else sight.text(step.reason)
        what = step.what
        if what is not None and "record" in what.values:
            what = Message(what.template, {**what.values, "record": DOTS})
        return replace(step, reason=reason, what=what)
