"""What a change of an entity's validations means for the records that exist: they stay, and how many fail is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from rules.schema import Schema
from rules.text import N_, msg
from rules.validations import Compiled
from webapp.entities.diff import FieldChange
from webapp.entities.model import Entity
from webapp.entities.plan_steps import Step, Tone
from webapp.entities.surveying import survey
from webapp.entities.validating import compiled, names

EXAMPLES = 5


def steps(tx: sa.Connection, old: Entity, new: Entity, changes: Sequence[FieldChange]) -> Iterator[Step]:
    """Yield what becomes of the validations."""
    before = {v.name: v for v in old.validations}
    after = {v.name: v for v in new.validations}
    for name in before:
        if name not in after:
            yield Step(name, Tone.SAFE, msg("The validation is removed."))
    fresh = [item for item in compiled(tx, new) if before.get(item.validation.name) != item.validation]
    moved = {f.name for change in changes if _moves(change) for f in (change.old, change.new) if f}
    sure = [item for item in fresh if _standing(old, new, item, moved)]
    yield from _counted(tx, old, sure)
    for item in fresh:
        if item not in sure:
            text = N_("How many records meet it shows after the change: it speaks of fields that change with it.")
            yield Step(item.validation.name, Tone.SAFE, msg(text))
    if not fresh and before.keys() == after.keys() and list(before) != list(after):
        yield Step("", Tone.SAFE, msg("The order of the validations changes."))


def _standing(old: Entity, new: Entity, item: Compiled, moved: set[str]) -> bool:
    """Tell whether a validation speaks only of columns that stay as they are."""
    owners = {name: new.owner_of.get(name) for name in names(item)}
    return all(name in old.schema and (owner is None or owner.name not in moved) for name, owner in owners.items())


def _moves(change: FieldChange) -> bool:
    """Tell whether the values of a field may be others behind a change."""
    if change.old is None or change.new is None:
        return True
    return change.renamed or change.converts or change.old.computed != change.new.computed


def _counted(tx: sa.Connection, old: Entity, items: Sequence[Compiled]) -> Iterator[Step]:
    if not items:
        return
    read = {"id"}.union(*(names(item) for item in items))
    schema = Schema(tuple(old.schema[name] for name in old.schema.names if name in read), ("id",))
    found = survey(tx, old, schema, items, EXAMPLES)
    for item in items:
        name = item.validation.name
        tally = found.tallies.get(name)
        if tally is None or not tally.failed:
            yield Step(name, Tone.SAFE, msg("Every record that exists meets the validation."))
            continue
        text = N_(
            "{failed} of {asked} records do not meet the validation. They stay as they are until someone changes them."
        )
        values = {"failed": tally.failed, "asked": tally.asked}
        yield Step(name, Tone.CHANGES, msg(text, **values), tuple(found.failing[name]))
