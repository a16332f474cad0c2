"""What one person may see of an entity's records and do to them: the policies of their roles, by column.

A column follows the field that it belongs to: the currency of an amount that is masked or hidden is hidden. A computed
field is hidden where it is worked out from something that is not shown in full. The number of a record is always shown.
Whoever writes has to see what comes of it: a record that would be out of sight afterwards is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa
from flask import g, has_request_context

from rules.predicate import EVERYTHING, Predicate
from rules.text import N_, Message, msg
from webapp.access.roles import READ
from webapp.audit import looks
from webapp.entities import storage
from webapp.entities.model import SYSTEM_NAMES, Entity, EntityField, Kind
from webapp.entities.refusals import Refusal, refuse
from webapp.entities.sealed import is_exact
from webapp.entities.values import Masked
from webapp.policies import columns as batches
from webapp.policies import services
from webapp.policies.errors import NotPermitted
from webapp.policies.levels import Access
from webapp.policies.objects import DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.who import Who

if TYPE_CHECKING:
    from webapp.entities.history import Author

ALWAYS = frozenset({"id", "version"})
"""Columns that name a record and its state, and say nothing of what it holds."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_UNSEEN = N_("What the record would hold in a field that you may not see is not right. Ask who may see it.")


class Permit:
    """What one person may see and do; `dialect` is that of the database, `action` what shall be done with records."""

    def __init__(self, entity: Entity, rights: Rights, dialect: str, action: str = READ) -> None:
        self.entity = entity
        self.rights = rights
        self.action = action
        self._dialect = dialect

    def to(self, action: str) -> Permit:
        """Return the same for an action; only records count that are seen and that it is permitted for."""
        return self if action == self.action else Permit(self.entity, self.rights, self._dialect, action)

    def of(self, tx: sa.Connection, other: Entity) -> Permit:
        """Return what the same person may see of another entity."""
        return permit_of(tx, self.rights.who, other)

    def may(self, action: str) -> bool:
        """Tell whether something may be done with records."""
        return self.rights.may(action)

    def require(self, action: str) -> None:
        """Raise `NotPermitted` where something may not be done with records."""
        self.rights.require(action)

    # Fields

    @cached_property
    def access(self) -> Mapping[str, Access]:
        """Return what may be done with each column."""
        found = {n: Access.READ if n in ALWAYS else min(self.rights.access(n), Access.READ) for n in SYSTEM_NAMES}
        for field in self.entity.fields:
            own = found[field.name] = self._of_field(field)
            if field.kind is Kind.MONEY:
                found[field.currency_name] = own if own >= Access.READ else Access.HIDE
        return found

    @cached_property
    def whole(self) -> bool:
        """Tell whether every field is shown as it is."""
        return self.rights.sees_everything or all(access >= Access.READ for access in self.access.values())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are shown, be it masked."""
        names = self.entity.schema.names
        return names if self.whole else tuple(n for n in names if self.access[n] is not Access.HIDE)

    @cached_property
    def fields(self) -> tuple[EntityField, ...]:
        """Return the fields that are shown, be it masked."""
        return tuple(f for f in self.entity.fields if f.name in self.columns)

    @cached_property
    def writable(self) -> tuple[EntityField, ...]:
        """Return the fields that may be filled in."""
        return tuple(f for f in self.entity.fields if not f.computed and self.access[f.name] is Access.WRITE)

    def plain(self, name: str) -> bool:
        """Tell whether a column's values may be used for more than being looked at: compared, ordered, searched."""
        return self.whole or self.access.get(name, Access.READ) >= Access.READ

    def require_plain(self, names: Iterable[str], doing: str) -> None:
        """Raise `NotPermitted` where a column's values are not shown in full; names that nobody knows pass."""
        veiled = [name for name in names if not self.plain(name)]
        if veiled:
            self.rights.require_plain([self._owner(name) for name in veiled], doing)
            text = N_("'{field}' of {object} is worked out from fields that are hidden from you, so it is hidden too.")
            raise NotPermitted(msg(text, field=veiled[0], object=self.entity.name))

    def require_write(self, names: Iterable[str]) -> None:
        """Raise `NotPermitted` where a column may not be filled in."""
        own = {self._owner(name): None for name in names if name not in SYSTEM_NAMES}
        self.rights.require_write(own)

    # Records

    @cached_property
    def chosen(self) -> Predicate:
        """Return the tests that a record has to meet."""
        return self.rights.rows(self.action)

    @cached_property
    def rows(self) -> sa.ColumnElement[bool] | None:
        """Return the condition for the records that count; None: all do."""
        table = storage.build_table(self.entity, self._dialect)
        columns = {name: table.c[name] for name in self.entity.schema.names}
        actions = {READ: None, self.action: None}
        found = [self.rights.where(columns, self._dialect == "sqlite", action) for action in actions]
        parts = [part for part in found if part is not None]
        return sa.and_(*parts) if parts else None

    @property
    def unrestricted(self) -> bool:
        """Tell whether all records are seen with all that they hold."""
        return self.whole and self.rows is None

    def seen(self, records: pl.DataFrame) -> pl.Series:
        """Return a mask of the records that count; all columns are at hand."""
        mask = pl.repeat(value=True, n=records.height, dtype=pl.Boolean, eager=True)
        types = {field.name: field.type for field in self.entity.schema.fields}
        for action in {READ, self.action}:
            predicate = self.rights.rows(action)
            if predicate != EVERYTHING and records.height:
                mask &= batches.chosen(predicate, records, types)
        return mask

    def beyond(self, records: pl.DataFrame) -> list[Refusal]:
        """Refuse records that would be out of sight, or out of reach, once they are written."""
        if self.rows is None:
            return []
        return refuse(~self.seen(records), msg("Your roles do not permit to write a record with these values."))

    def shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record as it is shown: hidden columns left out, masked ones replaced."""
        if self.whole:
            return dict(record)
        return {name: self._value(name, value) for name, value in record.items() if name in self.columns}

    def looked(self, records: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None, more: int = 0) -> None:
        """Note that this request shows records, in some columns or all; `more` of which the numbers are not at hand."""
        known = self.columns if columns is None else columns
        private = [n for n in known if self.plain(n) and (f := self.entity.owner_of.get(n)) is not None and f.personal]
        if private:
            held = list(records)
            seen = [name for name in private if more or any(record.get(name) is not None for record in held)]
            looks.looked(self.rights.data.text, seen, [record["id"] for record in held], more)

    def told(self, refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
        """Return refusals without what may not be seen: values of fields, and other records."""
        if self.unrestricted:
            return tuple(refusals)
        return tuple(self._told(refusal) for refusal in refusals)

    def _owner(self, name: str) -> str:
        field = self.entity.owner_of.get(name)
        return field.name if field else name

    def _of_field(self, field: EntityField) -> Access:
        own = self.rights.access(field.name)
        if not field.computed or own < Access.READ:
            return own
        words = set(_WORD.findall(field.computed))  # also within texts, as a field may be named by one
        read = [f for f in self.entity.fields if f.name != field.name and not words.isdisjoint(_columns(f))]
        return Access.READ if all(self._of_field(f) >= Access.READ for f in read) else Access.HIDE

    def _value(self, name: str, value: Any) -> Any:
        if self.access[name] >= Access.READ:
            return value
        text = self.rights.value(name, value)
        return None if text is None else Masked(text)

    def _told(self, refusal: Refusal) -> Refusal:
        if refusal.field is not None and not self.plain(refusal.field):
            return replace(refusal, message=Message(_UNSEEN), veiled=None)
        return refusal if refusal.veiled is None else replace(refusal, message=refusal.veiled)


def permit_of(tx: sa.Connection, who: Who, entity: Entity) -> Permit:
    """Return what a person may see of an entity's records and do to them; worked out once a request."""
    fields = policy_fields(entity)
    kept: dict[Any, Rights] = g.setdefault("entity_rights", {}) if has_request_context() else {}
    asked = (id(who), entity.name, fields)
    if asked not in kept:
        kept[asked] = services.rights_of(tx, who, DataObject.entity(entity.name), fields)
    return Permit(entity, kept[asked], tx.dialect.name)


def author_of(tx: sa.Connection, entity: Entity, author: Author, who: Who) -> Author:
    """Return the author with what `who` may do with the entity's records."""
    return author if who.system else replace(author, permit=permit_of(tx, who, entity))


def policy_fields(entity: Entity) -> tuple[PolicyField, ...]:
    """Return the fields that policies speak of: those of the definition, and what Syncline fills in."""
    own = tuple(
        PolicyField(f.name, f.type, f.personal, encrypted=bool(f.sealed), exact=is_exact(f.sealed))
        for f in entity.fields
    )
    return (*own, *(PolicyField(name, entity.schema[name].type, key=name in ALWAYS) for name in SYSTEM_NAMES))


def _columns(field: EntityField) -> frozenset[str]:
    return frozenset(column.name for column in field.fields)
