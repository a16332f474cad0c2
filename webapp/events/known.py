"""What the form of an event rule offers: types and fields of events that came in, and names of what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rules.schema import FieldType
from webapp.access.users import list_users
from webapp.connections import services as connections
from webapp.connections.catalogue import HUB
from webapp.entities import services as entities
from webapp.events import reading
from webapp.events.models import event
from webapp.extensions import House
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import SYNC
from webapp.rulebook.translation import translate as _

RECENT = 20
MOST = 60
RUNS = ("run.succeeded", "run.failed", "run.suspended", "run.cancelled")
WAITING = ("case.opened", "case.assigned", "quarantine.added")
LEVELS = ("rule.late", "rule.failing", "rule.recovered")


def choices(house: House) -> dict[str, Any]:
    """Return the names that the form offers."""
    with house.db.read() as tx:
        held = [entity.name for entity in entities.list_entities(tx)]
        rules = rulebook.list_rules(tx)
        listened = {t for row in rules for t in _listened(row.document)}
        own = [f"record.{name}.{deed}" for name in held for deed in ("created", "updated", "deleted")]
        known = connections.list_connections(tx)
        return {
            "types": [*sorted({*reading.event_types(tx), *listened}), *own, *RUNS, *WAITING, *LEVELS],
            "entities": held,
            "connections": [
                (HUB, _("Entities of Syncline")),
                *((row.name, row.name) for row in known if row.name != HUB),
            ],
            "rest": [(row.name, row.name) for row in known if row.connector == "rest"],
            "rules": [(row.name, row.label or row.name) for row in rules if row.kind == SYNC],
            "users": [user.username for user in list_users(tx) if user.active],
        }


def types(document: Mapping[str, Any]) -> set[str]:
    """Return the types of events that a rule listens to."""
    return set(_listened({**document, "kind": "event_rule"}))


def _listened(document: Mapping[str, Any]) -> Iterator[str]:
    events = document.get("events") if document.get("kind") == "event_rule" else None
    for one in events.values() if isinstance(events, Mapping) else ():
        if isinstance(one, Mapping) and isinstance(one.get("type"), str) and one["type"]:
            yield one["type"]


def fields(house: House, document: Mapping[str, Any], *, data: bool) -> dict[str, list[dict[str, Any]]]:
    """Return what expressions of a rule can name, by the event that alone is seen; "" stands for all of them.

    Args:
        house: the open house.
        document: of the rule.
        data: name also what recent events and the rule's examples hold.
    """
    found = document.get("events")
    types = (
        {n: str(one.get("type")) for n, one in found.items() if isinstance(one, Mapping)}
        if isinstance(found, Mapping)
        else {}
    )
    parts = _parts(house, document, set(types.values())) if data else {}
    own = {name: [*_about(name), *_dotted(name, parts.get(type_, ()))] for name, type_ in types.items()}
    lead = [{"name": "key", "type": FieldType.TEXT.value, "nullable": False, "label": _("What they have in common")}]
    lead.append({"name": "now", "type": FieldType.DATETIME.value, "nullable": False, "label": _("Now")})
    return {
        "": [*lead, *(one for many in own.values() for one in many)],
        **{n: [*lead, *many] for n, many in own.items()},
    }


def _about(name: str) -> list[dict[str, Any]]:
    told = (
        (name, FieldType.JSON, _("The event")),
        (f"{name}.event_at", FieldType.DATETIME, _("When it happened")),
        (f"{name}.event_id", FieldType.TEXT, _("Its id")),
        (f"{name}_all", FieldType.JSON, _("All such events")),
    )
    return [{"name": n, "type": t.value, "nullable": False, "label": label} for n, t, label in told]


def _dotted(name: str, parts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": f"{name}.{part}", "type": FieldType.JSON.value, "nullable": False} for part in parts]


def _parts(house: House, document: Mapping[str, Any], types: set[str]) -> dict[str, list[str]]:
    seen: dict[str, dict[str, None]] = {type_: {} for type_ in types}
    for example in listed(document, "tests"):
        for one in listed(example, "events"):
            if one.get("type") in seen:
                seen[one["type"]] |= dict.fromkeys(_names(one.get("data")))
    with house.db.read() as tx:
        for type_, names in seen.items():
            query = sa.select(event.c.data).where(event.c.type == type_).order_by(event.c.id.desc()).limit(RECENT)
            for data in tx.scalars(query):
                names.update(dict.fromkeys(_names(data)))
    return {type_: list(names)[:MOST] for type_, names in seen.items()}


def listed(held: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; a broken draft may hold anything in its place."""
    value = held.get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _names(data: Any) -> Iterator[str]:
    for name, value in data.items() if isinstance(data, Mapping) else ():
        if isinstance(name, str) and name.isidentifier() and name.isascii():
            yield name
            if isinstance(value, Mapping):
                yield from (f"{name}.{inner}" for inner in value if inner.isidentifier() and inner.isascii())
