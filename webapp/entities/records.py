"""Writing records in batches: check, number, store, and remember what changed; all in the caller's transaction.

A batch is a frame with columns of the entity's schema. Refused records are returned, all others are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.text import N_, msg
from webapp.access.roles import CREATE, DELETE, UPDATE
from webapp.entities import (
    bulk,
    expressions,
    frames,
    history,
    lookups,
    numbers,
    references,
    search,
    storage,
    uniqueness,
    validating,
    validation,
)
from webapp.entities.history import Author
from webapp.entities.model import SYSTEM_NAMES, Entity, EntityField, Kind
from webapp.entities.refusals import Refusal, refused_rows
from webapp.entities.values import from_plain

PAGE = 5000


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: the ids by row (None where refused), the refusals, and how many records changed.

    `warnings` tell of records that are written although they do not meet a validation.
    """

    ids: tuple[int | None, ...]
    refusals: tuple[Refusal, ...] = ()
    changed: int = 0
    warnings: tuple[Refusal, ...] = ()


def create(tx: sa.Connection, entity: Entity, frame: pl.DataFrame, author: Author) -> Outcome:
    """Create records; columns that the batch leaves out take their defaults."""
    if author.permit:
        author.permit.require(CREATE)
        author.permit.require_write(frame.columns)
    full = _with_system(entity, _with_defaults(entity, frame, author.at), author)
    full, refusals = _judge_new(tx, entity, full, author)
    return uniqueness.guarded(tx, lambda: _create_good(tx, entity, full, refusals, author))


def update(
    tx: sa.Connection, entity: Entity, frame: pl.DataFrame, author: Author, versions: Sequence[int | None] | None = None
) -> Outcome:
    """Set the given columns of the records whose `id` the batch holds.

    With `versions` a record is refused that has changed since it had that version.
    """
    if author.permit:
        author.permit.require(UPDATE)
        author.permit.require_write(frame.columns)
    return uniqueness.guarded(tx, lambda: _update(tx, entity, frame, author, versions))


def delete(
    tx: sa.Connection, entity: Entity, ids: Sequence[int], author: Author, versions: Sequence[int | None] | None = None
) -> Outcome:
    """Delete records; what points to them is emptied or keeps them, as its definition says."""
    if author.permit:
        author.permit.require(DELETE)
    found = _found(tx, entity, ids, author)
    held = dict(zip(found["id"].to_list(), range(found.height), strict=True))
    refusals = _barred(found, ids, author, DELETE) + _absent(ids, held, found, versions)
    barred = refused_rows(refusals)
    leaving = [i for row, i in enumerate(ids) if row not in barred]
    refusals += references.release(tx, entity, leaving, author, ids, update)
    refused = refused_rows(refusals)
    going = [i for row, i in enumerate(ids) if row not in refused]
    gone = found[[held[i] for i in going]] if going else found.clear()
    _forget(tx, entity, gone, author)
    told = _told(refusals, author)
    return Outcome(tuple(None if row in refused else i for row, i in enumerate(ids)), told, len(going))


def recompute(tx: sa.Connection, entity: Entity, ids: Sequence[int], author: Author) -> int:
    """Work out the computed fields of these records again; return how many records changed."""
    before = by_ids(tx, entity, ids, lock=True)
    merged, failed = expressions.compute(entity, before, lookups.tables(tx, entity))
    computed = [f.name for f in entity.fields if f.computed]
    merged, _wrong = validation.checked(entity, merged, computed)
    return _store(tx, entity, before, merged, author, refused_rows(failed))


def by_ids(tx: sa.Connection, entity: Entity, ids: Sequence[int], *, lock: bool = False) -> pl.DataFrame:
    """Return the records of these ids, in no particular order."""
    table = storage.table(tx, entity)
    query = sa.select(*(table.c[n] for n in entity.schema.names)).where(bulk.among(tx, table.c.id, ids))
    rows = tx.execute(query.with_for_update() if lock else query).all()
    return frames.from_rows(entity.schema, rows)


