"""What the validations said of a chunk: counts of each validation, the records to warn of, the unique values taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.validations import MARKS, Verdicts
from webapp.runs.models import run, run_chunk, run_validation, run_warning
from webapp.runs.pipeline.codec import column_text, reason_of, unpack

LISTED = 1_000
"""So many warnings of each validation are listed for a run; all are counted."""
_TALLIES = {"validation": pl.String(), "severity": pl.String(), "asked": pl.Int64(), "failed": pl.Int64()}
_WARNED = {
    "validation": pl.String(),
    "record_no": pl.Int64(),
    "left_key": pl.String(),
    "field": pl.String(),
    "reason": pl.String(),  # JSON of a Message
}
_FRAMES = {"tallies": _TALLIES, "warned": _WARNED, "marks": MARKS}
_PREFIX = "checked:"


@dataclass(frozen=True)
class Checked:
    """The verdicts on a chunk's records as frames; `warned` holds at most `LISTED` records of each validation."""

    tallies: pl.DataFrame
    warned: pl.DataFrame
    marks: pl.DataFrame

    def with_warnings(self, warned: pl.DataFrame) -> Checked:
        """Return the same with more warnings that no tally counts yet, such as those of a target."""
        counts = warned.group_by("validation", maintain_order=True).len("failed")
        more = counts.select(
            "validation",
            severity=pl.lit("warn"),
            asked=pl.col("failed").cast(pl.Int64),
            failed=pl.col("failed").cast(pl.Int64),
        )
        return Checked(pl.concat([self.tallies, more]), _capped(pl.concat([self.warned, warned])), self.marks)


def together(one: Checked, other: Checked) -> Checked:
    """Return the verdicts on some records and on others, or on the same ones as they are to be written."""
    tallies = pl.concat([one.tallies, other.tallies]).group_by("validation", "severity", maintain_order=True).sum()
    warned = pl.concat([one.warned, other.warned]).unique(
        ["validation", "record_no"], keep="first", maintain_order=True
    )
    return Checked(tallies, _capped(warned), pl.concat([one.marks, other.marks]))


def nothing() -> Checked:
    """Return what is said of a chunk without validations."""
    return Checked(*(pl.DataFrame(schema=schema) for schema in _FRAMES.values()))


def of_verdicts(verdicts: Verdicts, severities: Mapping[str, str], numbers: pl.Series, keys: pl.Series) -> Checked:
    """Return the verdicts on a batch whose records have these places in the run."""
    tallies = [
        {"validation": name, "severity": severities[name], "asked": tally.asked, "failed": tally.failed}
        for name, tally in verdicts.tallies.items()
    ]
    warned = [
        {
            "validation": verdict.validation.name,
            "record_no": numbers[verdict.row],
            "left_key": keys[verdict.row],
            "field": verdict.field,
            "reason": json.dumps(verdict.reason.to_json(), ensure_ascii=False),
        }
        for verdict in verdicts.warnings
    ]
    return Checked(
        pl.DataFrame(tallies, schema=_TALLIES), _capped(pl.DataFrame(warned, schema=_WARNED)), verdicts.marks
    )


def warnings_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return warnings (columns as in `Checked.warned`) as a frame."""
    return pl.DataFrame(rows, schema=_WARNED)


def frames(checked: Checked) -> dict[str, pl.DataFrame]:
    """Return the frames that are not empty, by names that no other frame of a chunk has."""
    found = {f"{_PREFIX}{name}": getattr(checked, name) for name in _FRAMES}
    return {name: frame for name, frame in found.items() if not frame.is_empty()}


def take(found: dict[str, pl.DataFrame]) -> Checked:
    """Take what `frames` gave out of the frames of a chunk."""
    return Checked(*(found.pop(f"{_PREFIX}{name}", pl.DataFrame(schema=schema)) for name, schema in _FRAMES.items()))


def store(tx: sa.Connection, run_id: int, checked: Checked) -> None:
    """Add a chunk's verdicts to those of its run, in the caller's transaction."""
    mine = run_validation.c.run_id == run_id
    known = {row.validation: row for row in tx.execute(sa.select(run_validation).where(mine))}
    rows: list[dict[str, Any]] = []
    for place, tally in enumerate(checked.tallies.to_dicts()):
        name, row = tally["validation"], known.get(tally["validation"])
        listed = row.listed if row else 0
        fresh = checked.warned.filter(pl.col("validation") == name).head(LISTED - listed)
        rows += _warnings(run_id, fresh)
        values = {"listed": listed + fresh.height}
        if row is None:
            tx.execute(sa.insert(run_validation).values(run_id=run_id, place=place, **tally, **values))
        else:
            grown = {key: getattr(row, key) + tally[key] for key in ("asked", "failed")}
            own = sa.and_(mine, run_validation.c.validation == name)
            tx.execute(sa.update(run_validation).where(own).values(**grown, **values))
    if rows:
        tx.execute(sa.insert(run_warning), rows)


def marks_since(tx: sa.Connection, rule_id: int, run_id: int) -> pl.DataFrame:
    """Return the unique values that records of a rule have, as of its live runs from `run_id` on; later ones win."""
    live = sa.and_(run.c.rule_id == rule_id, run.c.id >= run_id, run.c.mode == "live")
    query = sa.select(run_chunk.c.run_id, run_chunk.c.no).join(run, run.c.id == run_chunk.c.run_id)
    done = query.where(live, run_chunk.c.state == "done").order_by(run_chunk.c.run_id, run_chunk.c.no)
    parts = [pl.DataFrame(schema=MARKS)]
    for place in tx.execute(done).all():
        mine = (run_chunk.c.run_id == place.run_id, run_chunk.c.no == place.no)
        parts.append(take(unpack(tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine)) or b"")).marks)
    return pl.concat(parts).unique(["validation", "key"], keep="last", maintain_order=True)


def _warnings(run_id: int, warned: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "run_id": run_id,
            "validation": row["validation"],
            "record_no": row["record_no"],
            "left_key": column_text(row["left_key"]),
            "field": column_text(row["field"]),
            "reason": reason_of(row["reason"]),
        }
        for row in warned.iter_rows(named=True)
    ]


def _capped(warned: pl.DataFrame) -> pl.DataFrame:
    return warned.group_by("validation", maintain_order=True).head(LISTED).select(*_WARNED)
