"""Definitions and single records: what the pages, the API, the command line and configuration files call."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.documents.problems import DocumentError, DocumentProblem
from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.entities import (
    batches,
    ddl,
    encryption,
    frames,
    history,
    indexes,
    lookups,
    records,
    references,
    resealing,
    storage,
    validating,
    versions,
)
from webapp.entities import plan as plans
from webapp.entities.documents import parse, to_document
from webapp.entities.expressions import check_expressions
from webapp.entities.history import Author
from webapp.entities.model import Entity, Kind
from webapp.entities.models import entity as entity_table
from webapp.entities.models import entity_view
from webapp.entities.permitted import Permit, author_of
from webapp.entities.plain import Batch
from webapp.entities.plan import Plan
from webapp.entities.records import Outcome
from webapp.entities.refusals import Refusal
from webapp.extensions import Actor, House
from webapp.policies.who import SYSTEM_WHO, Who

usage_checks: list[Callable[[sa.Connection, str], list[str]]] = []
"""Rooms above say here what uses an entity: each returns names for a person ("the rule orders")."""

encryption_checks: list[Callable[[sa.Connection, Entity], Iterable[DocumentProblem]]] = []
"""Rooms above say here what the encrypted fields of a definition would keep from working."""

NoEntity = storage.NoEntity
entity = storage.current


class ChangeRefused(Exception):
    """A definition cannot be put in force: `plan` says what is in the way, or what a person has to confirm."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(" ".join(str(s.message) for s in plan.steps if s.tone in ("blocked", "loses")))
        self.plan = plan


class RecordRefused(Exception):
    """A record cannot be written: `refusals` say which field and why."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(" ".join(str(r.message) for r in refusals))
        self.refusals = tuple(refusals)

    @property
    def errors(self) -> dict[str, Message]:
        """Return field -> sentence; "" for the record as a whole."""
        return {r.field or "": r.message for r in reversed(self.refusals)}


class RecordDoubtful(Exception):
    """A record does not meet validations that only warn, and nobody has said yet that it is meant so."""

    def __init__(self, warnings: Sequence[Refusal]) -> None:
        super().__init__(" ".join(str(w.message) for w in warnings))
        self.warnings = tuple(warnings)


class NoRecord(LookupError):
    """There is no record of this id."""

    def __init__(self, name: str, record_id: int) -> None:
        super().__init__(f"There is no record {record_id} in '{name}'.")


def list_entities(tx: sa.Connection) -> list[Entity]:
    """Return the entities in force, sorted by name."""
    return storage.every(tx)


def make_plan(tx: sa.Connection, document: Mapping[str, Any]) -> Plan:
    """Return what a document would change; raises `DocumentError` with its mistakes."""
    new = check(tx, document)
    return plans.make(tx, _current_or_none(tx, new.name), new)


def check(tx: sa.Connection, document: Mapping[str, Any]) -> Entity:
    """Return the entity of a document that is right in itself; raises `DocumentError` with its mistakes."""
    new = parse(document)
    problems = [*check_expressions(new, lookups.tables(tx, new)), *_targets(tx, new), *validating.check(tx, new)]
    problems += [*encryption.check(new), *encryption.pointed(tx, new), *encryption.conditions(tx, new)]
    problems += [problem for ask in encryption_checks for problem in ask(tx, new)]
    if problems:
        raise DocumentError(problems)
    return new


def define(house: House, document: Mapping[str, Any], actor: Actor, *, confirm: bool = False) -> Plan:
    """Put a definition in force and return what was done.

    Raises `DocumentError` for mistakes, `ChangeRefused` where records are in the way, or where values would be lost and
    `confirm` is not given.
    """
    with house.db.begin() as tx:
        plan = define_in(tx, document, Author(actor, house.clock()), confirm=confirm)
    indexes.build(house, plan.new.name)
    return plan


def define_in(tx: sa.Connection, document: Mapping[str, Any], author: Author, *, confirm: bool = False) -> Plan:
    """Do what `define` does within the caller's transaction; `indexes.build` has to follow its commit."""
    name = str(document.get("name", ""))
    versions.lock(tx, name)
    plan = make_plan(tx, document)
    if plan.blocked or (plan.loses and not confirm):
        raise ChangeRefused(plan)
    if plan.empty:
        return plan
    version = versions.store(tx, plan.new, author)
    if encryption.provide(tx, plan.new, author):
        resealing.begin_journal(tx, author)
    ddl.apply(tx, plan, author)
    if encryption.moves(plan.old, plan.new):
        resealing.begin(tx, plan.new, author)
    if plan.old and _needs_computing(plan):
        recompute(tx, plan.new, author)
    before = to_document(plan.old) if plan.old else None
    tag = Tag.ENTITY_UPDATED if plan.old else Tag.ENTITY_CREATED
    after = {**to_document(plan.new), "version": version}
    record(tx, author.actor, author.at, Event(tag, Subject("entity", name), before, after, run_id=author.run_id))
    return plan


