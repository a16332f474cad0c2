"""Entities with what they lead to (`$expand`): one entity as fields such as `Customer.Name`, many as JSON. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.builtin.odata_model import EntitySet, Model, Property
from connectors.builtin.odata_types import STRUCTURED
from connectors.errors import Misconfigured
from connectors.json_records import text_of
from rules.schema import Field, FieldType
from rules.text import Message, msg

_MORE = "@odata.nextLink"


def expanded(model: Model, given: EntitySet, names: Sequence[str]) -> EntitySet:
    """Return a set whose entities have the fields of what they lead to by some navigations, too; these are only read.

    Raises:
        Misconfigured: A navigation does not exist.
    """
    properties = dict(given.properties)
    for name in names:
        found = model.navigation(given.name, name)
        if found is None or name in given.properties:
            known = ", ".join(list(model.navigations(given.name))[:20]) or "-"
            raise Misconfigured(
                msg("'{set}' leads to nothing called '{name}'.", set=given.name, name=name),
                msg("Correct the member 'expand' of the object; it may name: {names}.", names=known),
            )
        if found.many:
            field = Field(name, FieldType.JSON, generated=True)
            properties[name] = Property(name, STRUCTURED, field, path=(name, ""))
            continue
        for inner, one in found.properties.items():
            field = replace(one.field, name=f"{name}.{inner}", nullable=True, generated=True)
            properties[field.name] = Property(field.name, one.kind, field, path=(name, inner))
    return replace(given, properties=properties) if names else given


def asked(given: EntitySet, names: Iterable[str], *, old: bool) -> dict[str, str]:
    """Return the parameters that ask for properties, expanded ones among them."""
    own, inside = list(given.key), dict[str, list[str]]()
    for name in names:
        path = given.properties[name].path
        if path is None:
            own.append(name)
        else:
            inside.setdefault(path[0], []).extend(filter(None, path[1:]))
    select = list(dict.fromkeys(own))
    if not inside:
        return {"$select": ",".join(select)}
    if old:
        select += [f"{n}/{inner}" for n, parts in inside.items() for inner in parts] + [
            n for n, parts in inside.items() if not parts
        ]
        return {"$select": ",".join(select), "$expand": ",".join(inside)}
    parts = (f"{n}($select={','.join(inner)})" if inner else n for n, inner in inside.items())
    return {"$select": ",".join(select), "$expand": ",".join(parts)}


def values(found: Property, entities: Sequence[tuple[int, Mapping[str, Any]]]) -> list[str | None]:
    """Return the values of a property of numbered entities, as texts that `connectors.casting` understands."""
    read = found.kind.read
    if found.path is None:
        return [read(entity.get(found.name)) for _, entity in entities]
    navigation, inner = found.path
    there = [entity.get(navigation) for _, entity in entities]
    if inner:
        return [read(each.get(inner)) if isinstance(each, Mapping) else None for each in there]
    lists = (each.get("results") if isinstance(each, Mapping) else each for each in there)
    return [text_of(list(map(_plain, each))) if isinstance(each, list) else None for each in lists]


def cut_off(given: EntitySet, names: Iterable[str], entity: Mapping[str, Any]) -> Message | None:
    """Return what is wrong with an entity of which the service gave only a part of a list, None if it is whole."""
    for name in names:
        path = given.properties[name].path
        if path is None or path[1]:
            continue
        inside = entity.get(path[0])
        if f"{path[0]}{_MORE}" in entity or (isinstance(inside, Mapping) and "__next" in inside):
            return msg(
                "The service gives only the first part of '{field}'. Read it as an object of its own.", field=path[0]
            )
    return None


def _plain(item: Any) -> Any:
    """Return a part of a list without what the protocol says of it."""
    if not isinstance(item, Mapping):
        return item
    inside = ((n, v) for n, v in item.items() if "@" not in n and n != "__metadata")
    return {n: v for n, v in inside if not (isinstance(v, Mapping) and "__deferred" in v)}
