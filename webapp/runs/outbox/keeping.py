"""What is kept of deliveries while they wait: written with the chunk of a run, and what its next run has to know."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from webapp.extensions import insert_rows
from webapp.runs.models import quarantine
from webapp.runs.outbox.models import delivery, delivery_lane
from webapp.runs.outbox.states import OPEN, Op, State
from webapp.runs.pipeline.link_log import SCHEMA

LANES = 8
"""So many batches of one rule can be under way at a time; all deliveries of a key are in one lane."""
AT_DELIVERY = "deliver"
"""At which stage a record was parked whose delivery has failed."""
POSTED = {
    "op": pl.String(),
    "whole": pl.Boolean(),
    "key": pl.String(),
    "target_key": pl.String(),
    "fields": pl.String(),  # JSON of what is written
    "record": pl.String(),  # JSON of the source record
    "record_no": pl.Int64(),
}
_COLUMNS = (
    "rule_id", "rule_name", "run_id", "chunk_no", "record_no", "lane", "side", "key", "target_key", "connection",
    "object", "op", "whole", "fields", "record", "hash", "scheme", "state", "attempts", "failures", "queued_at",
    "due_at",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Whose deliveries: the rule, the side that it reads, and where its records go."""

    rule_id: int
    rule_name: str
    side: str
    connection: str
    object: str
    clock: Callable[[], datetime]


def store(tx: sa.Connection, place: Place, about: tuple[int, int, str], posted: pl.DataFrame) -> None:
    """Note deliveries in the caller's transaction.

    Args:
        tx: The database.
        place: Whose they are.
        about: The run, its chunk, and how the hashes were made.
        posted: The columns `POSTED`, and `hash`.
    """
    (run_id, chunk_no, scheme), now = about, place.clock()
    _open_lanes(tx, place.rule_id, now)
    rule, target = (place.rule_id, place.rule_name), (place.connection, place.object)
    begun = (State.WAITING.value, 0, 0, now, now)
    rows = (
        (
            *rule, run_id, chunk_no, row["record_no"], lane_of(row["key"]), place.side, row["key"], row["target_key"],
            *target, row["op"], row["whole"], row["fields"], row["record"], _hex(row["hash"]), scheme, *begun,
        )
        for row in posted.iter_rows(named=True)
    )  # fmt: skip
    insert_rows(tx, delivery, _COLUMNS, rows)


def lane_of(key: str) -> int:
    """Return the lane of a key."""
    return zlib.crc32(key.encode()) % LANES


def _open_lanes(tx: sa.Connection, rule_id: int, now: datetime) -> None:
    known = set(tx.scalars(sa.select(delivery_lane.c.lane).where(delivery_lane.c.rule_id == rule_id)))
    new = [
        {"rule_id": rule_id, "lane": lane, "token": 0, "due_at": now, "failures": 0}
        for lane in range(LANES)
        if lane not in known
    ]
    if new:
        tx.execute(sa.insert(delivery_lane), new)


def _hex(value: int | None) -> str | None:
    return None if value is None else f"{value:016x}"


def coming(tx: sa.Connection, rule_id: int, scheme: str) -> pl.DataFrame:
    """Return the links that there will be once what is under way is delivered, the latest of each key last."""
    c = delivery.c
    query = sa.select(c.key, c.target_key, c.op, c.hash, c.scheme).where(c.rule_id == rule_id, c.state.in_(OPEN))
    rows = tx.execute(query.order_by(c.id)).all()
    gone = (Op.DELETE, Op.UNLINK)
    return linked(
        pl.Series([row.key for row in rows], dtype=pl.String),
        pl.Series([None if row.op in gone else row.target_key for row in rows], dtype=pl.String),
        pl.Series([int(r.hash, 16) if r.hash and r.scheme == scheme else None for r in rows], dtype=pl.UInt64),
    )


def linked(keys: pl.Series, theirs: pl.Series, hashes: pl.Series) -> pl.DataFrame:
    """Return links as their log has them; a null key of the target says that there is none."""
    frame = pl.DataFrame({"left_key": keys, "right_key": theirs, "left_hash": hashes})
    return frame.with_columns(pl.lit(None, dtype=SCHEMA[n]).alias(n) for n in SCHEMA if n not in frame.columns).select(
        *SCHEMA
    )


def parked_keys(tx: sa.Connection, rule_id: int, side: str) -> list[str]:
    """Return the keys of a rule whose delivery has failed: what the target holds of them is in doubt."""
    c = quarantine.c
    mine = (c.rule_id == rule_id, c.side == side, c.state == "open", c.stage == AT_DELIVERY)
    return list(tx.scalars(sa.select(c.left_key).where(*mine)))


def not_made(tx: sa.Connection, rows: Sequence[sa.Row[Any]]) -> frozenset[int]:
    """Return the numbers of those deliveries whose records were to be made by earlier ones that failed or were dropped.

    All are of one rule. What such a record lacks in the target, nobody has deleted there.
    """
    if not rows:
        return frozenset()
    c = delivery.c
    told = sa.or_(c.op.in_((Op.CREATE, Op.LINK)), c.did.is_not(None))
    mine = (c.rule_id == rows[0].rule_id, c.key.in_([row.key for row in rows]), c.state.not_in(OPEN), told)
    made: dict[str, bool] = {}
    for one in tx.execute(sa.select(c.id, c.key, c.did).where(*mine).order_by(c.id)):
        made[one.key] = one.did is not None
    return frozenset(row.id for row in rows if not made.get(row.key, True))


def said(tx: sa.Connection, rule_name: str, key: str) -> tuple[int, int]:
    """Return how many deliveries of a record have ended and hold what was said of it, and how many are open."""
    c = delivery.c
    mine = sa.select(sa.func.count()).where(c.rule_name == rule_name, c.key == key)
    held = sa.or_(c.problem.is_not(None), c.answer.is_not(None), c.fields.is_not(None), c.record.is_not(None))
    ended, open_ = mine.where(c.state.not_in(OPEN), held), mine.where(c.state.in_(OPEN))
    return int(tx.scalar(ended) or 0), int(tx.scalar(open_) or 0)


def erase(tx: sa.Connection, rule_name: str, key: str) -> int:
    """Forget what was said of a record whose deliveries have ended; return how many are open, and keep theirs."""
    c = delivery.c
    mine = (c.rule_name == rule_name, c.key == key)
    ended = sa.update(delivery).where(*mine, c.state.not_in(OPEN))
    tx.execute(ended.values(problem=sa.null(), answer=sa.null(), fields=None, record=None))
    return said(tx, rule_name, key)[1]


def open_count(tx: sa.Connection, rule_id: int) -> int:
    """Return how many deliveries of a rule are under way."""
    mine = (delivery.c.rule_id == rule_id, delivery.c.state.in_(OPEN))
    return int(tx.scalar(sa.select(sa.func.count()).where(*mine)) or 0)


def lock_links(tx: sa.Connection, rule_id: int) -> None:
    """Let who puts segments of links together, and who adds or reads them, wait for each other on PostgreSQL."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(7303, CAST(:rule AS integer))"), {"rule": rule_id})