def delete_entity(house: House, name: str, actor: Actor) -> None:
    """Delete an entity with its records; raises `DocumentError` where something uses it."""
    with house.db.begin() as tx:
        delete_entity_in(tx, name, Author(actor, house.clock()))


def delete_entity_in(tx: sa.Connection, name: str, author: Author) -> None:
    """Do what `delete_entity` does within the caller's transaction."""
    versions.lock(tx, name)
    old = storage.current(tx, name)
    pointing = sorted({other.name for other in _pointing(tx, name) if other.name != name})
    if pointing:
        sentence = msg(
            "'{entity}' is pointed to by {others}. Remove these references first.",
            entity=name,
            others=", ".join(pointing),
        )
        raise DocumentError([DocumentProblem("", sentence)])
    if found := sorted({user for ask in usage_checks for user in ask(tx, name)}):
        users = ", ".join(found)
        sentence = msg("'{entity}' is used by {users}. Delete or change that first.", entity=name, users=users)
        raise DocumentError([DocumentProblem("", sentence)])
    ddl.drop(tx, old)
    tx.execute(sa.update(entity_table).where(entity_table.c.name == name).values(state="deleted"))
    tx.execute(sa.delete(entity_view).where(entity_view.c.entity == name))
    event = Event(Tag.ENTITY_DELETED, Subject("entity", name), to_document(old), None, run_id=author.run_id)
    record(tx, author.actor, author.at, event)


def _pointing(tx: sa.Connection, name: str) -> Iterator[Entity]:
    """Yield the entities whose fields or validations refer to an entity."""
    yield from (other for other, _ in references.pointing_at(tx, name))
    for other in storage.every(tx):
        if any(v.reference is not None and v.reference.object == name for v in other.validations):
            yield other


def recompute(tx: sa.Connection, target: Entity, author: Author) -> int:
    """Work out the computed fields of all records again; return how many records changed."""
    table = storage.table(tx, target)
    changed, last = 0, 0
    while True:
        ids = list(tx.scalars(sa.select(table.c.id).where(table.c.id > last).order_by(table.c.id).limit(records.PAGE)))
        if not ids:
            return changed
        last = ids[-1]
        changed += records.recompute(tx, target, ids, author)


def get_record(tx: sa.Connection, target: Entity, record_id: int, permit: Permit | None = None) -> dict[str, Any]:
    """Return the stored values of a record, as far as they may be seen; raises `NoRecord`."""
    table = storage.table(tx, target)
    query = sa.select(*(table.c[n] for n in target.schema.names)).where(table.c.id == record_id)
    row = tx.execute(query if permit is None or permit.rows is None else query.where(permit.rows)).first()
    if row is None:
        raise NoRecord(target.name, record_id)
    found = dict(zip(target.schema.names, row, strict=True))
    if permit is None:
        return found
    shown = permit.shown(found)
    permit.looked([shown])
    return shown


