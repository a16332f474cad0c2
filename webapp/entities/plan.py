"""The change plan: what a new definition does to the table and the records, told before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.entities import encryption, fitting, numbers, plan_validations, storage
from webapp.entities.diff import FieldChange, differences
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.plan_steps import Step, Tone


@dataclass(frozen=True)
class Plan:
    """What a definition would change; `old` is None for a new entity."""

    old: Entity | None
    new: Entity
    steps: tuple[Step, ...]
    changes: tuple[FieldChange, ...] = field(default=())

    @property
    def empty(self) -> bool:
        """Tell whether nothing at all would change."""
        return not self.steps

    @property
    def loses(self) -> bool:
        """Tell whether values would be lost, so that a person has to confirm."""
        return any(step.tone is Tone.LOSES for step in self.steps)

    @property
    def blocked(self) -> bool:
        """Tell whether the records do not allow the change."""
        return any(step.tone is Tone.BLOCKED for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return a plain form for the command line and the API."""
        steps = [
            {"field": s.field, "tone": s.tone.value, "message": str(s.message), "records": list(s.examples)}
            for s in self.steps
        ]
        return {
            "entity": self.new.name,
            "new": self.old is None,
            "empty": self.empty,
            "loses": self.loses,
            "blocked": self.blocked,
            "steps": steps,
        }


def make(tx: sa.Connection, old: Entity | None, new: Entity) -> Plan:
    """Return the plan from `old` (as stored) to `new` (checked)."""
    new = encryption.carried(old, new)
    if old is None:
        return Plan(
            None, new, (Step("", Tone.SAFE, msg("The entity is created with {count} fields.", count=len(new.fields))),)
        )
    changes = differences(old, new)
    records = numbers.records(tx, old)[0]
    steps = [step for change in changes for step in _steps(tx, old, change, records)]
    if (old.label, old.help, old.title) != (new.label, new.help, new.title):
        steps.append(Step("", Tone.SAFE, msg("Name, help or title of the entity change.")))
    steps += plan_validations.steps(tx, old, new, changes)
    if not steps and [f.name for f in old.fields] != [f.name for f in new.fields]:
        steps.append(Step("", Tone.SAFE, msg("The order of the fields changes.")))
    return Plan(old, new, tuple(steps), changes)


def _steps(tx: sa.Connection, entity: Entity, change: FieldChange, records: int) -> Iterator[Step]:
    if change.old is None and change.new is not None:
        yield _added(change.new, records)
        yield from encryption.steps(change, records)
    elif change.new is None and change.old is not None:
        yield _dropped(tx, entity, change.old)
    elif change.old and change.new:
        told = [*_altered(tx, entity, change), *encryption.steps(change, records)]
        yield from told or [
            Step(
                change.new.name, Tone.SAFE, msg("Label, help, checks or display of the field change; its values stay.")
            )
        ]


def _added(new: EntityField, records: int) -> Step:
    if not new.required or not records:
        return Step(
            new.name,
            Tone.SAFE,
            msg("The field is added; it is empty in the records that exist.")
            if records
            else msg("The field is added."),
        )
    if new.computed:
        return Step(
            new.name, Tone.CHANGES, msg("The field is added and worked out for {count} records.", count=records)
        )
    if new.default is None:
        return Step(
            new.name,
            Tone.BLOCKED,
            msg(
                "The field is required, but {count} records would have no value. Give it a default first.",
                count=records,
            ),
        )
    if new.unique and records > 1:
        return Step(
            new.name,
            Tone.BLOCKED,
            msg("The field is required and unique; one default cannot serve {count} records.", count=records),
        )
    return Step(
        new.name, Tone.CHANGES, msg("The field is added and set to its default in {count} records.", count=records)
    )


def _dropped(tx: sa.Connection, entity: Entity, old: EntityField) -> Step:
    table = storage.table(tx, entity)
    filled = tx.scalar(sa.select(sa.func.count()).select_from(table).where(table.c[old.name].is_not(None))) or 0
    if not filled:
        return Step(old.name, Tone.SAFE, msg("The field is removed; no record has a value in it."))
    return Step(
        old.name,
        Tone.LOSES,
        msg("The field is removed with the values of {count} records. The history keeps what it noted.", count=filled),
    )


