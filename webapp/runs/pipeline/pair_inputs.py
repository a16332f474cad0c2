"""Two-way: the values that a chunk was decided on, kept so that each pair can be explained later.

Of every record the fields that the rule looks at; of a record that may have changed also its partner, what both had
agreed on before, and what a person had answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from rules.documents.sync import ConflictPolicy
from webapp.runs.models import run_input
from webapp.runs.pipeline.chunk import ROW
from webapp.runs.pipeline.codec import unpack
from webapp.runs.pipeline.inputs import SIDE, Inputs, packed_inputs

if TYPE_CHECKING:
    from webapp.runs.pipeline.deciding import Deciding
    from webapp.runs.pipeline.views import View

_KNOWN, _SAID = "__known", "__said"


@dataclass(frozen=True)
class PairInput:
    """What was known of one record: itself, its partner, the last agreement, and what a person had answered.

    All are batches of one. `known` tells whether both had agreed on something before.
    """

    chunk: int
    record: pl.DataFrame
    partner: pl.DataFrame | None = None
    base: pl.DataFrame | None = None
    known: bool = False
    answer: Mapping[str, Any] | None = None


def kept(deciding: Deciding, rows: pl.Series, records: pl.DataFrame, first: int) -> Inputs | None:
    """Return what is kept of a page; `rows` are the places of the records in `deciding` among all of them."""
    if records.is_empty():
        return None
    names = _names(deciding.view)
    frames = {"inputs": records.select(names), SIDE: pl.DataFrame({SIDE: [deciding.view.name]})}
    if not deciding.keys.is_empty():
        frames |= _pairs(deciding, rows)
    return packed_inputs(frames, first)


def _names(view: View) -> list[str]:
    wanted = {view.key, *view.used, *_moments(view)}
    return [name for name in view.schema.names if name in wanted]


def _moments(view: View) -> Iterator[str]:
    """Yield the time of change where it decides which record wins; no field pair has to name it."""
    rule = view.rule
    name = getattr(rule.detect, view.name).field
    if name is not None and ConflictPolicy.NEWER in {pair.conflict or rule.conflict.default for pair in rule.fields}:
        yield name


def _pairs(deciding: Deciding, rows: pl.Series) -> dict[str, pl.DataFrame]:
    there = deciding.met.there.arg_true()
    partners = deciding.met.partners.select(_names(deciding.other))[there]
    merging = deciding.merging
    said = [deciding.answers.get(at) for at in range(len(merging.rows))]
    base = merging.base.with_columns(
        rows[merging.rows].cast(pl.UInt32).alias(ROW),
        merging.known.alias(_KNOWN),
        pl.Series(_SAID, [None if one is None else json.dumps(one) for one in said], dtype=pl.String),
    )
    return {"partners": partners.with_columns(rows[there].cast(pl.UInt32).alias(ROW)), "base": base}


def of_record(tx: sa.Connection, run_id: int, number: int) -> PairInput | None:
    """Return what was known of a record of a run, None where it is not stored."""
    mine = (run_input.c.run_id == run_id, run_input.c.first <= number)
    row = tx.execute(sa.select(run_input).where(*mine).order_by(run_input.c.first.desc()).limit(1)).one_or_none()
    if row is None or number >= row.first + row.records:
        return None
    frames, at = unpack(row.blob), number - row.first
    record = frames["inputs"][at]
    partner, base = (_row(frames.get(name), at) for name in ("partners", "base"))
    if base is None:
        return PairInput(row.no, record, partner)
    said = base[_SAID][0]
    plain = base.drop(_KNOWN, _SAID)
    return PairInput(row.no, record, partner, plain, bool(base[_KNOWN][0]), json.loads(said) if said else None)


def _row(frame: pl.DataFrame | None, at: int) -> pl.DataFrame | None:
    found = None if frame is None else frame.filter(pl.col(ROW) == at).drop(ROW)
    return None if found is None or found.is_empty() else found