Accepted = Container[str] | None
"""The validations whose warnings a person has read; None: warnings need nobody's consent."""


def create_record(house: House, name: str, values: Mapping[str, Any], actor: Actor) -> int:
    """Create a record from stored values by column and return its id; raises `RecordRefused`."""
    return add_record(house, name, values, actor).id


def add_record(
    house: House,
    name: str,
    values: Mapping[str, Any],
    actor: Actor,
    accepted: Accepted = None,
    who: Who = SYSTEM_WHO,
) -> Written:
    """Create a record from stored values by column; raises `RecordRefused`, and `RecordDoubtful` for other warnings."""
    with house.db.begin() as tx:
        target = storage.current(tx, name, lock=True)
        author = author_of(tx, target, Author(actor, house.clock()), who)
        frame = frames.from_dicts(target.schema, [values], list(values)) if values else frames.blank(1)
        outcome = records.create(tx, target, frame, author)
        written = _only(outcome, accepted)
        _note(tx, target, written.id, author, Tag.RECORD_CREATED)
        return written


def update_record(
    house: House, name: str, record_id: int, values: Mapping[str, Any], actor: Actor, version: int | None = None
) -> bool:
    """Set stored values of a record; return whether anything changed. Raises `RecordRefused` and `NoRecord`."""
    return change_record(house, Edit(name, record_id, values, version), actor).changed


@dataclass(frozen=True)
class Edit:
    """Stored values to set in a record, if it still has that version."""

    entity: str
    id: int
    values: Mapping[str, Any]
    version: int | None = None


def change_record(house: House, edit: Edit, actor: Actor, accepted: Accepted = None, who: Who = SYSTEM_WHO) -> Written:
    """Set stored values of a record; raises `RecordRefused`, `NoRecord`, and `RecordDoubtful` for other warnings."""
    with house.db.begin() as tx:
        target = storage.current(tx, edit.entity, lock=True)
        author = author_of(tx, target, Author(actor, house.clock()), who)
        get_record(tx, target, edit.id, author.permit)
        frame = frames.from_dicts(target.schema, [{**edit.values, "id": edit.id}], ["id", *edit.values])
        outcome = records.update(tx, target, frame, author, [edit.version])
        written = _only(outcome, accepted)
        if written.changed:
            _note(tx, target, edit.id, author, Tag.RECORD_UPDATED)
        return written


def delete_record(
    house: House, name: str, record_id: int, actor: Actor, version: int | None = None, who: Who = SYSTEM_WHO
) -> None:
    """Delete a record; raises `RecordRefused` and `NoRecord`."""
    with house.db.begin() as tx:
        target = storage.current(tx, name, lock=True)
        author = author_of(tx, target, Author(actor, house.clock()), who)
        get_record(tx, target, record_id, author.permit)
        _only(records.delete(tx, target, [record_id], author, [version]))
        _note(tx, target, record_id, author, Tag.RECORD_DELETED)


def update_records(
    house: House, name: str, ids: Sequence[int], values: Mapping[str, Any], actor: Actor, who: Who = SYSTEM_WHO
) -> Outcome:
    """Set the same stored values in many records; one audit event tells how many."""
    with house.db.begin() as tx:
        target = storage.current(tx, name, lock=True)
        author = author_of(tx, target, Author(actor, house.clock()), who)
        frame = frames.from_dicts(target.schema, [{**values, "id": i} for i in ids], ["id", *values])
        outcome = records.update(tx, target, frame, author)
        _note_many(tx, target, Tag.RECORDS_UPDATED, outcome, author)
        return outcome


def delete_records(house: House, name: str, ids: Sequence[int], actor: Actor, who: Who = SYSTEM_WHO) -> Outcome:
    """Delete many records; one audit event tells how many."""
    with house.db.begin() as tx:
        target = storage.current(tx, name, lock=True)
        author = author_of(tx, target, Author(actor, house.clock()), who)
        outcome = records.delete(tx, target, ids, author)
        _note_many(tx, target, Tag.RECORDS_DELETED, outcome, author)
        return outcome


