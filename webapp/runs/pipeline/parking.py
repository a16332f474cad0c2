"""The quarantine as the pipeline sees it: parking records that failed, settling those that have passed since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from rules.mapping.references import STAGE
from rules.reconcile.situations import MOVED, Outcome
from webapp.runs.models import dependants_due, quarantine, run
from webapp.runs.outbox.keeping import AT_DELIVERY
from webapp.runs.outbox.models import delivery
from webapp.runs.outbox.states import OPEN
from webapp.runs.pipeline.codec import column_text, reason_of

if TYPE_CHECKING:
    from webapp.runs.pipeline.journal import Claim

_SOME = 500
"""So many keys are named in one statement."""
_WAITS = {"rule": 64, "side": 5, "key": 255}


def park(tx: sa.Connection, claim: Claim, outcomes: pl.DataFrame, now: datetime) -> None:
    """Put the chunk's failed records into the quarantine; one that waits there already is tried once more."""
    failed = outcomes.filter(pl.col("outcome") == Outcome.QUARANTINED)
    if failed.is_empty():
        return
    side = _side(claim, outcomes)
    waiting = {} if claim.kind == "replay" else _open(tx, claim, side)
    later = _later(tx, claim, side)
    fresh: list[dict[str, Any]] = []
    taken = _parked_by(tx, claim, side) | {_key(row) for row in failed.iter_rows(named=True) if _has_key(row)}
    for row in failed.iter_rows(named=True):
        key, values = _key(row), {**_values(row), "run_id": claim.run_id, "last_at": now}
        if not _has_key(row):
            key = _apart(key, row["record_no"], taken)
        if key in later:
            continue
        known = claim.selection[row["record_no"] - 1] if claim.kind == "replay" else waiting.get(key)
        if known:
            _again(tx, known, values)
        else:
            rule = {"rule_id": claim.rule_id, "rule_name": claim.rule_name}
            head = {**rule, "side": side, "left_key": key, "state": "open"}
            fresh.append({**head, **values, "attempts": 1, "version": 1, "first_at": now})
    if fresh:
        tx.execute(sa.insert(quarantine), fresh)


def settle(tx: sa.Connection, claim: Claim, outcomes: pl.DataFrame, now: datetime) -> None:
    """Mark the waiting records that have passed in this chunk; an undone run lets none pass."""
    if claim.kind == "undo":
        return
    passed = outcomes.filter(
        pl.col("outcome") != Outcome.QUARANTINED,
        pl.col("record_no").is_not_null(),
        pl.col("situation").ne_missing(MOVED),
    )
    if claim.kind == "replay":
        ids = [claim.selection[number - 1] for number in passed["record_no"]]
    else:
        waiting = _open(tx, claim, _side(claim, outcomes))
        ids = (
            [waiting[key] for key in waiting.keys() & set(map(column_text, passed["left_key"].drop_nulls()))]
            if waiting
            else []
        )
    if ids:
        _resolve(tx, sa.and_(quarantine.c.id.in_(ids), ~_undelivered(claim)), now)


def settle_rest(tx: sa.Connection, claim: Claim, now: datetime, side: str | None = None) -> None:
    """After a complete scan (of a side): what this run has not parked again is repaired or gone from the source."""
    others = sa.and_(quarantine.c.rule_id == claim.rule_id, quarantine.c.run_id != claim.run_id)
    others = others if side is None else sa.and_(others, quarantine.c.side == side)
    _resolve(tx, sa.and_(others, ~_is_later(claim), ~_undelivered(claim)), now)


def settle_entries(tx: sa.Connection, entries: Sequence[int], now: datetime) -> None:
    """Settle entries of which nothing is left to be written."""
    if entries:
        _resolve(tx, quarantine.c.id.in_(entries), now)


def settle_delivered(tx: sa.Connection, claim: Claim, side: str, keys: Sequence[str], now: datetime) -> None:
    """Settle entries of records whose delivery had failed and that have arrived since."""
    mine = (quarantine.c.rule_id == claim.rule_id, quarantine.c.side == side, quarantine.c.stage == AT_DELIVERY)
    for start in range(0, len(keys), _SOME):
        _resolve(tx, sa.and_(*mine, quarantine.c.left_key.in_(keys[start : start + _SOME])), now)


def note_dependants(tx: sa.Connection, claim: Claim, now: datetime) -> None:
    """Note, with the end of a run, that records wait which it may have linked the partners of.

    Those that wait for records of its rule, and those of its rule itself: what they wait for may have been linked while
    it was at work.
    """
    mine = sa.or_(quarantine.c.waits_rule == claim.rule_name, quarantine.c.rule_name == claim.rule_name)
    waiting = sa.exists().where(mine, quarantine.c.waits_rule.is_not(None), quarantine.c.state == "open")
    if claim.live and claim.kind != "verify" and tx.scalar(sa.select(waiting)):
        tx.execute(sa.insert(dependants_due).values(run_id=claim.run_id, looked_at=now))


