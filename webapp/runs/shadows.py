"""A shadow run against a live run of the same rule: for each record what the one would have done and the other did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.reconcile.situations import Outcome
from rules.text import Message, msg
from webapp.runs import reading
from webapp.runs.models import run, run_chunk
from webapp.runs.pipeline import made
from webapp.runs.pipeline.chunk import OUTCOMES
from webapp.runs.reading import RunRow
from webapp.runs.sight import sight_of_run
from webapp.runs.sight_records import Shown

AT_ONCE = 2_000_000
"""So many records of both runs are compared at a time, which bounds the memory."""
MOST = 10_000
"""So many records that are not the same are listed."""
CHOICES = 20
_TOLD = ("outcome", "after", "own_after", "field", "reason")
_IDLE = (Outcome.UNCHANGED.value, Outcome.SKIPPED.value)
_KEYS = ("side", "key", "time")
_SIDE = pl.col("side").fill_null("left")
_KEY = pl.coalesce("left_key", "right_key", "place").alias("key")
"""A record without a key is known by its place; one of the target that was deleted by its own key."""


class Kind(StrEnum):
    """How a record of both runs compares."""

    SAME = "same"
    DIFFERS = "differs"
    ONLY_SHADOW = "only_shadow"
    ONLY_LIVE = "only_live"
    IDLE = "idle"  # met by one of them only, which left it alone


@dataclass(frozen=True)
class Deed:
    """What a run did, or would have done, to a record; the values are those written."""

    record_no: int | None
    outcome: str
    situation: str | None
    values: dict[str, Any]
    own_values: dict[str, Any]
    reason: Message | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        told = {"record": self.record_no, "outcome": self.outcome, "situation": self.situation}
        reason = str(self.reason) if self.reason else None
        return {**told, "values": self.values, "own_values": self.own_values, "reason": reason}


_UNSEEN = Deed(None, "", None, {}, {}, None)
"""Stands for what was done to a record that who asks may not see."""


@dataclass(frozen=True)
class Compared:
    """A record that is not the same in both runs; None where a run has not met it."""

    side: str | None
    key: str | None
    kind: Kind
    shadow: Deed | None
    live: Deed | None

    @property
    def fields(self) -> list[tuple[str, Any, Any]]:
        """Return the fields that differ with the values of both runs."""
        if self.shadow is None or self.live is None:
            return []
        pairs = ((self.shadow.values, self.live.values), (self.shadow.own_values, self.live.own_values))
        return [
            (name, ours.get(name), theirs.get(name))
            for ours, theirs in pairs
            for name in {**ours, **theirs}
            if ours.get(name) != theirs.get(name) or (name in ours) is not (name in theirs)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        told = {name: deed.to_json() if deed else None for name, deed in (("shadow", self.shadow), ("live", self.live))}
        fields = [{"field": name, "shadow": ours, "live": theirs} for name, ours, theirs in self.fields]
        return {"side": self.side, "key": self.key, "kind": self.kind.value, **told, "fields": fields}


@dataclass(frozen=True)
class Wanted:
    """Which records are asked for, of those that are not the same: a kind, a key; `skip` so many of them."""

    kind: str = ""
    key: str = ""
    skip: int = 0
    limit: int = 50


@dataclass(frozen=True)
class Comparison:
    """What came of it: how many records of each kind, how many match what is asked for, and the first of these."""

    counts: dict[str, int]
    matching: int
    records: tuple[Compared, ...]


def candidates(tx: sa.Connection, shadow: RunRow) -> list[RunRow]:
    """Return the live runs that a shadow run can be compared with: those of its rule behind it, the next one first."""
    real = (run.c.rule_id == shadow.rule_id, run.c.mode == "live", run.c.kind == "sync", run.c.id > shadow.id)
    wanted = sa.select(run.c.id).where(*real, run.c.state.in_(("succeeded", "failed", "suspended", "cancelled")))
    numbers = tx.scalars(wanted.order_by(run.c.id).limit(CHOICES)).all()
    return [reading.get(tx, number) for number in numbers]


def hindrance(shadow: RunRow, live: RunRow | None = None) -> Message | None:
    """Say why a run, or it and another, cannot be compared here; None if they can."""
    if shadow.mode != "shadow" or shadow.kind != "sync":
        return msg("Run {run} is not a shadow run.", run=shadow.id)
    if shadow.active:
        return msg("Run {run} is still at work. Wait for it.", run=shadow.id)
    if live is not None and (live.rule_id != shadow.rule_id or live.mode != "live" or live.kind != "sync"):
        return msg("Run {run} is not a live run of the same rule.", run=live.id)
    return None


def compared(tx: sa.Connection, shadow: RunRow, live: RunRow, wanted: Wanted | None = None) -> Comparison:
    """Compare two runs record by record; those listed are in the order in which the live run met them.

    Only those are listed that who asks may see.
    """
    wanted = wanted or Wanted()
    parts = 1 + (shadow.counts["read"] + live.counts["read"]) // AT_ONCE
    counts: Counter[str] = Counter()
    off = []
    for part in range(parts):
        table = _joined(tx, shadow.id, live.id, (part, parts))
        counts.update(dict(table["kind"].value_counts().iter_rows()))
        table = table.filter(_asked(wanted))
        off.append((table.height, table.head(MOST)))
    listed = pl.concat([table for _, table in off]).sort("no_live", "no_shadow", nulls_last=True, maintain_order=True)
    shown = listed.head(MOST)[wanted.skip : wanted.skip + wanted.limit]
    matching = sum(number for number, _ in off)
    told = tuple(_told(tx, shadow, live, shown))
    if wanted.key:  # a key that may not be seen cannot be asked for
        told = tuple(one for one in told if one.key == wanted.key)
        matching = matching if told else 0
    return Comparison({kind.value: counts[kind.value] for kind in Kind}, matching, told)


def _asked(wanted: Wanted) -> pl.Expr:
    asked = pl.col("kind") == wanted.kind if wanted.kind else ~pl.col("kind").is_in([Kind.SAME.value, Kind.IDLE.value])
    return asked & (pl.col("key") == wanted.key) if wanted.key else asked


def _joined(tx: sa.Connection, shadow: int, live: int, part: tuple[int, int]) -> pl.DataFrame:
    """Return a row for each record of either run in one part of the keys: what each run has of it, and its kind."""
    ours, theirs = _signed(tx, shadow, part), _signed(tx, live, part)
    both = ours.join(theirs, on=list(_KEYS), how="full", coalesce=True, nulls_equal=True, suffix="_live")
    names = ("no", "chunk", "outcome", "signed")
    both = both.rename({name: f"{name}_shadow" for name in names})
    idle = pl.coalesce("outcome_shadow", "outcome_live").is_in(_IDLE)
    kind = (
        pl.when(pl.col("signed_shadow") == pl.col("signed_live"))
        .then(pl.lit(Kind.SAME.value))
        .when(pl.col("signed_shadow").is_not_null() & pl.col("signed_live").is_not_null())
        .then(pl.lit(Kind.DIFFERS.value))
        .when(idle)
        .then(pl.lit(Kind.IDLE.value))
        .when(pl.col("signed_shadow").is_not_null())
        .then(pl.lit(Kind.ONLY_SHADOW.value))
        .otherwise(pl.lit(Kind.ONLY_LIVE.value))
    )
    return both.with_columns(kind=kind)


def _signed(tx: sa.Connection, run_id: int, part: tuple[int, int]) -> pl.DataFrame:
    """Return the records of a run in one part of the keys: where they stand, and a hash of what was done."""
    frames = [_signatures(chunk, frame, part) for chunk, frame in _chunks(tx, run_id)]
    found = pl.concat(frames) if frames else _signatures(0, pl.DataFrame(schema=_SCHEMA), part)
    return found.with_columns(time=pl.int_range(pl.len()).over("side", "key"))


def _signatures(chunk: int, frame: pl.DataFrame, part: tuple[int, int]) -> pl.DataFrame:
    number, parts = part
    told = [pl.col(name).fill_null("\0") for name in _TOLD]
    found = frame.select(
        _SIDE,
        _KEY,
        no=pl.col("record_no"),
        chunk=pl.lit(chunk, dtype=pl.Int64),
        outcome=pl.col("outcome"),
        signed=pl.concat_str(told, separator="\x1f").hash(),
    )
    return found if parts == 1 else found.filter(pl.col("key").hash() % parts == number)


_SCHEMA = {
    **dict.fromkeys(("side", "left_key", "right_key", "place", "situation", *_TOLD), pl.String()),
    "record_no": pl.Int64(),
}


def _chunks(tx: sa.Connection, run_id: int, only: Sequence[int] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
    mine = (run_chunk.c.run_id == run_id, run_chunk.c.state == "done")
    numbers = tx.scalars(sa.select(run_chunk.c.no).where(*mine).order_by(run_chunk.c.no)).all()
    for number in numbers if only is None else only:
        blob = tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine, run_chunk.c.no == number))
        if blob is not None:
            yield number, made.outcomes(blob).select(*_SCHEMA)


def _told(tx: sa.Connection, shadow: RunRow, live: RunRow, shown: pl.DataFrame) -> Iterator[Compared]:
    """Yield records with what both runs did, looked up in their chunks."""
    ours = _deeds(tx, shadow.id, shown.select("side", "key", "time", chunk="chunk_shadow", no="no_shadow"))
    theirs = _deeds(tx, live.id, shown.select("side", "key", "time", chunk="chunk_live", no="no_live"))
    sights = [sight_of_run(tx, one.id) for one in (shadow, live)]
    for row in shown.iter_rows(named=True):
        at = tuple(row[name] for name in _KEYS)
        deeds = ours.get(at), theirs.get(at)
        if any(one is _UNSEEN for one in deeds):
            continue
        key = row["key"]
        for sight in sights:
            side = sight.sides[row["side"] or sight.reads]
            key = key if key is None or sight.everything else side.key_text(key)
        yield Compared(row["side"], key, Kind(row["kind"]), *deeds)


def _deeds(tx: sa.Connection, run_id: int, rows: pl.DataFrame) -> Mapping[tuple[Any, ...], Deed]:
    found: dict[tuple[Any, ...], Deed] = {}
    shown = Shown(tx, sight_of_run(tx, run_id), run_id)
    some = rows.filter(pl.col("chunk").is_not_null())
    for number, frame in _chunks(tx, run_id, some["chunk"].unique().sort().to_list()):
        keyed = frame.with_columns(_SIDE, _KEY, no="record_no")
        mine = some.filter(pl.col("chunk") == number)
        joined = mine.join(keyed, on=["side", "key", "no"], nulls_equal=True)
        for row in joined.iter_rows(named=True):
            found[tuple(row[name] for name in _KEYS)] = _shown_deed(shown, row)
    return found


def _shown_deed(shown: Shown, row: Mapping[str, Any]) -> Deed:
    if shown.sight.everything:
        return _deed(row)
    whole = pl.DataFrame([{name: row.get(name) for name in OUTCOMES} | {"record_no": row["no"]}], schema=OUTCOMES)
    seen = next(shown.outcomes(whole), None)
    return _UNSEEN if seen is None else _deed({**row, **seen})


def _deed(row: Mapping[str, Any]) -> Deed:
    values, own = (json.loads(row[name]) if row[name] else {} for name in ("after", "own_after"))
    reason = Message.from_json(json.loads(row["reason"])) if row["reason"] else None
    return Deed(row["no"], row["outcome"], row["situation"], values, own, reason)
