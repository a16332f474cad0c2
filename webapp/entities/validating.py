"""The validations of an entity, asked of what is about to be written by whichever door it comes, and of all records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import polars as pl
import sqlalchemy as sa

from rules.documents.problems import DocumentProblem
from rules.documents.validation import OnFailure, Reference, Validation, meaning
from rules.reconcile.one_way import key_text, key_values
from rules.schema import FieldType, Schema
from rules.text import N_, msg
from rules.validations import Claims, Compiled, Validator, Verdict, check_validations
from rules.validations.uniqueness import claims
from webapp.connections.catalogue import HUB
from webapp.entities import bulk, frames, storage
from webapp.entities.lookups import Published, tables
from webapp.entities.lookups import compiled as program
from webapp.entities.model import UNINDEXED_KINDS, Entity
from webapp.entities.refusals import Refusal


def check(tx: sa.Connection, entity: Entity) -> Iterator[DocumentProblem]:
    """Yield what is wrong with the validations of a definition."""
    yield from meaning(entity.validations)
    for number, validation in enumerate(entity.validations):
        yield from _plain(entity, validation, f"validations/{number}")

    def others(_connection: str, name: str) -> Schema | None:
        return entity.schema if name == entity.name else storage.current(tx, name).schema if _known(tx, name) else None

    problems = check_validations(
        entity.validations, entity.schema, entity.name, library=tables(tx, entity).library, others=others
    )
    yield from (problem for problem in problems if problem.severity == "error")
    for number, validation in enumerate(entity.validations):
        reference = validation.reference
        if reference is not None and reference.object != entity.name and not _known(tx, reference.object):
            text = msg("There is no entity '{name}'.", name=reference.object)
            yield DocumentProblem(f"validations/{number}/reference/object", text)


def _plain(entity: Entity, validation: Validation, path: str) -> Iterator[DocumentProblem]:
    if validation.reference is not None and validation.reference.connection != HUB:
        text = N_("A validation of an entity refers to another entity; leave the connection away.")
        yield DocumentProblem(f"{path}/reference/connection", msg(text))
    if validation.side is not None:
        text = N_("A validation of an entity is about the entity's own records; leave the side away.")
        yield DocumentProblem(f"{path}/side", msg(text))
    for number, name in enumerate(validation.unique):
        owner = entity.owner_of.get(name)
        if owner is not None and owner.kind in UNINDEXED_KINDS:
            text = N_("'{field}' cannot be compared: a field of this type has no index.")
            yield DocumentProblem(f"{path}/unique/{number}", msg(text, field=name))


def _known(tx: sa.Connection, name: str) -> bool:
    try:
        storage.current(tx, name)
    except storage.NoEntity:
        return False
    return True


def compiled(tx: sa.Connection, entity: Entity) -> tuple[Compiled, ...]:
    """Return the validations of a definition with their programs; the definition has been checked."""
    return _compiled(entity, tables(tx, entity))


@lru_cache(maxsize=500)
def _compiled(entity: Entity, asked: Published) -> tuple[Compiled, ...]:
    return tuple(
        Compiled(v, *(None if text is None else program(text, entity, FieldType.BOOLEAN, asked) for text in texts))
        for v, texts in ((v, (v.check, v.when)) for v in entity.validations)
    )


def names(item: Compiled) -> frozenset[str]:
    """Return the fields that a validation speaks of."""
    read = {name for _, program in item.programs for name in program.fields}
    pointed = {item.validation.reference.field} if item.validation.reference else set()
    return frozenset(read | pointed | set(item.validation.unique))


def judge(
    tx: sa.Connection, entity: Entity, full: pl.DataFrame, refused: set[int], changed: Sequence[str]
) -> tuple[list[Refusal], list[Refusal]]:
    """Return the refusals and the warnings of a batch that has every column; rows in `refused` are not asked.

    Asked is what speaks of a changed field, so that a record which met its validations when it was written can still
    be changed in its other fields when a new validation comes.
    """
    asked = [item for item in compiled(tx, entity) if not names(item).isdisjoint(changed)]
    if not asked:
        return [], []
    _one_at_a_time(tx, entity, asked)
    usable = ~pl.int_range(full.height, eager=True).is_in(sorted(refused))
    verdicts = Validator(asked, entity.schema).check(full, Stored(tx, entity), usable, full["id"].cast(pl.String))
    blocking = [refusal_of(v) for v in verdicts.failures if v.severity is not OnFailure.WARN]
    kept = set(verdicts.blocking)
    return blocking, [refusal_of(v) for v in verdicts.warnings if v.row not in kept]


def refusal_of(verdict: Verdict) -> Refusal:
    """Return a verdict as the reason why a record is refused, or what to warn of."""
    name = verdict.validation.name
    own_words = verdict.validation.check is not None and "detail" not in verdict.message.values
    veiled = None if own_words else msg("The validation '{name}' is not met.", name=name)
    return Refusal(verdict.row, verdict.message, verdict.field, verdict.severity, name, veiled)


def _one_at_a_time(tx: sa.Connection, entity: Entity, asked: Sequence[Compiled]) -> None:
    """Let writers of an entity with unique combinations follow each other; on SQLite they do so anyway."""
    if tx.dialect.name == "postgresql" and any(item.validation.unique for item in asked):
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"e_{entity.name}"})


class Stored:
    """What the entities hold."""

    def __init__(self, tx: sa.Connection, entity: Entity) -> None:
        self.tx = tx
        self.entity = entity

    def held(self, asked: Claims) -> pl.Series:
        """Return for each claim the id of another record that has the values already."""
        unique = asked.validation.unique
        table = storage.table(self.tx, self.entity)
        values = [bulk.among(self.tx, table.c[name], asked.values[name].unique().to_list()) for name in unique]
        columns = tuple(dict.fromkeys(("id", *unique)))
        rows = self.tx.execute(sa.select(*(table.c[name] for name in columns)).where(*values)).all()
        stored = frames.from_rows(self.entity.schema.select(columns), rows)
        every = pl.repeat(value=True, n=stored.height, dtype=pl.Boolean, eager=True)
        there = claims(asked.validation, stored, stored["id"].cast(pl.String), every)
        wanted = pl.DataFrame({"digest": asked.digests, "own": asked.keys}).with_row_index("nth")
        found = wanted.join(pl.DataFrame({"digest": there.digests, "key": there.keys}), on="digest")
        others = found.filter(pl.col("key").ne_missing(pl.col("own"))).unique("nth", keep="first", maintain_order=True)
        return wanted.join(others.select("nth", "key"), on="nth", how="left", maintain_order="left")["key"]

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        """Return a mask of the values that a record of the other entity has."""
        try:
            other = storage.current(self.tx, reference.object)
        except storage.NoEntity:
            return pl.repeat(value=False, n=len(values), dtype=pl.Boolean, eager=True)
        typed = key_values(key_text(values), other.schema[reference.key].dtype)
        column = storage.table(self.tx, other).c[reference.key]
        query = sa.select(column).where(bulk.among(self.tx, column, typed.drop_nulls().to_list())).distinct()
        found = pl.Series(list(self.tx.scalars(query)), dtype=typed.dtype)
        return typed.is_in(found.implode()).fill_null(value=False)