def _found(tx: sa.Connection, entity: Entity, ids: Sequence[int], author: Author) -> pl.DataFrame:
    """Return the records of these ids that the author may see, locked."""
    found = by_ids(tx, entity, ids, lock=True)
    return found.filter(author.permit.seen(found)) if author.permit else found


def _barred(found: pl.DataFrame, ids: Sequence[int | None], author: Author, action: str) -> list[Refusal]:
    """Refuse records that the author sees but for which an action is not permitted."""
    if author.permit is None:
        return []
    barred = set(found["id"].filter(~author.permit.to(action).seen(found)).to_list())
    sentence = {UPDATE: N_("Your roles do not permit to change record {id}."),
                DELETE: N_("Your roles do not permit to delete record {id}.")}[action]  # fmt: skip
    return [Refusal(row, msg(sentence, id=record)) for row, record in enumerate(ids) if record in barred]


def _told(refusals: Sequence[Refusal], author: Author) -> tuple[Refusal, ...]:
    return author.permit.told(refusals) if author.permit else tuple(refusals)


def _create_good(
    tx: sa.Connection, entity: Entity, full: pl.DataFrame, refusals: list[Refusal], author: Author
) -> Outcome:
    refusals = refusals + (author.permit.to(CREATE).beyond(full) if author.permit else [])
    refusals = refusals + uniqueness.violations(tx, entity, full, refused_rows(refusals), entity.data_names)
    unmet, warnings = validating.judge(tx, entity, full, refused_rows(refusals), entity.data_names)
    refusals = refusals + unmet
    refused = refused_rows(refusals)
    good = _without(full, refused)
    ids = numbers.take(tx, entity, good.height)
    good = good.with_columns(pl.Series("id", ids, dtype=pl.Int64))
    columns = frames.lists(good)
    _insert(tx, entity, columns)
    after = history.whole(entity, {n: columns[n] for n in entity.data_names})
    history.write(tx, entity, history.Entries(ids, [1] * len(ids), [None] * len(ids), after), author)
    numbered = iter(ids)
    return Outcome(
        tuple(None if r in refused else next(numbered) for r in range(full.height)),
        _told(refusals, author),
        len(ids),
        _told(warnings, author),
    )


def _judge_new(
    tx: sa.Connection, entity: Entity, full: pl.DataFrame, author: Author
) -> tuple[pl.DataFrame, list[Refusal]]:
    full, refusals = validation.checked(entity, full, entity.data_names)
    refusals += references.violations(tx, entity, full, entity.data_names, author.permit)
    return _judge(tx, entity, full, refusals, entity.data_names)


def _judge(
    tx: sa.Connection, entity: Entity, full: pl.DataFrame, refusals: list[Refusal], changed: Sequence[str]
) -> tuple[pl.DataFrame, list[Refusal]]:
    """Compute, then demand; records that are refused already are not asked again."""
    asked = lookups.tables(tx, entity)
    full, failed = expressions.compute(entity, full, asked)
    computed = [f.name for f in entity.fields if f.computed]
    full, wrong = validation.checked(entity, full, computed) if computed else (full, [])
    refused = refused_rows(refusals)
    refusals = [*refusals, *(r for r in (*failed, *wrong) if r.row not in refused)]
    refusals += validation.missing(entity, full)
    refused = refused_rows(refusals)
    return full, [
        *refusals,
        *(r for r in expressions.demands(entity, full, [*changed, *computed], asked) if r.row not in refused),
    ]


