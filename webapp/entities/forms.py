"""The form of a record: from stored values to what stands in the inputs, and back with a sentence for each mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from werkzeug.datastructures import FileStorage, MultiDict

from rules.text import Message
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.refusals import Refusal
from webapp.entities.values import BadValue, from_plain, from_text, to_plain, to_text


@dataclass
class Form:
    """What stands in the inputs by name, what was read from it by column, what is wrong by field, what to warn of."""

    texts: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Message] = field(default_factory=dict)
    files: dict[str, FileStorage] = field(default_factory=dict)
    warnings: list[Refusal] = field(default_factory=list)


def editable(entity: Entity) -> list[EntityField]:
    """Return the fields that a person fills in."""
    return [f for f in entity.fields if not f.computed]


def texts_of(fields: Iterable[EntityField], record: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Return what the inputs of a form show for stored values."""
    texts: dict[str, Any] = {}
    for item in fields:
        value = record.get(item.name)
        texts[item.name] = _text(item, value, zone)
        if item.kind is Kind.MONEY:
            texts[item.currency_name] = record.get(item.currency_name) or item.currency
    return texts


def read(
    fields: Iterable[EntityField], sent: MultiDict[str, str], files: MultiDict[str, FileStorage], zone: tzinfo
) -> Form:
    """Return what a person sent."""
    form = Form()
    for item in fields:
        text = _sent(item, sent)
        form.texts[item.name] = text
        upload = files.get(item.name)
        if upload and upload.filename:
            form.files[item.name] = upload
            continue
        try:
            form.values[item.name] = _value(item, text, zone)
        except BadValue as error:
            form.errors[item.name] = error.message
        if item.kind is Kind.MONEY:
            _read_currency(item, sent, form)
    return form


def unchanged(form: Form, before: Mapping[str, Any]) -> set[str]:
    """Return the columns whose input shows what it showed at first; they are not written, so that no digit is lost."""
    return {name for name, text in form.texts.items() if text == before.get(name) and name not in form.files}


def _read_currency(item: EntityField, sent: MultiDict[str, str], form: Form) -> None:
    if item.currency:
        return
    currency = sent.get(item.currency_name, "").strip().upper()
    form.texts[item.currency_name] = currency
    form.values[item.currency_name] = currency if currency and form.texts[item.name] else None


def _sent(item: EntityField, sent: MultiDict[str, str]) -> Any:
    if item.kind is Kind.MULTI_CHOICE:
        return [v for v in sent.getlist(item.name) if v]
    text = sent.get(item.name, "")
    return text.replace("\r\n", "\n")


def _value(item: EntityField, text: Any, zone: tzinfo) -> Any:
    if item.kind is Kind.MULTI_CHOICE:
        return from_plain(item, text) if text else None
    return from_text(item, text, zone)


def _text(item: EntityField, value: Any, zone: tzinfo) -> Any:
    if item.kind is Kind.MULTI_CHOICE:
        return to_plain(item, value) or []
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
    return to_text(item, value)
