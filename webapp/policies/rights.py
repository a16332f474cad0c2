"""The rights of one user on one data object: compiled once, asked for every action, field and record. Pure.

Roles are united. An action is permitted if one role permits it and none denies it; of a field one sees the most that a
role shows which permits to see records, unless a role denies the field; a record is seen if its row is permitted by one
of these roles, unless a role takes the row away from everybody.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.language.sql.simplify import every, some
from rules.predicate import EVERYTHING, Predicate
from rules.schema import FieldType
from rules.text import N_, Message, msg
from webapp.policies import choosing, columns, explaining, levels, masks
from webapp.policies import where as database
from webapp.policies.certain import NOTHING
from webapp.policies.errors import NotPermitted
from webapp.policies.grants import Grant
from webapp.policies.levels import Access, Level
from webapp.policies.objects import ACTION_LABELS, READ, WRITING, DataObject, PolicyField
from webapp.policies.reasons import Reason
from webapp.policies.who import Who


@dataclass(frozen=True)
class Rights:
    """What a user may see and do; `fields` are those of the object, `grants` what each role says."""

    who: Who
    data: DataObject
    fields: tuple[PolicyField, ...]
    grants: tuple[Grant, ...]
    key: bytes = b""
    """The installation's, for signs that stand for masked values."""
    limit: Rights | None = None
    """Of whoever else has to be permitted it."""

    # Actions

    def may(self, action: str) -> bool:
        """Tell whether an action is permitted at all; for which rows, `where` and `sees` tell."""
        if self.who.system:
            return True
        if self.limit is not None and not self.limit.may(action):
            return False
        return any(action in g.allow for g in self.grants) and not any(action in g.deny for g in self.grants)

    def require(self, action: str) -> None:
        """Raise `NotPermitted` unless the action is permitted."""
        if not self.may(action):
            text = N_("Your roles do not permit to {deed} of {object}. Ask an administrator for a role that does.")
            raise NotPermitted(msg(text, deed=Message(ACTION_LABELS[action]), object=self.data.name))

    # Fields

    def access(self, field: str) -> Access:
        """Return what may be done with the values of a field."""
        return self.level(field).access

    def level(self, field: str) -> Level:
        """Return how much of a field is seen, with the mask."""
        found = self._levels.get(field)
        return self._level(PolicyField(field)) if found is None else found

    @cached_property
    def _levels(self) -> Mapping[str, Level]:
        return {field.name: self._level(field) for field in self.fields}

    def _level(self, field: PolicyField) -> Level:
        if self.who.system:
            return levels.WRITE
        found = [(grant, grant.level(field)) for grant in self.grants]
        if any(level.denied for _, level in found):
            return levels.DENIED
        seen = [_seen(grant, level) for grant, level in found]
        best = functools.reduce(levels.best, seen, levels.HIDE)
        return best if self.limit is None else levels.least(best, self.limit.level(field.name))

    @cached_property
    def readable(self) -> frozenset[str]:
        """Return the fields whose values are seen as they are."""
        return frozenset(name for name, level in self._levels.items() if level.access >= Access.READ)

    @cached_property
    def writable(self) -> frozenset[str]:
        """Return the fields that may be changed."""
        return frozenset(name for name, level in self._levels.items() if level.access is Access.WRITE)

    @cached_property
    def masked(self) -> frozenset[str]:
        """Return the fields of which a mask is seen."""
        return frozenset(name for name, level in self._levels.items() if level.access is Access.MASK)

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Return the fields that are not seen."""
        return frozenset(name for name, level in self._levels.items() if level.access is Access.HIDE)

    def require_plain(self, fields: Iterable[str], doing: str | Message) -> None:
        """Raise `NotPermitted` where something is asked by a field whose values are not seen as they are.

        Args:
            fields: The names of the fields.
            doing: What is done by them, such as "filter" or "sort".
        """
        for field in fields:
            if self.access(field) < Access.READ:
                text = N_("'{field}' of {object} is hidden from you, so you cannot {doing} by it.")
                what = Message(doing) if isinstance(doing, str) else doing
                raise NotPermitted(msg(text, field=field, object=self.data.name, doing=what))

    def require_write(self, fields: Iterable[str]) -> None:
        """Raise `NotPermitted` where a field may not be changed."""
        for field in fields:
            if self.access(field) is not Access.WRITE:
                text = N_("You may not change '{field}' of {object}. Leave it as it is.")
                raise NotPermitted(msg(text, field=field, object=self.data.name))

    # Rows

    def rows(self, action: str = READ) -> Predicate:
        """Return the rows that an action is permitted for."""
        if self.who.system:
            return EVERYTHING
        if action not in self._rows:
            self._rows[action] = self._united(action)
        return self._rows[action]

    @cached_property
    def _rows(self) -> dict[str, Predicate]:
        return {}

    def _united(self, action: str) -> Predicate:
        if not self.may(action):
            return NOTHING
        allowed = [grant.rows for grant in self.grants if action in grant.allow]
        whole = EVERYTHING if EVERYTHING in allowed else some([part for part in allowed if part != NOTHING])
        free = [grant.free for grant in self.grants] + ([] if self.limit is None else [self.limit.rows(action)])
        return NOTHING if NOTHING in (whole, *free) else every([whole, *free])

    @cached_property
    def _types(self) -> Mapping[str, FieldType]:
        return {field.name: field.type for field in self.fields}

    def where(
        self, columns: Mapping[str, sa.ColumnElement[Any]], sqlite: bool, action: str = READ
    ) -> sa.ColumnElement[bool] | None:
        """Return the condition of the rows that an action is permitted for, None where it is for all.

        It is for the end of a query's WHERE; negating it would not give the other rows.
        """
        rows = self.rows(action)
        return None if rows == EVERYTHING else database.where(rows, columns, self._types, sqlite=sqlite)

    def sees(self, record: Mapping[str, Any], action: str = READ) -> bool:
        """Tell whether an action is permitted for a record; it has to hold the fields that conditions ask."""
        rows = self.rows(action)
        return rows == EVERYTHING or choosing.meets(rows, record, self._types)

    # What is shown

    def shown(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what is seen of a record: hidden fields are left out, masked ones replaced; None if it is not seen."""
        return self.fields_shown(record) if self.sees(record) else None

    def fields_shown(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is seen of the fields of a record that is seen, such as of a part of it."""
        plain = self.readable
        return {
            name: value if name in plain else self.value(name, value)
            for name, value in record.items()
            if name in plain or self.access(name) is not Access.HIDE
        }

    def value(self, field: str, value: Any) -> Any:
        """Return what is seen of a field's value, None where it is hidden."""
        level = self.level(field)
        if level.access >= Access.READ:
            return value
        return None if level.mask is None else masks.masked(level.mask, value, self.key)

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what is seen of a batch: rows and fields are left out, masked columns become text."""
        rows = self.rows()
        if rows != EVERYTHING:
            frame = frame.filter(columns.chosen(rows, frame, self._types))
        kept = [name for name in frame.columns if self.access(name) is not Access.HIDE]
        return frame.select(self._shown(frame[name]) for name in kept)

    def _shown(self, column: pl.Series) -> pl.Series:
        if self.access(column.name) >= Access.READ:
            return column
        values = [self.value(column.name, value) for value in column.to_list()]
        return pl.Series(column.name, values, dtype=pl.String)

    @cached_property
    def everything(self) -> bool:
        """Tell whether nothing is restricted: every action, field and row is permitted."""
        if self.who.system:
            return True
        return all(self.rows(action) == EVERYTHING for action in ACTION_LABELS) and self.writable >= {*self._levels}

    @cached_property
    def sees_everything(self) -> bool:
        """Tell whether all rows and the values of all fields are seen as they are."""
        return self.rows() == EVERYTHING and self.readable >= {*self._levels}

    def why(self, action: str, field: str | None = None, record: Mapping[str, Any] | None = None) -> tuple[Reason, ...]:
        """Return what each role says of an action, or of seeing a field, and of the row of a record."""
        return explaining.reasons(explaining.Question(action, field, record), self)


def _seen(grant: Grant, level: Level) -> Level:
    """Return what a role's word on a field comes to: only a role that permits to see or to change records counts."""
    if level.access is Access.WRITE and grant.allow & WRITING:
        return level
    return levels.least(level, levels.READ) if READ in grant.allow else levels.HIDE
