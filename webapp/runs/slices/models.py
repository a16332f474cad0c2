"""Tables of runs that are split: what all slices of a run share, and each slice with its lease, place and counts."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata
from webapp.vault.journal import BlobAtRest, NullableJsonAtRest

run_split = sa.Table(
    "run_split",
    metadata,
    sa.Column("run_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(255), nullable=False, comment="the field of the source that it is cut by"),
    sa.Column("slices", sa.Integer, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False, comment="the last number given to a chunk"),
    sa.Column("records", BigId, nullable=False, comment="the last number given to a record"),
    sa.Column(
        "stop", NullableJsonAtRest("run_split.stop"), comment="how the run is about to end: state message paused"
    ),
)

run_slice = sa.Table(
    "run_slice",
    metadata,
    sa.Column("run_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", NullableJson, comment="its first key; null: from the first of all"),
    sa.Column("end", NullableJson, comment="the first key behind it; null: up to the last of all"),
    sa.Column("state", sa.String(16), nullable=False, comment="queued | running | done"),
    sa.Column("token", BigId, nullable=False, default=0, comment="fencing token; grows over all runs of the rule"),
    sa.Column("worker", sa.String(128)),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("announced_at", UtcDateTime),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("counts", Json, nullable=False),
    sa.Column("hits", NullableJson, comment="decision table -> how many records each of its rows decided"),
    sa.Column("chunks", sa.Integer, nullable=False, default=0, comment="the number of its last chunk"),
    sa.Column("position", NullableJson, comment="where the source is read on"),
    sa.Column("high", NullableJson),
    sa.Column("guarded", NullableJson, comment="what the guards count, with the chunk at hand: metric -> number"),
    sa.Column(
        "missed", BlobAtRest("run_slice.missed"), comment="linked keys that it has not met; null: it cannot tell"
    ),
)