def _update(
    tx: sa.Connection, entity: Entity, frame: pl.DataFrame, author: Author, versions: Sequence[int | None] | None
) -> Outcome:
    ids = frame["id"].to_list()
    found = _found(tx, entity, [i for i in ids if i is not None], author)
    held = dict(zip(found["id"].to_list(), range(found.height), strict=True))
    absent = _barred(found, ids, author, UPDATE) + _absent(ids, held, found, versions)
    gone = refused_rows(absent)
    rows = [row for row in range(len(ids)) if row not in gone]
    before = found[[held[ids[row]] for row in rows]] if rows else found.clear()
    names = [n for n in frame.columns if n != "id"]
    merged = before.with_columns(frame[rows].select(names)) if rows else before
    merged, refusals = validation.checked(entity, merged, names)
    refusals += references.violations(tx, entity, merged, names, author.permit, before)
    merged, refusals = _judge(tx, entity, merged, refusals, names)
    refusals += author.permit.to(UPDATE).beyond(merged) if author.permit else []
    refusals += uniqueness.violations(tx, entity, merged, refused_rows(refusals), names)
    computed = [f.name for f in entity.fields if f.computed]
    unmet, warnings = validating.judge(tx, entity, merged, refused_rows(refusals), [*names, *computed])
    refusals += unmet
    changed = _store(tx, entity, before, merged, author, refused_rows(refusals)) if rows else 0
    every = [*absent, *(r.at(rows[r.row]) for r in refusals)]
    refused = refused_rows(every)
    told = _told([w.at(rows[w.row]) for w in warnings], author)
    kept = tuple(None if row in refused else i for row, i in enumerate(ids))
    return Outcome(kept, _told(every, author), changed, told)


def _store(
    tx: sa.Connection, entity: Entity, before: pl.DataFrame, merged: pl.DataFrame, author: Author, refused: set[int]
) -> int:
    """Write those rows that differ and are not refused; return how many."""
    differs = {n: before[n].ne_missing(merged[n]) for n in entity.data_names}
    names = [n for n, mask in differs.items() if mask.any()]
    if not names:
        return 0
    moved = pl.DataFrame([differs[n] for n in names]).select(pl.any_horizontal(pl.all())).to_series()
    rows = [row for row in moved.arg_true().to_list() if row not in refused]
    if not rows:
        return 0
    old, new = before[rows], merged[rows]
    versions = [v + 1 for v in old["version"].to_list()]
    columns = frames.lists(new.select(["id", *names]))
    stamps: dict[str, list[Any]] = {
        "updated_at": [author.at] * len(rows),
        "updated_by": [author.actor.name[:128]] * len(rows),
        "version": versions,
    }
    bulk.update(tx, storage.table(tx, entity), {**columns, **stamps, **_vectors(tx, entity, new, names)})
    _reindex(tx, entity, new, names)
    pairs = _differences(entity, frames.lists(old.select(names)), {n: columns[n] for n in names})
    history.write(
        tx, entity, history.Entries(columns["id"], versions, [b for b, _ in pairs], [a for _, a in pairs]), author
    )
    return len(rows)