def _altered(tx: sa.Connection, entity: Entity, change: FieldChange) -> Iterator[Step]:
    old, new = change.old, change.new
    assert old is not None  # noqa: S101
    assert new is not None  # noqa: S101
    if change.renamed:
        yield Step(
            new.name,
            Tone.SAFE,
            msg("The field '{old}' is renamed to '{new}'; its values stay.", old=old.name, new=new.name),
        )
    if change.narrows:
        yield from _fitted(tx, entity, change)
    elif (old.max_length, old.precision, old.scale) != (new.max_length, new.precision, new.scale):
        yield Step(new.name, Tone.SAFE, msg("The field takes larger values; those that exist stay."))
    if new.computed and new.computed != old.computed:
        yield Step(
            new.name,
            Tone.CHANGES,
            msg("The field is worked out again for all records; values entered by hand are replaced."),
        )
    yield from _demanded(tx, entity, old, new)


def _fitted(tx: sa.Connection, entity: Entity, change: FieldChange) -> Iterator[Step]:
    old, new = change.old, change.new
    assert old is not None  # noqa: S101
    assert new is not None  # noqa: S101
    found = fitting.fit(tx, storage.table(tx, entity), old, new)
    values = {"total": found.total, "count": found.failing}
    if not found.failing:
        tone = Tone.CHANGES if change.converts and found.total else Tone.SAFE
        sentence = (
            msg("All {total} values are converted.", **values)
            if change.converts
            else msg("All {total} values fit.", **values)
        )
        yield Step(new.name, tone, sentence)
    elif not change.converts:
        yield Step(
            new.name,
            Tone.BLOCKED,
            msg("{count} of {total} values do not fit. Correct these records first.", **values),
            found.examples,
        )
    elif new.required:
        yield Step(
            new.name,
            Tone.BLOCKED,
            msg(
                "{count} of {total} values of a required field cannot be converted. Correct these records first.",
                **values,
            ),
            found.examples,
        )
    else:
        yield Step(
            new.name,
            Tone.LOSES,
            msg("{count} of {total} values cannot be converted and become empty.", **values),
            found.examples,
        )


def _demanded(tx: sa.Connection, entity: Entity, old: EntityField, new: EntityField) -> Iterator[Step]:
    if new.required and not old.required and not new.computed:
        yield from _required(tx, entity, old, new)
    elif old.required and not new.required:
        yield Step(new.name, Tone.SAFE, msg("The field may be left empty from now on."))
    if new.unique and not old.unique:
        yield _unique(tx, entity, old, new)
    if (old.unique, old.has_index, old.searchable) != (new.unique, new.has_index, new.searchable) and not (
        new.unique and not old.unique
    ):
        yield Step(new.name, Tone.SAFE, msg("Indexes for sorting and searching are brought up to date."))


def _required(tx: sa.Connection, entity: Entity, old: EntityField, new: EntityField) -> Iterator[Step]:
    table = storage.table(tx, entity)
    empty = table.c[old.name].is_(None)
    ids = list(tx.scalars(sa.select(table.c.id).where(empty).order_by(table.c.id).limit(fitting.EXAMPLES)))
    if not ids:
        yield Step(new.name, Tone.SAFE, msg("The field becomes required; every record has a value."))
        return
    count = tx.scalar(sa.select(sa.func.count()).select_from(table).where(empty)) or 0
    if new.default is None:
        yield Step(
            new.name,
            Tone.BLOCKED,
            msg("{count} records have no value. Fill them in or give the field a default.", count=count),
            tuple(ids),
        )
    else:
        yield Step(
            new.name, Tone.CHANGES, msg("{count} empty records are set to the default.", count=count), tuple(ids)
        )


def _unique(tx: sa.Connection, entity: Entity, old: EntityField, new: EntityField) -> Step:
    table = storage.table(tx, entity)
    columns = [table.c[f.name] for f in old.fields] if new.kind is Kind.MONEY else [table.c[old.name]]
    doubled = (
        sa.select(sa.func.max(table.c.id)).where(columns[0].is_not(None)).group_by(*columns).having(sa.func.count() > 1)
    )
    count = tx.scalar(sa.select(sa.func.count()).select_from(doubled.subquery())) or 0
    if not count:
        return Step(new.name, Tone.SAFE, msg("The field becomes unique; no value stands twice."))
    ids = tuple(tx.scalars(doubled.limit(fitting.EXAMPLES)))
    return Step(
        new.name,
        Tone.BLOCKED,
        msg("{count} values stand in more than one record. Make them different first.", count=count),
        ids,
    )