def _resolve(tx: sa.Connection, which: sa.ColumnElement[bool], now: datetime) -> None:
    values = {"state": "resolved", "last_at": now, "resolved_by": "run", "version": quarantine.c.version + 1}
    tx.execute(sa.update(quarantine).where(quarantine.c.state == "open", which).values(values))


def _undelivered(claim: Claim) -> sa.ColumnElement[bool]:
    """Tell of entries whose delivery has failed since the run was asked for, or is under way again."""
    mine = (delivery.c.rule_id == quarantine.c.rule_id, delivery.c.key == quarantine.c.left_key)
    coming = sa.exists().where(*mine, delivery.c.state.in_(OPEN))
    return sa.and_(quarantine.c.stage == AT_DELIVERY, sa.or_(coming, quarantine.c.last_at >= claim.requested_at))


def _side(claim: Claim, outcomes: pl.DataFrame) -> str:
    """Return the side on which the records of a chunk were read; rules that flow one way read one side only."""
    source = "right" if claim.document.get("direction") == "right_to_left" else "left"
    return str(outcomes["side"].drop_nulls().first() or source)


def _open(tx: sa.Connection, claim: Claim, side: str) -> dict[str, int]:
    query = sa.select(quarantine.c.left_key, quarantine.c.id).where(~_is_later(claim), quarantine.c.side == side)
    mine = query.where(quarantine.c.rule_id == claim.rule_id, quarantine.c.state == "open")
    return {row.left_key: row.id for row in tx.execute(mine)}


def _later(tx: sa.Connection, claim: Claim, side: str) -> set[str]:
    """Return the keys that another run has parked since the plan at hand was made: it knows better."""
    mine = (quarantine.c.rule_id == claim.rule_id, quarantine.c.state == "open", _is_later(claim))
    return set(tx.scalars(sa.select(quarantine.c.left_key).where(*mine, quarantine.c.side == side)))


def _is_later(claim: Claim) -> sa.ColumnElement[bool]:
    if claim.kind != "approved" or not claim.parameters:
        return sa.false()
    return sa.and_(quarantine.c.run_id > claim.parameters["of"], quarantine.c.run_id != claim.run_id)


def _again(tx: sa.Connection, entry: int, values: dict[str, Any]) -> None:
    """Note another failed attempt; what the source says now takes the place of what it said, a correction stays."""
    kept = values if values["record"] else {k: v for k, v in values.items() if k not in ("record", "raw")}
    again = {"attempts": quarantine.c.attempts + 1, "version": quarantine.c.version + 1}
    tx.execute(sa.update(quarantine).where(quarantine.c.id == entry).values(**kept, **again))


def _parked_by(tx: sa.Connection, claim: Claim, side: str) -> set[str]:
    """Return the keys that this run has parked already."""
    mine = (quarantine.c.rule_id == claim.rule_id, quarantine.c.run_id == claim.run_id, quarantine.c.side == side)
    return set(tx.scalars(sa.select(quarantine.c.left_key).where(*mine, quarantine.c.state == "open")))


def _has_key(row: dict[str, Any]) -> bool:
    return row["left_key"] is not None and row["stage"] != "repeated"


def _key(row: dict[str, Any]) -> str:
    """Return the key of an entry; a record without a key, or a second one with the same, is known by its place."""
    if _has_key(row):
        return str(column_text(row["left_key"]))
    place = f"({row['place']})"
    return str(column_text(place if row["left_key"] is None else f"{row['left_key']} {place}"))


def _apart(key: str, number: int, taken: set[str]) -> str:
    """Return a key for a record known by its place that no other record of the run has."""
    own = key if key not in taken else str(column_text(f"{key} #{number}"))
    taken.add(own)
    return own


def _values(row: dict[str, Any]) -> dict[str, Any]:
    reason = reason_of(row["reason"])
    return {
        "place": column_text(row["place"]),
        "record": row["record"],
        "raw": row["raw"].replace("\x00", "\ufffd") if row["raw"] else row["raw"],
        "stage": row["stage"],
        "field": column_text(row["field"]),
        "reason": reason,
        **_waits(row["stage"], reason),
    }


def _waits(stage: str | None, reason: dict[str, Any] | None) -> dict[str, str | None]:
    """Return the record that a parked one waits for: the reason names it, or the reason that it quotes."""
    named = (reason or {}).get("values", {}) if stage == STAGE else {}
    named = named.get("problem", {}).get("values", {}) if "problem" in named else named
    return {f"waits_{name}": column_text(named.get(name), size) for name, size in _WAITS.items()}


def parked_first(tx: sa.Connection, claim: Claim) -> int:
    """Return the run that read what is replayed, the first of several."""
    parked = sa.select(sa.func.min(quarantine.c.run_id)).where(quarantine.c.id.in_(claim.selection))
    first = tx.scalar(parked) or claim.run_id
    earlier = (run.c.rule_id == claim.rule_id, run.c.kind == "sync", run.c.mode == "live", run.c.id <= first)
    return int(tx.scalar(sa.select(sa.func.max(run.c.id)).where(*earlier)) or first)
