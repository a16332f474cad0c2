"""Encrypted fields in definitions: what they may be, how their marks and keys go on from one version to the next."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace

import sqlalchemy as sa

from rules.documents.problems import DocumentProblem
from rules.language.problems import ExpressionError
from rules.text import N_, Message, msg
from webapp.access.role_editing import list_roles
from webapp.entities import storage
from webapp.entities.diff import FieldChange, former
from webapp.entities.history import Author
from webapp.entities.model import UNINDEXED_KINDS, Entity, EntityField, Kind
from webapp.entities.permitted import policy_fields
from webapp.entities.plan_steps import Step, Tone
from webapp.entities.sealed import index_key, is_exact, owner_of
from webapp.policies.conditions import compiled, mentioned
from webapp.policies.objects import DataObject, PolicyField
from webapp.policies.services import roles_said
from webapp.vault.at_rest import JOURNAL, ring
from webapp.vault.services import names as vault_names

INDEXED = frozenset(Kind) - UNINDEXED_KINDS - {Kind.BOOLEAN, Kind.REFERENCE}
"""Kinds that can be found by their exact value when they are encrypted."""
ENCRYPTED = frozenset(Kind) - {Kind.REFERENCE, Kind.FILE}
_WORD = re.compile(r"[A-Za-z_]\w*")


def check(entity: Entity) -> Iterator[DocumentProblem]:
    """Yield what is wrong with the encrypted fields of a definition taken by itself."""
    for number, field in enumerate(entity.fields):
        for key, message in _field(entity, field):
            yield DocumentProblem(f"fields/{number}/{key}", message)
    if entity.title in entity.encrypted:
        text = N_("'{name}' is encrypted. Records are called by their title everywhere, so choose another field.")
        yield DocumentProblem("title", msg(text, name=entity.title))
    for number, validation in enumerate(entity.validations):
        for place, name in enumerate(validation.unique):
            if (kept := entity.by_name.get(name)) is not None and kept.encrypted and not kept.exact:
                text = N_("'{field}' is encrypted and cannot be found by its value, so it cannot be compared.")
                yield DocumentProblem(f"validations/{number}/unique/{place}", msg(text, field=name))


def _field(entity: Entity, field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.computed and not field.encrypted and (read := _read(entity, field)):
        text = N_("It is worked out from '{field}', which is encrypted, so it has to be encrypted too.")
        yield "encrypted", msg(text, field=read[0])
    if field.exact and not field.encrypted:
        yield "exact", msg("Only an encrypted field needs an index of its own for exact values.")
    if field.encrypted:
        yield from _encrypted(field)


def _encrypted(field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.kind not in ENCRYPTED:
        yield "encrypted", msg("References and files cannot be encrypted.")
    for flag in ("indexed", "searchable"):
        if getattr(field, flag):
            yield flag, msg("An encrypted field cannot be sorted or searched by its words.")
    if field.unique and not field.exact:
        yield "unique", msg("An encrypted field can be unique only if it can be found by its exact value.")
    if field.exact and field.kind not in INDEXED:
        yield "exact", msg("A field of this type cannot be found by its exact value.")


def _read(entity: Entity, field: EntityField) -> list[str]:
    words = set(_WORD.findall(field.computed))  # also within texts, as a field may be named by one
    return sorted(words & (entity.encrypted - {field.name}))


def pointed(tx: sa.Connection, new: Entity) -> Iterator[DocumentProblem]:
    """Yield where validations look for values of encrypted fields that cannot be found."""
    entities = {**{one.name: one for one in storage.every(tx)}, new.name: new}
    for other in entities.values():
        for number, validation in enumerate(other.validations):
            reference = validation.reference
            target = None if reference is None else entities.get(reference.object)
            if reference is None or target is None or new.name not in (other.name, target.name):
                continue
            field = target.by_name.get(reference.key)
            if field is not None and field.encrypted and not field.exact:
                path = f"validations/{number}/reference/key" if other.name == new.name else "fields"
                text = N_("The validation '{name}' of '{entity}' looks for '{field}', which is encrypted.")
                yield DocumentProblem(path, msg(text, name=validation.name, entity=other.name, field=field.name))


def conditions(tx: sa.Connection, new: Entity) -> Iterator[DocumentProblem]:
    """Yield where conditions of rows ask what an encrypted field cannot answer; they would hide every record."""
    fields = policy_fields(carried(None, new))
    data = DataObject.entity(new.name)
    for role, _rooms, said in roles_said(tx, [one.name for one in list_roles(tx)]) if new.encrypted else ():
        line = said.line(data)
        for text in () if line is None else (line.rows, line.deny_rows):
            asked = {name: f"fields/{new.fields.index(new.by_name[name])}/encrypted" for name in _asked(text, new)}
            for path in asked.values() if asked and not _told(text, fields) else ():
                sentence = N_(
                    "The role '{role}' restricts records by {condition}, which an encrypted field cannot tell."
                )
                yield DocumentProblem(path, msg(sentence, role=role, condition=text))


def _asked(text: str, entity: Entity) -> list[str]:
    try:
        return sorted(mentioned(text) & entity.encrypted) if text.strip() else []
    except ExpressionError:
        return []


def _told(text: str, fields: tuple[PolicyField, ...]) -> bool:
    try:
        compiled(text, fields)
    except ExpressionError:
        return False
    return True


def carried(old: Entity | None, new: Entity) -> Entity:
    """Return the new definition with the marks of the fields that have them, and new ones for those that need them."""
    before = {} if old is None else old.by_name
    fields = tuple(_carried(former(before, new, f), f) for f in new.fields)
    key = old.key if old is not None else ""
    return replace(new, fields=fields, key=key or (fresh_key() if any(f.sealed for f in fields) else ""))


def _carried(before: EntityField | None, field: EntityField) -> EntityField:
    mark = before.sealed if before is not None else ""
    if not mark and field.encrypted:
        mark = secrets.token_hex(4) + ("i" if field.exact else "x")
    return replace(field, sealed=mark)


def fresh_key() -> str:
    """Return a name for a data key that none has had."""
    return f"data-{secrets.token_hex(4)}"


def provide(tx: sa.Connection, entity: Entity, author: Author) -> bool:
    """Make the keys that an entity needs and does not have yet; tell whether its field is the first of all."""
    marks = [field.sealed for field in entity.fields if field.encrypted]
    names = [entity.key, *(index_key(mark) for mark in marks if is_exact(mark))] if marks else []
    keys = ring(tx.dialect)
    for name in names:
        keys.provide(tx, owner_of(entity.name), name, author.actor, author.at)
    first = bool(names) and not vault_names(tx, JOURNAL)
    if first:
        keys.provide(tx, JOURNAL, fresh_key(), author.actor, author.at)
    return first


def steps(change: FieldChange, records: int) -> Iterator[Step]:
    """Yield what a change of a field means for its encryption."""
    old, new = change.old, change.new
    if new is None or (old is None and not new.encrypted):
        return
    if old is None:
        yield Step(new.name, Tone.SAFE, msg("Its values are encrypted."))
        return
    if new.sealed and _stiff(old) != _stiff(new):
        text = N_("An encrypted field keeps its type, length and digits. Decrypt it first, and wait until it is.")
        yield Step(new.name, Tone.BLOCKED, msg(text))
    if old.sealed and new.encrypted and new.exact != is_exact(old.sealed):
        text = N_("Whether it can be found by its exact value is chosen when it is encrypted. Decrypt it first.")
        yield Step(new.name, Tone.BLOCKED, msg(text))
    if old.sealed and old.unique != new.unique:
        yield Step(new.name, Tone.BLOCKED, msg("Whether it is unique can be changed when it is decrypted."))
    if new.sealed and not new.encrypted and (new.indexed or new.searchable):
        yield Step(new.name, Tone.BLOCKED, msg("Lists can be sorted and searched by it when it is decrypted."))
    if old.encrypted != new.encrypted:
        encrypts = N_("The values of {count} records and their history are encrypted while everything goes on.")
        decrypts = N_("The values of {count} records and their history are decrypted while everything goes on.")
        yield Step(new.name, Tone.CHANGES, msg(encrypts if new.encrypted else decrypts, count=records))


def _stiff(field: EntityField) -> tuple[object, ...]:
    return field.kind, field.max_length, field.precision, field.scale, field.currency


def moves(old: Entity | None, new: Entity) -> bool:
    """Tell whether values that are stored may need another form: encrypted, decrypted, or under another key."""
    return old is not None and _forms(old) != _forms(new)


def _forms(entity: Entity) -> object:
    return entity.key, {(field.sealed, field.encrypted) for field in entity.fields if field.sealed}
