"""Records that state different fields, written in groups that state the same ones, so that none empties another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rules.text import Message
from webapp.entities import frames
from webapp.entities.model import Entity
from webapp.entities.records import Outcome
from webapp.entities.refusals import Refusal


@dataclass(frozen=True)
class BatchError:
    """A record of a batch that was refused: in which list, which place, why."""

    deed: str
    row: int
    message: Message
    field: str | None


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch; `ids` are those of the created records, None where refused.

    `warnings` tell of records that are written although they do not meet a validation.
    """

    created: int
    updated: int
    deleted: int
    ids: tuple[int | None, ...]
    errors: tuple[BatchError, ...]
    warnings: tuple[BatchError, ...] = ()


def write(items: Sequence[Mapping[str, Any]], deed: Callable[[pl.DataFrame], Outcome], entity: Entity) -> Outcome:
    """Write stored values by column; ids and refusals keep the places of `items`."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, item in enumerate(items):
        groups.setdefault(tuple(sorted(item)), []).append(row)
    ids: list[int | None] = [None] * len(items)
    refusals: list[Refusal] = []
    warnings: list[Refusal] = []
    changed = 0
    for names, rows in groups.items():
        outcome = deed(frames.from_dicts(entity.schema, [items[row] for row in rows], names))
        changed += outcome.changed
        refusals += [r.at(rows[r.row]) for r in outcome.refusals]
        warnings += [w.at(rows[w.row]) for w in outcome.warnings]
        for row, record_id in zip(rows, outcome.ids, strict=True):
            ids[row] = record_id
    told = (tuple(sorted(found, key=lambda r: r.row)) for found in (refusals, warnings))
    return Outcome(tuple(ids), next(told), changed, next(told))
