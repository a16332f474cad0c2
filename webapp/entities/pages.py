"""What all pages of the room share: the entity behind an address, and how fields and values are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import abort
from flask_babel import format_date, get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.access.roles import READ
from webapp.entities import listing, storage
from webapp.entities.model import KIND_LABELS, SYSTEM_LABELS, Entity, EntityField, Kind
from webapp.entities.permitted import Permit, permit_of
from webapp.entities.values import Masked
from webapp.policies.who import Who, current_who
from webapp.web.views import RoomView

ICONS: dict[Kind, str] = {
    Kind.TEXT: "type",
    Kind.LONG_TEXT: "file-earmark-text",
    Kind.INTEGER: "hash",
    Kind.DECIMAL: "hash",
    Kind.MONEY: "cash-coin",
    Kind.BOOLEAN: "toggle-on",
    Kind.DATE: "calendar",
    Kind.DATETIME: "calendar-event",
    Kind.CHOICE: "ui-checks",
    Kind.MULTI_CHOICE: "tags",
    Kind.REFERENCE: "link-45deg",
    Kind.EMAIL: "envelope",
    Kind.PHONE: "telephone",
    Kind.URL: "globe",
    Kind.JSON: "braces",
    Kind.FILE: "file-earmark",
}


class EntityRoom(RoomView):
    """A page about an entity or its records."""

    @property
    def zone(self) -> ZoneInfo:
        """Return the time zone in which people type and read times."""
        return ZoneInfo(self.house.settings.timezone)

    def entity(self, tx: sa.Connection, name: str) -> Entity:
        """Return the entity of an address; the answer is "not found" where there is none."""
        try:
            return storage.current(tx, name)
        except storage.NoEntity:
            abort(404)

    def permit(self, tx: sa.Connection, entity: Entity, action: str = READ) -> Permit:
        """Return what the reader may see of the entity's records; refuses where `action` is not permitted at all."""
        permit = permit_of(tx, current_who(), entity)
        permit.require(action)
        return permit.to(action)

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """Render a template with the words for fields and values."""
        words = {"label": label, "entity_label": entity_label, "kind_label": kind_label, "icons": ICONS, "Kind": Kind}
        return super().page(
            template, status, **words, lang=language(), shown=shown, record_title=listing.title, **context
        )


def language() -> str:
    """Return the reader's language: "en" or "zh"."""
    return "zh" if str(get_locale()).startswith("zh") else "en"


def entity_label(entity: Entity) -> str:
    """Return what an entity is called in the reader's language."""
    return entity.label.text(language()) or entity.name.replace("_", " ").capitalize()


def label(entity: Entity, name: str) -> str:
    """Return what a column is called in the reader's language."""
    if name in SYSTEM_LABELS:
        return str(_(SYSTEM_LABELS[name]))
    field = entity.by_name.get(name)
    if field is None:
        owner = entity.owner_of.get(name)
        return _("%(field)s, currency", field=label(entity, owner.name)) if owner else name
    return field.label.text(language()) or name.replace("_", " ").capitalize()


def kind_label(kind: Kind) -> str:
    """Return what a type of field is called."""
    return str(_(KIND_LABELS[kind]))


def shown(field: EntityField | None, value: Any) -> str:
    """Return a number, date or choice as the reader writes it."""
    if value is None or isinstance(value, Masked):
        return str(value or "")
    if field and field.kind is Kind.CHOICE:
        return field.choice_label(value, language())
    if isinstance(value, Decimal):
        return format(value, ",f")  # exact, unlike a formatter that goes through the context's precision
    if field and field.kind is Kind.DATE:
        return str(format_date(value, "yyyy-MM-dd"))
    return str(value)


def reference_titles(
    tx: sa.Connection, entity: Entity, records: Iterable[Mapping[str, Any]], who: Who
) -> dict[str, dict[int, str]]:
    """Return, for each reference field, what the records that it points to are called, if the reader may see them."""
    held = list(records)
    found = {}
    for field in entity.fields:
        if field.kind is Kind.REFERENCE:
            pointed = {r.get(field.name) for r in held}
            wanted = {number for number in pointed if isinstance(number, int)}
            found[field.name] = listing.titles(tx, field.entity, wanted, who)
    return found