@dataclass(frozen=True)
class Written:
    """One record that was written: its id, whether it changed, and the validations that it does not meet."""

    id: int
    changed: bool
    warnings: tuple[Refusal, ...] = ()


BatchError = batches.BatchError
BatchResult = batches.BatchResult


def write_batch(house: House, name: str, batch: Batch, actor: Actor, who: Who = SYSTEM_WHO) -> BatchResult:
    """Create, change and delete records in one transaction; refused ones are told, the others are written."""
    with house.db.begin() as tx:
        target = storage.current(tx, name, lock=True)
        author = author_of(tx, target, Author(actor, house.clock()), who)
        created = batches.write(batch.create, lambda f: records.create(tx, target, f, author), target)
        updated = batches.write(batch.update, lambda f: records.update(tx, target, f, author), target)
        deleted = records.delete(tx, target, batch.delete, author) if batch.delete else Outcome(())
        done = {"create": created, "update": updated, "delete": deleted}
        tags = {"create": Tag.RECORDS_CREATED, "update": Tag.RECORDS_UPDATED, "delete": Tag.RECORDS_DELETED}
        for deed, outcome in done.items():
            if outcome.ids:
                _note_many(tx, target, tags[deed], outcome, author)
    errors = tuple(BatchError(deed, r.row, r.message, r.field) for deed, o in done.items() for r in o.refusals)
    warnings = tuple(BatchError(deed, w.row, w.message, w.field) for deed, o in done.items() for w in o.warnings)
    return BatchResult(created.changed, updated.changed, deleted.changed, created.ids, errors, warnings)


def _note_many(tx: sa.Connection, target: Entity, tag: Tag, outcome: Outcome, author: Author) -> None:
    counts = {"records": outcome.changed, "refused": len({r.row for r in outcome.refusals})}
    record(tx, author.actor, author.at, Event(tag, Subject("entity", target.name), None, counts, run_id=author.run_id))


def _note(tx: sa.Connection, target: Entity, record_id: int, author: Author, tag: Tag) -> None:
    """Tell the audit what the history has just noted of one record."""
    entry = history.of_record(tx, target.name, record_id, limit=1)[0]
    subject = Subject("entity", target.name, str(record_id))
    personal = [name for name, field in target.owner_of.items() if field.personal or field.encrypted]
    told = Event(tag, subject, entry["before"], entry["after"], run_id=author.run_id, personal=personal)
    record(tx, author.actor, author.at, told)


def _only(outcome: Outcome, accepted: Accepted = None) -> Written:
    if outcome.refusals or outcome.ids[0] is None:
        raise RecordRefused(outcome.refusals)
    if accepted is not None and any(w.validation not in accepted for w in outcome.warnings):
        raise RecordDoubtful(outcome.warnings)
    return Written(outcome.ids[0], bool(outcome.changed), outcome.warnings)


def _current_or_none(tx: sa.Connection, name: str) -> Entity | None:
    try:
        return storage.current(tx, name)
    except NoEntity:
        return None


def _targets(tx: sa.Connection, new: Entity) -> Iterable[DocumentProblem]:
    known = {new.name, *tx.scalars(sa.select(entity_table.c.name).where(entity_table.c.state == "active"))}
    for number, field in enumerate(new.fields):
        if field.kind is Kind.REFERENCE and field.entity not in known:
            yield DocumentProblem(f"fields/{number}/entity", msg("There is no entity '{name}'.", name=field.entity))


def _needs_computing(plan: Plan) -> bool:
    """Tell whether computed fields may have other values now: an expression or a field it may use has changed."""
    return any(f.computed for f in plan.new.fields) and any(
        c.new is None
        or c.old is None
        or c.converts
        or c.renamed
        or c.old.computed != c.new.computed
        or c.old.default != c.new.default
        for c in plan.changes
    )
