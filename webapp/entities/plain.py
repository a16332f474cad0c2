"""Records as JSON: the API's form of stored values, one by one and in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.text import Message, msg
from webapp.entities.model import SYSTEM_NAMES, Entity, EntityField, Kind
from webapp.entities.values import BadValue, from_plain, to_plain


class BadRecord(ValueError):
    """A JSON object does not describe a record; `errors` say which fields and why."""

    def __init__(self, errors: Mapping[str, Message]) -> None:
        super().__init__(" ".join(map(str, errors.values())))
        self.errors = dict(errors)


@dataclass(frozen=True)
class Batch:
    """Records to create, to change (with `id`) and to delete, as stored values."""

    create: tuple[dict[str, Any], ...] = ()
    update: tuple[dict[str, Any], ...] = ()
    delete: tuple[int, ...] = ()

    @classmethod
    def read(cls, entity: Entity, body: Mapping[str, Any]) -> Batch:
        """Return the batch of a JSON body; raises `BadRecord`."""
        errors: dict[str, Message] = {}
        made: dict[str, list[dict[str, Any]]] = {"create": [], "update": []}
        for deed, records in made.items():
            for number, item in enumerate(body.get(deed, ())):
                _read_one(entity, deed, number, item, records, errors)
        if errors:
            raise BadRecord(errors)
        return cls(tuple(made["create"]), tuple(made["update"]), tuple(body.get("delete", ())))


def to_plain_record(entity: Entity, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as JSON."""
    return {name: to_plain(_own(entity, name), value) for name, value in record.items()}


def from_plain_record(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored values of a JSON object by column; raises `BadRecord`."""
    values: dict[str, Any] = {}
    errors: dict[str, Message] = {}
    for name, value in body.items():
        try:
            values[name] = from_plain(_writable(entity, name), value)
        except BadValue as error:
            errors[name] = error.message
    if errors:
        raise BadRecord(errors)
    return values


def _read_one(
    entity: Entity,
    deed: str,
    number: int,
    item: Mapping[str, Any],
    into: list[dict[str, Any]],
    errors: dict[str, Message],
) -> None:
    try:
        values = from_plain_record(entity, {k: v for k, v in item.items() if k != "id"})
    except BadRecord as error:
        errors.update({f"{deed}/{number}/{name}": message for name, message in error.errors.items()})
        return
    if deed == "update":
        if not isinstance(item.get("id"), int):
            errors[f"{deed}/{number}/id"] = msg("The number of the record is missing.")
            return
        values["id"] = item["id"]
    into.append(values)


def _own(entity: Entity, name: str) -> EntityField | None:
    return entity.by_name.get(name)


def _writable(entity: Entity, name: str) -> EntityField:
    if name not in entity.schema:
        raise BadValue(msg("There is no such field."))
    field = entity.by_name.get(name)
    if name in SYSTEM_NAMES or entity.schema[name].generated:
        raise BadValue(msg("The field is filled in by Syncline and cannot be written."))
    return field or EntityField(name, Kind.TEXT)
