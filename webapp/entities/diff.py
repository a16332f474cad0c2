"""What differs between two definitions, field by field. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webapp.entities.columns import Exact, column_type
from webapp.entities.model import NUMBER_KINDS, Entity, EntityField, Kind


@dataclass(frozen=True)
class FieldChange:
    """One field before and after; None where it did not exist or shall not exist."""

    old: EntityField | None
    new: EntityField | None

    @property
    def renamed(self) -> bool:
        """Tell whether the field has another name."""
        return bool(self.old and self.new and self.old.name != self.new.name)

    @property
    def narrows(self) -> bool:
        """Tell whether values that fitted before may not fit now, or mean something else."""
        old, new = self.old, self.new
        if old is None or new is None or new.computed:
            return False
        return (
            self.converts
            or _shorter(old, new)
            or _fewer_digits(old, new)
            or bool(set(old.values) - set(new.values))
            or _moved(old, new)
        )

    @property
    def converts(self) -> bool:
        """Tell whether the type of the values changes."""
        return bool(self.old and self.new and self.old.kind is not self.new.kind)

    def rewrites(self, dialect: str) -> bool:
        """Tell whether the stored form of the values changes, so that each has to be written again."""
        if self.old is None or self.new is None:
            return False
        return self.converts or stored_form(self.old, dialect) != stored_form(self.new, dialect)


def differences(old: Entity, new: Entity) -> tuple[FieldChange, ...]:
    """Return the fields that differ, in the new order, those dropped last; `was` names a field's former self."""
    before = old.by_name
    taken: set[str] = set()
    changes = []
    for field in new.fields:
        own = former(before, new, field)
        if own:
            taken.add(own.name)
        if own != field:
            changes.append(FieldChange(own, field))
    return (*changes, *(FieldChange(f, None) for f in old.fields if f.name not in taken))


def former(before: Mapping[str, EntityField], new: Entity, field: EntityField) -> EntityField | None:
    """Return what a field of the new definition was before."""
    return before.get(field.name) or (before.get(field.was) if field.was not in new.by_name else None)


def stored_form(field: EntityField, dialect: str) -> str:
    """Return a text that is equal for two fields whose values are stored alike."""
    column = column_type(field.fields[0])
    if dialect == "sqlite" and isinstance(column, Exact):
        return f"exact {field.scale}" if column.scaled else f"exact {field.precision} {field.scale}"
    return field.type.value


def _shorter(old: EntityField, new: EntityField) -> bool:
    return new.max_length is not None and (old.max_length is None or old.max_length > new.max_length)


def _fewer_digits(old: EntityField, new: EntityField) -> bool:
    if not {old.kind, new.kind} <= NUMBER_KINDS:
        return False
    return new.scale < old.scale or new.precision - new.scale < old.precision - old.scale


def _moved(old: EntityField, new: EntityField) -> bool:
    """Tell whether a reference points elsewhere or money is in another currency."""
    if new.kind is Kind.REFERENCE:
        return old.entity != new.entity
    return new.kind is Kind.MONEY and bool(new.currency) and old.currency != new.currency