def _differences(
    entity: Entity, before: Mapping[str, Sequence[Any]], after: Mapping[str, Sequence[Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    names = list(before)
    olds = zip(*history.plain_columns(entity, before).values(), strict=True)
    news = zip(*history.plain_columns(entity, after).values(), strict=True)
    pairs = []
    for old, new in zip(olds, news, strict=True):
        moved = [i for i in range(len(names)) if old[i] != new[i]]
        pairs.append(({names[i]: old[i] for i in moved}, {names[i]: new[i] for i in moved}))
    return pairs


def _insert(tx: sa.Connection, entity: Entity, columns: Mapping[str, list[Any]]) -> None:
    table = storage.table(tx, entity)
    if not entity.searchable:
        bulk.insert(tx, table, columns)
        return
    texts = list(zip(*(columns[n] for n in entity.searchable), strict=True))
    if search.COLUMN in table.c:
        bulk.insert(tx, table, {**columns, search.COLUMN: [search.vector(t) for t in texts]})
        return
    bulk.insert(tx, table, columns)
    search.store(tx, entity, columns["id"], texts)


def _vectors(tx: sa.Connection, entity: Entity, new: pl.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    if search.COLUMN not in storage.table(tx, entity).c or not set(names) & set(entity.searchable):
        return {}
    texts = zip(*(new[n].to_list() for n in entity.searchable), strict=True)
    return {search.COLUMN: [search.vector(t) for t in texts]}


def _reindex(tx: sa.Connection, entity: Entity, new: pl.DataFrame, names: Sequence[str]) -> None:
    if tx.dialect.name != "sqlite" or not set(names) & set(entity.searchable):
        return
    ids = new["id"].to_list()
    search.remove(tx, entity, ids)
    search.store(tx, entity, ids, list(zip(*(new[n].to_list() for n in entity.searchable), strict=True)))


def _forget(tx: sa.Connection, entity: Entity, gone: pl.DataFrame, author: Author) -> None:
    if not gone.height:
        return
    ids = gone["id"].to_list()
    bulk.delete(tx, storage.table(tx, entity), ids)
    numbers.returned(tx, entity, len(ids))
    if tx.dialect.name == "sqlite" and entity.searchable:
        search.remove(tx, entity, ids)
    before = history.whole(entity, frames.lists(gone.select(entity.data_names)))
    versions = [v + 1 for v in gone["version"].to_list()]
    history.write(tx, entity, history.Entries(ids, versions, before, [None] * len(ids)), author)


def _absent(
    ids: Sequence[int | None], held: Mapping[int, int], found: pl.DataFrame, versions: Sequence[int | None] | None
) -> list[Refusal]:
    """Refuse records that do not exist, that are named twice, or that have moved on."""
    refusals: list[Refusal] = []
    seen: set[int] = set()
    current = found["version"].to_list()
    for row, record in enumerate(ids):
        if record is None or record not in held:
            refusals.append(Refusal(row, msg("There is no record {id} (any more).", id=record)))
        elif record in seen:
            refusals.append(Refusal(row, msg("Record {id} is named twice in one batch.", id=record)))
        elif versions is not None and versions[row] is not None and versions[row] != current[held[record]]:
            refusals.append(
                Refusal(
                    row,
                    msg("Record {id} was changed by someone else meanwhile. Look at it again.", id=record),
                    "version",
                )
            )
        if record is not None:
            seen.add(record)
    return refusals


def _with_defaults(entity: Entity, frame: pl.DataFrame, at: datetime) -> pl.DataFrame:
    given = set(frame.columns)
    columns = []
    for field in entity.fields:
        for column in field.fields:
            if column.name in given:
                columns.append(frame[column.name])
            else:
                value = default_value(field, at) if column.name == field.name else None
                columns.append(pl.Series(column.name, [value], dtype=column.dtype).new_from_index(0, frame.height))
    return pl.DataFrame(columns)


def default_value(field: EntityField, at: datetime) -> Any:
    """Return what a new record has in a field that nobody filled in."""
    if field.default is None or field.computed:
        return None
    if field.kind is Kind.DATE and field.default == "today":
        return at.date()
    if field.kind is Kind.DATETIME and field.default == "now":
        return at
    return from_plain(field, field.default)


def _with_system(entity: Entity, frame: pl.DataFrame, author: Author) -> pl.DataFrame:
    """Return the batch with all columns of the schema; ids are given later."""
    name = author.actor.name[:128]
    values = {
        "created_at": author.at,
        "created_by": name,
        "updated_at": author.at,
        "updated_by": name,
        "version": 1,
        "id": None,
    }
    system = [
        pl.Series(n, [values[n]], dtype=entity.schema[n].dtype).new_from_index(0, frame.height) for n in SYSTEM_NAMES
    ]
    return frame.with_columns(system).select(entity.schema.names)


def _without(frame: pl.DataFrame, refused: set[int]) -> pl.DataFrame:
    if not refused:
        return frame
    return frame[[row for row in range(frame.height) if row not in refused]]
