"""The source values that a rule read, kept beside a chunk's outcomes so that each record can be explained later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.spi import Page
from rules.schema import Schema
from webapp.runs.models import run_input
from webapp.runs.pipeline.codec import bodies_of, digest, pack, unpack
from webapp.runs.pipeline.packing import NOTHING, Bodies, Packed
from webapp.vault.at_rest import salted

SIDE = "side"


@dataclass(frozen=True)
class Inputs:
    """The values of one chunk: the number of its first record, how many there are, and the blob that holds them.

    `fields` are those that it holds of every record. `packed` has them for whoever keeps the same values once more, and
    `columns` as they lie in the blob.
    """

    first: int
    records: int
    blob: bytes
    fields: tuple[str, ...] = ()
    packed: Packed = field(default_factory=Packed, compare=False)
    columns: Bodies = NOTHING


@dataclass(frozen=True)
class Stored:
    """The values of one chunk as they were stored."""

    no: int
    first: int
    records: pl.DataFrame
    side: str | None = None
    """The side that was read, in runs that work on both."""
    columns: Mapping[str, bytes] = field(default_factory=dict)
    """The columns of a large chunk as they lie in its blob, where they are asked for."""


def keep(page: Page, names: Sequence[str], first: int) -> Inputs | None:
    """Return the named values of a page; None where it has no records or nothing is to be kept."""
    if not names or page.records.is_empty():
        return None
    return packed_inputs({"inputs": page.records.select(names)}, first)


def packed_inputs(frames: Mapping[str, pl.DataFrame], first: int) -> Inputs:
    """Return what is kept of a chunk; `inputs` among the frames are the values of all its records."""
    packed, records = Packed(), frames["inputs"]
    blob = pack(frames, packed)
    return Inputs(first, records.height, blob, tuple(records.columns), packed, packed.frame(records))


def beside(records: pl.DataFrame, kept: Inputs | None) -> pl.DataFrame:
    """Return records without the values that are kept in any case: columns of no type stand in their place."""
    held = () if kept is None else kept.fields
    return records.with_columns(pl.lit(None).alias(name) for name in records.columns if name in held)


def completed(records: pl.DataFrame, numbers: pl.Series, kept: Stored) -> pl.DataFrame:
    """Return what `beside` was given; `numbers` are the places of the records in the run."""
    bare = [name for name, dtype in records.schema.items() if dtype == pl.Null]
    return records.with_columns(kept.records[name][numbers - kept.first].alias(name) for name in bare)


def store(tx: sa.Connection, run_id: int, no: int, inputs: Inputs) -> None:
    """Write the values of a chunk in place of what is stored for it."""
    forget(tx, run_id, no)
    blob = salted(tx, inputs.blob)
    values = {"first": inputs.first, "records": inputs.records, "blob": blob, "digest": digest(blob)}
    tx.execute(sa.insert(run_input).values(run_id=run_id, no=no, **values))


def forget(tx: sa.Connection, run_id: int, no: int) -> None:
    """Delete the values of a chunk."""
    tx.execute(sa.delete(run_input).where(run_input.c.run_id == run_id, run_input.c.no == no))


def seal(tx: sa.Connection, run_id: int, no: int) -> str | None:
    """Return the digest of a chunk's values, None where none are stored."""
    return tx.scalar(sa.select(run_input.c.digest).where(run_input.c.run_id == run_id, run_input.c.no == no))


def of_chunk(tx: sa.Connection, run_id: int, no: int) -> Stored | None:
    """Return the values of a chunk, None where they are not stored."""
    row = tx.execute(sa.select(run_input).where(run_input.c.run_id == run_id, run_input.c.no == no)).one_or_none()
    if row is None:
        return None
    columns = {name: body for name, body in bodies_of(row.blob, "inputs") if name is not None}
    return Stored(no, row.first, unpack(row.blob)["inputs"], columns=columns)


def of_record(tx: sa.Connection, run_id: int, number: int) -> tuple[int, pl.DataFrame] | None:
    """Return the chunk that a record of a run belongs to and the record's values, None where they are not stored."""
    mine = (run_input.c.run_id == run_id, run_input.c.first <= number)
    row = tx.execute(sa.select(run_input).where(*mine).order_by(run_input.c.first.desc()).limit(1)).one_or_none()
    if row is None or number >= row.first + row.records:
        return None
    return row.no, unpack(row.blob)["inputs"][number - row.first]


def stored(tx: sa.Connection, run_id: int) -> Iterator[Stored]:
    """Yield the values of a run's chunks, one chunk at a time."""
    numbers = tx.scalars(sa.select(run_input.c.no).where(run_input.c.run_id == run_id).order_by(run_input.c.no)).all()
    for number in numbers:
        row = tx.execute(sa.select(run_input).where(run_input.c.run_id == run_id, run_input.c.no == number)).one()
        frames = unpack(row.blob)
        yield Stored(number, row.first, frames["inputs"], frames[SIDE][SIDE][0] if SIDE in frames else None)


def noted(known: Sequence[Mapping[str, Any]] | None, chunk: int, schemas: tuple[Schema, Schema]) -> list[Any] | None:
    """Return what a run notes of its schemas from a chunk on; None where that is what it has noted last."""
    plain = {"source": schemas[0].to_json(), "target": schemas[1].to_json()}
    before = list(known or [])
    if before and {name: before[-1][name] for name in plain} == plain:
        return None
    return [*before, {"chunk": chunk, **plain}]


def schemas_of(noted_: Sequence[Mapping[str, Any]] | None, chunk: int) -> tuple[Schema, Schema] | None:
    """Return the fields of source and target as a run had noted them for a chunk."""
    found = [entry for entry in noted_ or [] if entry["chunk"] <= chunk]
    return (Schema.from_json(found[-1]["source"]), Schema.from_json(found[-1]["target"])) if found else None
