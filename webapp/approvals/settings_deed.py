"""Changing what needs a second person, which needs a second person itself as soon as anything does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.approvals import gate, settings
from webapp.approvals.deeds import SETTINGS, SWITCHES, Applier, Deed, Document, Order, Shown, register
from webapp.approvals.errors import BadSettings
from webapp.approvals.models import approval_value
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

_LABELS = {"days": N_("Days until a proposal expires"), "banner_days": N_("Days for which an override is shown")}


def save(house: House, document: Mapping[str, Any], actor: Actor) -> None:
    """Bring the settings to what the document states; raises `BadSettings` or `SecondPersonNeeded`."""
    with house.db.begin() as tx:
        save_in(tx, document, actor, house.clock())


def save_in(tx: sa.Connection, document: Mapping[str, Any], actor: Actor, at: datetime) -> None:
    """Do what `save` does within the caller's transaction."""
    wanted = settings.to_document(settings.parse(document))
    before = settings.to_document(settings.current(tx))
    if wanted == before:
        return
    gate.require(tx, Deed(settings.KIND, settings.NAME, (SETTINGS,), wanted))
    store(tx, settings.NAME, wanted, actor, at)
    subject = Subject("approvals", settings.NAME)
    record(tx, actor, at, Event(Tag.APPROVALS_CHANGED, subject, _told(before), _told(wanted)))


def store(tx: sa.Connection, name: str, value: Any, actor: Actor, at: datetime) -> None:
    """Keep a value in place of an earlier one."""
    values = {"value": value, "updated_at": at, "updated_by": actor.name}
    changed = sa.update(approval_value).where(approval_value.c.name == name).values(**values)
    if not tx.execute(changed).rowcount:
        tx.execute(sa.insert(approval_value).values(name=name, **values))


def read(tx: sa.Connection, name: str = settings.NAME) -> dict[str, Any]:
    """Return the settings as a document, kept from others until the transaction ends."""
    settings.stored(tx, name, alone=True)
    return settings.to_document(settings.current(tx))


def _told(document: Document) -> dict[str, Any]:
    return {key: document[key] for key in ("deeds", "days", "banner_days")}


def _shown(before: Document, after: Document) -> Shown:
    sides = tuple({**_rules(side), **{key: side[key] for key in _LABELS if key in side}} for side in (before, after))
    names = [name for name in {**sides[0], **sides[1]} if sides[0].get(name) != sides[1].get(name)]
    old, new = ({name: side[name] for name in names if name in side} for side in sides)
    return Shown(old, new, {**SWITCHES, **_LABELS})


def _rules(document: Document) -> dict[str, Any]:
    deeds = document.get("deeds", {})
    return {switch: _words(deeds.get(switch)) for switch in SWITCHES}


def _words(rule: Any) -> Message:
    if rule is None:
        return msg("one person")
    limits = [", ".join(rule.get("connections", ())), str(rule.get("only", ""))]
    said = "; ".join(filter(None, limits))
    return msg("a second person ({limits})", limits=said) if said else msg("a second person")


def _apply(order: Order) -> None:
    save_in(order.tx, order.after or {}, order.actor, order.house.clock())


def _title(_subject: str, _after: Document | None, _detail: Document) -> Message:
    return msg("Change what needs the approval of a second person")


def _url(_subject: str) -> str:
    return "/approvals/settings"


register(
    Applier(
        settings.KIND, N_("Approval settings"), ("update", "Approvals"), read, _apply, _title, _url,
        refusals=(BadSettings,), shown=_shown,
    )
)  # fmt: skip
