"""What an expression is about: the fields that it may name and the records that it is tried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import polars as pl

from rules.schema import Field, FieldType, Schema
from rules.text import Message, msg
from webapp.connections import permitted
from webapp.connections.catalogue import HUB
from webapp.entities import frames, listing, storage
from webapp.extensions import House
from webapp.rulebook import reading
from webapp.rulebook.editing import Flow, listed
from webapp.rulebook.library import library
from webapp.rulebook.samples import COUNT, READ, Samples, samples
from webapp.rulebook.validation_trial import examples
from webapp.web.language import translated

Asked = Mapping[str, Any]
MAX_FIELDS = 2_000
MAX_SCALE = 38


@dataclass(frozen=True)
class Scope:
    """The fields, the first records, and in one sentence why there are none."""

    schema: Schema
    records: pl.DataFrame
    problem: Message | None = None
    withheld: frozenset[str] = frozenset()
    """The fields whose values who asks may not see; they are empty in the records."""

    @property
    def examples(self) -> pl.DataFrame:
        """Return the few records that are shown one by one."""
        return self.records.head(COUNT)

    def without_records(self) -> Scope:
        """Return the scope for somebody who may not see records."""
        return Scope(self.schema, self.schema.empty(), self.problem)


class UnknownScope(ValueError):
    """It is not said what the expression is about, or in a form that nobody knows."""


def scope_address(document: Mapping[str, Any], side: str, *, decided: bool = False) -> str:
    """Return the address that answers for the object of one side of a rule; `decided` adds what its tables decide."""
    part = document.get(side)
    named = part if isinstance(part, Mapping) else {}
    asked = {"connection": named.get("connection") or "", "object": named.get("object") or ""}
    if decided and document.get("decisions"):
        asked["rule"] = str(document.get("name") or "")
        if any(decision.get("side") for decision in listed(document, "decisions")):
            asked["side"] = side
    return f"/expressions/?{urlencode(asked)}"


def resolve_address(document: Mapping[str, Any], left: str) -> str:
    """Return the address that answers for what settles conflicts of a left field: `left`, `right` and `base`."""
    return f"{scope_address(document, 'left')}&{urlencode({'resolve': left})}"


def scope_of(house: House, asked: Asked) -> Scope:
    """Return the scope that a page asks for.

    Args:
        house: the open house.
        asked: `connection` and `object`, with `rule` where the outputs of its decision tables count; `entity`; or
            `fields`, a list of `{name, type, label, nullable, scale}`. With `entity` and `fields` the entity gets these
            fields, and keeps the values that it has for them.
    """
    reader = next((read for name, read in _READERS.items() if asked.get(name)), None)
    if reader is None:
        raise UnknownScope
    return reader(house, asked)


def _of_connection(house: House, asked: Asked) -> Scope:
    found = samples(house, str(asked["connection"]), str(asked.get("object", "")))
    if "resolve" in asked:
        return _of_conflict(found, str(asked["resolve"]))
    if not asked.get("rule") or found.problem:
        return Scope(found.schema, found.many, found.problem, found.withheld)
    with house.db.read() as tx:
        draft = reading.draft(tx, str(asked["rule"])) or {}
    side, first = asked.get("side"), Flow.of(draft).source
    decisions = [one for one in listed(draft, "decisions") if not side or (one.get("side") or first) == side]
    given = examples(found, decisions, library(house), house.clock())
    return Scope(given.schema, given.records, withheld=found.withheld)


def _of_conflict(found: Samples, name: str) -> Scope:
    """Return what an expression that settles conflicts sees, typed as on the left."""
    like = found.schema[name] if name in found.schema else Field(name)
    words = {
        "left": msg("The value on the left"),
        "right": msg("The value on the right"),
        "base": msg("What both sides last agreed on"),
    }
    fields = (replace(like, name=word, nullable=True, label=translated(label)) for word, label in words.items())
    schema = Schema(tuple(fields))
    return Scope(schema, schema.empty(), found.problem)


def _of_entity(house: House, asked: Asked) -> Scope:
    with house.db.read() as tx:
        try:
            entity = storage.current(tx, str(asked["entity"]))
        except storage.NoEntity:
            text = msg("There is no entity '{name}' (any more).", name=str(asked["entity"]))
            return Scope(Schema(()), pl.DataFrame(), text)
        found = listing.page(tx, entity, listing.Query(), READ).records
        rights = permitted.rights_to(tx, HUB, entity.name, entity.schema)
    records = permitted.blanked(rights, frames.from_dicts(entity.schema, found, entity.schema.names))
    known = Scope(entity.schema, records, withheld=permitted.withheld(rights, entity.schema.names))
    return _refitted(known, Schema(fields_of(asked["fields"]))) if asked.get("fields") else known


def _of_fields(_house: House, asked: Asked) -> Scope:
    schema = Schema(fields_of(asked["fields"]))
    return Scope(schema, schema.empty())


def fields_of(given: Sequence[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Return the fields of a list that a page sends; raises `UnknownScope`."""
    try:
        return tuple(_field(one) for one in given[:MAX_FIELDS])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnknownScope from None


def _field(given: Mapping[str, Any]) -> Field:
    nullable, scale = bool(given.get("nullable", True)), given.get("scale")
    name, label = str(given["name"]), str(given.get("label", ""))
    kind = FieldType(given.get("type", "text"))
    digits = None if scale is None else int(scale)
    if digits is not None and not 0 <= digits <= MAX_SCALE:
        raise UnknownScope
    return Field(name, kind, nullable=nullable, scale=digits, label=label)


def _refitted(known: Scope, fields: Schema) -> Scope:
    """Return a scope with other fields; those that it has as they are keep their values, the others are empty."""
    columns = [_column(field, known.records.schema.get(field.name)) for field in fields.fields]
    records = known.records.select(columns) if known.records.height else fields.empty()
    return Scope(fields, records, withheld=known.withheld)


def _column(field: Field, present: pl.DataType | None) -> pl.Expr:
    number = isinstance(present, pl.Decimal) and isinstance(field.dtype, pl.Decimal)
    if present == field.dtype or number:
        return pl.col(field.name).cast(field.dtype, strict=False)
    return pl.lit(None, field.dtype).alias(field.name)


_READERS: dict[str, Callable[[House, Asked], Scope]] = {
    "connection": _of_connection,
    "entity": _of_entity,
    "fields": _of_fields,
}
